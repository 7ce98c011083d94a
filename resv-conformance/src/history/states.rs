//! The states of a history, and what of an answer is not about one of them.

use super::clocks::Stamps;
use super::threads::{Answer, Edit, Question, Record, Transaction};
use resv_api::{AnySemantics, Key, Semantics, TimelineId, UsageSet};
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

impl<'r> History<'r> {
    pub(super) fn new(
        record: &'r Record,
        removes: impl Fn(&Edit, Key) -> bool,
        semantics: AnySemantics,
    ) -> Result<Self, String> {
        let writers = record.writers.iter();
        let mut transactions: Vec<_> = writers.flat_map(|log| &log.transactions).collect();
        transactions.sort_by_key(|transaction| transaction.version);
        let mut states = vec![Vec::new()];
        for (index, transaction) in transactions.iter().enumerate() {
            if transaction.version != index as u64 + 1 {
                return Err(format!(
                    "two writers held the object's lock at once, at transaction {}",
                    transaction.version
                ));
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

    /// The newest state that may have been published before the reader returned.
    pub(super) fn newest(&self, stamps: Stamps<'_>) -> u64 {
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
