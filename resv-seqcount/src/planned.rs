//! An add in two steps: one look plans it, and one section makes it ([`Backend::prepare`], [`Backend::commit`]).
//!
//! # What is chance is no branch
//!
//! Where jobs use buffers at random, it is chance whether an entry goes or the new one takes the next slot, whether
//! what goes has signalled, and how many go. A branch that is mispredicted costs as much as judging two entries. So
//! the plan is a set of slots, whatever goes, and the commit finds its slot by counting zeros.
//!
//! [`Backend::prepare`]: resv_core::Backend::prepare
//! [`Backend::commit`]: resv_core::Backend::commit

use crate::counter::{Seam, UsageMask};
use crate::raw::Table;
use crate::slot::{Content, Slot};
use crate::writer::{Writer, key};
use resv_core::fence::cell::FenceCell;
use resv_core::{Fence, Key, Plan, ReserveError, Usage, UsageSet};
use std::mem::ManuallyDrop;

/// With so many slots in use or more, there is no plan.
const MANY: usize = 56;

/// What an edit changes that adds one entry, as a [look](Writer::look) found it: bits of a [`Plan`].
///
/// | bits | what |
/// |---|---|
/// | 0 to 3 | the usages of the entries that stay |
/// | 8 | set |
/// | 9 and up | the slots that go: bit 8 + `n` is the slot `n` before the next |
#[derive(Clone, Copy)]
pub(crate) struct Planned(u64);

impl Planned {
    /// Bit 0 of `goes` is the last slot in use.
    #[inline]
    fn new(goes: u64, leaves: UsageMask) -> Planned {
        Planned(goes << 9 | 1 << 8 | u64::from(leaves.to_bits()))
    }

    /// `None` for a plan that is none.
    #[inline]
    pub(crate) fn of_plan(Plan(bits): Plan) -> Option<Planned> {
        (bits != 0).then_some(Planned(bits))
    }

    #[inline]
    fn leaves(self) -> UsageMask {
        UsageMask::from_bits(self.0 as u8)
    }

    /// The place of the slot that takes the new entry: the first that goes, or the next. And the others that go.
    #[inline]
    fn split(self, used: usize) -> (usize, Others) {
        // Bit 0, the next slot, is set already. The compiler is to know that it is not zero.
        let goes = self.0 >> 8 | 1;
        let first = goes.ilog2();
        let others = (goes ^ 1 << first) & !1;
        (used.wrapping_sub(first as usize), Others(others))
    }
}

/// Slots that go, counted from the next.
#[derive(Clone, Copy)]
struct Others(u64);

impl Others {
    /// The place of the last one.
    fn pop(&mut self, used: usize) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let last = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        used.checked_sub(last)
    }
}

/// An edit that was planned, of a table as it is.
pub(crate) struct PlannedChange<'t> {
    table: Table<'t>,
    /// The slot that takes the new entry.
    slot: &'t Slot,
    at: usize,
    /// What it holds until the change is made. The next slot owns nothing, whatever it holds.
    held: Option<&'static FenceCell>,
    /// How many slots are in use until then.
    used: usize,
    /// What goes besides.
    others: Others,
    /// The usages that the object has afterwards.
    pub(crate) leaves: UsageMask,
}

impl<'t> PlannedChange<'t> {
    /// `None` if there is no slot for the entry.
    #[inline]
    pub(crate) fn of(table: Table<'t>, plan: Planned, usage: Usage) -> Option<PlannedChange<'t>> {
        let used = table.used_held().len();
        let mut leaves = plan.leaves();
        leaves.insert(usage);
        let (at, others) = plan.split(used);
        let slot = table.all().get(at)?;
        let held = slot.load_held().map(|(cell, _)| cell);
        Some(PlannedChange {
            table,
            slot,
            at,
            held,
            used,
            others,
            leaves,
        })
    }

    /// Whether the new entry takes the next slot.
    #[inline]
    fn is_next(&self) -> bool {
        self.at >= self.used
    }

    /// The cell that goes from the slot.
    #[inline]
    fn old(&self) -> Option<&'static FenceCell> {
        if self.is_next() { None } else { self.held }
    }

