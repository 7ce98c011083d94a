//! Is there a state for every answer?

use super::clocks::Stamps;
use super::states::History;
use super::threads::{Answer, Edit, Question, Record};
use super::violation::{Piece, Violation};
use super::{Plan, Tally};
use crate::Subject;
use resv_api::{Access, Key};

/// Judges the answers; the first that cannot be explained is the error.
pub(super) fn judge(on: Subject, plan: Plan, record: &Record) -> Result<Tally, Box<Violation>> {
    let removes = |edit: &Edit, old: Key| edit.removes(on.semantics(), old);
    let history = History::new(record, removes, on.semantics()).map_err(Piece::reason);
    let judged = history.and_then(|history| {
        let tally = history.tally();
        history.explain(plan.is_always_pending()).map(|()| tally)
    });
    judged.map_err(|piece| Box::new(Violation::new(on, plan, piece)))
}

impl History<'_> {
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

    fn piece(&self, reader: usize, index: usize, stamps: Stamps<'_>, oldest: u64) -> Piece {
        Piece::of(self, (reader, index), stamps, oldest..=self.newest(stamps))
    }
}
