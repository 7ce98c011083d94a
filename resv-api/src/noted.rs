//! What is noted of the fences that a job must wait for, while all of its objects are looked at.
//!
//! # The concept
//!
//! Objects that are used together hold fences of the same few timelines. Of each timeline the latest fence is
//! wanted, as it stands for the earlier ones. So most fences are looked at and not noted, and that has to be
//! cheap: the number of a fence's timeline leads, by one of [`SPOTS`] spots, to a row, where two words are compared.
//! References are taken in the end, one for each timeline.
//!
//! More timelines than there are rows go to a list. It is put in order in the end, and may name a timeline
//! several times until then.
//!
//! # Fences without a reference
//!
//! What is noted is the cell of a fence that an object owns, and its key. The caller holds the object's lock until
//! the references are taken, and nobody else edits the object. The back end may drop a fence that has signalled
//! meanwhile (B9), and its cell may be another fence then. So a reference is taken as the protocol of a
//! [cell](resv_core::fence::cell) has it: of whatever fence is in the cell, and then the key is compared. It is
//! the fence that was noted if the key is the same, as long as the reference lives. If it is another key, or if
//! there is no fence, then the one that was noted has signalled, and so have the earlier ones of its timeline: there
//! is nothing to wait for. `noted/loom_models.rs` explores this.

use crate::waits::Waits;
use resv_core::fence::cell::FenceCell;
use resv_core::{Fence, Key, ReserveError, TimelineId};

#[cfg(all(test, loom, feature = "seqcount"))]
mod loom_models;

/// How many timelines have a row in the table.
const ROWS: usize = 8;
/// In how many spots rows are looked up: so many that two timelines rarely share one.
const SPOTS: usize = 64;

resv_sync::known_bad! {
    /// What taking the references does wrong in a model, which is to notice.
    enum Defect, seam Seam {
        /// The key is not checked.
        ChecksNoKey,
        /// The key is checked before the reference is taken, and not again.
        ChecksTooEarly,
    }
}

/// A fence without a reference, and its key.
#[derive(Clone, Copy)]
struct Note {
    timeline: TimelineId,
    seqno: u64,
    cell: &'static FenceCell,
}

impl Note {
    /// A reference, unless the fence has signalled and was dropped.
    #[inline]
    fn acquire(self, seam: Seam) -> Option<Fence> {
        if seam.has(Defect::ChecksTooEarly) && !self.has_its_key() {
            return None;
        }
        let fence = Fence::try_acquire(self.cell)?;
        let is_unchecked = seam.has(Defect::ChecksNoKey) || seam.has(Defect::ChecksTooEarly);
        (is_unchecked || self.has_its_key()).then_some(fence)
    }

    #[inline]
    fn has_its_key(self) -> bool {
        self.cell.key_parts() == (self.timeline, self.seqno)
    }

    /// The earliest timeline first, and of each the latest fence.
    fn order(&self) -> impl Ord + use<> {
        (self.timeline, std::cmp::Reverse(self.seqno))
    }
}

/// The fences that are noted.
pub struct Noted<'b> {
    /// None of these is noted.
    but: &'b [Fence],
    /// Not made, which is to clear it, before there is something to note.
    table: Option<Table>,
    /// Those that have no row.
    others: Vec<Note>,
    seam: Seam,
}

/// Of each timeline the latest fence, while they are few.
struct Table {
    /// At the [spot](spot_of) of a timeline: the row that it has, if it has one and is the last that came to this spot.
    rows_by_spot: [u8; SPOTS],
    /// The first `count` have a fence. The others have the number 0, which no timeline has.
    rows: [Row; ROWS],
    /// The rows with a fence, in the order of their timelines; so many are.
    order: [u8; ROWS],
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Row {
    timeline: u64,
    seqno: u64,
    cell: Option<&'static FenceCell>,
}

/// Whether it is the cell of one of these fences.
#[inline(always)]
fn is_of(fences: &[Fence], cell: &FenceCell) -> bool {
    fences.iter().any(|fence| std::ptr::eq(fence.cell(), cell))
}

/// Where the row of a timeline is looked up. Threads take the numbers of timelines in blocks, so the lower bits alone
/// would put the timelines of many threads in the same spots.
#[inline(always)]
fn spot_of(timeline: u64) -> usize {
    const BITS: u32 = SPOTS.trailing_zeros();
    // The upper bits of the product depend on all bits of the number.
    (timeline.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - BITS)) as usize
}

