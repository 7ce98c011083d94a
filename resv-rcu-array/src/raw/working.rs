//! The writer's side of a cell: what is appended, what dies, what is given up.
//!
//! A [`Writing`] is the right to write a cell: that of the holder of the object's lock to the published
//! cell and to the spare one, or that of the thread that has ended a cell. Entries own one reference of
//! their fence each, until it is given up or moved to another cell.

use super::cell::{Cell, Owned, own};
use super::change::{Found, WINDOW, another_set, note_goes};
use super::near::SHORT;
use super::pool;
use super::word::{Asked, Slot, key};
use resv_core::{Entry, EntryRef, Failures, Fence, FenceError, FenceStatus, Key, UsageSet};
use resv_sync::sync::atomic::{AtomicU64, Ordering};
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;

/// The right to write a cell.
///
/// Two words, which are handed on in registers.
pub(super) struct Writing {
    cell: Cell,
    /// One more than [`published`](Writing::published).
    published: Option<NonZeroU32>,
}

impl Writing {
    /// # Safety
    ///
    /// The caller may write the cell, nobody else may, and no other `Writing` of it is in use; `published`
    /// is at least every length that readers may have.
    #[inline]
    pub(super) unsafe fn new(cell: Cell, published: Option<u32>) -> Writing {
        let published = published.map(|len| NonZeroU32::MIN.saturating_add(len));
        Writing { cell, published }
    }

    /// A free cell with at least `slots` slots; `None` when it cannot be had.
    pub(super) fn take(slots: usize) -> Option<Writing> {
        let cell = pool::take(slots)?;
        let mut new = Writing {
            cell,
            published: None,
        };
        *new.owned_mut() = Owned::default();
        Some(new)
    }

    #[inline]
    pub(super) fn cell(&self) -> Cell {
        self.cell
    }

    /// How many of the first slots readers may see; `None` for a cell that is not published.
    #[inline]
    pub(super) fn published(&self) -> Option<u32> {
        self.published.map(|more| more.get() - 1)
    }

    #[inline]
    pub(super) fn owned(&self) -> &Owned {
        // SAFETY: (6) this is the right to write, and it is borrowed as long as the result.
        unsafe { self.cell.owned() }
    }

    #[inline]
    pub(super) fn owned_mut(&mut self) -> &mut Owned {
        // SAFETY: (6) this is the right to write, and it is borrowed mutably as long as the result.
        unsafe { self.cell.owned() }
    }

    /// How many slots are free.
    #[inline]
    pub(super) fn free(&self) -> usize {
        self.cell.capacity() - self.owned().end as usize
    }

    /// Whether a look at what lives comes by few holes. (A cell is filled without.)
    #[inline]
    pub(super) fn is_dense(&self) -> bool {
        let owned = self.owned();
        owned.end - owned.first <= 3 * owned.alive + 8
    }

    /// Whether there was an edit since the last publish.
    #[inline]
    pub(super) fn is_staged(&self) -> bool {
        let owned = self.owned();
        match self.published() {
            Some(published) => owned.end > published,
            None => owned.edited,
        }
    }

    /// The living entries as the holder sees them, from the first on, and where they are.
    #[inline]
    pub(super) fn living(&self) -> impl Iterator<Item = (u32, Slot)> + use<> {
        let (first, end) = (self.owned().first, self.owned().end);
        let slots = self.cell.own_range(first, end);
        slots.filter(|(_, slot)| slot.lives())
    }

    /// How many entries are pending as the holder sees them.
    pub(super) fn count_pending(&self) -> usize {
        let fences = self.living().filter_map(|(_, slot)| slot.fence());
        fences.filter(|fence| fence.is_pending()).count()
    }

