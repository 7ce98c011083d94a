//! An answer that no state explains, as a person is told about it.

use super::Plan;
use super::clocks::Stamps;
use super::states::{History, Objection};
use super::threads::{Answer, Question};
use crate::Subject;
use crate::scenario::{Name, Statement};
use resv_api::Key;
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::ops::RangeInclusive;

/// The most states that are told about.
const STATES: u64 = 8;

/// An answer that no state explains. [`Display`](fmt::Display) tells what was seen and why each state
/// is ruled out, with the seed.
#[derive(Clone, Debug)]
pub struct Violation {
    on: String,
    plan: Plan,
    piece: Piece,
}

/// What is wrong, and the piece of the history where it is.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    what: String,
    objections: Vec<String>,
    scenario: Option<String>,
}

impl Violation {
    pub(super) fn new(on: Subject, plan: Plan, piece: Piece) -> Violation {
        Violation {
            on: on.to_string(),
            plan,
            piece,
        }
    }

    /// What the reader saw.
    pub fn what(&self) -> &str {
        &self.piece.what
    }

    /// For each state that could have explained it, why it does not.
    pub fn objections(&self) -> &[String] {
        &self.piece.objections
    }

    /// The history it is from. A schedule cannot be had again at will, so the same plan shows the
    /// same defect often, but not always.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// The states in question as a script in the [scenario language](crate::scenario) that asks the
    /// reader's question at each: every answer it prints is a right one, and the reader was given
    /// none of them. A script runs on one thread, so it shows what was right and not the race.
    pub fn scenario(&self) -> Option<&str> {
        self.piece.scenario.as_deref()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            seed,
            writers,
            readers,
            transactions,
        } = self.plan;
        writeln!(f, "{}: {}", self.on, self.piece.what)?;
        for objection in &self.piece.objections {
            writeln!(f, "  {objection}")?;
        }
        write!(
            f,
            "seed {seed}, {writers} writers of {transactions} transactions, {readers} readers"
        )
    }
}

impl std::error::Error for Violation {}

impl Piece {
    pub(super) fn reason(what: String) -> Piece {
        Piece {
            what,
            objections: Vec::new(),
            scenario: None,
        }
    }

    /// About read `(reader, index)`, which should have been of one of `versions`.
    pub(super) fn of(
        history: &History<'_>,
        (reader, index): (usize, usize),
        stamps: Stamps<'_>,
        versions: RangeInclusive<u64>,
    ) -> Piece {
        let (question, answer) = &history.record.readers[reader].reads[index];
        let (oldest, newest) = (*versions.start(), *versions.end());
        let seen = match answer {
            Answer::Keys(keys) => list(history, keys),
            Answer::Idle(idle) => idle.to_string(),
        };
        let mut what = format!(
            "reader {reader}, read {index}: {}: {seen}, ",
            statement(*question)
        );
        let _ = match oldest.cmp(&newest) {
            std::cmp::Ordering::Greater => write!(
                what,
                "which had to be of state {oldest} or later, when {newest} was the last"
            ),
            std::cmp::Ordering::Equal => write!(what, "which is not of state {oldest}"),
            std::cmp::Ordering::Less => {
                write!(what, "which is of no state from {oldest} to {newest}")
            }
        };
        let first = oldest.max((newest + 1).saturating_sub(STATES));
        let objections = (first..=newest).map(|version| {
            let why = match history.objection(*question, answer, stamps, version) {
                Some(objection) => words(history, objection),
                None => "something is pending at every instant of this history".to_owned(),
            };
            let state = list(history, &history.states[version as usize]);
            format!("state {version} is {state}: {why}")
        });
        Piece {
            what,
            objections: objections.collect(),
            scenario: Some(scenario(history, *question, &seen, stamps, first..=newest)),
        }
    }
}

fn words(history: &History<'_>, objection: Objection) -> String {
    match objection {
        Objection::Absent(key) => format!("it has no {}", name(history, key)),
        Objection::Signaled(key) => {
            format!("{} had signalled before the call", name(history, key))
        }
        Objection::Twice(key) => format!("{} is shown twice", name(history, key)),
        Objection::Pending(key) => {
            format!("{} was pending as long as it was it", name(history, key))
        }
        Objection::NothingPending => "all had signalled before the call".to_owned(),
    }
}

