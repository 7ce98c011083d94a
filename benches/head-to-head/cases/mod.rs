//! The cases: what is done to each subject, and with how many fences.
//!
//! | file | cases |
//! |---|---|
//! | `single` | `test_*`, `visit`, `snapshot`, `waits_for`, `add_*`, `transaction_k`: one object, one thread |
//! | `readers` | `readers_*`, `hot_writer_*`, `descheduled_writer_*`: one object, several threads |
//! | `objects` | `objects_*`: many objects in random order; `bytes_per_object` |
//! | `recording` | `replay_recording`: a recording of GPU work, as fast as it goes |
//! | `locking` | `exec_k`, `exec_k_contended`: many locks at once |
//! | `submitting` | `submit`, `disjoint_submit`, `queue_jobs`: one call that submits |
//! | `signaling` | `signal_no_waiters`, `callbacks_*`, `register_*`: one fence |
//! | `disjoint` | `disjoint_*`: threads that share nothing |
//! | `waiting` | `wakeup`, `add_under_waiters` |
//!
//! What `n` means is said where the case is.

mod disjoint;
mod loaded;
mod locking;
mod objects;
mod readers;
mod recording;
mod signaling;
mod single;
mod submitting;
mod waiting;

use crate::failure::Failure;
use crate::harness::{Bench, Effort, Series, paired};
use crate::report::Head;
use std::path::Path;

/// One case with one `n` and a number of threads.
pub(crate) struct Case {
    pub(crate) head: Head,
    pub(crate) kind: Kind,
}

/// A measurement that makes its rounds itself.
type Measure = Box<dyn Fn(&Effort) -> Vec<Series>>;

/// How a case is measured.
pub(crate) enum Kind {
    /// One thread; the harness runs the subjects in turn. Only such a case can be run one subject
    /// at a time, to count instructions.
    Paired(Box<dyn Fn() -> Vec<Bench>>),
    /// It has a way of its own.
    Own(Measure),
}

impl Case {
    fn paired(
        case: &str,
        n: usize,
        reference: &'static str,
        benches: impl Fn() -> Vec<Bench> + 'static,
    ) -> Case {
        Case {
            head: Head {
                case: case.to_owned(),
                n,
                threads: 1,
                reference,
            },
            kind: Kind::Paired(Box::new(benches)),
        }
    }

    /// Runs the case.
    pub(crate) fn measure(&self, effort: &Effort) -> Vec<Series> {
        match &self.kind {
            Kind::Paired(benches) => paired(benches(), effort),
            Kind::Own(measure) => measure(effort),
        }
    }
}

/// All cases, in the order of the report; those of a recording if there is one.
///
/// What sends many threads to sleep comes last: arc-swap keeps a node for every thread that ever was,
/// and visits all of them at each store.
pub(crate) fn all(recording: Option<&Path>) -> Result<Vec<Case>, Failure> {
    let mut cases = single::cases();
    cases.extend(readers::cases());
    cases.extend(objects::cases());
    if let Some(path) = recording {
        cases.extend(recording::cases(path)?);
    }
    cases.extend(locking::cases());
    cases.extend(submitting::cases());
    cases.extend(signaling::cases());
    cases.extend(disjoint::cases());
    cases.extend(waiting::cases());
    Ok(cases)
}
