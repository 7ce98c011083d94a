//! One state: what each side holds, over fences that are numbers.
//!
//! # Canonical form
//!
//! Only the order of fences on a timeline matters, so a fence is its place among those that some side
//! still holds. Which timeline is the first does not matter either, so timelines are sorted by what the
//! sides hold of them; where two are alike up to the order of slots, all orders are tried and the
//! least text is taken. Two histories that lead to the same canonical text lead to the same answers
//! from then on.
//!
//! What no side holds is forgotten. If its fence is pending, it may signal at any time and nobody
//! notices.

use super::duty::Duty;
use crate::member::{Machine, Order};
use crate::store::{FenceRef, Slot, Store};
use resv_core::Usage;
use resv_core::{Owner, Tag};

/// More timelines than this have no place in a slot's byte.
pub(super) const MOST_LINES: usize = 6;
/// The timeline of the fence that is born signalled.
pub(super) const STUB: u8 = 7;
/// Places on a timeline.
pub(super) const MOST_PLACES: u8 = 31;

/// The kinds of timelines that a policy tells apart, for an asker that is client 1 of device 0.
pub(super) const TAGS: [Tag; 7] = [
    tag(Owner::Undefined, None),
    tag(Owner::Undefined, Some(0)),
    tag(Owner::PageTables, Some(0)),
    tag(Owner::Compute, None),
    tag(Owner::Client(1), Some(0)),
    tag(Owner::Client(2), Some(0)),
    tag(Owner::Client(3), Some(1)),
];

const fn tag(owner: Owner, device: Option<u32>) -> Tag {
    match device {
        Some(device) => Tag::new(owner).on_device(device),
        None => Tag::new(owner),
    }
}

/// A fence as a number. Place 0 has signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sym {
    pub(super) line: u8,
    pub(super) place: u8,
    pub(super) kind: u8,
}

impl Sym {
    pub(super) const STUB: Sym = Sym {
        line: STUB,
        place: 0,
        kind: 0,
    };
}

impl FenceRef for Sym {
    fn timeline(&self) -> u64 {
        self.line.into()
    }

    fn seqno(&self) -> u64 {
        self.place.into()
    }

    fn is_signaled(&self) -> bool {
        self.place == 0
    }

    fn tag(&self) -> Tag {
        TAGS[usize::from(self.kind)]
    }
}

/// A state. While it is worked on, places are even, so that there is room between them.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// The kind of each timeline.
    pub(super) kinds: Vec<u8>,
    /// Expected, actual, and what the semantics of the duty holds.
    pub(super) stores: Vec<Store<Sym>>,
    pub(super) duty: Option<Duty>,
}

/// How the names of a state become those of its canonical form.
#[derive(Clone, Debug, Default)]
pub(super) struct Renaming {
    /// For each new timeline the old one.
    pub(super) lines: Vec<u8>,
    /// For each old timeline which places are held.
    pub(super) places: [u64; MOST_LINES],
}

impl Renaming {
    /// The new place of what was at `place`, if it is still held.
    pub(super) fn place(&self, line: u8, place: u8) -> Option<u8> {
        let held = self.places[usize::from(line)];
        (held & (1 << place) != 0).then(|| rank(held, place))
    }
}

fn rank(held: u64, place: u8) -> u8 {
    (held & ((1 << place) - 1)).count_ones() as u8 + 1
}

impl World {
    /// Makes this state like another, in the memory that it has.
    pub(super) fn copy_from(&mut self, other: &World) {
        self.kinds.clone_from(&other.kinds);
        self.stores.resize_with(other.stores.len(), Store::default);
        for (store, other) in self.stores.iter_mut().zip(&other.stores) {
            store.slots.clear();
            store
                .slots
                .extend(other.slots.iter().map(|slot| Slot { ..*slot }));
            store.capacity = other.capacity;
        }
        match (&mut self.duty, &other.duty) {
            (Some(duty), Some(other)) => duty.copy_from(other),
            (duty, other) => duty.clone_from(other),
        }
    }

    /// Which places of each timeline some side holds.
    pub(super) fn places(&self) -> [u64; MOST_LINES] {
        let mut held = [0u64; MOST_LINES];
        for slot in self.stores.iter().flat_map(|store| &store.slots) {
            if slot.fence.place > 0 {
                held[usize::from(slot.fence.line)] |= 1 << slot.fence.place;
            }
        }
        held
    }

    /// Appends the canonical text of this state to `text`.
    pub(super) fn write(
        &mut self,
        machines: &[&Machine],
        scratch: &mut Scratch,
        text: &mut Vec<u8>,
    ) {
        let held = self.places();
        for (store, machine) in self.stores.iter_mut().zip(machines) {
            sort(&mut store.slots, machine.member().order());
        }
        scratch.renaming.places = held;
        let lines = self.kinds.len();
        let needs_all_orders =
            self.duty.is_some() || machines.iter().any(|m| m.member().order() != Order::None);
        let mut signed = [(0u8, 0u64, 0u8); MOST_LINES];
        for line in 0..lines as u8 {
            let kind = self.kinds[usize::from(line)];
            signed[usize::from(line)] = (kind, self.signature(line, &held), line);
        }
        let signed = &mut signed[..lines];
        signed.sort_unstable();
        let mut order = [0u8; MOST_LINES];
        for (at, &(_, _, line)) in signed.iter().enumerate() {
            order[at] = line;
        }
        let order = &order[..lines];
        let start = text.len();
        self.write_in_order(order, &held, machines, text);
        scratch.renaming.lines.clear();
        scratch.renaming.lines.extend_from_slice(order);
        if !needs_all_orders {
            return;
        }
        let same = |a: usize, b: usize| (signed[a].0, signed[a].1) == (signed[b].0, signed[b].1);
        if (1..lines).all(|at| !same(at - 1, at)) {
            return;
        }
        let mut best = text.split_off(start);
        let mut other = Vec::with_capacity(best.len());
        let mut at: Vec<usize> = (0..lines).collect();
        each_order(&mut at, 0, &same, &mut |at| {
            let order: Vec<u8> = at.iter().map(|&i| signed[i].2).collect();
            other.clear();
            self.write_in_order(&order, &held, machines, &mut other);
            if other < best {
                std::mem::swap(&mut best, &mut other);
                scratch.renaming.lines = order;
            }
        });
        text.append(&mut best);
    }

