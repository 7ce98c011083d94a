//! A list in the order of entry, from which an entry is taken by its place in constant time.
//!
//! A fence that many compositions have in common is left by them in any order, so neither end of a list
//! is a good place to start looking. An entry keeps its place until it is taken; places are used again. The
//! memory is given back when the list is empty.

/// Where an entry is.
pub(super) type Place = u32;

const NONE: Place = Place::MAX;

struct Slot<T> {
    /// `None` if the slot is free.
    entry: Option<T>,
    /// The entry before this one; meaningless if free.
    before: Place,
    /// The entry behind this one, or the next free slot.
    behind: Place,
}

/// See the [module](self).
pub(super) struct Watchers<T> {
    slots: Vec<Slot<T>>,
    first: Place,
    last: Place,
    free: Place,
    len: usize,
}

impl<T> Default for Watchers<T> {
    fn default() -> Self {
        Watchers {
            slots: Vec::new(),
            first: NONE,
            last: NONE,
            free: NONE,
            len: 0,
        }
    }
}

impl<T> Watchers<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends an entry.
    ///
    /// # Panics
    ///
    /// With 2^32 - 1 entries, which take 160 GB.
    pub(super) fn push(&mut self, entry: T) -> Place {
        let slot = Slot {
            entry: Some(entry),
            before: self.last,
            behind: NONE,
        };
        let place = match self.slots.get_mut(self.free as usize) {
            Some(free) => {
                let place = self.free;
                self.free = free.behind;
                *free = slot;
                place
            }
            None => {
                if self.slots.is_empty() {
                    // Most have one entry.
                    self.slots.reserve_exact(1);
                }
                let place = Place::try_from(self.slots.len()).ok();
                let place = place
                    .filter(|place| *place != NONE)
                    .expect("a place is left");
                self.slots.push(slot);
                place
            }
        };
        match self.slots.get_mut(self.last as usize) {
            Some(last) => last.behind = place,
            None => self.first = place,
        }
        self.last = place;
        self.len += 1;
        place
    }

    /// Takes the entry at `place`, if there is one.
    pub(super) fn take(&mut self, place: Place) -> Option<T> {
        let slot = self.slots.get_mut(place as usize)?;
        let entry = slot.entry.take()?;
        let (before, behind) = (slot.before, slot.behind);
        slot.behind = self.free;
        self.free = place;
        self.len -= 1;
        if self.len == 0 {
            *self = Watchers::default();
            return Some(entry);
        }
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.behind = behind,
            None => self.first = behind,
        }
        match self.slots.get_mut(behind as usize) {
            Some(slot) => slot.before = before,
            None => self.last = before,
        }
        Some(entry)
    }

    /// The entries, in the order in which they were appended.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.behind;
            slot.entry.as_ref()
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Against a plain list: random entries and departures, the order of the rest.
    #[test]
    fn it_is_a_list_in_order_of_entry() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % bound as u64) as usize
        };
        let (mut list, mut plain) = (Watchers::default(), Vec::new());
        for entry in 0..20_000 {
            if below(if entry % 1000 < 500 { 3 } else { 2 }) > 0 {
                plain.push((list.push(entry), entry));
            } else if !plain.is_empty() {
                let (place, entry) = plain.remove(below(plain.len()));
                assert_eq!(list.take(place), Some(entry));
            }
            if entry % 97 == 0 {
                let entries = plain.iter().map(|(_, entry)| entry);
                assert!(list.iter().eq(entries));
                assert_eq!(list.len(), plain.len());
            }
        }
        for (place, entry) in plain {
            assert_eq!(list.take(place), Some(entry));
            assert_eq!(list.take(place), None);
        }
        assert_eq!((list.len(), list.slots.capacity()), (0, 0));
    }
}