    /// Shows `f` the pending entries as the holder sees them.
    pub(super) fn visit<A>(&self, init: A, mut f: impl FnMut(A, EntryRef<'_>) -> A) -> A {
        self.living().fold(init, |acc, (_, slot)| {
            match slot.fence().filter(|fence| fence.is_pending()) {
                Some(cell) => {
                    // The slot owns a reference as long as the lock is held, which is borrowed here.
                    let fence = &ManuallyDrop::new(Fence::from_cell(cell));
                    let usage = slot.usage();
                    f(acc, EntryRef { fence, usage })
                }
                None => acc,
            }
        })
    }

    /// Takes away the living entries that have signalled or whose keys `removes` names, and appends
    /// `add`. A panic in `removes` changes nothing that anybody can see.
    #[inline]
    pub(super) fn edit(&mut self, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        let adds = add.as_ref().map_or(0, |add| 1 << add.usage as u8);
        self.apply(self.look_alone(adds, removes));
        match add {
            Some(entry) => self.append(entry),
            None if self.owned().end == self.published().unwrap_or(0) => {
                // Each publication is a length of its own.
                let end = self.owned().end;
                self.cell.set(end, Slot::NONE, Ordering::Release);
                self.owned_mut().end = end + 1;
            }
            None => {}
        }
    }

    /// One look at the living entries: shows `see` the pending ones with a usage in `usages`, and says what
    /// an edit takes away: those that have signalled, and those whose keys `removes` names.
    ///
    /// Changes nothing that anybody can see, however it ends.
    // Which entries go is no branch, but bits: a processor guesses every other one wrong. What is called from here
    // gets copies: so the loop has its state in registers.
    #[inline(always)]
    pub(super) fn look<E>(
        &self,
        usages: UsageSet,
        mut see: impl FnMut(&Fence, Key) -> Result<(), E>,
        mut removes: impl FnMut(Key) -> bool,
    ) -> Result<Found, E> {
        let &Owned { first, end, .. } = self.owned();
        let slots = &self.cell.first_slots(end)[first as usize..];
        let near = &slots[..slots.len().min(WINDOW as usize)];
        let asked = Asked::new(usages);
        let (mut goes, mut lives, mut stay_usages, mut bit) = (0_u64, 0_u64, 0_u32, 1_u64);
        for slot in near {
            let slot = own(slot);
            if let Some((fence, _)) = slot.living() {
                let is_pending = fence.is_pending();
                let goes_now = !is_pending | removes(key(fence, slot.usage()));
                lives |= bit;
                goes |= u64::from(goes_now).wrapping_neg() & bit;
                stay_usages |= u32::from(!goes_now) << slot.low_bits();
                if is_pending & asked.asks_for(slot) {
                    // The slot owns a reference as long as the lock is held, which is borrowed here.
                    let lent = &ManuallyDrop::new(Fence::from_cell(fence));
                    // Loaded again: so nothing is kept over that call.
                    see(lent, key(fence, slot.usage()))?;
                }
            }
            bit <<= 1;
        }
        let (mut far_usages, mut more_go) = (0, false);
        if slots.len() > near.len() {
            let far = (&slots[near.len()..], first + WINDOW);
            let (usages, go) = look_far(self.cell, far, asked, &mut see, &mut removes)?;
            (far_usages, more_go) = (usages, go);
        }
        Ok(Found {
            goes,
            moves: (lives & !goes).trailing_zeros().min(near.len() as u32),
            usages: Slot::usages_of_low_bits(stay_usages) | far_usages,
            more_go,
        })
    }

    /// A look where there is nothing to be shown, and an entry of the usages in `adds` comes.
    // With branches: that is half of the instructions where most entries are of other timelines, and stay.
    #[inline(always)]
    pub(super) fn look_alone(&self, adds: u8, mut removes: impl FnMut(Key) -> bool) -> Found {
        let &Owned {
            first, end, usages, ..
        } = self.owned();
        let slots = &self.cell.first_slots(end)[first as usize..];
        let (mut goes, mut dead, mut gone_usages, mut more_go) = (0_u64, 0_u64, 0_u8, false);
        #[allow(clippy::needless_range_loop, reason = "an iterator moves two things")]
        for place in 0..slots.len() {
            let slot = own(&slots[place]);
            let place = place as u32;
            let Some((fence, usage)) = slot.living() else {
                dead |= 1 << place.min(u64::BITS - 1);
                continue;
            };
            if fence.is_pending() && !removes(key(fence, usage)) {
                continue;
            }
            gone_usages |= 1 << usage as u8;
            if place < WINDOW {
                goes |= 1 << place;
            } else {
                note_goes(self.cell, first + WINDOW..end, !more_go, first + place);
                more_go = true;
            }
        }
        // What went may have been the last with its usage, unless that comes again.
        let usages = match gone_usages & !adds {
            0 => usages,
            _ => usages_but(slots, goes, more_go),
        };
        Found {
            goes,
            moves: (goes | dead).trailing_ones().min(WINDOW),
            usages,
            more_go,
        }
    }

    /// Whether there are so few slots to look at that the holes among them do not matter.
    #[inline(always)]
    pub(super) fn is_short(&self) -> bool {
        let owned = self.owned();
        (owned.end - owned.first) as usize <= SHORT
    }

    /// Makes the change that a look has found, as of the next publication. No code of others runs, until the
    /// set is complete, which an entry is appended to next.
    #[inline]
    pub(super) fn apply(&mut self, change: Found) {
        let &Owned { first, end, .. } = self.owned();
        let mut goes = change.goes;
        while goes != 0 {
            self.kill(first + goes.trailing_zeros());
            goes &= goes - 1;
        }
        if change.more_go {
            for at in first + WINDOW..end {
                let slot = self.cell.own(at);
                if slot.is_noted() && slot.lives() {
                    self.kill(at);
                }
            }
        }
        let owned = self.owned_mut();
        (owned.first, owned.edited) = (first + change.moves, true);
        owned.usages = change.usages;
    }

    /// Has what is there count no more for the object's failure.
    #[inline]
    pub(super) fn overwrite(&mut self) {
        let owned = self.owned_mut();
        owned.overwritten = owned.end;
        owned.failures = Failures::default();
    }

    /// The smallest error that counts.
    pub(super) fn failure(&self, usages: UsageSet) -> Option<FenceError> {
        let owned = self.owned();
        let mut failures = owned.failures;
        for (at, slot) in self.living() {
            if let Some(fence) = slot.fence().filter(|_| at >= owned.overwritten) {
                failures.note(slot.usage(), fence.status());
            }
        }
        failures.smallest(usages)
    }

    /// Appends an entry to what an edit has left.
    #[inline]
    pub(super) fn append(&mut self, entry: Entry) {
        let published = self.published().unwrap_or(0);
        let cell = self.cell;
        let owned = self.owned_mut();
        let end = owned.end;
        // The tombstone of an edit that only removed, in the same transaction, makes place.
        let over = end > published.max(owned.borrowed) && cell.own(end - 1) == Slot::NONE;
        let at = if over { end - 1 } else { end };
        // Before anything is changed: a plan for another set may have been made with room that is not here.
        let slot = &cell.slots()[at as usize];
        // A tombstone that was overwritten is one no more.
        owned.overwritten = owned.overwritten.min(at);
        owned.first = owned.first.min(at);
        owned.usages |= 1 << entry.usage as u8;
        owned.end = at + 1;
        owned.alive += 1;
        // Release: pairs with the Acquire of readers: the fence is initialised.
        slot.store(Slot::alive(entry.fence, entry.usage).0, Ordering::Release);
    }

    /// Ends the living entry at `at`, as of the next publication.
    ///
    /// # Panics
    ///
    /// When no entry lives there: a plan that was made for something else.
    #[inline]
    fn kill(&mut self, at: u32) {
        let (cell, published) = (self.cell, self.published().unwrap_or(0));
        let slot = cell.own(at);
        if at >= self.owned().end || !slot.lives() {
            another_set();
        }
        let owned = self.owned_mut();
        note_failure(owned, at, slot);
        owned.alive -= 1;
        if at < owned.borrowed {
            // Its reference is the published cell's.
            cell.set(at, Slot::NONE, Ordering::Release);
            return;
        }
        // What was never published is visible at no length.
        let died = if at < published { published + 1 } else { 0 };
        // Release, as every store to a slot: readers find the fence behind it.
        cell.set(at, slot.dead_from(died), Ordering::Release);
        owned.dead_from = if owned.dead == 0 {
            at
        } else {
            owned.dead_from.min(at)
        };
        owned.dead += 1;
    }

    /// Gives up the fences of the dead entries. Nobody else has the cell, or will have it with a length
    /// at which they are visible.
    #[inline]
    pub(super) fn give_up_dead(&mut self, order: Ordering) {
        let mut at = self.owned().dead_from;
        while self.owned().dead > 0 {
            let slot = self.cell.own(at);
            at += 1;
            if slot.lives() || slot == Slot::NONE {
                continue;
            }
            let owned = self.owned_mut();
            owned.dead -= 1;
            owned.dead_from = at;
            // Release: pairs with the Acquire load of a reader, which sees the head that was stored before.
            self.cell.set(at - 1, Slot::NONE, order);
            // May run its owner's code. The set is complete and published.
            drop(take_fence(slot));
        }
    }

    /// Fills this free cell with what is pending in `old` and not named by `removes`: entries that readers may
    /// see are borrowed, as they are `old`'s until this cell is published; staged ones, which are named by
    /// nobody, move. Takes over what is left of the budget.
    pub(super) fn fill_from(&mut self, old: &mut Writing, mut removes: impl FnMut(Key) -> bool) {
        let from = *old.owned();
        // A published cell lends what readers may see, a spare one what it has borrowed.
        let lent = old.published().unwrap_or(from.borrowed);
        let mut to = Owned {
            edited: old.is_staged(),
            adds: from.adds,
            publishes: from.publishes,
            failures: from.failures,
            ..Owned::default()
        };
        for (at, slot) in old.living() {
            let Some((fence, usage)) = slot.living() else {
                continue;
            };
            let (status, counts) = (fence.status(), at >= from.overwritten);
            let is_pending = status == FenceStatus::Pending;
            if counts && !is_pending {
                to.failures.note(usage, status);
            }
            if at < lent {
                if !is_pending || removes(key(fence, usage)) {
                    continue;
                }
                to.borrowed = to.end + 1;
            } else if is_pending {
                old.cell.set(at, Slot::NONE, Ordering::Release);
            } else {
                continue;
            }
            self.cell
                .set(to.end, slot.with_note(false), Ordering::Release);
            to.usages |= 1 << slot.usage() as u8;
            to.end += 1;
            to.alive += 1;
            if !counts {
                to.overwritten = to.end;
            }
        }
        *self.owned_mut() = to;
        let from = old.owned_mut();
        (from.adds, from.publishes) = (0, 0);
    }

    /// Makes the borrowed entries, which are the first so many, this cell's own, and says how many they
    /// are: the caller counts references for them, or moves them.
    pub(super) fn take_borrowed(&mut self) -> u32 {
        std::mem::take(&mut self.owned_mut().borrowed)
    }

    /// Counts references for the first `borrowed` entries, as the cell that they come from stays.
    pub(super) fn count(&self, borrowed: u32) {
        for at in 0..borrowed {
            if let Some(cell) = self.cell.own(at).fence() {
                let lent = ManuallyDrop::new(Fence::from_cell(cell));
                std::mem::forget(Fence::clone(&lent));
            }
        }
    }

    /// Gives the cell, which the caller owns, back to the pool, after it has dropped its fences: all but
    /// those that were moved to the first `borrowed` entries of `new`, where they have the same order.
    pub(super) fn end(self, moved: Option<(Cell, u32)>) {
        let &Owned {
            borrowed,
            first,
            end,
            dead,
            dead_from,
            ..
        } = self.owned();
        // Below are dead entries that own nothing.
        let owning = if dead > 0 {
            first.min(dead_from)
        } else {
            first
        };
        let (new, moves) = moved.unzip();
        let mut rest = Rest {
            cell: self.cell,
            // What a spare cell has borrowed is not its own.
            at: borrowed.max(owning),
            end,
            new,
            moved: 0,
            moves: moves.unwrap_or(0),
        };
        // A fence that panics when it is dropped stops nothing: the destructor goes on.
        rest.drop_all();
    }
}

/// The rest of a look, in slots that have no bit, from this one on: the usages of what stays, and whether anything goes.
#[inline(never)]
fn look_far<E>(
    cell: Cell,
    (slots, first): (&[AtomicU64], u32),
    asked: Asked,
    see: &mut impl FnMut(&Fence, Key) -> Result<(), E>,
    removes: &mut impl FnMut(Key) -> bool,
) -> Result<(u8, bool), E> {
    let (mut usages, mut go) = (0, false);
    for (at, slot) in (first..).zip(slots) {
        let slot = own(slot);
        let Some((fence, usage)) = slot.living() else {
            continue;
        };
        let is_pending = fence.is_pending();
        if is_pending && asked.asks_for(slot) {
            let lent = &ManuallyDrop::new(Fence::from_cell(fence));
            see(lent, key(fence, usage))?;
        }
        if is_pending && !removes(key(fence, usage)) {
            usages |= 1 << usage as u8;
        } else {
            note_goes(cell, first..first + slots.len() as u32, !go, at);
            go = true;
        }
    }
    Ok((usages, go))
}

/// The usages of the entries that live and do not go: those at places of `goes`, and, if `more_go`, those that are noted.
// Cold, so that nothing is kept over the call elsewhere.
#[cold]
#[inline(never)]
pub(super) fn usages_but(slots: &[AtomicU64], goes: u64, more_go: bool) -> u8 {
    let mut usages = 0;
    for (place, slot) in (0..).zip(slots.iter().map(own)) {
        let goes_now = match place < WINDOW {
            true => goes >> place & 1 != 0,
            false => more_go && slot.is_noted(),
        };
        if slot.lives() && !goes_now {
            usages |= 1 << slot.usage() as u8;
        }
    }
    usages
}

/// Notes how the entry at `at`, which goes, has ended, if it counts for the object's failure.
// Cold, so that nothing is kept over the call where the entry is pending still.
#[cold]
#[inline(never)]
pub(super) fn note_failure(owned: &mut Owned, at: u32, slot: Slot) {
    if at >= owned.overwritten
        && let Some(failed @ FenceStatus::Error(_)) = slot.fence().map(|fence| fence.status())
    {
        owned.failures.note(slot.usage(), failed);
    }
}

/// Takes the fence of an entry that owns it, and does not any more.
#[inline]
fn take_fence(slot: Slot) -> Option<Fence> {
    slot.fence().map(Fence::from_cell)
}

/// What is left of a cell that has ended.
struct Rest {
    cell: Cell,
    at: u32,
    end: u32,
    new: Option<Cell>,
    /// How many of the first entries of `new` are found, and how many there are to be found.
    moved: u32,
    moves: u32,
}

impl Rest {
    fn drop_all(&mut self) {
        while self.at < self.end {
            let slot = self.cell.own(self.at);
            self.at += 1;
            if slot == Slot::NONE {
                continue;
            }
            // Release: pairs with the Acquire load of a reader, which sees that the life is over.
            self.cell.set(self.at - 1, Slot::NONE, Ordering::Release);
            if !self.is_moved(slot) {
                drop(take_fence(slot));
            }
        }
    }

    /// Whether the next entry that was borrowed is of this fence.
    fn is_moved(&mut self, slot: Slot) -> bool {
        let Some(new) = self.new else {
            return false;
        };
        while self.moved < self.moves && new.own(self.moved) == Slot::NONE {
            self.moved += 1;
        }
        let found = self.moved < self.moves && new.own(self.moved).is_same_fence(slot);
        self.moved += u32::from(found);
        found
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.drop_all();
        pool::put(self.cell);
    }
}