    /// What the sides hold of a timeline, order of slots aside.
    fn signature(&self, line: u8, held: &[u64; MOST_LINES]) -> u64 {
        let mut sum = 0u64;
        for (at, store) in self.stores.iter().enumerate() {
            for slot in store.slots.iter().filter(|s| s.fence.line == line) {
                let place = match slot.fence.place {
                    0 => 0,
                    place => rank(held[usize::from(line)], place),
                };
                let word = (at as u64) << 16 | u64::from(place) << 8 | u64::from(slot_byte(slot));
                sum = sum.wrapping_add(mix(word));
            }
        }
        match &self.duty {
            Some(duty) => sum.wrapping_add(duty.signature(line, held)),
            None => sum,
        }
    }

    fn write_in_order(
        &self,
        order: &[u8],
        held: &[u64; MOST_LINES],
        machines: &[&Machine],
        text: &mut Vec<u8>,
    ) {
        let mut new = [STUB; MOST_LINES + 2];
        for (at, &line) in order.iter().enumerate() {
            new[usize::from(line)] = at as u8;
        }
        text.extend(order.iter().map(|&line| self.kinds[usize::from(line)]));
        for (store, machine) in self.stores.iter().zip(machines) {
            text.push(store.slots.len() as u8);
            if machine.member().keeps_signaled() {
                text.push(store.capacity as u8);
            }
            let start = text.len();
            for slot in &store.slots {
                let line = usize::from(slot.fence.line);
                let place = match slot.fence.place {
                    0 => 0,
                    place => rank(held[line], place),
                };
                text.push(new[line] << 5 | place);
                text.push(slot_byte(slot));
            }
            match machine.member().order() {
                Order::None => sort_pairs(&mut text[start..]),
                Order::Exclusive => {
                    let links = store
                        .slots
                        .iter()
                        .filter(|s| s.usage <= Usage::Write)
                        .count();
                    sort_pairs(&mut text[start + 2 * links..]);
                }
                Order::All => {}
            }
        }
        if let Some(duty) = &self.duty {
            duty.write(order, held, text);
        }
    }

    /// The state that `text` says.
    pub(super) fn read(&mut self, lines: usize, machines: &[&Machine], mut text: &[u8]) {
        let mut take = |count: usize| {
            let (taken, rest) = text.split_at(count);
            text = rest;
            taken
        };
        self.kinds.clear();
        self.kinds.extend_from_slice(take(lines));
        self.stores.resize_with(machines.len(), Store::default);
        for (store, machine) in self.stores.iter_mut().zip(machines) {
            store.slots.clear();
            let slots = take(1)[0];
            store.capacity = match machine.member().keeps_signaled() {
                true => take(1)[0].into(),
                false => 0,
            };
            for _ in 0..slots {
                let pair = take(2);
                let line = pair[0] >> 5;
                let kind = self.kinds.get(usize::from(line)).copied();
                store.slots.push(Slot {
                    fence: Sym {
                        line,
                        place: 2 * (pair[0] & 31),
                        kind: kind.unwrap_or(0),
                    },
                    usage: Usage::from_bits(pair[1]),
                    mark: pair[1] & 4 != 0,
                });
            }
        }
        let held = self.places();
        if let Some(duty) = &mut self.duty {
            duty.read(lines, &held, text);
        }
    }
}

/// What is kept between calls, so that nothing is allocated twice.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) renaming: Renaming,
}

/// Any good mixing will do: timelines that are alike by accident are only tried in more orders.
pub(super) fn mix(word: u64) -> u64 {
    let mut mixed = word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn slot_byte(slot: &Slot<Sym>) -> u8 {
    slot.usage as u8 | u8::from(slot.mark) << 2
}

/// Puts links first where only their order matters.
fn sort(slots: &mut [Slot<Sym>], order: Order) {
    if order == Order::Exclusive {
        slots.sort_by_key(|slot| slot.usage > Usage::Write);
    }
}

/// Sorts bytes two by two.
fn sort_pairs(bytes: &mut [u8]) {
    let (pairs, _) = bytes.as_chunks_mut::<2>();
    pairs.sort_unstable();
}

/// Calls `f` with every order of `at` that exchanges neighbours for which `same` holds.
fn each_order(
    at: &mut Vec<usize>,
    from: usize,
    same: &impl Fn(usize, usize) -> bool,
    f: &mut impl FnMut(&[usize]),
) {
    if from == at.len() {
        f(at);
        return;
    }
    for other in from..at.len() {
        if same(at[from], at[other]) {
            at.swap(from, other);
            each_order(at, from + 1, same, f);
            at.swap(from, other);
        }
    }
}
