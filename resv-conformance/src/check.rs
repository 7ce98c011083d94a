//! The evidence for one semantics and one back end, gathered for as long as one likes.
//!
//! # The concept
//!
//! [`check`] is what `resv check` runs, as a function of a [`Subject`]. It runs every
//! [property](crate::PROPERTIES) once, and then by turns, until the time is up:
//!
//! * a batch of random scripts, each played on real objects and on the naive [model](crate::model),
//!   with every question asked after every step. A difference is shrunk.
//! * a concurrent [history], judged answer by answer.
//!
//! The program of a third party that checks its own back end:
//!
//! ```
//! use resv_conformance::Subject;
//! use resv_conformance::check::{Options, check};
//! # use resv_core::Locked as MyBackend; // a back end of your own
//! use resv_core::UsageLevels;
//!
//! let options = Options { operations: Some(500), ..Options::default() };
//! match check(Subject::of::<UsageLevels, MyBackend>(), &options) {
//!     Ok(report) => println!("{report}"),
//!     Err(failure) => panic!("{failure}"),
//! }
//! ```
//!
//! A property that fails says so by a panic, which is caught here, after the panic hook has seen it.

use crate::history::{self, Plan};
use crate::properties::random;
use crate::subject::Subject;
use crate::suite::PROPERTIES;
use std::any::Any;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The fewest threads of a history: a writer and a reader.
pub const LEAST_THREADS: usize = 2;
/// The most threads of a history.
pub const MOST_THREADS: usize = 64;

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long all of it goes on. The properties, two batches and two histories are run in any
    /// case.
    pub time: Duration,
    /// Goes on until so many operations of random scripts have been played, whatever the time.
    pub operations: Option<u64>,
    /// Threads of a history, from [`LEAST_THREADS`] to [`MOST_THREADS`]: half of them write. More than
    /// there are processors stops writers in the midst of an update.
    pub threads: usize,
    /// Decides the scripts, and what the threads of histories do. Number *n* of each, counted from 0,
    /// has the seed `seed + n`, which a failure names: given as `seed`, it comes first.
    pub seed: u64,
}

impl Default for Options {
    /// One second, eight threads, a new seed.
    fn default() -> Self {
        Options {
            time: Duration::from_secs(1),
            operations: None,
            threads: 8,
            seed: RandomState::new().hash_one(0u8),
        }
    }
}

/// What has been checked so far, without a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Properties of the suite.
    pub properties: usize,
    /// Random scripts.
    pub scripts: u64,
    /// Their operations; after each, every question was asked.
    pub operations: u64,
    /// Concurrent histories.
    pub histories: u64,
    /// What was in them.
    pub tally: history::Tally,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let history::Tally {
            transactions,
            reads,
            snapshots,
            idles,
        } = self.tally;
        write!(
            f,
            "{} properties, {} scripts of {} operations, {} histories of {transactions} transactions \
             and {reads} reads ({snapshots} snapshots, {idles} idle)",
            self.properties, self.scripts, self.operations, self.histories
        )
    }
}

