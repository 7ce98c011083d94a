//! Following one fence: an upper bound for each class, for any number of timelines.
//!
//! # The concept
//!
//! An access is unsound if there is a history after which one fence `f` is pending, the *holder* (the
//! expected side) waits for it, and nothing that the *coverer* (the actual side) waits for signals
//! after it. It is over if there is such a history with the sides exchanged. So it is enough to follow
//! one fence, and to know of the others whether they signal after it. The sets that say which fence
//! signals before which other, of which there are very many, are not needed.
//!
//! # What is kept
//!
//! | of | is kept |
//! |---|---|
//! | `f` | the usage under which the holder has it, the kind of its timeline |
//! | a timeline whose next fence signals after `f` | the usages of its fences after `f` in the coverer, and in the object of the duty |
//! | any other timeline | nothing |
//!
//! # Why this loses nothing
//!
//! Let fences of a timeline signal in order, and let both sides and the duty be tables: an add removes an
//! old fence or does not, whatever else is in the object.
//!
//! * A fence that does not signal after `f` can signal while `f` is pending, and so can everything
//!   before it. Let it do so at once. The holder keeps `f`, as what removes `f` looks at `f` only. The
//!   coverer and the object of the duty then have fewer fences: what enters an object by a replacement
//!   enters only where a fence of the timeline is, and nothing else depends on what is there. With fewer
//!   fences in the object of the duty fewer jobs wait for `f`. So if `f` is missed in any history, it is
//!   missed in this one. In it the coverer has those fences only that signal after `f`.
//! * The next fence of a timeline is later than all that are there, so of two fences of a timeline with
//!   the same usage each add removes both or neither. One bit stands for both.
//! * A fence is followed from its add, when every side has it; or from a replacement, when a side has it
//!   that had a fence of the timeline. The holder had one, and the case that the coverer had none was
//!   found by following that one.
//! * For the same reason a state need not be followed if another one has less: each fence after `f` that
//!   the other has, this one has, too. What is done to a timeline that only this one has, the other
//!   does to one of which nothing is kept.
//!
//! Fences are followed twice: with the given number of timelines, and with any number, where timelines of
//! which the same is kept are kept once. If both come to the same, the bound holds for any number.
//! Whether histories reach it, [`compare`](super::compare) finds by exploring them. It stops when each
//! class has reached its bound; then nothing worse can come.
//!
//! # Slot rules
//!
//! An array of Linux may keep what a table removes, and may take a replacement where a table does not. As
//! a holder it keeps `f` until `f` is replaced, and lets a replacement in always. As a coverer it has at
//! least what the table of [`overwrites`](crate::member::slots::SlotRule::overwrites) has. Both make the
//! bound worse, never better; it holds for arrays of any length.

use super::world::{Sym, TAGS};
use super::{Class, Ops};
use crate::member::{Machine, Member, Order};
use crate::query::Query;
use crate::store::{Slot, Store};
use crate::table::Relation;
use resv_core::Usage;
use std::collections::HashMap;

/// More states than this are not followed. The semantics need some hundreds.
const MOST_STATES: usize = 20_000;

/// A set of usages as bits.
type Usages = u8;

/// A member, as far as the fate of one fence goes.
struct Side {
    class: [Usage; 4],
    /// By new and old usage: which old fences of other timelines an add removes, which of its own.
    removes: [[[bool; 4]; 4]; 2],
    /// By query and kind of timeline: the usages that are waited for.
    sees: Vec<Vec<Usages>>,
    /// A slot rule, which may keep more.
    is_loose: bool,
}

/// Where an operation happens, seen from the fence that is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On its timeline.
    Own,
    /// On one whose next fence signals after it, by position.
    After(usize),
    /// On any other, of this kind.
    Fresh(u8),
}

/// A timeline whose next fence signals after the one that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    kind: u8,
    /// The usages of its later fences in the coverer.
    covers: Usages,
    /// The same in the object of the duty.
    duty: Usages,
}

/// A fence, and what signals after it.
#[derive(Clone, Debug)]
struct Followed {
    usage: Usage,
    own: Line,
    others: Vec<Line>,
}

/// What following has shown.
pub(super) struct Bound {
    /// No access is worse than this.
    pub(super) classes: Vec<Class>,
    /// How many states it took.
    pub(super) states: usize,
    /// It holds for any number of timelines.
    pub(super) for_any: bool,
}