impl<'b> Noted<'b> {
    #[inline]
    pub(crate) fn new(but: &'b [Fence]) -> Noted<'b> {
        Noted {
            but,
            table: None,
            others: Vec::new(),
            seam: Seam::SOUND,
        }
    }

    /// A pending fence of an object that the caller has locked until [`list`](Noted::list), and its key.
    ///
    /// # Errors
    ///
    /// When there are many timelines, and no memory for them.
    #[inline(always)]
    pub(crate) fn note(&mut self, fence: &Fence, key: Key) -> Result<(), ReserveError> {
        // By value: a caller that has these in registers need not have them in memory.
        let (cell, timeline, seqno) = (fence.cell(), key.timeline.as_raw(), key.seqno);
        if let Some(table) = &mut self.table
            && let Some(row) = table.row(timeline)
        {
            if seqno > row.seqno && !is_of(self.but, cell) {
                row.put(cell, seqno);
            }
            return Ok(());
        }
        self.note_slowly(cell, timeline, seqno)
    }

    /// The same where the timeline has no row, or its row is not found at once.
    #[inline(never)]
    fn note_slowly(
        &mut self,
        cell: &'static FenceCell,
        timeline: u64,
        seqno: u64,
    ) -> Result<(), ReserveError> {
        if is_of(self.but, cell) {
            return Ok(());
        }
        let table = self.table.get_or_insert_with(Table::new);
        if table.put(cell, timeline, seqno) {
            return Ok(());
        }
        let timeline = TimelineId::from_raw(timeline);
        self.note_other(Note {
            timeline,
            seqno,
            cell,
        })
    }

    #[cold]
    #[inline(never)]
    fn note_other(&mut self, note: Note) -> Result<(), ReserveError> {
        match self.others.last_mut() {
            Some(last) if last.timeline == note.timeline => {
                *last = if last.seqno < note.seqno { note } else { *last };
            }
            _ => {
                let room = self.others.try_reserve(1);
                room.map_err(|_| ReserveError::new(ROWS + self.others.len() + 1))?;
                self.others.push(note);
            }
        }
        Ok(())
    }

    /// Whether there is nothing to wait for.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_none()
    }

    /// References to what is noted: of each timeline the latest, the earliest timeline first.
    ///
    /// # Errors
    ///
    /// When there are many timelines, and no memory for them.
    // The error is the caller's: an answer whose error is changed is moved.
    #[inline(never)]
    pub(crate) fn list<E: From<ReserveError>>(&mut self) -> Result<Waits, E> {
        let mut waits = Waits::default();
        if self.others.is_empty() {
            const { assert!(ROWS <= Waits::INLINE) };
            if let Some(table) = &self.table {
                waits.extend(table.notes().filter_map(|note| note.acquire(self.seam)));
            }
        } else {
            self.put_many_in(&mut waits)?;
        }
        Ok(waits)
    }

    #[cold]
    #[inline(never)]
    fn put_many_in(&mut self, waits: &mut Waits) -> Result<(), ReserveError> {
        let all = ROWS + self.others.len();
        let room = self.others.try_reserve(ROWS);
        room.map_err(|_| ReserveError::new(all))?;
        self.others.extend(self.table.iter().flat_map(Table::notes));
        self.others.sort_unstable_by_key(Note::order);
        self.others.dedup_by_key(|note| note.timeline);
        waits.reserve(self.others.len())?;
        let notes = self.others.drain(..);
        waits.extend(notes.filter_map(|note| note.acquire(self.seam)));
        Ok(())
    }
}

impl Table {
    #[inline]
    fn new() -> Table {
        Table {
            rows_by_spot: [0; SPOTS],
            rows: [Row::default(); ROWS],
            order: [0; ROWS],
            count: 0,
        }
    }

    /// The row of a timeline, if it is found at once.
    #[inline(always)]
    fn row(&mut self, timeline: u64) -> Option<&mut Row> {
        let row = self.rows_by_spot[spot_of(timeline)];
        let row = &mut self.rows[usize::from(row) % ROWS];
        (row.timeline == timeline).then_some(row)
    }

    /// Notes a fence unless a later one is noted; `false` if there is no row.
    #[inline]
    fn put(&mut self, cell: &'static FenceCell, timeline: u64, seqno: u64) -> bool {
        let noted = &mut self.rows[..self.count];
        if let Some(row) = noted.iter_mut().find(|row| row.timeline == timeline) {
            if seqno > row.seqno {
                row.put(cell, seqno);
            }
            return true;
        }
        let Some(row) = self.rows.get_mut(self.count) else {
            return false;
        };
        *row = Row {
            timeline,
            seqno,
            cell: Some(cell),
        };
        self.rows_by_spot[spot_of(timeline)] = self.count as u8;
        self.put_in_order(timeline);
        true
    }

    /// The row behind the last has got a timeline.
    #[inline]
    fn put_in_order(&mut self, timeline: u64) {
        let mut at = self.count;
        while at > 0 {
            let before = self.order[at - 1];
            if self.rows[usize::from(before)].timeline < timeline {
                break;
            }
            self.order[at] = before;
            at -= 1;
        }
        self.order[at] = self.count as u8;
        self.count += 1;
    }

