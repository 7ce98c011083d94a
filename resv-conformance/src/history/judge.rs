//! Is there a state for every answer?

use super::clocks::Stamps;
use super::threads::{Answer, Edit, Question, Record, Transaction};
use super::violation::{Piece, Violation};
use super::{Plan, Tally};
use crate::Subject;
use resv_api::{Access, AnySemantics, Key, Semantics, TimelineId, UsageSet};
use std::collections::HashMap;

/// The states of one history and when their fences signalled.
pub(super) struct History<'r> {
    pub(super) record: &'r Record,
    /// In order: number 1 comes first.
    pub(super) transactions: Vec<&'r Transaction>,
    /// State *v* at *v*: its entries in order of their adding, signalled ones included.
    pub(super) states: Vec<Vec<Key>>,
    /// Which signal of which writer a fence had, counted from 1.
    signals: HashMap<(TimelineId, u64), (usize, u64)>,
    /// What an access waits for.
    semantics: AnySemantics,
}

/// Judges the answers; the first that cannot be explained is the error.
pub(super) fn judge(on: Subject, plan: Plan, record: &Record) -> Result<Tally, Box<Violation>> {
    let removes = |edit: &Edit, old: Key| edit.removes(on.semantics(), old);
    let judged = History::new(record, removes, on.semantics()).and_then(|history| {
        let tally = history.tally();
        history.explain(plan.is_always_pending()).map(|()| tally)
    });
    judged.map_err(|piece| Box::new(Violation::new(on, plan, piece)))
}

impl<'r> History<'r> {
    fn new(
        record: &'r Record,
        removes: impl Fn(&Edit, Key) -> bool,
        semantics: AnySemantics,
    ) -> Result<Self, Piece> {
        let writers = record.writers.iter();
        let mut transactions: Vec<_> = writers.flat_map(|log| &log.transactions).collect();
        transactions.sort_by_key(|transaction| transaction.version);
        let mut states = vec![Vec::new()];
        for (index, transaction) in transactions.iter().enumerate() {
            if transaction.version != index as u64 + 1 {
                return Err(Piece::reason(format!(
                    "two writers held the object's lock at once, at transaction {}",
                    transaction.version
                )));
            }
            let mut state: Vec<Key> = states[index].clone();
            for edit in &transaction.edits {
                state.retain(|&old| !removes(edit, old));
                state.push(edit.new);
            }
            states.push(state);
        }
        let mut signals = HashMap::new();
        for (writer, log) in record.writers.iter().enumerate() {
            let numbered = log.signals.iter().zip(1..);
            signals.extend(numbered.map(|(&fence, number)| (fence, (writer, number))));
        }
        Ok(History {
            record,
            transactions,
            states,
            signals,
            semantics,
        })
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally {
            transactions: self.transactions.len() as u64,
            ..Tally::default()
        };
        for (_, answer) in self.record.readers.iter().flat_map(|log| &log.reads) {
            tally.reads += 1;
            match answer {
                Answer::Keys(_) => tally.snapshots += 1,
                Answer::Idle(idle) => tally.idles += u64::from(*idle),
            }
        }
        tally
    }

    /// Gives every answer the oldest state that explains it and is not older than those of the
    /// answers before it.
    fn explain(&self, always_pending: bool) -> Result<(), Piece> {
        let readers = &self.record.readers;
        let mut chosen: Vec<Vec<u64>> = vec![Vec::new(); readers.len()];
        // What a reader knew of others had happened, so this ends with all answers explained.
        loop {
            let mut is_over = true;
            for (me, log) in readers.iter().enumerate() {
                while chosen[me].len() < log.reads.len() {
                    is_over = false;
                    let index = chosen[me].len();
                    let stamps =
                        Stamps::of(&log.stamps, index, self.record.writers.len(), readers.len());
                    let known = stamps.reads.iter().zip(&chosen);
                    if !known
                        .clone()
                        .all(|(&reads, chosen)| reads <= chosen.len() as u64)
                    {
                        break;
                    }
                    let seen = known.filter_map(|(&reads, chosen)| {
                        let last = (reads as usize).checked_sub(1)?;
                        Some(chosen[last])
                    });
                    let oldest = seen.fold(stamps.done, u64::max);
                    let (question, answer) = &log.reads[index];
                    let version = self
                        .oldest(*question, answer, stamps, oldest)
                        .ok_or_else(|| self.piece(me, index, stamps, oldest))?;
                    let lied = matches!(
                        (question, answer),
                        (Question::Idle(Access::Move), Answer::Idle(true))
                    );
                    if always_pending && lied && stamps.done > 0 {
                        return Err(self.piece(me, index, stamps, oldest));
                    }
                    chosen[me].push(version);
                }
            }
            if is_over {
                return Ok(());
            }
        }
    }

