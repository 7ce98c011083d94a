//! The holder's side: edits are staged here and applied to the slots in one write section.
//!
//! Staging costs no reference and no allocation: a bit for each slot that is to go, and what is to come
//! in the slots *behind* those in use, where no reader looks. Applying touches only slots that change: each
//! that is to go changes places with the last, and then the number of slots in use changes. So a new entry
//! takes the place of a removed one (the legacy design's replacing in place), holes are filled from the end, and
//! what is removed is behind, until it is dropped.
//!
//! An edit that is published at once, and is one change of one slot, is not staged: which slot that is
//! is found in the same pass over the slots ([`Writer::edit_once`]).
//!
//! Everything that could be foreign happens here, outside the section (B5): the state of fences is
//! looked at while edits are staged, and removed fences are dropped after the section has closed.

use crate::counter::{Seam, UsageMask};
use crate::one_change::{OneChange, OnePlace};
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
    pub(crate) is_staged: bool,
    /// The usages that the object has when the staged edits are applied.
    leaves: UsageMask,
    /// Which slots the staged edits remove. None, if none are staged.
    goes: SlotSet,
    /// What the look of an edit finds: the words of `goes` behind the first, with what the edit adds.
    found: Vec<u64>,
    pub(crate) counting: Counting,
    /// What is reserved and not used.
    room: Budget,
}

/// What counts for the object's failure (B10).
#[derive(Debug, Default)]
pub(crate) struct Counting {
    /// Of entries that counted and are gone.
    failures: Failures,
    /// The slots whose entries count no more. What the others say that are not in use means nothing.
    pub(crate) overwritten: SlotSet,
    /// So many of the first entries that the staged edits add count no more.
    of_list: usize,
}

/// The table that follows the first has so many slots at least: with fewer, an object that outgrows the one
/// soon outgrows the other. In models that is in reach.
const SECOND: usize = if cfg!(any(loom, shuttle)) { 2 } else { 16 };

impl Writer {
    /// How many slots the table must have for `adds` more entries.
    #[inline]
    fn wanted(&self, table: Table<'_>, adds: usize) -> usize {
        let comes = self.comes(table).len();
        table
            .used_held()
            .len()
            .saturating_add(comes)
            .saturating_add(adds)
    }

