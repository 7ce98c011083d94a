//! The stress: many threads lock, edit, signal and wait at once, for as long as one likes.
//!
//! # The concept
//!
//! The properties of the suite look at one question each. The stress asks none in particular: it
//! does everything at the same time, and then checks what must be true whatever the threads did.
//!
//! | check | what would break it |
//! |---|---|
//! | nobody else is in while an object is held; a plain counter loses no increment | mutual exclusion (L-01) |
//! | the holder and, in the end, everybody sees exactly the pending fences that a model has | a lost, a resurrected, a doubled fence (B9) |
//! | a context that holds nothing never backs off (L-06); a cycle is never taken apart without a back-off (L-04) | the algorithms |
//! | every thread gets on, by its heartbeat | a deadlock, a lost wake-up, starvation (L-08) |
//! | in the end every lock is free, nobody is queued (L-09), no callback is registered, no fence is alive | leaks |
//!
//! There are three phases, each a module with a function of its own:
//!
//! * [`random`]: m threads lock k of n objects in random order, with each [`Strategy`] of L-08;
//! * [`cycles`]: 2 to 9 contexts, of which each holds an object and wants the next one's;
//! * [`mixed`]: transactions of both algorithms, of threads and of tasks, among plain locking, with and without
//!   timeouts.
//!
//! [`run`] is all of them for one semantics and one back end. A back end of your own is put under
//! stress with
//!
//! ```
//! use resv_conformance::Subject;
//! use resv_conformance::stress::{self, Config};
//! use resv_core::{Locked as MyBackend, UsageLevels};
//! use std::time::Duration;
//!
//! let config = Config { threads: 2, ..Config::default() };
//! let tally = stress::run(Subject::of::<UsageLevels, MyBackend>(), &config, Duration::from_millis(50))?;
//! assert!(tally.transactions > 0);
//! # Ok::<(), stress::Failure>(())
//! ```
//!
//! Nothing else in the process may make fences or use objects meanwhile: what is left over is counted
//! for the whole process.
//!
//! The seed decides what each thread wants, not which one comes first: a failure that depends on timing may
//! need more than one run with its seed to show again.
//!
//! # The pieces
//!
//! | file | what it does |
//! |---|---|
//! | `crew` | one phase: starts the threads, ends them, checks what they left |
//! | `worker` | what a thread does with the locks it holds |
//! | `waits` | what it does between transactions |
//! | `world` | the objects, and the checks about one of them |
//! | `ledger` | the model of one object |
//! | `jobs` | the fences that are signalled while the phase runs |
//! | `leftovers` | fences, callbacks and waiters that nobody took away |
//! | `watchdog` | turns a hang into a failure that says what each thread holds and wants |

mod crew;
mod cycles;
mod jobs;
mod ledger;
mod leftovers;
mod mixed;
mod phase;
mod post;
mod random;
mod waits;
mod watchdog;
mod worker;
mod world;

pub use cycles::cycles;
pub use leftovers::{Leftovers, leftovers};

pub use mixed::mixed;
pub use random::{Strategy, random};

use crate::Subject;
use resv_api::lock::{Algorithm, Class};
use std::any::Any;
use std::fmt;
use std::ops::{AddAssign, RangeInclusive};
use std::time::Duration;

/// How many contexts make a cycle (L-04).
pub const CYCLES: RangeInclusive<usize> = 2..=9;

/// How hard, and how long without progress.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many threads contend, m. At least 1. (A cycle has a thread for each of its contexts.)
    pub threads: usize,
    /// How many objects there are, n. At least 1.
    pub objects: usize,
    /// How many objects a transaction locks, k; at most as many as there are are locked.
    pub locks: usize,
    /// What the choices of all threads follow from.
    pub seed: u64,
    /// The algorithms to run under.
    pub algorithms: Vec<Algorithm>,
    /// How long a thread may make no progress at all before that is a hang. It is not about speed:
    /// a loaded machine stops a thread for a second or so, never for many.
    pub patience: Duration,
    /// What is done about a hang. A thread that hangs cannot be ended, so this should end the
    /// process, as [`exit_on_hang`] does; if it returns, the phase hangs on.
    pub on_hang: fn(&Failure),
}

