//! The holder's side: edits are staged here and applied to the slots in one write section.
//!
//! Staging costs no reference and no allocation: a bit for each slot that is to go, and a list of
//! what is to come. Applying touches only slots that change: a new entry takes the place of a
//! removed one (the legacy design's replacing in place), what is left over is appended, and holes
//! that remain are filled from the end. What is removed takes the place in the list of what came.
//!
//! An edit that is published at once, and is one change of one slot, is not staged: which slot that is
//! is found in the same pass over the slots ([`Writer::edit_once`]).
//!
//! Everything that could be foreign happens here, outside the section (B5): the state of fences is
//! looked at while edits are staged, and removed fences are dropped after the section has closed.

use crate::counter::{Seam, UsageMask};
use crate::one_change::{OneChange, OnePlan};
use crate::raw::Table;
use crate::slot::{Content, Slot};
use crate::slot_set::{SlotSet, WORD};
use resv_core::{
    Budget, Entry, EntryRef, Failures, Fence, FenceError, FenceStatus, Key, ReserveError, Usage,
    UsageSet,
};
use std::mem::ManuallyDrop;

/// The state of the holder of the object's lock.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    is_staged: bool,
    /// The usages that the object has when the staged edits are applied.
    leaves: UsageMask,
    /// Which slots the staged edits remove. None, if none are staged.
    goes: SlotSet,
    counting: Counting,
    /// What the staged edits add, or, if none are staged, fences on their way out. Each owns a
    /// reference. There is memory for as many as the table has slots.
    list: Vec<Content>,
    room: Option<Budget>,
}

/// What counts for the object's failure (B10).
#[derive(Debug, Default)]
struct Counting {
    /// Of entries that counted and are gone.
    failures: Failures,
    /// The slots whose entries count no more. What the others say that are not in use means nothing.
    overwritten: SlotSet,
    /// So many of the first entries that the staged edits add count no more.
    of_list: usize,
}

/// The smallest table; in models small, so that growth is in reach of a model.
#[cfg(not(any(loom, shuttle)))]
const MIN_CAPACITY: usize = 4;
#[cfg(any(loom, shuttle))]
const MIN_CAPACITY: usize = 1;

impl Writer {
    /// How many slots the table must have for `adds` more entries.
    #[inline]
    fn wanted(&self, table: Option<Table<'_>>, adds: usize) -> usize {
        let comes = if self.is_staged { self.list.len() } else { 0 };
        table
            .map_or(0, |table| table.used_held().len())
            .saturating_add(comes)
            .saturating_add(adds)
    }

    /// Whether there is memory for `adds` more entries already.
    #[inline]
    pub(crate) fn has_memory(&self, table: Option<Table<'_>>, adds: usize) -> bool {
        table.is_some_and(|table| self.wanted(Some(table), adds) <= table.capacity())
    }

    /// Gets memory for `adds` more entries, and says how many slots the table must have.
    pub(crate) fn prepare(
        &mut self,
        table: Option<Table<'_>>,
        adds: usize,
    ) -> Result<usize, ReserveError> {
        let error = |_| ReserveError::new(adds);
        let wanted = self.wanted(table, adds);
        let have = table.map_or(0, Table::capacity);
        let capacity = wanted.max(have.saturating_mul(2)).max(MIN_CAPACITY);
        let missing = capacity.saturating_sub(self.list.len());
        self.list.try_reserve_exact(missing).map_err(error)?;
        for slots in [&mut self.goes, &mut self.counting.overwritten] {
            slots.reserve(capacity.div_ceil(WORD)).map_err(error)?;
        }
        Ok(capacity)
    }

    /// Moves the references of `old` to `new`, and says what is in there. Unless edits are staged,
    /// signalled fences are left out and go to [`drop_removed`](Writer::drop_removed).
    pub(crate) fn fill(&mut self, new: Table<'_>, old: Option<Table<'_>>, seam: Seam) -> UsageMask {
        let order = seam.data_store();
        let mut len = 0;
        let mut present = UsageMask::default();
        let used = old.map_or(&[][..], Table::used_held);
        for (at, slot) in used.iter().enumerate() {
            let Some(content) = slot.load_held() else {
                continue;
            };
            let is_overwritten = self.counting.overwritten.has(at);
            if self.is_staged || content.0.is_pending() {
                new.all()[len].store(Some(content), order);
                self.counting.overwritten.set(len, is_overwritten);
                present.insert(content.1);
                len += 1;
            } else {
                if !is_overwritten {
                    let Counting { failures, .. } = &mut self.counting;
                    failures.note(content.1, content.0.status());
                }
                self.list.push(content);
            }
        }
        new.set_len(len, order);
        present
    }