/// What does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The semantics and the back end.
    pub on: String,
    /// The property, or `random script`, or `history`.
    pub part: String,
    /// What was seen, and what was expected.
    pub what: String,
    /// The seed that has it come first, where there is one.
    pub seed: Option<u64>,
    /// A script in the [scenario language](crate::scenario). For a random script, shrunk: played on the
    /// same back end it shows the difference, unless that was seen between two adds of one transaction,
    /// where a script cannot ask. For a history, the states that were published.
    pub scenario: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.on, self.part, self.what)?;
        if let Some(seed) = self.seed {
            write!(f, "\nseed {seed}")?;
        }
        if let Some(scenario) = &self.scenario {
            write!(f, "\n{}", scenario.trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Gathers evidence about `subject`. See the [module](self).
///
/// # Errors
///
/// The first thing that does not hold.
///
/// # Panics
///
/// When the number of threads is out of range.
pub fn check(subject: Subject, options: &Options) -> Result<Report, Box<Failure>> {
    check_with(subject, options, |_| {})
}

/// [`check`], telling `progress` now and then how far it is.
///
/// # Errors
///
/// The first thing that does not hold.
///
/// # Panics
///
/// When the number of threads is out of range.
pub fn check_with(
    subject: Subject,
    options: &Options,
    mut progress: impl FnMut(&Report),
) -> Result<Report, Box<Failure>> {
    Check(subject).run(options, &mut progress)
}

struct Check(Subject);

impl Check {
    fn run(
        &self,
        options: &Options,
        progress: &mut dyn FnMut(&Report),
    ) -> Result<Report, Box<Failure>> {
        let threads = options.threads;
        assert!(
            (LEAST_THREADS..=MOST_THREADS).contains(&threads),
            "{threads} threads: expected {LEAST_THREADS} to {MOST_THREADS}"
        );
        let start = Instant::now();
        let mut report = Report::default();
        for round in 0.. {
            let seed = options.seed.wrapping_add(round);
            self.scripts(seed, &mut report)?;
            progress(&report);
            if round == 0 {
                // After the first scripts: a plain defect is better told by a script.
                self.properties(&mut report, progress)?;
            }
            self.history(seed, threads, &mut report)?;
            progress(&report);
            let is_over = match options.operations {
                Some(operations) => report.operations >= operations,
                None => start.elapsed() >= options.time,
            };
            // Histories of both kinds.
            if is_over && round > 0 {
                break;
            }
        }
        Ok(report)
    }

    fn properties(
        &self,
        report: &mut Report,
        progress: &mut dyn FnMut(&Report),
    ) -> Result<(), Box<Failure>> {
        for property in PROPERTIES {
            let name = property.name;
            // The random scripts are played with a seed of ours.
            if name.starts_with("random::") {
                continue;
            }
            catch_unwind(AssertUnwindSafe(|| property.check(self.0)))
                .map_err(|panic| self.failure(name, said(&*panic)))?;
            report.properties += 1;
            progress(report);
        }
        Ok(())
    }

    fn scripts(&self, seed: u64, report: &mut Report) -> Result<(), Box<Failure>> {
        let batch = random::batch(self.0, seed).map_err(|shrunk| Failure {
            seed: Some(seed),
            scenario: Some(shrunk.scenario).filter(|scenario| !scenario.is_empty()),
            ..*self.failure("random script", shrunk.what)
        })?;
        report.scripts += batch.scripts;
        report.operations += batch.steps;
        Ok(())
    }

    fn history(&self, seed: u64, threads: usize, report: &mut Report) -> Result<(), Box<Failure>> {
        /// Of all writers together.
        const TRANSACTIONS: usize = 800;
        let writers = threads / 2;
        let plan = Plan {
            seed,
            writers,
            readers: threads - writers,
            transactions: TRANSACTIONS.div_ceil(writers),
        };
        let failed = |what| Failure {
            seed: Some(seed),
            ..*self.failure("history", what)
        };
        let tally = catch_unwind(AssertUnwindSafe(|| history::run(self.0, plan)))
            .map_err(|panic| failed(format!("a thread panicked: {}", said(&*panic))))?
            .map_err(|violation| {
                let mut what = violation.what().to_owned();
                for objection in violation.objections() {
                    what.push_str("\n  ");
                    what.push_str(objection);
                }
                Failure {
                    scenario: violation.scenario().map(str::to_owned),
                    ..failed(what)
                }
            })?;
        report.histories += 1;
        report.tally.transactions += tally.transactions;
        report.tally.reads += tally.reads;
        report.tally.snapshots += tally.snapshots;
        report.tally.idles += tally.idles;
        Ok(())
    }

    fn failure(&self, part: &str, what: String) -> Box<Failure> {
        Box::new(Failure {
            on: self.0.to_string(),
            part: part.to_owned(),
            what,
            seed: None,
            scenario: None,
        })
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}