    /// The slots that hold what the staged edits add.
    #[inline]
    fn comes<'t>(&self, table: Table<'t>) -> &'t [Slot] {
        if self.is_staged { table.behind() } else { &[] }
    }

    /// Whether there is memory for `adds` more entries already.
    #[inline]
    pub(crate) fn has_memory(&self, table: Table<'_>, adds: usize) -> bool {
        self.wanted(table, adds) <= table.capacity()
    }

    /// Gets memory for `adds` more entries, and says how many slots the table must have.
    pub(crate) fn prepare(&mut self, table: Table<'_>, adds: usize) -> Result<usize, ReserveError> {
        let error = |_| ReserveError::new(adds);
        let wanted = self.wanted(table, adds);
        let capacity = wanted.max(table.capacity().saturating_mul(2)).max(SECOND);
        if capacity > WORD {
            let words = capacity.div_ceil(WORD);
            for slots in [&mut self.goes, &mut self.counting.overwritten] {
                slots.reserve(words).map_err(error)?;
            }
            self.found.clear();
            self.found.try_reserve(words - 1).map_err(error)?;
        }
        Ok(capacity)
    }

    /// Moves the references of `old` to `new`, and says what is in there. Unless edits are staged,
    /// signalled fences are left out and go to [`drop_removed`](Writer::drop_removed).
    pub(crate) fn fill(&mut self, new: Table<'_>, old: Table<'_>, seam: Seam) -> UsageMask {
        let (used, order) = (old.used_held(), seam.data_store());
        // What stays comes from the front, what is left out from the back.
        let (mut len, mut end) = (0, used.len());
        let mut present = UsageMask::default();
        for (at, slot) in used.iter().enumerate() {
            let content = slot.load_held();
            let (cell, usage) = content.expect("a slot in use holds an entry");
            let overwritten = &mut self.counting.overwritten;
            if self.is_staged || cell.is_pending() {
                new.all()[len].store(content, order);
                if len != at {
                    overwritten.set(len, overwritten.has(at));
                }
                present.insert(usage);
                len += 1;
            } else {
                if !overwritten.has(at) {
                    self.counting.failures.note(usage, cell.status());
                }
                end -= 1;
                new.all()[end].store(content, order);
            }
        }
        // Of an edit that is staged, or what was not dropped yet.
        let behind = old.behind();
        for (slot, of_old) in new.all()[used.len()..].iter().zip(behind) {
            slot.store(of_old.load_held(), order);
        }
        new.set_len(len, order);
        new.set_behind(used.len() - len + behind.len());
        present
    }

    /// Permits what room was got for.
    #[inline]
    pub(crate) fn admit(&mut self, room: Budget) {
        self.room.widen(room);
    }

    #[inline]
    pub(crate) fn unreserve(&mut self) {
        self.room = Budget::default();
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
        table: Table<'_>,
        seam: Seam,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.room.spend_on_edit(add.is_some());
        let used = table.used_held();
        let (first, more) = used.split_at(used.len().min(WORD));
        let (goes, none) = (self.goes.first, UsageMask::default());
        let (goes, mut leaves) = self.counting.edit_word(0, goes, none, first, &mut removes);
        if !more.is_empty() {
            leaves = self.find_more(leaves, more, &mut removes);
        }
        if !table.has_none_behind() {
            self.edit_behind(table, seam, &mut removes);
        }
        // The predicate is not called any more: if it has panicked, nothing is staged or removed.
        self.is_staged = true;
        self.goes.first = goes;
        if !more.is_empty() {
            self.goes.more[..self.found.len()].copy_from_slice(&self.found);
        }
        for (_, usage) in contents(table.behind()) {
            leaves.insert(usage);
        }
        if let Some(entry) = &add {
            leaves.insert(entry.usage);
        }
        self.leaves = leaves;
        if let Some(entry) = add {
            stage(table, seam, entry);
        }
    }

    /// Stages more entries behind an edit that is staged.
    pub(crate) fn append(
        &mut self,
        table: Table<'_>,
        seam: Seam,
        entries: impl ExactSizeIterator<Item = Entry>,
    ) {
        assert!(
            self.is_staged,
            "an append needs an edit that is not published"
        );
        for entry in entries {
            self.room.spend_on_edit(true);
            self.leaves.insert(entry.usage);
            stage(table, seam, entry);
        }
    }

    /// The look of an edit at the slots behind the first 64.
    #[inline(never)]
    fn find_more(
        &mut self,
        mut leaves: UsageMask,
        more: &[Slot],
        removes: &mut impl FnMut(Key) -> bool,
    ) -> UsageMask {
        self.found.clear();
        let words = self.goes.more.iter().zip(more.chunks(WORD));
        for ((&goes, slots), at) in words.zip(1..) {
            let (goes, left) = self.counting.edit_word(at, goes, leaves, slots, removes);
            // There is room for it, since there is for `goes`.
            self.found.push(goes);
            leaves = left;
        }
        leaves
    }

    /// Removes from what the staged edits add.
    #[cold]
    #[inline(never)]
    fn edit_behind(&mut self, table: Table<'_>, seam: Seam, removes: &mut impl FnMut(Key) -> bool) {
        // Left over, if dropping one of them panicked.
        self.drop_removed(table);
        // What goes is moved behind what stays, and dropped when all is in order: a predicate or a
        // fence that panics finds it so. What stays keeps its order.
        let (slots, order) = (table.behind(), seam.data_store());
        let (mut stays, of_list) = (0, self.counting.of_list);
        for (at, slot) in slots.iter().enumerate() {
            let Some(content) = slot.load_held() else {
                continue;
            };
            let status = content.0.status();
            if !removes(key(content)) {
                slot.store(slots[stays].load_held(), order);
                slots[stays].store(Some(content), order);
                stays += 1;
            } else if at < of_list {
                self.counting.of_list -= 1;
            } else {
                self.counting.failures.note(content.1, status);
            }
        }
        drop_behind(table, stays);
    }

    /// The staged edits, if they are one change: a slot of `table` gets another entry, or one more
    /// slot gets one. They are staged no more then.
    #[inline]
    pub(crate) fn take_one_change<'t>(&mut self, table: Table<'t>) -> Option<OneChange<'t>> {
        let mut comes = contents(self.comes(table));
        let (Some(content), None) = (comes.next(), comes.next()) else {
            return None;
        };
        let change = OnePlace::of(self.goes.first, table)?.takes(content, self.leaves);
        let is_overwritten = self.counting.of_list > 0;
        self.counting.overwritten.set(change.at, is_overwritten);
        self.goes.first = 0;
        table.set_behind(0);
        self.applied();
        Some(change)
    }

    /// Makes one edit. If nothing is staged and it is one change, that is returned, for the caller to
    /// make, and still nothing is staged; otherwise the edit is. A panic in `removes` stages nothing.
    #[inline]
    pub(crate) fn edit_once<'t>(
        &mut self,
        table: Table<'t>,
        seam: Seam,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) -> Option<OneChange<'t>> {
        let used = table.used_held();
        match add {
            Some(entry) if !self.is_staged && table.has_none_behind() && used.len() <= WORD => {
                self.room.spend_on_edit(true);
                let (counting, none) = (&mut self.counting, UsageMask::default());
                let (goes, mut leaves) = counting.edit_word(0, 0, none, used, &mut removes);
                leaves.insert(entry.usage);
                if let Some(place) = OnePlace::of(goes, table) {
                    self.counting.overwritten.remove(place.at);
                    self.room.publishes -= 1;
                    let content = (entry.fence.into_cell(), entry.usage);
                    return Some(place.takes(content, leaves));
                }
                self.is_staged = true;
                self.leaves = leaves;
                self.goes.first = goes;
                stage(table, seam, entry);
                None
            }
            add => {
                self.edit(table, seam, removes, add);
                None
            }
        }
    }

    /// Applies the staged edits; the caller has opened a write section. `between` is called between
    /// two changes.
    pub(crate) fn apply(&mut self, table: Table<'_>, seam: Seam, mut between: impl FnMut()) {
        let order = seam.data_store();
        let (used, comes) = (table.used_held().len(), table.behind().len());
        let of_list = self.counting.of_list;
        self.applied();
        let overwritten = &mut self.counting.overwritten;
        let slots = table.all();
        for at in 0..comes {
            overwritten.set(used + at, at < of_list);
        }
        let mut end = used + comes;
        // From the end, so that the last slot is never one that goes.
        while let Some(at) = self.goes.pop() {
            end -= 1;
            let goes = slots[at].load_held();
            slots[at].store(slots[end].load_held(), order);
            slots[end].store(goes, order);
            overwritten.set(at, overwritten.has(end));
            between();
        }
        for len in end.min(used + 1)..=end {
            table.set_len(len, order);
            between();
        }
        table.set_behind(used + comes - end);
    }

    #[inline]
    fn applied(&mut self) {
        self.is_staged = false;
        self.counting.of_list = 0;
        self.room.publishes = self.room.publishes.saturating_sub(1);
    }

    /// Drops the fences that edits and growth removed; no section is open.
    #[inline]
    pub(crate) fn drop_removed(&mut self, table: Table<'_>) {
        if !self.is_staged {
            drop_behind(table, 0);
        }
    }

    /// Has what the holder sees count no more for the object's failure.
    #[inline]
    pub(crate) fn overwrite(&mut self, table: Table<'_>) {
        let of_list = self.comes(table).len();
        self.counting.failures = Failures::default();
        self.counting.overwritten.insert_all();
        self.counting.of_list = of_list;
    }

    /// The smallest error that counts.
    pub(crate) fn failure(&self, table: Table<'_>, usages: UsageSet) -> Option<FenceError> {
        let (counting, mut failures) = (&self.counting, self.counting.failures);
        let used = table.used_held().iter().enumerate();
        let stay = used.filter(|&(at, _)| !self.goes.has(at) && !counting.overwritten.has(at));
        let stay = stay.filter_map(|(_, slot)| slot.load_held());
        let comes = contents(self.comes(table)).skip(counting.of_list);
        for (cell, usage) in stay.chain(comes) {
            failures.note(usage, cell.status());
        }
        failures.smallest(usages)
    }

    /// Folds the pending entries as the holder sees them, staged edits included.
    pub(crate) fn visit<A>(
        &self,
        table: Table<'_>,
        init: A,
        mut f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        let used = table.used_held().iter().enumerate();
        let stay = used.filter(|(at, _)| !self.goes.has(*at));
        let pending = stay
            .filter_map(|(_, slot)| slot.load_held())
            .chain(contents(self.comes(table)))
            .filter(|(cell, _)| cell.is_pending());
        pending.fold(init, |acc, (cell, usage)| {
            // The slot owns a reference as long as the lock is held, which is borrowed
            // here; it is neither taken over nor dropped.
            let fence = &ManuallyDrop::new(Fence::from_cell(cell));
            f(acc, EntryRef { fence, usage })
        })
    }
}

