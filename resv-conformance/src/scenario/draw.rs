//! Drawing scripts: numbers, made into statements that are valid where they stand.
//!
//! One way for all that draw: random scripts against the models (numbers of proptest), the fuzz target
//! `differential` (of libFuzzer), and scripts for a real kernel (of a seed).

use super::ast::{Name, Statement};
use crate::model::At;
use resv_core::Usage;
use std::collections::{BTreeSet, HashMap};

/// Timelines of a script: `t0` and so on.
pub(crate) const TIMELINES: usize = 4;
/// Objects of a script: `r0` and so on.
pub(crate) const OBJECTS: usize = 2;
/// How far back a script reaches for a fence.
pub(crate) const RECENT: usize = 14;

/// The numbers of one step, which the drawing makes sense of. The simplest is all zero.
#[derive(Clone, Debug)]
pub struct Raw {
    pub(crate) verb: u8,
    pub(crate) object: usize,
    pub(crate) timeline: usize,
    /// At least one.
    pub(crate) picks: Vec<(usize, Usage)>,
    pub(crate) flag: bool,
}

impl From<[u8; 5]> for Raw {
    /// Any bytes will do: what to do, where, and up to three fences.
    fn from([verb, place, picks @ ..]: [u8; 5]) -> Raw {
        let count = 1 + usize::from(place >> 4) % 3;
        let picks = picks[..count].iter();
        Raw {
            verb: verb % 16,
            object: usize::from(place & 1),
            timeline: usize::from(place >> 1 & 3),
            picks: picks
                .map(|pick| (usize::from(pick >> 2) % RECENT, Usage::from_bits(*pick)))
                .collect(),
            flag: place >> 3 & 1 == 1,
        }
    }
}

/// Which statements are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Anything: signals in any order, older fences added after newer ones.
    Any,
    /// Fences of a timeline signal in order.
    SignalsInOrder,
    /// Also, no fence is added after a later one of its timeline has been, and none is replaced.
    AddsInOrder,
}

/// Makes valid statements of numbers.
pub(crate) struct Draw {
    regime: Regime,
    last: [u64; TIMELINES],
    /// The greatest seqno that has been added anywhere, by timeline.
    added: [u64; TIMELINES],
    fences: Vec<At>,
    pending: BTreeSet<At>,
}

fn name(text: String) -> Name {
    Name::new(&text).expect("made of letters and digits")
}

fn timeline(number: usize) -> Name {
    name(format!("t{number}"))
}

fn object(number: usize) -> Name {
    name(format!("r{number}"))
}

fn fence(at: At) -> Name {
    name(format!("f{}x{}", at.timeline, at.seqno))
}

impl Draw {
    pub(crate) fn new(regime: Regime) -> Draw {
        Draw {
            regime,
            last: [0; TIMELINES],
            added: [0; TIMELINES],
            fences: Vec::new(),
            pending: BTreeSet::new(),
        }
    }

    /// The declarations that a script begins with.
    pub(crate) fn head() -> impl Iterator<Item = Statement> {
        let timelines = (0..TIMELINES).map(|t| Statement::timeline(timeline(t)));
        timelines.chain((0..OBJECTS).map(|o| Statement::Resv { name: object(o) }))
    }

    fn pick(&self, back: usize) -> Option<At> {
        let recent = self.fences.len().min(RECENT);
        let back = back.checked_rem(recent)?;
        Some(self.fences[self.fences.len() - 1 - back])
    }

    /// The statement that the numbers are; none if they are not valid here.
    pub(crate) fn step(&mut self, raw: &Raw) -> Option<Statement> {
        let (pick, usage) = raw.picks[0];
        Some(match raw.verb {
            0..4 => {
                let last = &mut self.last[raw.timeline];
                // Sometimes a gap, to tell "one more" from "later".
                *last += 1 + u64::from(raw.flag && pick == 0);
                let (timeline_at, seqno) = (raw.timeline, *last);
                let at = At {
                    timeline: timeline_at,
                    seqno,
                };
                self.fences.push(at);
                self.pending.insert(at);
                Statement::Fence {
                    name: fence(at),
                    timeline: timeline(timeline_at),
                    seqno: Some(seqno),
                }
            }
            4..10 => {
                let mut edits = Vec::new();
                for &(pick, usage) in &raw.picks {
                    let at = self.pick(pick)?;
                    if self.regime != Regime::AddsInOrder || at.seqno >= self.added[at.timeline] {
                        self.added[at.timeline] = self.added[at.timeline].max(at.seqno);
                        edits.push((fence(at), usage));
                    }
                }
                if edits.is_empty() {
                    return None;
                }
                Statement::Add {
                    resv: object(raw.object),
                    edits,
                }
            }
            10 if self.regime == Regime::AddsInOrder => return None,
            10 => Statement::Replace {
                resv: object(raw.object),
                timeline: timeline(raw.timeline),
                fence: fence(self.pick(pick)?),
                usage,
            },
            11 => Statement::Copy {
                dst: object(raw.object),
                src: object((raw.object + usize::from(raw.flag)) % OBJECTS),
            },
            _ => {
                let mut at = self.pick(pick)?;
                if self.regime != Regime::Any {
                    let first = At { seqno: 0, ..at };
                    at = *self.pending.range(first..=at).next()?;
                }
                if !self.pending.remove(&at) {
                    return None;
                }
                Statement::Signal {
                    fence: fence(at),
                    error: raw.flag,
                }
            }
        })
    }
}

/// What the names of a script stand for, as numbers: what models are made of.
#[derive(Default)]
pub(crate) struct Numbers {
    names: HashMap<Name, usize>,
    fences: HashMap<Name, At>,
}

impl Numbers {
    /// The numbers of what [`Draw::head`] declares.
    pub(crate) fn new() -> Numbers {
        let timelines = (0..TIMELINES).map(|t| (timeline(t), t));
        let names = timelines.chain((0..OBJECTS).map(|o| (object(o), o)));
        Numbers {
            names: names.collect(),
            fences: HashMap::new(),
        }
    }

    /// The number of a timeline or an object.
    pub(crate) fn of(&self, name: &Name) -> usize {
        self.names[name]
    }

    /// A fence that was declared.
    pub(crate) fn at(&self, fence: &Name) -> At {
        self.fences[fence]
    }

    /// Takes note of a fence that is declared.
    pub(crate) fn declare(&mut self, fence: &Name, timeline: &Name, seqno: u64) -> At {
        let timeline = self.of(timeline);
        let at = At { timeline, seqno };
        self.fences.insert(fence.clone(), at);
        at
    }
}