/// The bound for each query with `timelines`, or nothing where one fence cannot be followed.
pub(super) fn bound(
    machines: &[Machine],
    ops: &Ops,
    queries: &[Query],
    timelines: usize,
) -> Option<Bound> {
    let can = !(ops.out_of_order || ops.older || ops.file || ops.attach || ops.replace_across)
        && (ops.signal || !ops.replace);
    if !can {
        return None;
    }
    let sides: Option<Vec<Side>> = machines.iter().map(|m| Side::of(m, queries)).collect();
    let sides = sides?;
    let kinds = kinds(machines, queries);
    let classes = |most_others: usize| {
        let missed = |holder: usize, coverer: usize| {
            let follower = Follower {
                holder: &sides[holder],
                coverer: &sides[coverer],
                duty: sides.get(2),
                kinds: &kinds,
                most_others,
            };
            follower.missed(ops, queries.len())
        };
        let (unsound, forth) = missed(0, 1)?;
        let (over, back) = missed(1, 0)?;
        let classes = unsound.iter().zip(&over).map(|both| match both {
            (true, _) => Class::Unsound,
            (false, true) => Class::Over,
            (false, false) => Class::Exact,
        });
        Some((classes.collect::<Vec<_>>(), forth + back))
    };
    let (given, states) = classes(timelines - 1)?;
    let any = classes(usize::MAX).filter(|any| any.0 == given);
    Some(Bound {
        classes: given,
        states: states + any.as_ref().map_or(0, |any| any.1),
        for_any: any.is_some(),
    })
}

/// The usages of a fence of that kind of timeline that is alone in an object and is waited for.
fn sees(machine: &Machine, query: Query, kind: u8) -> Usages {
    let is_seen = |usage: &Usage| {
        let mut store = Store::default();
        let fence = Sym {
            line: 0,
            place: 4,
            kind,
        };
        store.slots.push(slot(fence, *usage));
        let mut is_seen = false;
        machine.visit(&store, query, &mut |_: &Sym| is_seen = true);
        is_seen
    };
    let seen = Usage::ALL.into_iter().filter(is_seen);
    seen.fold(0, |seen, usage| seen | bit(usage))
}

fn slot(fence: Sym, usage: Usage) -> Slot<Sym> {
    Slot {
        fence,
        usage,
        mark: false,
    }
}

/// Kinds of timelines, one for those that no query tells apart. A member looks at a kind in nothing else,
/// unless fences are filed.
pub(super) fn kinds(machines: &[Machine], queries: &[Query]) -> Vec<u8> {
    let mut kinds: Vec<u8> = Vec::new();
    let is_same = |a: u8, b: u8| {
        let mut asked = machines
            .iter()
            .flat_map(|m| queries.iter().map(move |&q| (m, q)));
        asked.all(|(machine, query)| sees(machine, query, a) == sees(machine, query, b))
    };
    for kind in 0..TAGS.len() as u8 {
        if !kinds.iter().any(|&known| is_same(known, kind)) {
            kinds.push(kind);
        }
    }
    kinds
}

impl Side {
    fn of(machine: &Machine, queries: &[Query]) -> Option<Side> {
        let fence = |line: u8, place: u8| Sym {
            line,
            place,
            kind: 0,
        };
        let (old, new) = (fence(0, 4), [fence(1, 5), fence(0, 5)]);
        let removes = |removes: &dyn Fn(usize, Usage, Usage) -> bool| {
            [0, 1].map(|own| Usage::ALL.map(|new| Usage::ALL.map(|old| removes(own, new, old))))
        };
        let (class, removes, is_loose) = match (machine.member(), machine.table()) {
            (Member::Slots(rule), _) => {
                let overwrites = |own: usize, usage: Usage, kept: Usage| {
                    rule.overwrites(&slot(old, kept), &new[own], usage)
                };
                (Usage::ALL, removes(&overwrites), true)
            }
            // A link that is waited for stands for older ones, so links cannot be told apart.
            (member, Some(table)) if member.order() != Order::Exclusive => {
                let supersedes = |own: usize, usage: Usage, kept: Usage| {
                    let relation = [Relation::Other, Relation::Earlier][own];
                    table.supersedes(usage, kept, relation)
                };
                let class = Usage::ALL.map(|usage| table.class(usage));
                (class, removes(&supersedes), false)
            }
            _ => return None,
        };
        let kinds = 0..TAGS.len() as u8;
        Some(Side {
            class,
            removes,
            sees: queries
                .iter()
                .map(|&query| {
                    kinds
                        .clone()
                        .map(|kind| sees(machine, query, kind))
                        .collect()
                })
                .collect(),
            is_loose,
        })
    }