/// What is in these slots.
#[inline]
fn contents(slots: &[Slot]) -> impl Iterator<Item = Content> {
    slots.iter().filter_map(Slot::load_held)
}

/// Puts an entry behind the slots in use.
#[inline]
fn stage(table: Table<'_>, seam: Seam, Entry { fence, usage }: Entry) {
    let behind = table.behind().len();
    let slot = &table.all()[table.used_held().len() + behind];
    slot.store(Some((fence.into_cell(), usage)), seam.data_store());
    table.set_behind(behind + 1);
}

/// Drops what the slots behind those in use own, but the first `stays` of them.
#[inline]
fn drop_behind(table: Table<'_>, stays: usize) {
    if table.has_none_behind() {
        return;
    }
    // One by one: dropping the last reference of a fence may panic.
    while let behind = table.behind()
        && behind.len() > stays
        && let Some(last) = behind.last()
    {
        table.set_behind(behind.len() - 1);
        if let Some((cell, _)) = last.load_held() {
            drop(Fence::from_cell(cell));
        }
    }
}

#[inline]
pub(crate) fn key((cell, usage): Content) -> Key {
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
        let (before, mut bit) = (goes, 1_u64);
        for slot in slots {
            if before & bit == 0
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
    pub(crate) fn note_failure(&mut self, at: usize, usage: Usage, failed: FenceStatus) {
        if !self.overwritten.has(at) {
            self.failures.note(usage, failed);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::raw::NewTable;

    /// A bit for each slot, of which the first 64 are in the object: small objects need no more.
    #[test]
    fn b3_there_is_a_bit_for_each_slot() {
        for (adds, capacity, words) in [
            (0, 16, 0),
            (5, 16, 0),
            (64, 64, 0),
            (65, 65, 1),
            (129, 129, 2),
        ] {
            let mut writer = Writer::default();
            let table = NewTable::with_capacity(5).expect("memory");
            assert_eq!(writer.prepare(table.table(), adds), Ok(capacity));
            assert_eq!(writer.goes.more.len(), words, "{adds}");
        }
    }
}