    /// What is noted, the earliest timeline first.
    #[inline]
    fn notes(&self) -> impl Iterator<Item = Note> {
        let rows = self.order[..self.count].iter();
        rows.filter_map(|&row| {
            let row = &self.rows[usize::from(row)];
            Some(Note {
                timeline: TimelineId::from_raw(row.timeline),
                seqno: row.seqno,
                cell: row.cell?,
            })
        })
    }
}

impl Row {
    /// Notes a fence of its timeline, which is later than the one that is noted.
    #[inline(always)]
    fn put(&mut self, cell: &'static FenceCell, seqno: u64) {
        (self.cell, self.seqno) = (Some(cell), seqno);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::{Signaler, Timeline, Usage};

    fn note(noted: &mut Noted<'_>, fence: &Fence) {
        let key = Key::new(fence, Usage::Read);
        noted.note(fence, key).unwrap();
    }

    fn listed(mut noted: Noted<'_>) -> Vec<Fence> {
        noted.list::<ReserveError>().unwrap().to_vec()
    }

    /// From one timeline to more than have a row: each once, with its latest, in order.
    #[test]
    fn each_timeline_is_listed_once() {
        for count in [1, 2, 3, 7, 8, 9, 16, 50] {
            let timelines: Vec<_> = (0..count).map(|_| Timeline::new("t")).collect();
            let mut jobs: Vec<Signaler> = Vec::new();
            let mut noted = Noted::new(&[]);
            for round in 0..3 {
                for at in 0..count {
                    // In another order each time.
                    let at = (at * 11 + round) % count;
                    jobs.push(timelines[at].issue().unwrap());
                    // An earlier one again, too.
                    for job in jobs.iter().rev().step_by(5).take(2) {
                        note(&mut noted, job.fence());
                    }
                    note(&mut noted, jobs[jobs.len() - 1].fence());
                }
            }
            let waits = listed(noted);
            let key = |fence: &Fence| (fence.timeline_id(), fence.seqno());
            let latest: Vec<_> = timelines
                .iter()
                .map(|timeline| {
                    let of_it = jobs.iter().map(|job| key(job.fence()));
                    of_it.filter(|key| key.0 == timeline.id()).max().unwrap()
                })
                .collect();
            assert_eq!(waits.iter().map(key).collect::<Vec<_>>(), latest, "{count}");
        }
    }

    /// Of two timelines that share a spot only one is found at once.
    #[test]
    fn timelines_that_share_a_spot_have_a_row_each() {
        let first = Timeline::new("first");
        let spot = |timeline: &Timeline| spot_of(timeline.id().as_raw());
        let second = std::iter::repeat_with(|| Timeline::new("second"));
        let second = second
            .take(100_000)
            .find(|other| spot(other) == spot(&first));
        let second = second.expect("one of many has the same spot");
        let mut noted = Noted::new(&[]);
        let mut jobs: Vec<Signaler> = Vec::new();
        for timeline in [&first, &second, &first, &second, &second, &first] {
            jobs.push(timeline.issue().unwrap());
            note(&mut noted, jobs[jobs.len() - 1].fence());
            // The one before of either again.
            jobs.iter().for_each(|job| note(&mut noted, job.fence()));
        }
        let latest = [jobs[5].fence().clone(), jobs[4].fence().clone()];
        assert_eq!(listed(noted), latest);
    }

    /// A job does not wait for itself, wherever its fence comes in; what is before it on its timeline stays.
    #[test]
    fn fences_of_the_job_are_left_out() {
        let gfx = Timeline::new("gfx");
        let (first, second) = (gfx.issue().unwrap(), gfx.issue().unwrap());
        let own = std::slice::from_ref(second.fence());
        for noted_first in [first.fence(), second.fence()] {
            let mut noted = Noted::new(own);
            for fence in [noted_first, second.fence(), first.fence(), second.fence()] {
                note(&mut noted, fence);
            }
            assert_eq!(listed(noted), [first.fence().clone()]);
        }
    }

    /// The cell of a fence that was dropped is no fence, or another one: it is not listed.
    #[test]
    fn a_fence_that_is_gone_is_not_listed() {
        let gfx = Timeline::new("gfx");
        for is_used_again in [false, true] {
            let job = gfx.issue().unwrap();
            let cell = job.fence().cell();
            let mut noted = Noted::new(&[]);
            note(&mut noted, job.fence());
            job.signal();
            let mut others = Vec::new();
            while is_used_again
                && !others
                    .iter()
                    .any(|job: &Signaler| std::ptr::eq(job.fence().cell(), cell))
            {
                others.push(gfx.issue().unwrap());
                assert!(others.len() < 1_000_000, "the cell does not come back");
            }
            assert_eq!(listed(noted), []);
        }
    }
}
