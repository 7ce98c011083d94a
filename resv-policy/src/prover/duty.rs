//! The duty that a semantics lays on jobs: a fence signals only after what it superseded has.
//!
//! An exclusive fence takes the place of all that was there. That is right if its job waits for all of
//! it: then to wait for the one fence is to wait for the others. The prover keeps, for each fence that
//! some side holds, the set of those that signal before it. Such a set is closed: with a fence it has
//! everything that signals before that.

use super::world::{MOST_LINES, Sym, mix};
use crate::store::Store;

/// For each fence which fences signal before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Duty {
    /// Whether fences of a timeline signal in order.
    in_order: bool,
    /// A bit for each place of each timeline.
    stride: u32,
    /// Fences by timeline and place.
    before: Vec<(u8, u8, u128)>,
    /// For each timeline what signals before the next fence of it, besides what is held of it.
    lines: Vec<u128>,
}

impl Duty {
    pub(super) fn new(lines: usize, in_order: bool) -> Duty {
        Duty {
            in_order,
            stride: 128 / lines as u32,
            before: Vec::new(),
            lines: vec![0; lines],
        }
    }

    /// Makes this one like another, in the memory that it has.
    pub(super) fn copy_from(&mut self, other: &Duty) {
        (self.in_order, self.stride) = (other.in_order, other.stride);
        self.before.clone_from(&other.before);
        self.lines.clone_from(&other.lines);
    }

    /// The greatest place that there is a bit for.
    pub(super) fn most_places(&self) -> u8 {
        (self.stride - 1) as u8
    }

    fn bit(&self, line: u8, place: u8) -> u128 {
        1 << (u32::from(line) * self.stride + u32::from(place))
    }

    /// What has signalled when the fence has: itself and what signals before it.
    pub(super) fn covers(&self, fence: Sym) -> u128 {
        self.before(fence) | self.bit(fence.line, fence.place)
    }

    /// Whether the fence is in a set.
    pub(super) fn is_in(&self, fence: Sym, set: u128) -> bool {
        set & self.bit(fence.line, fence.place) != 0
    }

    /// What signals before the fence.
    pub(super) fn before(&self, fence: Sym) -> u128 {
        let found = self
            .before
            .iter()
            .find(|(line, place, _)| (*line, *place) == (fence.line, fence.place));
        found.map_or(0, |found| found.2)
    }

    /// Whether nothing that is held has to signal before the fence.
    pub(super) fn may_signal(&self, fence: Sym, held: &[u64; MOST_LINES]) -> bool {
        let all = self.all(held);
        self.before(fence) & all & !self.bit(fence.line, fence.place) == 0
    }

    /// A fence is issued; its job waits for `superseded`. False if that would be a circle, so that no
    /// job can do it. `is_next` unless there are later fences of its timeline.
    pub(super) fn issue(
        &mut self,
        fence: Sym,
        is_next: bool,
        superseded: impl Iterator<Item = Sym>,
    ) -> bool {
        let mut before = 0;
        for old in superseded {
            before |= self.covers(old);
        }
        if self.in_order {
            for &(line, place, set) in &self.before {
                if line == fence.line && place < fence.place {
                    before |= set | self.bit(line, place);
                }
            }
            if is_next {
                before |= self.lines[usize::from(fence.line)];
            }
        }
        let later = self.later(fence);
        if before & (later | self.bit(fence.line, fence.place)) != 0 {
            return false;
        }
        let known = self
            .before
            .iter_mut()
            .find(|(line, place, _)| (*line, *place) == (fence.line, fence.place));
        match known {
            Some(known) => {
                before |= known.2;
                known.2 = before;
            }
            None => self.before.push((fence.line, fence.place, before)),
        }
        let own = before | self.bit(fence.line, fence.place);
        // Whatever signals after this fence, or after one that does, signals after all of `own`.
        let after = match self.in_order {
            true => later | self.bit(fence.line, fence.place),
            false => self.bit(fence.line, fence.place),
        };
        for at in 0..self.before.len() {
            let (line, place, set) = self.before[at];
            let is_itself = (line, place) == (fence.line, fence.place);
            let is_later = self.in_order && line == fence.line && place > fence.place;
            if !is_itself && (is_later || set & after != 0) {
                self.before[at].2 |= own;
            }
        }
        for line in 0..self.lines.len() {
            let is_own = line == usize::from(fence.line);
            if self.lines[line] & after != 0 || is_own && self.in_order {
                self.lines[line] |= own;
            }
        }
        true
    }