    /// The oldest state from `oldest` on that explains the answer.
    fn oldest(
        &self,
        question: Question,
        answer: &Answer,
        stamps: Stamps<'_>,
        oldest: u64,
    ) -> Option<u64> {
        (oldest..=self.newest(stamps))
            .find(|&version| self.objection(question, answer, stamps, version).is_none())
    }

    /// The newest state that may have been published before the reader returned.
    fn newest(&self, stamps: Stamps<'_>) -> u64 {
        stamps.begun.min(self.transactions.len() as u64)
    }

    /// Why the answer is not one about this state.
    pub(super) fn objection(
        &self,
        question: Question,
        answer: &Answer,
        stamps: Stamps<'_>,
        version: u64,
    ) -> Option<Objection> {
        let usages = self.usages(question);
        let state = &self.states[version as usize];
        let mut matching = state.iter().filter(|key| usages.contains(key.usage));
        match answer {
            Answer::Keys(shown) => {
                for &key in shown {
                    if !usages.contains(key.usage) || !state.contains(&key) {
                        return Some(Objection::Absent(key));
                    }
                    let visited = matches!(question, Question::Visit(_));
                    if visited && self.had_signaled(key, stamps) {
                        return Some(Objection::Signaled(key));
                    }
                }
                let mut sorted = shown.clone();
                sorted.sort_unstable_by_key(|key| (key.timeline, key.seqno, key.usage));
                if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Some(Objection::Twice(twice[0]));
                }
                // A visit looks at the fences of its set one after the other: what it leaves out had
                // signalled by then, which is before it returned. One that shows nothing was true of the
                // published set (B2), as a snapshot is.
                let looks_late = matches!(question, Question::Visit(_)) && !shown.is_empty();
                matching
                    .find(|&&key| {
                        let may_be_left_out = match looks_late {
                            true => self.may_have_signaled_by_return(key, stamps),
                            false => self.may_have_signaled(key, stamps, version),
                        };
                        !shown.contains(&key) && !may_be_left_out
                    })
                    .map(|&key| Objection::Pending(key))
            }
            Answer::Idle(true) => matching
                .find(|&&key| !self.may_have_signaled(key, stamps, version))
                .map(|&key| Objection::Pending(key)),
            Answer::Idle(false) => match matching.all(|&key| self.had_signaled(key, stamps)) {
                true => Some(Objection::NothingPending),
                false => None,
            },
        }
    }

    pub(super) fn usages(&self, question: Question) -> UsageSet {
        match question {
            Question::Snapshot => UsageSet::ALL,
            Question::Visit(access) | Question::Idle(access) => self.semantics.waits_for(access),
        }
    }

    /// Whether the fence may have signalled before the reader returned and while the state was the
    /// published one.
    pub(super) fn may_have_signaled(&self, key: Key, stamps: Stamps<'_>, version: u64) -> bool {
        let Some(&(writer, number)) = self.signals.get(&(key.timeline, key.seqno)) else {
            return false;
        };
        // Transaction v + 1, which ended state v, is at v.
        let ended = self.transactions.get(version as usize);
        number <= stamps.begun_signals[writer]
            && ended.is_none_or(|next| number <= next.signals[writer])
    }

    /// Whether the fence may have signalled before the reader returned.
    fn may_have_signaled_by_return(&self, key: Key, stamps: Stamps<'_>) -> bool {
        let signal = self.signals.get(&(key.timeline, key.seqno));
        signal.is_some_and(|&(writer, number)| number <= stamps.begun_signals[writer])
    }

    /// Whether the fence had surely signalled before the call.
    pub(super) fn had_signaled(&self, key: Key, stamps: Stamps<'_>) -> bool {
        let signal = self.signals.get(&(key.timeline, key.seqno));
        signal.is_some_and(|&(writer, number)| number <= stamps.done_signals[writer])
    }

    fn piece(&self, reader: usize, index: usize, stamps: Stamps<'_>, oldest: u64) -> Piece {
        Piece::of(self, (reader, index), stamps, oldest..=self.newest(stamps))
    }
}

/// Why an answer is not one about a state.
#[derive(Clone, Copy, Debug)]
pub(super) enum Objection {
    /// Shown, and not in it.
    Absent(Key),
    /// Shown, and signalled before the call.
    Signaled(Key),
    /// Shown twice.
    Twice(Key),
    /// In it and pending as long as it was published, and not shown or counted.
    Pending(Key),
    /// "Busy", when everything had signalled before the call.
    NothingPending,
}