    fn class(&self, usage: Usage) -> Usage {
        self.class[usage as usize]
    }

    fn removes(&self, is_own: bool, new: Usage, old: Usage) -> bool {
        self.removes[usize::from(is_own)][self.class(new) as usize][old as usize]
    }

    /// What is left of fences with these usages when one is added with `new`.
    fn left(&self, is_own: bool, new: Usage, old: Usages) -> Usages {
        let stays = |usage: &Usage| old & bit(*usage) != 0 && !self.removes(is_own, new, *usage);
        Usage::ALL
            .into_iter()
            .filter(stays)
            .fold(0, |left, usage| left | bit(usage))
    }
}

fn bit(usage: Usage) -> Usages {
    1 << usage as u8
}

/// Follows fences of one side.
struct Follower<'s> {
    holder: &'s Side,
    coverer: &'s Side,
    duty: Option<&'s Side>,
    kinds: &'s [u8],
    /// How many timelines there are besides that of the fence.
    most_others: usize,
}

impl Follower<'_> {
    /// For each query whether a fence is missed, and how many states there are.
    fn missed(&self, ops: &Ops, queries: usize) -> Option<(Vec<bool>, usize)> {
        let mut missed = vec![false; queries];
        let mut known: HashMap<(Usage, u8), Vec<Followed>> = HashMap::new();
        let mut count = 0;
        let mut todo = Vec::new();
        for &kind in self.kinds {
            for usage in ops.add.iter() {
                todo.push(self.begin(usage, kind, true, true));
            }
            if self.holder.is_loose && ops.replace {
                todo.extend(Usage::ALL.map(|usage| self.begin(usage, kind, false, false)));
            }
        }
        while let Some(state) = todo.pop() {
            let like = known.entry((state.usage, state.own.kind)).or_default();
            if like.iter().any(|other| self.is_worse(other, &state)) {
                continue;
            }
            like.push(state.clone());
            count += 1;
            for (query, missed) in missed.iter_mut().enumerate() {
                *missed |= self.is_missed(&state, query);
            }
            if count > MOST_STATES {
                return None;
            }
            self.each_next(&state, ops, &mut |mut next| {
                next.others.sort_unstable();
                if self.most_others == usize::MAX {
                    next.others.dedup();
                }
                todo.push(next);
            });
        }
        Some((missed, count))
    }

    /// A fence that the holder has got, and perhaps the others.
    fn begin(&self, usage: Usage, kind: u8, covers: bool, duty: bool) -> Followed {
        let of = |side: Option<&Side>, has: bool| match side {
            Some(side) if has => bit(side.class(usage)),
            _ => 0,
        };
        Followed {
            usage: self.holder.class(usage),
            own: Line {
                kind,
                covers: of(Some(self.coverer), covers),
                duty: of(self.duty, duty),
            },
            others: Vec::new(),
        }
    }

    fn is_missed(&self, state: &Followed, query: usize) -> bool {
        let is_held = self.holder.sees[query][usize::from(state.own.kind)] & bit(state.usage) != 0;
        let sees = &self.coverer.sees[query];
        let covers = |line: &Line| sees[usize::from(line.kind)] & line.covers != 0;
        is_held && !covers(&state.own) && !state.others.iter().any(covers)
    }

    fn each_next(&self, state: &Followed, ops: &Ops, next: &mut impl FnMut(Followed)) {
        let after = (0..state.others.len()).map(Place::After);
        let has_fresh = state.others.len() < self.most_others;
        let fresh = self
            .kinds
            .iter()
            .filter(|_| has_fresh)
            .map(|&kind| Place::Fresh(kind));
        for place in [Place::Own].into_iter().chain(after).chain(fresh) {
            for usage in ops.add.iter() {
                self.add(state, place, usage, next);
            }
            if ops.replace {
                for usage in Usage::ALL {
                    self.replace(state, place, usage, next);
                }
            }
            if ops.replace_signaled {
                self.empty(state, place, next);
            }
        }
    }

    fn add(&self, state: &Followed, place: Place, usage: Usage, next: &mut impl FnMut(Followed)) {
        let is_own = place == Place::Own;
        if !self.holder.is_loose && self.holder.removes(is_own, usage, state.usage) {
            return;
        }
        let left = |line: &Line, is_own: bool| Line {
            covers: self.coverer.left(is_own, usage, line.covers),
            duty: self.duty.map_or(0, |d| d.left(is_own, usage, line.duty)),
            ..*line
        };
        let with = |line: Line| Line {
            covers: line.covers | bit(self.coverer.class(usage)),
            duty: line.duty | self.duty.map_or(0, |duty| bit(duty.class(usage))),
            ..line
        };
        let own = left(&state.own, is_own);
        let others: Vec<Line> = state.others.iter().map(|line| left(line, false)).collect();
        match place {
            Place::Own => next(Followed {
                usage: state.usage,
                own: with(own),
                others,
            }),
            Place::After(at) => {
                let changed = with(left(&state.others[at], true));
                next(moved(state.usage, own, others, at, changed));
            }
            Place::Fresh(kind) => {
                let is_after = own.duty != state.own.duty
                    || others
                        .iter()
                        .zip(&state.others)
                        .any(|(a, b)| a.duty != b.duty);
                let mut others = others;
                if is_after {
                    others.push(with(Line {
                        kind,
                        covers: 0,
                        duty: 0,
                    }));
                }
                next(Followed {
                    usage: state.usage,
                    own,
                    others,
                });
            }
        }
    }

    /// The fences of a timeline become its next.
    fn replace(
        &self,
        state: &Followed,
        place: Place,
        usage: Usage,
        next: &mut impl FnMut(Followed),
    ) {
        match place {
            Place::Own => {
                let Line { kind, covers, duty } = state.own;
                next(self.begin(usage, kind, covers != 0, duty != 0));
            }
            Place::After(at) => {
                let line = state.others[at];
                let one = |side: Option<&Side>, had: Usages| match side {
                    Some(side) if had != 0 => bit(side.class(usage)),
                    _ => 0,
                };
                let changed = Line {
                    kind: line.kind,
                    covers: one(Some(self.coverer), line.covers),
                    duty: one(self.duty, line.duty),
                };
                let others = state.others.clone();
                next(moved(state.usage, state.own, others, at, changed));
            }
            Place::Fresh(_) => {}
        }
    }

    /// The fences of a timeline become one that has signalled.
    fn empty(&self, state: &Followed, place: Place, next: &mut impl FnMut(Followed)) {
        if let Place::After(at) = place {
            let changed = Line {
                covers: 0,
                duty: 0,
                ..state.others[at]
            };
            let others = state.others.clone();
            next(moved(state.usage, state.own, others, at, changed));
        }
    }
}