fn timeline<'h>(history: &'h History<'_>, key: Key) -> &'h str {
    let name = history.record.timelines.get(&key.timeline);
    name.map_or("foreign", String::as_str)
}

fn name(history: &History<'_>, key: Key) -> String {
    format!("{}:{}={}", timeline(history, key), key.seqno, key.usage)
}

fn list(history: &History<'_>, keys: &[Key]) -> String {
    let words: Vec<String> = keys.iter().map(|&key| name(history, key)).collect();
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(" "),
    }
}

fn word(text: String) -> Name {
    Name::new(&text).expect("made of letters and digits")
}

fn statement(question: Question) -> Statement {
    let resv = word("r".to_owned());
    match question {
        Question::Snapshot => Statement::List { resv },
        Question::Visit(access) => Statement::Waits { resv, access },
        Question::Idle(access) => Statement::Idle { resv, access },
    }
}

/// The states as a script. Fences that had surely signalled are left out.
fn scenario(
    history: &History<'_>,
    question: Question,
    seen: &str,
    stamps: Stamps<'_>,
    versions: RangeInclusive<u64>,
) -> String {
    let resv = || word("r".to_owned());
    let fence = |key: Key| word(format!("{}x{}", timeline(history, key), key.seqno));
    let timeline_of = |key: Key| word(timeline(history, key).to_owned());
    let (first, last) = (*versions.start(), *versions.end());
    let edited = history.transactions[first as usize..last.max(first) as usize].iter();
    let pending = |key: &Key| !history.had_signaled(*key, stamps);
    let start: Vec<Key> = history.states[first as usize]
        .iter()
        .copied()
        .filter(pending)
        .collect();
    let added = edited.clone().flat_map(|t| &t.edits).map(|edit| edit.new);
    let fences: BTreeSet<_> = start.iter().copied().chain(added).collect();

    let mut script: Vec<Statement> = Vec::new();
    let timelines: BTreeSet<Name> = history
        .record
        .timelines
        .values()
        .map(|name| word(name.clone()))
        .collect();
    let declared = timelines.into_iter();
    script.extend(declared.map(Statement::timeline));
    let mut have = BTreeSet::new();
    for &key in &fences {
        if have.insert((key.timeline, key.seqno)) {
            script.push(Statement::Fence {
                name: fence(key),
                timeline: timeline_of(key),
                seqno: Some(key.seqno),
            });
        }
    }
    script.push(Statement::Resv { name: resv() });
    let mut text = String::new();
    for statement in script {
        let _ = writeln!(text, "{statement}");
    }
    let add = |key: Key| Statement::Add {
        resv: resv(),
        edits: vec![(fence(key), key.usage)],
    };
    for &key in &start {
        let _ = writeln!(text, "{}", add(key));
    }
    let _ = writeln!(text, "# state {first}\n{}", statement(question));
    for (transaction, version) in edited.zip(first + 1..) {
        let together = transaction.edits.iter().all(|edit| edit.replaces.is_none());
        if together {
            let edits = transaction.edits.iter();
            let edits = edits.map(|edit| (fence(edit.new), edit.new.usage));
            let edits = edits.collect();
            let resv = resv();
            let _ = writeln!(text, "{}", Statement::Add { resv, edits });
        }
        for edit in transaction.edits.iter().filter(|_| !together) {
            // A replace that finds nothing changes nothing; the add after it does then, and else not.
            if let Some(id) = edit.replaces {
                let replace = Statement::Replace {
                    resv: resv(),
                    timeline: word(history.record.timelines[&id].clone()),
                    fence: fence(edit.new),
                    usage: edit.new.usage,
                };
                let _ = writeln!(text, "{replace}");
            }
            let _ = writeln!(text, "{}", add(edit.new));
        }
        let _ = writeln!(text, "# state {version}\n{}", statement(question));
    }
    let perhaps: Vec<String> = fences
        .iter()
        .filter(|key| (first..=last).any(|v| history.may_have_signaled(**key, stamps, v)))
        .map(|&key| fence(key).to_string())
        .collect();
    if !perhaps.is_empty() {
        let _ = writeln!(
            text,
            "# may have signalled meanwhile: {}",
            perhaps.join(" ")
        );
    }
    let _ = writeln!(text, "# the reader saw: {seen}");
    text
}
