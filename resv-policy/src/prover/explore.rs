//! The exploration, nearest states first.

use super::duty::{Duty, dropped};
use super::ops::{Op, Ops, Which};
use super::world::{MOST_LINES, MOST_PLACES, Scratch, Sym, TAGS, World};
use super::{Class, Options};
use crate::filing::Producer;
use crate::member::Machine;
use crate::query::Query;
use rayon::prelude::*;
use resv_core::Owner;
use resv_core::Usage;
use std::collections::HashMap;

/// A timeline with this many held fences gets no older one.
const MOST_WITH_OLDER: u32 = 2;

/// How many states are expanded before their successors are sorted in.
const AT_ONCE: usize = 4096;

/// The states that were reached, each with the way to it.
pub(super) struct Found {
    pub(super) states: Vec<Reached>,
    pub(super) classes: Vec<FoundClass>,
    pub(super) bounds: Vec<String>,
    pub(super) lines: usize,
    /// No class can get worse.
    pub(super) is_settled: bool,
}

/// A state, and the operation in an earlier one that led to it.
pub(super) struct Reached {
    pub(super) text: Box<[u8]>,
    pub(super) from: Option<(u32, Op)>,
}

/// A class, and the first state that shows it.
#[derive(Clone, Copy)]
pub(super) struct FoundClass {
    pub(super) class: Class,
    pub(super) shown: Option<u32>,
}

/// What cut something off.
#[derive(Clone, Copy, Default)]
pub(super) struct Cut {
    older: bool,
    slots: bool,
    places: bool,
}

impl std::ops::BitOrAssign for Cut {
    fn bitor_assign(&mut self, other: Cut) {
        self.older |= other.older;
        self.slots |= other.slots;
        self.places |= other.places;
    }
}

/// What is known of one state when it has been expanded.
struct Expanded {
    classes: Vec<Class>,
    texts: Vec<u8>,
    /// The operation and where its text ends.
    successors: Vec<(Op, usize)>,
    cut: Cut,
}

/// Goes through the states until there is no new one, or until no class can get worse: each has reached
/// that of `goal`.
pub(super) fn explore(
    machines: &[Machine],
    ops: &Ops,
    queries: &[Query],
    options: &Options,
    goal: Option<&[Class]>,
) -> Found {
    let lines = options.timelines.clamp(1, MOST_LINES);
    // What files a fence of a timeline depends on its kind.
    let kinds = match ops.file {
        true => (0..TAGS.len() as u8).collect(),
        false => super::follow::kinds(machines, queries),
    };
    let machines: Vec<&Machine> = machines.iter().collect();
    let explorer = Explorer {
        machines: &machines,
        ops,
        queries,
        slots: options.slots,
        lines,
        duty: options.duty.is_some(),
    };
    let mut found = Found {
        states: Vec::new(),
        classes: vec![
            FoundClass {
                class: Class::Exact,
                shown: None,
            };
            queries.len()
        ],
        bounds: Vec::new(),
        lines,
        is_settled: false,
    };
    let mut known: HashMap<Box<[u8]>, ()> = HashMap::new();
    for kinds in first_kinds(lines, &kinds) {
        let mut world = explorer.empty();
        world.kinds = kinds;
        let mut text = Vec::new();
        world.write(&machines, &mut Scratch::default(), &mut text);
        known.insert(text.clone().into(), ());
        found.states.push(Reached {
            text: text.into(),
            from: None,
        });
    }
    let (mut cut, mut next) = (Cut::default(), 0);
    let mut is_full = false;
    while next < found.states.len() {
        let end = found.states.len().min(next + AT_ONCE);
        let expanded: Vec<Expanded> = found.states[next..end]
            .par_iter()
            .map_init(
                || (explorer.empty(), World::default(), Scratch::default()),
                |(world, after, scratch), state| {
                    explorer.expand(&state.text, world, after, scratch)
                },
            )
            .collect();
        for (at, expanded) in (next..).zip(expanded) {
            cut |= expanded.cut;
            for (have, &class) in found.classes.iter_mut().zip(&expanded.classes) {
                if class > have.class {
                    *have = FoundClass {
                        class,
                        shown: Some(at as u32),
                    };
                }
            }
            let mut start = 0;
            for (op, stop) in expanded.successors {
                let text = &expanded.texts[start..stop];
                start = stop;
                if known.contains_key(text) {
                    continue;
                }
                if found.states.len() >= options.states {
                    is_full = true;
                    continue;
                }
                known.insert(text.into(), ());
                found.states.push(Reached {
                    text: text.into(),
                    from: Some((at as u32, op)),
                });
            }
        }
        next = end;
        let is_worst = |(at, found): (usize, &FoundClass)| {
            let worst = goal.map_or(Class::Unsound, |goal| goal[at]);
            found.class >= worst
        };
        if found.classes.iter().enumerate().all(is_worst) {
            found.is_settled = true;
            break;
        }
    }
    if cut.older {
        found.bounds.push(format!(
            "a timeline with {MOST_WITH_OLDER} fences gets no older one"
        ));
    }
    if cut.slots {
        let slots = options.slots;
        found
            .bounds
            .push(format!("an array with {slots} slots gets no more"));
    }
    if cut.places {
        found.bounds.push(format!(
            "no more than {MOST_PLACES} fences of a timeline at once"
        ));
    }
    if is_full {
        let states = options.states;
        found.bounds.push(format!("no more than {states} states"));
    }
    found
}

