//! Drawing scripts: raw numbers, made into steps that are valid where they stand.

use crate::model::At;
use crate::scenario::{Name, Scenario, Statement};
use proptest::prelude::*;
use resv_api::Usage;
use std::collections::BTreeSet;

pub(super) const TIMELINES: usize = 4;
pub(super) const OBJECTS: usize = 2;
/// How far back a script reaches for a fence.
const RECENT: usize = 14;

/// One drawn step: numbers that [`Script`] makes sense of. The simplest is all zero.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    verb: u8,
    object: usize,
    timeline: usize,
    picks: Vec<(usize, Usage)>,
    flag: bool,
}

pub(super) fn raw() -> impl Strategy<Value = Raw> {
    let usage = proptest::sample::select(Usage::ALL.to_vec());
    let picks = proptest::collection::vec((0..RECENT, usage), 1..4);
    (0..16u8, 0..OBJECTS, 0..TIMELINES, picks, any::<bool>()).prop_map(
        |(verb, object, timeline, picks, flag)| Raw {
            verb,
            object,
            timeline,
            picks,
            flag,
        },
    )
}

/// A step that is valid where it stands.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Fence(At),
    Add(usize, Vec<(At, Usage)>),
    Replace(usize, usize, At, Usage),
    Copy(usize, usize),
    Signal(At, bool),
}

/// Which steps are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Regime {
    /// Anything: signals in any order, older fences added after newer ones.
    Any,
    /// Fences of a timeline signal in order.
    SignalsInOrder,
    /// Also, no fence is added after a later one of its timeline has been, and none is replaced.
    AddsInOrder,
}

/// Makes valid steps of raw ones.
pub(super) struct Script {
    regime: Regime,
    last: [u64; TIMELINES],
    /// The greatest seqno that has been added anywhere, by timeline.
    added: [u64; TIMELINES],
    fences: Vec<At>,
    pending: BTreeSet<At>,
}

impl Script {
    pub(super) fn new(regime: Regime) -> Script {
        Script {
            regime,
            last: [0; TIMELINES],
            added: [0; TIMELINES],
            fences: Vec::new(),
            pending: BTreeSet::new(),
        }
    }

    fn pick(&self, back: usize) -> Option<At> {
        let recent = self.fences.len().min(RECENT);
        let back = back.checked_rem(recent)?;
        Some(self.fences[self.fences.len() - 1 - back])
    }

    pub(super) fn step(&mut self, raw: &Raw) -> Option<Step> {
        let (pick, usage) = raw.picks[0];
        Some(match raw.verb {
            0..4 => {
                let timeline = raw.timeline;
                // Sometimes a gap, to tell "one more" from "later".
                self.last[timeline] += 1 + u64::from(raw.flag && pick == 0);
                let seqno = self.last[timeline];
                let at = At { timeline, seqno };
                self.fences.push(at);
                self.pending.insert(at);
                Step::Fence(at)
            }
            4..10 => {
                let mut edits = Vec::new();
                for &(pick, usage) in &raw.picks {
                    let at = self.pick(pick)?;
                    if self.regime != Regime::AddsInOrder || at.seqno >= self.added[at.timeline] {
                        self.added[at.timeline] = self.added[at.timeline].max(at.seqno);
                        edits.push((at, usage));
                    }
                }
                if edits.is_empty() {
                    return None;
                }
                Step::Add(raw.object, edits)
            }
            10 if self.regime == Regime::AddsInOrder => return None,
            10 => Step::Replace(raw.object, raw.timeline, self.pick(pick)?, usage),
            11 => Step::Copy(raw.object, (raw.object + usize::from(raw.flag)) % OBJECTS),
            _ => {
                let mut at = self.pick(pick)?;
                if self.regime != Regime::Any {
                    let first = At { seqno: 0, ..at };
                    at = *self.pending.range(first..=at).next()?;
                }
                if !self.pending.remove(&at) {
                    return None;
                }
                Step::Signal(at, raw.flag)
            }
        })
    }
}

/// The steps as a script that a person can run, with a question at the end if there is one.
pub(super) fn scenario(steps: &[Step], question: Option<&str>) -> String {
    let name = |text: String| Name::new(&text).expect("made of letters and digits");
    let timeline = |t: usize| name(format!("t{t}"));
    let fence = |at: At| name(format!("f{}x{}", at.timeline, at.seqno));
    let object = |o: usize| name(format!("r{o}"));
    let mut script: Vec<Statement> = Vec::new();
    let declared = (0..TIMELINES).map(|t| Statement::timeline(timeline(t)));
    script.extend(declared);
    script.extend((0..OBJECTS).map(|o| Statement::Resv { name: object(o) }));
    script.extend(steps.iter().map(|step| {
        match step {
            Step::Fence(at) => Statement::Fence {
                name: fence(*at),
                timeline: timeline(at.timeline),
                seqno: Some(at.seqno),
            },
            Step::Add(o, edits) => Statement::Add {
                resv: object(*o),
                edits: edits
                    .iter()
                    .map(|&(at, usage)| (fence(at), usage))
                    .collect(),
            },
            Step::Replace(o, t, at, usage) => Statement::Replace {
                resv: object(*o),
                timeline: timeline(*t),
                fence: fence(*at),
                usage: *usage,
            },
            Step::Copy(dst, src) => Statement::Copy {
                dst: object(*dst),
                src: object(*src),
            },
            Step::Signal(at, error) => Statement::Signal {
                fence: fence(*at),
                error: *error,
            },
        }
    }));
    let mut text = script.into_iter().collect::<Scenario>().to_string();
    if let Some(question) = question {
        text.push_str(question);
        text.push('\n');
    }
    text
}