    /// Whether a slot takes the new entry, which is of `new`, and there is nothing else to do.
    #[inline]
    pub(crate) fn is_one(&self, new: &'static FenceCell) -> bool {
        // The new one stands in where there is no old one: that is no branch.
        let fails = self.old().unwrap_or(new).has_failed() & !self.is_next();
        !fails & (self.others.0 == 0)
    }

    /// The fence that is gone from the slot when the change is made: its reference is the caller's.
    #[inline]
    pub(crate) fn gone(&self) -> Option<Fence> {
        self.old().map(Fence::from_cell)
    }

    /// Has the slot take the new entry; the caller has opened a section.
    #[inline]
    pub(crate) fn apply(&self, content: Content, seam: Seam) {
        self.slot.store(Some(content), seam.data_store());
        // Stored in any case: that is no branch.
        let len = self.used + usize::from(self.is_next());
        self.table.set_len(len, seam.data_store());
    }
}

impl Writer {
    /// Whether nothing is staged, the set is not large, and there is a slot for one more entry.
    #[inline]
    pub(crate) fn can_look(&self, table: Table<'_>) -> bool {
        let used = table.used_held().len();
        !self.is_staged && table.has_none_behind() && used < table.capacity().min(MANY)
    }

    /// One look at what is pending: shows `see` the entries with a usage in `usages`, and says what an edit
    /// changes that removes what `removes` names and adds one entry.
    #[inline(always)]
    pub(crate) fn look(
        &self,
        table: Table<'_>,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        mut removes: impl FnMut(Key) -> bool,
    ) -> Result<Plan, ReserveError> {
        let mut goes = 0_u64;
        let (mut leaves, mut gone) = (UsageMask::default(), UsageMask::default());
        for slot in table.used_held() {
            goes <<= 1;
            let Some((content, tag)) = slot.load_held_tag() else {
                continue;
            };
            if content.0.is_pending() && !removes(key(content)) {
                leaves.insert_tag(tag);
            } else {
                goes |= 1;
                // By the tag: of the usage the compiler makes a step more of each entry.
                gone.insert_tag(tag);
            }
        }
        let leaves = leaves.of_tags();
        if leaves.has(usages) | gone.of_tags().has(usages) {
            show(table, usages, see)?;
        }
        Ok(Plan(Planned::new(goes, leaves).0))
    }

    /// What the slot of the change holds counts for the object's failure from now on.
    #[inline]
    pub(crate) fn takes(&mut self, change: &PlannedChange<'_>) {
        self.counting.overwritten.remove_one(change.at as u8);
    }

    /// Applies a change that may be of several slots; the caller has opened a section. What goes besides is behind
    /// the slots in use then.
    pub(crate) fn apply_planned(
        &mut self,
        change: &PlannedChange<'_>,
        content: Content,
        seam: Seam,
    ) {
        if let Some((cell, usage)) = change.slot.load_held()
            && !change.is_next()
        {
            self.counting.note_failure(change.at, usage, cell.status());
        }
        self.takes(change);
        change.apply(content, seam);
        let (table, used, mut others) = (change.table, change.used, change.others);
        if others.0 == 0 {
            return;
        }
        let (slots, order) = (table.all(), seam.data_store());
        let mut end = used;
        // From the end, so that the last slot is never one that goes.
        while let Some(at) = others.pop(used) {
            end -= 1;
            let goes = slots[at].load_held();
            if let Some((cell, usage)) = goes {
                self.counting.note_failure(at, usage, cell.status());
            }
            slots[at].store(slots[end].load_held(), order);
            slots[end].store(goes, order);
            let overwritten = &mut self.counting.overwritten;
            overwritten.set(at, overwritten.has(end));
        }
        table.set_len(end, order);
        table.set_behind(used - end);
    }
}

