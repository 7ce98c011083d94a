//! One object with `n` fences, several threads; `threads` counts the writer, too.
//!
//! | case | beside the readers |
//! |---|---|
//! | `readers_test`, `readers_snapshot` | nobody writes |
//! | `hot_writer_test`, `hot_writer_snapshot` | a writer adds without pause, each time over the fence of the same timeline |
//! | `descheduled_writer_test`, `_snapshot` | a writer sleeps with its write begun: with the lock held, and for the `seqlock` crate with the sequence odd; readers read every 5 us |
//!
//! A thread cannot be made to sleep within the few instructions in which `seqcount` has its sequence
//! odd; there the machine has to take the processor away, which it does with more threads than
//! processors.

use super::loaded::{ACCESS, Loaded, USAGE};
use super::{Case, Kind};
use crate::crowd::{Pace, Round, paired, round};
use crate::report::Head;
use crate::subjects::{MUTEX, Subject};
use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

const FENCES: usize = 4;
/// How long a descheduled writer sleeps, within and between its writes.
const AWAY: Duration = Duration::from_micros(200);

#[derive(Clone, Copy)]
enum Read {
    Test,
    Snapshot,
}

#[derive(Clone, Copy)]
enum Writer {
    None,
    Hot,
    Descheduled,
}

impl Writer {
    /// A reader without pause would do nearly all of its reads while nobody is in its way.
    fn pace(self) -> Pace {
        match self {
            Writer::None | Writer::Hot => Pace::Flat,
            Writer::Descheduled => Pace::Every(Duration::from_micros(5)),
        }
    }
}

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, writer, crowds) in [
        ("readers", Writer::None, &[2, 8][..]),
        ("hot_writer", Writer::Hot, &[1, 8]),
        ("descheduled_writer", Writer::Descheduled, &[1]),
    ] {
        for (what, read) in [("test", Read::Test), ("snapshot", Read::Snapshot)] {
            for &readers in crowds {
                cases.push(Case {
                    head: Head {
                        case: format!("{name}_{what}"),
                        n: FENCES,
                        threads: readers + usize::from(!matches!(writer, Writer::None)),
                        reference: MUTEX,
                    },
                    kind: Kind::Own(Box::new(move |effort| {
                        let subjects = each_subject!(FENCES, subject(read, writer));
                        paired(
                            readers,
                            writer.pace(),
                            with_c(read, writer, subjects),
                            effort,
                        )
                    })),
                });
            }
        }
    }
    cases
}

/// Adds the C peers, which write without pause or not at all.
fn with_c(
    read: Read,
    writer: Writer,
    subjects: Vec<(&'static str, Round)>,
) -> Vec<(&'static str, Round)> {
    #[cfg(feature = "liburcu")]
    let subjects = {
        let mut subjects = subjects;
        if !matches!(writer, Writer::Descheduled) {
            let (snapshot, hot) = (
                matches!(read, Read::Snapshot),
                matches!(writer, Writer::Hot),
            );
            subjects.extend(crate::raw::liburcu::rounds(FENCES, snapshot, hot));
        }
        subjects
    };
    let _ = (read, writer);
    subjects
}

fn subject<S: Subject>(read: Read, writer: Writer) -> (&'static str, Round) {
    let mut loaded = Loaded::<S>::pending(FENCES);
    let run = move |readers, span| {
        let Loaded { object, jobs } = &mut loaded;
        let object = &*object;
        assert_eq!(object.waits_for(ACCESS), FENCES, "{}", S::name());
        let mut hot;
        let mut descheduled;
        let write: Option<&mut (dyn FnMut() + Send)> = match writer {
            Writer::None => None,
            Writer::Hot => {
                hot = || jobs.next(|job| object.add(job.fence(), USAGE));
                Some(&mut hot)
            }
            Writer::Descheduled => {
                descheduled = || {
                    jobs.next(|job| object.add_around(job.fence(), USAGE, || sleep(AWAY)));
                    sleep(AWAY);
                };
                Some(&mut descheduled)
            }
        };
        match read {
            Read::Test => {
                let test = || {
                    black_box(object.is_idle(ACCESS));
                };
                round(readers, writer.pace(), span, test, write)
            }
            Read::Snapshot => {
                let snapshot = || {
                    black_box(&object.snapshot());
                };
                round(readers, writer.pace(), span, snapshot, write)
            }
        }
    };
    (S::name(), Box::new(run))
}