    /// Permits what room was got for.
    #[inline]
    pub(crate) fn admit(&mut self, room: Budget) {
        self.room.get_or_insert_default().widen(room);
    }

    #[inline]
    pub(crate) fn unreserve(&mut self) {
        self.room = None;
    }

    /// If edits are staged, the usages that the object has when they are applied.
    #[inline]
    pub(crate) fn staged(&self) -> Option<UsageMask> {
        self.is_staged.then_some(self.leaves)
    }

    /// Stages one edit.
    #[inline]
    pub(crate) fn edit(
        &mut self,
        table: Option<Table<'_>>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let room = self.room.as_mut().expect("an edit needs a reservation");
        room.spend_on_edit(add.is_some());
        if !self.list.is_empty() {
            self.edit_list(&mut removes);
        }
        self.is_staged = true;
        // What holds if the predicate panics.
        self.leaves = UsageMask::ALL;
        let used = table.map_or(&[][..], Table::used_held);
        let (first, more) = used.split_at(used.len().min(WORD));
        let mut leaves = UsageMask::default();
        let goes = self.goes.first;
        (self.goes.first, leaves) = self
            .counting
            .edit_word(0, goes, leaves, first, &mut removes);
        if !more.is_empty() {
            leaves = self.edit_more(leaves, more, &mut removes);
        }
        if !self.list.is_empty() {
            leaves = self.list_and(leaves);
        }
        if let Some(Entry { fence, usage }) = add {
            leaves.insert(usage);
            self.list.push((fence.into_cell(), usage));
        }
        self.leaves = leaves;
    }

    /// Stages more entries behind an edit that is staged.
    pub(crate) fn append(&mut self, entries: impl ExactSizeIterator<Item = Entry>) {
        assert!(
            self.is_staged,
            "an append needs an edit that is not published"
        );
        let room = self.room.as_mut().expect("an edit needs a reservation");
        for Entry { fence, usage } in entries {
            room.spend_on_edit(true);
            self.leaves.insert(usage);
            self.list.push((fence.into_cell(), usage));
        }
    }

    /// Stages an edit of the slots behind the first 64.
    #[inline(never)]
    fn edit_more(
        &mut self,
        mut leaves: UsageMask,
        more: &[Slot],
        removes: &mut impl FnMut(Key) -> bool,
    ) -> UsageMask {
        let words = self.goes.more.iter_mut().zip(more.chunks(WORD));
        for ((word, slots), at) in words.zip(1..) {
            (*word, leaves) = self.counting.edit_word(at, *word, leaves, slots, removes);
        }
        leaves
    }

    /// Removes from what the staged edits add.
    #[cold]
    #[inline(never)]
    fn edit_list(&mut self, removes: &mut impl FnMut(Key) -> bool) {
        // Left over, if dropping one of them panicked.
        self.drop_removed();
        // What goes is moved behind what stays, and dropped when the list is in order: a predicate or a
        // fence that panics finds it so. What stays keeps its order.
        let (mut stays, mut at, of_list) = (0, 0, self.counting.of_list);
        while let Some(&content) = self.list.get(at) {
            let status = content.0.status();
            if !removes(key(content)) {
                self.list.swap(stays, at);
                stays += 1;
            } else if at < of_list {
                self.counting.of_list -= 1;
            } else {
                self.counting.failures.note(content.1, status);
            }
            at += 1;
        }
        while self.list.len() > stays {
            if let Some((cell, _)) = self.list.pop() {
                drop(Fence::from_cell(cell));
            }
        }
    }

    /// `present`, and what the staged edits add.
    #[inline(never)]
    fn list_and(&self, mut present: UsageMask) -> UsageMask {
        for &(_, usage) in &self.list {
            present.insert(usage);
        }
        present
    }