impl Default for Config {
    fn default() -> Self {
        Config {
            threads: 4,
            objects: 12,
            locks: 4,
            seed: 1,
            algorithms: Algorithm::ALL.to_vec(),
            patience: Duration::from_secs(20),
            on_hang: exit_on_hang,
        }
    }
}

/// Prints the failure to standard error and ends the process with status 1.
pub fn exit_on_hang(failure: &Failure) {
    use std::io::Write;
    // A closed standard error leaves nothing to be done but to end.
    let _ = writeln!(std::io::stderr(), "stress: FAILED: {failure}");
    std::process::exit(1);
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions that ended, over one object or many.
    pub transactions: u64,
    /// How often a context was told to back off.
    pub backoffs: u64,
    /// Waits for fences: blocking and asynchronous, to their end, timed out, or dropped half way.
    pub waits: u64,
    /// Cycles that were taken apart.
    pub cycles: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.transactions += other.transactions;
        self.backoffs += other.backoffs;
        self.waits += other.waits;
        self.cycles += other.cycles;
    }
}

/// What was not true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which phase: what was done, with which algorithm, semantics and back end.
    pub phase: String,
    /// The seed of the [`Config`].
    pub seed: u64,
    /// The thread that found it, from 0, if it was one of those that contend.
    pub thread: Option<usize>,
    /// The object it is about, from 0.
    pub object: Option<usize>,
    /// What was found.
    pub what: String,
    /// What each thread held and wanted, one to a line; empty if that is not known.
    pub details: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}", self.phase, self.seed)?;
        if let Some(thread) = self.thread {
            write!(f, ", thread {thread}")?;
        }
        if let Some(object) = self.object {
            write!(f, ", object {object}")?;
        }
        write!(f, ": {}", self.what)?;
        for line in self.details.lines() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// All phases for one semantics and one back end, in about `time` together: the random orders have
/// the half of it. Each phase does at least one round, so a short time may be exceeded.
///
/// # Errors
///
/// The first thing that was found not to be true.
///
/// # Panics
///
/// When a number in `config` is 0, or no algorithm is named.
pub fn run(on: Subject, config: &Config, time: Duration) -> Result<Tally, Failure> {
    let algorithms = &config.algorithms;
    let count = u32::try_from(algorithms.len()).expect("a few algorithms");
    assert!(count > 0, "no algorithm is named");
    let mut tally = Tally::default();
    for &algorithm in algorithms {
        let each = time / 2 / count / Strategy::ALL.len() as u32;
        for strategy in Strategy::ALL {
            tally += random(on, config, strategy, algorithm, each)?;
        }
        let each = time * 3 / 10 / count / CYCLES.count() as u32;
        for contexts in CYCLES {
            tally += cycles(on, config, contexts, algorithm, each)?;
        }
    }
    tally += mixed(on, config, time / 5)?;
    Ok(tally)
}

/// The class of the transactions under stress: by themselves, so that their back-offs are counted.
fn class(algorithm: Algorithm) -> &'static Class {
    static WOUND_WAIT: Class = Class::new(Algorithm::WoundWait);
    static WAIT_DIE: Class = Class::new(Algorithm::WaitDie);
    match algorithm {
        Algorithm::WoundWait => &WOUND_WAIT,
        Algorithm::WaitDie => &WAIT_DIE,
    }
}

/// What a thread found: a [`Failure`] that knows neither its thread nor its phase.
#[derive(Debug)]
struct Fault {
    object: Option<usize>,
    what: String,
}

impl Fault {
    /// The failure that this is.
    fn found_by(self, thread: Option<usize>, phase: &str, seed: u64) -> Failure {
        Failure {
            phase: phase.to_owned(),
            seed,
            thread,
            object: self.object,
            what: self.what,
            details: String::new(),
        }
    }

    fn new(what: impl fmt::Display) -> Fault {
        Fault {
            object: None,
            what: what.to_string(),
        }
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Fault {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Fault::new(format_args!(
            "panicked: {}",
            said.unwrap_or("without a message")
        ))
    }

    fn at(object: usize, what: impl fmt::Display) -> Fault {
        Fault {
            object: Some(object),
            what: what.to_string(),
        }
    }
}