/// The kinds of timelines to begin with, each choice once, whatever the order.
fn first_kinds(lines: usize, kinds: &[u8]) -> Vec<Vec<u8>> {
    let mut choices = vec![Vec::new()];
    for _ in 0..lines {
        choices = choices
            .into_iter()
            .flat_map(|choice: Vec<u8>| {
                let least = choice.last().copied().unwrap_or(0);
                let later = kinds.iter().filter(move |&&kind| kind >= least);
                later.map(move |&kind| {
                    let mut choice = choice.clone();
                    choice.push(kind);
                    choice
                })
            })
            .collect();
    }
    choices
}

/// How a state is taken further.
pub(super) struct Explorer<'m> {
    pub(super) machines: &'m [&'m Machine],
    pub(super) ops: &'m Ops,
    pub(super) queries: &'m [Query],
    pub(super) slots: usize,
    pub(super) lines: usize,
    pub(super) duty: bool,
}

impl Explorer<'_> {
    pub(super) fn empty(&self) -> World {
        World {
            kinds: vec![0; self.lines],
            stores: vec![Default::default(); self.machines.len()],
            duty: self
                .duty
                .then(|| Duty::new(self.lines, !self.ops.out_of_order)),
        }
    }

    fn expand(
        &self,
        text: &[u8],
        world: &mut World,
        after: &mut World,
        scratch: &mut Scratch,
    ) -> Expanded {
        world.read(self.lines, self.machines, text);
        let queries = self.queries.iter();
        let mut expanded = Expanded {
            classes: queries.map(|&q| self.judge(world, q)).collect(),
            texts: Vec::new(),
            successors: Vec::new(),
            cut: Cut::default(),
        };
        let held = world.places();
        let mut cut = Cut::default();
        self.each_op(world, &held, &mut cut, &mut |op| {
            after.copy_from(world);
            if !self.apply(after, world, op, &held, &mut expanded.cut) {
                return;
            }
            let start = expanded.texts.len();
            after.write(self.machines, scratch, &mut expanded.texts);
            if &expanded.texts[start..] == text {
                expanded.texts.truncate(start);
            } else {
                expanded.successors.push((op, expanded.texts.len()));
            }
        });
        expanded.cut |= cut;
        expanded
    }

    /// Calls `f` with each operation that is possible in a state.
    fn each_op(
        &self,
        world: &World,
        held: &[u64; MOST_LINES],
        cut: &mut Cut,
        f: &mut impl FnMut(Op),
    ) {
        for line in 0..self.lines as u8 {
            let held = held[usize::from(line)];
            for usage in self.ops.add.iter() {
                f(Op::Add {
                    line,
                    which: Which::Next,
                    usage,
                });
            }
            if self.ops.older {
                cut.older |= held.count_ones() >= MOST_WITH_OLDER;
                each_place(held, |place| {
                    for usage in self.ops.add.iter() {
                        let mut add = |which| f(Op::Add { line, which, usage });
                        add(Which::Again(place));
                        if held.count_ones() < MOST_WITH_OLDER {
                            add(Which::Before(place));
                        }
                    }
                });
            }
            // Where nothing is held of a timeline there is nothing to replace, but for slots that have
            // signalled.
            let may_replace = held != 0 || self.keeps_signaled();
            if self.ops.replace_signaled && may_replace {
                f(Op::Replace { line, by: None });
            }
            for by in 0..self.lines as u8 {
                let is_wanted = match by == line {
                    true => self.ops.replace,
                    false => self.ops.replace_across,
                };
                if is_wanted && may_replace {
                    for usage in Usage::ALL {
                        let by = Some((by, usage));
                        f(Op::Replace { line, by });
                    }
                }
            }
            if self.ops.file {
                self.each_filing(line, world.kinds[usize::from(line)], f);
            }
            if self.ops.out_of_order {
                each_place(held, |place| f(Op::Signal { line, place }));
            } else if self.ops.signal && held != 0 {
                let place = held.trailing_zeros() as u8;
                f(Op::Signal { line, place });
            }
        }
        // What holds pending fences only is its own copy.
        if self.ops.copy && self.keeps_signaled() {
            f(Op::Copy);
        }
        if self.ops.attach {
            f(Op::Attach);
        }
    }

    fn keeps_signaled(&self) -> bool {
        self.machines.iter().any(|m| m.member().keeps_signaled())
    }

    /// The producers that issue fences of this kind of timeline.
    fn each_filing(&self, line: u8, kind: u8, f: &mut impl FnMut(Op)) {
        let tag = TAGS[usize::from(kind)];
        let producers: &[Producer] = match (tag.owner(), tag.device()) {
            (Owner::Client(_), _) => &[Producer::Submission, Producer::GangMember],
            (Owner::PageTables, _) => &[Producer::PageTables],
            (Owner::Compute, _) => &[Producer::Compute],
            (Owner::Undefined, Some(_)) => &[Producer::Move, Producer::Vacate],
            (Owner::Undefined, None) => &[Producer::UserQueue, Producer::UserQueueEviction],
        };
        for &producer in producers {
            let depends = matches!(producer, Producer::Submission | Producer::GangMember);
            let flags: &[(bool, bool)] = match depends {
                true => &[(false, false), (true, false), (true, true)],
                false => &[(false, false)],
            };
            for &(attached, explicit) in flags {
                f(Op::File {
                    line,
                    producer,
                    attached,
                    explicit,
                });
            }
        }
    }

    /// Does the operation; false if it cannot be done, or is cut off.
    pub(super) fn apply(
        &self,
        world: &mut World,
        before: &World,
        op: Op,
        held: &[u64; MOST_LINES],
        cut: &mut Cut,
    ) -> bool {
        let Some(fence) = self.fence(world, op, held, cut) else {
            return false;
        };
        for (store, machine) in world.stores.iter_mut().zip(self.machines) {
            match op {
                Op::Add { usage, .. } => machine.add(store, fence, usage),
                Op::Replace { line, by } => {
                    let usage = by.map_or(Usage::Bookkeep, |by| by.1);
                    machine.replace(store, line.into(), fence, usage);
                }
                Op::Copy => machine.copy(store),
                Op::Attach => machine.attach(store),
                Op::File {
                    producer,
                    attached,
                    explicit,
                    ..
                } => machine.file(store, fence, producer, attached, explicit),
                Op::Signal { line, place } => {
                    for slot in &mut store.slots {
                        if (slot.fence.line, slot.fence.place) == (line, place) {
                            slot.fence.place = 0;
                        }
                    }
                    if !machine.member().keeps_signaled() {
                        store.prune();
                    }
                }
            }
            if machine.member().keeps_signaled() && store.slots.len() > self.slots {
                cut.slots = true;
                return false;
            }
        }
        let Some(duty) = &mut world.duty else {
            return true;
        };
        match op {
            Op::Add { .. } | Op::File { .. } => {
                let is_next = !matches!(
                    op,
                    Op::Add {
                        which: Which::Before(_) | Which::Again(_),
                        ..
                    }
                );
                let superseded = dropped(&before.stores[2], &world.stores[2]);
                duty.issue(fence, is_next, superseded)
            }
            Op::Replace { by: Some(_), .. } => duty.issue(fence, true, std::iter::empty()),
            Op::Replace { by: None, .. } | Op::Copy | Op::Attach => true,
            Op::Signal { line, place } => duty.may_signal(
                Sym {
                    line,
                    place,
                    kind: 0,
                },
                held,
            ),
        }
    }

    /// The fence that the operation brings; for those that bring none, one that has signalled.
    pub(super) fn fence(
        &self,
        world: &World,
        op: Op,
        held: &[u64; MOST_LINES],
        cut: &mut Cut,
    ) -> Option<Sym> {
        let (line, which) = match op {
            Op::Add { line, which, .. } => (line, which),
            Op::Replace {
                by: Some((line, _)),
                ..
            }
            | Op::File { line, .. } => (line, Which::Next),
            _ => return Some(Sym::STUB),
        };
        let place = match which {
            Which::Next => 66 - held[usize::from(line)].leading_zeros() as u8,
            Which::Before(place) => place - 1,
            Which::Again(place) => place,
        };
        let most = world.duty.as_ref().map_or(62, |d| d.most_places().min(62));
        // An empty timeline begins at 2, and what is there has even places.
        let place = place & !u8::from(which == Which::Next);
        if place > most {
            cut.places = true;
            return None;
        }
        Some(Sym {
            line,
            place,
            kind: world.kinds[usize::from(line)],
        })
    }

    /// How the sets of both sides compare.
    pub(super) fn judge(&self, world: &World, query: Query) -> Class {
        match &world.duty {
            None => self.judge_by_order(world, query),
            Some(duty) => self.judge_by_cover(world, duty, query),
        }
    }

    /// By the latest fence of each timeline.
    fn judge_by_order(&self, world: &World, query: Query) -> Class {
        let latest = |side: usize| {
            let mut latest = [0u8; MOST_LINES];
            self.machines[side].visit(&world.stores[side], query, &mut |fence: &Sym| {
                let at = &mut latest[usize::from(fence.line)];
                *at = fence.place.max(*at);
            });
            latest
        };
        let (expected, actual) = (latest(0), latest(1));
        let mut class = Class::Exact;
        for (expected, actual) in expected.iter().zip(&actual) {
            match expected.cmp(actual) {
                std::cmp::Ordering::Greater => return Class::Unsound,
                std::cmp::Ordering::Less => class = Class::Over,
                std::cmp::Ordering::Equal => {}
            }
        }
        class
    }

    /// By what has signalled when the set has.
    fn judge_by_cover(&self, world: &World, duty: &Duty, query: Query) -> Class {
        let covered = |side: usize| {
            let mut covered = 0u128;
            self.machines[side].visit(&world.stores[side], query, &mut |&fence: &Sym| {
                covered |= duty.covers(fence);
            });
            covered
        };
        let all_of = |side: usize, covered: u128| {
            let mut is_covered = true;
            self.machines[side].visit(&world.stores[side], query, &mut |&fence: &Sym| {
                is_covered &= duty.is_in(fence, covered);
            });
            is_covered
        };
        match (all_of(0, covered(1)), all_of(1, covered(0))) {
            (false, _) => Class::Unsound,
            (true, false) => Class::Over,
            (true, true) => Class::Exact,
        }
    }
}

fn each_place(mut held: u64, mut f: impl FnMut(u8)) {
    while held != 0 {
        f(held.trailing_zeros() as u8);
        held &= held - 1;
    }
}