    /// The staged edits, if they are one change: a slot of `table` gets another entry, or one more
    /// slot gets one. They are staged no more then.
    #[inline]
    pub(crate) fn take_one_change<'t>(&mut self, table: Table<'t>) -> Option<OneChange<'t>> {
        let [content] = self.list[..] else {
            return None;
        };
        let change = OneChange::at(self.goes.first, table, content, self.leaves)?;
        let is_overwritten = self.counting.of_list > 0;
        self.counting.overwritten.set(change.at, is_overwritten);
        self.goes.first = 0;
        self.list.clear();
        self.applied();
        Some(change)
    }

    /// Makes one edit. If nothing is staged and it is one change, that is returned, for the caller to
    /// make, and still nothing is staged; otherwise the edit is. A panic in `removes` stages nothing.
    #[inline]
    pub(crate) fn edit_once<'t>(
        &mut self,
        table: Table<'t>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) -> Option<OneChange<'t>> {
        let used = table.used_held();
        match add {
            Some(Entry { fence, usage })
                if !self.is_staged && self.list.is_empty() && used.len() <= WORD =>
            {
                let room = self.room.as_mut().expect("an edit needs a reservation");
                room.spend_on_edit(true);
                let (counting, none) = (&mut self.counting, UsageMask::default());
                let (goes, mut leaves) = counting.edit_word(0, 0, none, used, &mut removes);
                leaves.insert(usage);
                let content = (fence.into_cell(), usage);
                let change = OneChange::at(goes, table, content, leaves);
                if let Some(change) = &change {
                    self.counting.overwritten.remove(change.at);
                    self.applied();
                } else {
                    self.is_staged = true;
                    self.leaves = leaves;
                    self.goes.first = goes;
                    self.list.push(content);
                }
                change
            }
            add => {
                self.edit(Some(table), removes, add);
                None
            }
        }
    }

    /// Whether nothing is staged, the set is not large, and there is a slot for one more entry.
    #[inline]
    pub(crate) fn can_look(&self, table: Table<'_>) -> bool {
        let used = table.used_held().len();
        !self.is_staged && self.list.is_empty() && used < table.capacity().min(WORD)
    }

    /// One look at what is pending: shows `see` the entries with a usage in `usages`, and says which one
    /// change an edit makes that removes what `removes` names and adds one entry, or that it is more.
    #[inline(always)]
    pub(crate) fn look(
        &self,
        table: Table<'_>,
        usages: UsageSet,
        mut see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        mut removes: impl FnMut(Key) -> bool,
    ) -> Result<OnePlan, ReserveError> {
        let used = table.used_held();
        let (mut goes, mut leaves, mut many) = (used.len(), UsageMask::default(), false);
        for (at, slot) in used.iter().enumerate() {
            let Some((cell, usage)) = slot.load_held() else {
                continue;
            };
            if cell.is_pending() {
                let key = key((cell, usage));
                if usages.contains(usage) {
                    // The slot owns a reference as long as the lock is held, which is borrowed here.
                    see(&ManuallyDrop::new(Fence::from_cell(cell)), key)?;
                }
                if !removes(key) {
                    leaves.insert(usage);
                    continue;
                }
            }
            many |= goes < used.len();
            goes = at;
        }
        if many {
            return Ok(OnePlan::MANY);
        }
        Ok(OnePlan { at: goes, leaves })
    }

    /// The change that was planned, with `add`.
    #[inline]
    pub(crate) fn planned<'t>(
        &mut self,
        table: Table<'t>,
        plan: OnePlan,
        add: Entry,
    ) -> OneChange<'t> {
        self.room = None;
        let used = table.used_held().len();
        let Entry { fence, usage } = add;
        let mut leaves = plan.leaves;
        leaves.insert(usage);
        let (at, slot) = (plan.at, &table.all()[plan.at]);
        if let Some((goes, usage)) = slot.load_held()
            && let failed @ FenceStatus::Error(_) = goes.status()
        {
            self.counting.note_failure(at, usage, failed);
        }
        self.counting.overwritten.remove(at);
        OneChange {
            table,
            at,
            slot,
            content: (fence.into_cell(), usage),
            len: (at == used).then_some(used + 1),
            leaves,
        }
    }

    /// Applies the staged edits; the caller has opened a write section. `between` is called between
    /// two changes.
    pub(crate) fn apply(
        &mut self,
        table: Option<Table<'_>>,
        seam: Seam,
        mut between: impl FnMut(),
    ) {
        let order = seam.data_store();
        let of_list = self.counting.of_list;
        self.applied();
        let overwritten = &mut self.counting.overwritten;
        // An object without a table has had no room for an add, and has nothing to remove.
        let Some(table) = table else { return };
        let slots = table.all();
        let mut len = table.used_held().len();
        let comes = self.list.len();
        let mut gone = 0;
        // From the end, so that the last slot in use is never one that goes.
        while let Some(at) = self.goes.pop() {
            let slot = &slots[at];
            let old = slot.load_held();
            if gone < comes {
                slot.store(Some(self.list[gone]), order);
                overwritten.set(at, gone < of_list);
            } else {
                len -= 1;
                slot.store(slots[len].load_held(), order);
                overwritten.set(at, overwritten.has(len));
                slots[len].store(None, order);
                table.set_len(len, order);
            }
            if let Some(old) = old {
                match self.list.get_mut(gone) {
                    Some(came) => *came = old,
                    None => self.list.push(old),
                }
                gone += 1;
            }
            between();
        }
        for at in gone..comes {
            slots[len].store(Some(self.list[at]), order);
            overwritten.set(len, at < of_list);
            len += 1;
            table.set_len(len, order);
            between();
        }
        // The slots own those references now.
        self.list.truncate(gone);
    }

    #[inline]
    fn applied(&mut self) {
        self.is_staged = false;
        self.counting.of_list = 0;
        if let Some(room) = &mut self.room {
            room.publishes = room.publishes.saturating_sub(1);
        }
    }

    /// Drops the fences that edits and growth removed; no section is open.
    #[inline]
    pub(crate) fn drop_removed(&mut self) {
        if !self.is_staged {
            // One by one: dropping the last reference of a fence may panic.
            while let Some((cell, _)) = self.list.pop() {
                drop(Fence::from_cell(cell));
            }
        }
    }

    /// Has what the holder sees count no more for the object's failure.
    #[inline]
    pub(crate) fn overwrite(&mut self) {
        let of_list = if self.is_staged { self.list.len() } else { 0 };
        self.counting.failures = Failures::default();
        self.counting.overwritten.insert_all();
        self.counting.of_list = of_list;
    }

    /// The smallest error that counts.
    pub(crate) fn failure(&self, table: Option<Table<'_>>, usages: UsageSet) -> Option<FenceError> {
        let (counting, mut failures) = (&self.counting, self.counting.failures);
        let used = table.map_or(&[][..], Table::used_held).iter().enumerate();
        let stay = used.filter(|&(at, _)| !self.goes.has(at) && !counting.overwritten.has(at));
        let comes = if self.is_staged { &self.list[..] } else { &[] };
        let counts = stay.filter_map(|(_, slot)| slot.load_held());
        for (cell, usage) in counts.chain(comes.iter().skip(counting.of_list).copied()) {
            failures.note(usage, cell.status());
        }
        failures.smallest(usages)
    }

    /// Folds the pending entries as the holder sees them, staged edits included.
    pub(crate) fn visit<A>(
        &self,
        table: Option<Table<'_>>,
        init: A,
        mut f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        let used = table.map_or(&[][..], Table::used_held);
        let stay = used
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.goes.has(*at));
        let comes = if self.is_staged { &self.list[..] } else { &[] };
        let pending = stay
            .filter_map(|(_, slot)| slot.load_held())
            .chain(comes.iter().copied())
            .filter(|(cell, _)| cell.is_pending());
        pending.fold(init, |acc, (cell, usage)| {
            // The slot, or the list, owns a reference as long as the lock is held, which is borrowed
            // here; it is neither taken over nor dropped.
            let fence = &ManuallyDrop::new(Fence::from_cell(cell));
            f(acc, EntryRef { fence, usage })
        })
    }
}