/// Shows `see` the pending entries with these usages.
#[inline(never)]
fn show(
    table: Table<'_>,
    usages: UsageSet,
    mut see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
) -> Result<(), ReserveError> {
    let used = table.used_held();
    let mut asked = 0_u64;
    for slot in used {
        asked <<= 1;
        if let Some((cell, usage)) = slot.load_held() {
            asked |= u64::from(cell.is_pending() & usages.contains(usage));
        }
    }
    // The last first.
    while asked != 0 {
        let last = asked.trailing_zeros() as usize;
        asked &= asked - 1;
        if let Some(content) = used[used.len() - 1 - last].load_held() {
            // The slot owns a reference as long as the lock is held, which is borrowed here.
            let fence = &ManuallyDrop::new(Fence::from_cell(content.0));
            see(fence, key(content))?;
        }
    }
    Ok(())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::object::Seqcount;
    use resv_core::{Backend, Budget, Entry, FenceError, Signaler, Timeline};

    /// An add in two steps that removes what is on `timelines`; what was shown, which is what is pending.
    fn add(object: &Seqcount, goes: &[&Timeline], job: &Signaler) -> usize {
        let mut held = object.object_lock().lock();
        let removes = |key: Key| goes.iter().any(|line| line.id() == key.timeline);
        let mut shown = 0;
        let see = |_: &Fence, _| {
            shown += 1;
            Ok(())
        };
        let plan = object.prepare(&mut held, UsageSet::ALL, see, removes);
        let plan = plan.expect("memory");
        assert!(Planned::of_plan(plan).is_some(), "there is room");
        let add = Entry {
            fence: job.fence().clone(),
            usage: Usage::Read,
        };
        let gone = object.commit(&mut held, plan, removes, add);
        drop((held, gone));
        shown
    }

    fn timelines(object: &Seqcount) -> Vec<u64> {
        let mut found = object.visit(UsageSet::ALL, Vec::new(), |mut found, key| {
            found.push(key.timeline.as_raw());
            found
        });
        found.sort_unstable();
        found
    }

    /// For each set of entries that go, by the job's doing or as they have signalled: the others stay, no
    /// reference is lost or kept, and no failure is forgotten.
    #[test]
    fn b9_b10_a_planned_add_removes_what_goes_and_nothing_else() {
        const COUNT: usize = 4;
        for case in 0..3_usize.pow(COUNT as u32) {
            let what = |at: usize| case / 3_usize.pow(at as u32) % 3;
            let lines: Vec<_> = (0..COUNT).map(|_| Timeline::new("t")).collect();
            let new = Timeline::new("new");
            let object = Seqcount::default();
            {
                let mut held = object.object_lock().lock();
                let room = Budget {
                    adds: COUNT + 1,
                    publishes: 1,
                };
                object.reserve(&mut held, room).expect("memory");
            }
            let mut jobs: Vec<Option<Signaler>> = Vec::new();
            for line in &lines {
                let job = line.issue().expect("a seqno");
                add(&object, &[], &job);
                jobs.push(Some(job));
            }
            let fences: Vec<Fence> = jobs.iter().flatten().map(|j| j.fence().clone()).collect();
            let (mut goes, mut stays) = (Vec::new(), vec![new.id().as_raw()]);
            for at in 0..COUNT {
                match what(at) {
                    0 => stays.push(lines[at].id().as_raw()),
                    1 => goes.push(&lines[at]),
                    _ => {
                        if let Some(job) = jobs[at].take() {
                            job.signal_error(FenceError::IO);
                        }
                    }
                }
            }
            let failed = jobs.iter().any(Option::is_none);
            let job = new.issue().expect("a seqno");
            assert_eq!(add(&object, &goes, &job), jobs.iter().flatten().count());
            stays.sort_unstable();
            assert_eq!(timelines(&object), stays, "case {case}");
            let held = object.object_lock().lock();
            let failure = object.failure(&held, UsageSet::ALL);
            assert_eq!(failure, failed.then_some(FenceError::IO), "case {case}");
            drop(held);
            // What has gone is owned here alone.
            jobs.clear();
            let cells: Vec<_> = fences.iter().map(Fence::cell).collect();
            drop(fences);
            for (at, cell) in cells.into_iter().enumerate() {
                let lives = Fence::try_acquire(cell).is_some();
                assert_eq!(lives, what(at) == 0, "case {case}, entry {at}");
            }
        }
    }
}
