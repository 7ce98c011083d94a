//! An array of plain data in the `seqlock` crate.
//!
//! A fence is not plain data; its cell is (see `resv_core::fence::cell`): memory that always holds
//! some fence, not always the one that was meant. So an entry has the key beside the cell, and a
//! reader compares. The array owns one reference of each fence in it.

use super::Subject;
use resv_core::fence::cell::FenceCell;
use resv_core::{Access, Entry, Fence, Key, Semantics, Usage, UsageLevels};
use seqlock::SeqLock;

/// Room for `N` fences.
pub(crate) struct SeqlockArray<const N: usize>(SeqLock<Slots<N>>);

#[derive(Clone, Copy)]
struct Slots<const N: usize> {
    len: usize,
    slots: [Option<Slot>; N],
}

#[derive(Clone, Copy)]
struct Slot {
    cell: &'static FenceCell,
    key: Key,
}

impl Slot {
    fn is_pending(&self) -> bool {
        // Another fence in the cell: this one has been replaced and given back.
        self.cell.is_pending() && self.cell.key_parts() == (self.key.timeline, self.key.seqno)
    }
}

impl<const N: usize> Slots<N> {
    fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots[..self.len].iter().flatten()
    }

    fn matching(&self, access: Access) -> impl Iterator<Item = &Slot> {
        let usages = UsageLevels.waits_for(access);
        self.iter()
            .filter(move |slot| usages.contains(slot.key.usage) && slot.is_pending())
    }

    /// As `put` does with a vector. Returns what is to be dropped.
    fn put(&mut self, fence: &Fence, usage: Usage) -> Option<Fence> {
        let key = Key::new(fence, usage);
        let cell = fence.clone().into_cell();
        let new = Some(Slot { cell, key });
        let superseded =
            |slot: &Option<Slot>| slot.is_some_and(|slot| UsageLevels.supersedes(key, slot.key));
        if let Some(at) = self.slots[..self.len].iter().position(superseded) {
            let old = std::mem::replace(&mut self.slots[at], new)?;
            return Some(Fence::from_cell(old.cell));
        }
        assert!(self.len < N, "the array of the seqlock crate is full");
        self.slots[self.len] = new;
        self.len += 1;
        None
    }
}

impl<const N: usize> Subject for SeqlockArray<N> {
    fn name() -> &'static str {
        "seqlock-crate"
    }

    type Snapshot = Vec<Entry>;

    fn new() -> Self {
        SeqlockArray(SeqLock::new(Slots {
            len: 0,
            slots: [None; N],
        }))
    }

    #[inline]
    fn is_idle(&self, access: Access) -> bool {
        self.0.read().matching(access).next().is_none()
    }

    #[inline]
    fn visit(&self, access: Access) -> u64 {
        let slots = self.0.read();
        let matching = slots.matching(access);
        matching.fold(0, |sum, slot| sum.wrapping_add(slot.key.seqno))
    }

    fn snapshot(&self) -> Vec<Entry> {
        'again: loop {
            let slots = self.0.read();
            let mut entries = Vec::with_capacity(slots.len);
            for slot in slots.iter() {
                match Fence::try_acquire(slot.cell) {
                    Some(fence) if Key::new(&fence, slot.key.usage) == slot.key => {
                        entries.push(Entry {
                            fence,
                            usage: slot.key.usage,
                        });
                    }
                    // Given back meanwhile, so the array has changed.
                    _ => continue 'again,
                }
            }
            return entries;
        }
    }

    fn waits_for(&self, access: Access) -> usize {
        super::count_pending(&self.snapshot(), access)
    }

    fn add_around(&self, fence: &Fence, usage: Usage, pause: impl FnOnce()) {
        let mut slots = self.0.lock_write();
        pause();
        let old = slots.put(fence, usage);
        drop(slots);
        drop(old);
    }

    fn transaction(objects: &[&Self], fence: &Fence, usage: Usage) {
        let mut guards = Vec::with_capacity(objects.len());
        for object in objects {
            guards.push(object.0.lock_write());
        }
        for slots in &mut guards {
            slots.put(fence, usage);
        }
    }
}

impl<const N: usize> Drop for SeqlockArray<N> {
    fn drop(&mut self) {
        for slot in self.0.read().iter() {
            drop(Fence::from_cell(slot.cell));
        }
    }
}