impl Drop for Writer {
    /// For edits that were never published.
    fn drop(&mut self) {
        self.is_staged = false;
        self.drop_removed();
    }
}

#[inline]
fn key((cell, usage): Content) -> Key {
    let (timeline, seqno) = cell.key_parts();
    Key {
        timeline,
        seqno,
        usage,
    }
}

impl Counting {
    /// Adds to `goes` which of the slots of word `word` are to go, and to `leaves` what stays.
    #[inline]
    fn edit_word(
        &mut self,
        word: usize,
        mut goes: u64,
        mut leaves: UsageMask,
        slots: &[Slot],
        removes: &mut impl FnMut(Key) -> bool,
    ) -> (u64, UsageMask) {
        let mut bit = 1_u64;
        for slot in slots {
            if goes & bit == 0
                && let Some(content) = slot.load_held()
            {
                if !content.0.is_pending() {
                    goes |= bit;
                    if let failed @ FenceStatus::Error(_) = content.0.status() {
                        let at = word * WORD + bit.trailing_zeros() as usize;
                        self.note_failure(at, content.1, failed);
                    }
                } else if removes(key(content)) {
                    goes |= bit;
                } else {
                    leaves.insert(content.1);
                }
            }
            bit <<= 1;
        }
        (goes, leaves)
    }

    /// The entry in slot `at` has failed and will go.
    #[cold]
    #[inline(never)]
    fn note_failure(&mut self, at: usize, usage: Usage, failed: FenceStatus) {
        if !self.overwritten.has(at) {
            self.failures.note(usage, failed);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A bit for each slot, of which the first 64 are in the object: small objects need no more.
    #[test]
    fn b3_there_is_a_bit_for_each_slot() {
        for (adds, capacity, words) in [
            (0, 4, 0),
            (5, 5, 0),
            (64, 64, 0),
            (65, 65, 1),
            (129, 129, 2),
        ] {
            let mut writer = Writer::default();
            assert_eq!(writer.prepare(None, adds), Ok(capacity));
            assert_eq!(writer.goes.more.len(), words, "{adds}");
            assert!(writer.list.capacity() >= capacity);
        }
    }
}