/// The state in which the timeline at `at` has become `changed`.
fn moved(usage: Usage, own: Line, mut others: Vec<Line>, at: usize, changed: Line) -> Followed {
    others[at] = changed;
    Followed { usage, own, others }
}

impl Line {
    fn is_within(&self, other: &Line) -> bool {
        let is_less = |a: Usages, b: Usages| a & !b == 0;
        self.kind == other.kind
            && is_less(self.covers, other.covers)
            && is_less(self.duty, other.duty)
    }
}

impl Follower<'_> {
    /// Whether `a` has nothing after the fence that `b` has not. Where timelines are counted, each of `a`
    /// has one of `b` for itself.
    fn is_worse(&self, a: &Followed, b: &Followed) -> bool {
        let others = match self.most_others {
            usize::MAX => {
                let has = |line: &Line| b.others.iter().any(|other| line.is_within(other));
                a.others.iter().all(has)
            }
            _ => is_matched(&a.others, &mut b.others.clone()),
        };
        a.usage == b.usage && a.own.is_within(&b.own) && others
    }
}

/// Whether each of `some` is within another one of `all`.
fn is_matched(some: &[Line], all: &mut Vec<Line>) -> bool {
    let Some((first, rest)) = some.split_first() else {
        return true;
    };
    (0..all.len()).any(|at| {
        if !first.is_within(&all[at]) {
            return false;
        }
        let taken = all.remove(at);
        let is_matched = is_matched(rest, all);
        all.insert(at, taken);
        is_matched
    })
}