    /// What can be said of a timeline without the names of others: how many signal before each of its
    /// fences, and how many after it.
    pub(super) fn signature(&self, line: u8, held: &[u64; MOST_LINES]) -> u64 {
        let all = self.all(held);
        let own = self.before.iter().filter(|fence| fence.0 == line);
        let sum = own.fold(0u64, |sum, &(_, place, set)| {
            let bit = self.bit(line, place);
            if bit & all == 0 {
                return sum;
            }
            let is_after = |fence: &&(u8, u8, u128)| {
                fence.2 & bit != 0 && self.bit(fence.0, fence.1) & all != 0
            };
            let after = self.before.iter().filter(is_after).count() as u64;
            let before = u64::from((set & all).count_ones());
            let earlier = u64::from((held[usize::from(line)] & ((1 << place) - 1)).count_ones());
            sum.wrapping_add(mix(1 << 32 | earlier << 16 | before << 8 | after))
        });
        let next = self.lines[usize::from(line)] & all;
        sum.wrapping_add(mix(1 << 33 | u64::from(next.count_ones())))
    }

    /// A bit for each fence that is held.
    fn all(&self, held: &[u64; MOST_LINES]) -> u128 {
        let lines = 0..self.lines.len();
        lines.fold(0, |all, line| {
            all | u128::from(held[line]) << (line as u32 * self.stride)
        })
    }

    /// The places after the fence on its timeline.
    fn later(&self, fence: Sym) -> u128 {
        let places = (1u128 << self.stride.min(127)) - 1;
        let above = places & !((2u128 << fence.place) - 1);
        above << (u32::from(fence.line) * self.stride)
    }

    /// Appends the sets, with the fences numbered in canonical order.
    pub(super) fn write(&self, order: &[u8], held: &[u64; MOST_LINES], text: &mut Vec<u8>) {
        let mut fences = [(0u8, 0u8, 0u128); 128];
        let mut count = 0;
        for &line in order {
            let mut places = held[usize::from(line)];
            while places != 0 {
                let place = places.trailing_zeros() as u8;
                fences[count] = (line, place, self.bit(line, place));
                count += 1;
                places &= places - 1;
            }
        }
        let fences = &fences[..count];
        let mut write = |set: u128| {
            for eight in fences.chunks(8) {
                let bits = eight.iter().enumerate();
                text.push(bits.fold(0, |byte, (at, &(_, _, bit))| {
                    byte | u8::from(set & bit != 0) << at
                }));
            }
        };
        for &(line, place, _) in fences {
            let fence = Sym {
                line,
                place,
                kind: 0,
            };
            write(self.before(fence));
        }
        for &line in order {
            write(self.lines[usize::from(line)]);
        }
    }

    /// Reads what [`write`](Duty::write) wrote, for a state with these places.
    pub(super) fn read(&mut self, lines: usize, held: &[u64; MOST_LINES], text: &[u8]) {
        let mut fences = Vec::new();
        for (line, places) in held.iter().enumerate().take(lines) {
            let mut places = *places;
            while places != 0 {
                fences.push((line as u8, places.trailing_zeros() as u8));
                places &= places - 1;
            }
        }
        let (width, stride) = (fences.len().div_ceil(8), self.stride);
        let set = |at: usize| {
            let bytes = &text[at * width..(at + 1) * width];
            let is_in = |(i, _): &(usize, &(u8, u8))| bytes[i / 8] & (1 << (i % 8)) != 0;
            let members = fences.iter().enumerate().filter(is_in);
            members.fold(0, |set, (_, &(line, place))| {
                set | 1u128 << (u32::from(line) * stride + u32::from(place))
            })
        };
        self.before.clear();
        let sets = fences.iter().enumerate();
        let sets = sets.map(|(at, &(line, place))| (line, place, set(at)));
        self.before.extend(sets);
        self.lines.clear();
        self.lines
            .extend((0..lines).map(|line| set(fences.len() + line)));
    }
}

/// The pending fences that were in `old` and are not in `new`.
pub(super) fn dropped<'s>(
    old: &'s Store<Sym>,
    new: &'s Store<Sym>,
) -> impl Iterator<Item = Sym> + 's {
    let is_in = |fence: &Sym| new.slots.iter().any(|slot| slot.fence == *fence);
    old.pending()
        .map(|slot| slot.fence)
        .filter(move |fence| !is_in(fence))
}
