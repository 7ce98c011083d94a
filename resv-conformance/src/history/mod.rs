//! Concurrent histories: what writers published and what readers saw, recorded and judged.
//!
//! # The concept
//!
//! [`run`] sets writers and readers loose on one object. Each thread notes what it did in a vector of
//! its own. When all have ended, the notes are put together and every answer that a reader was given
//! is judged against every state that was published while it was being given:
//!
//! | promise | what is judged |
//! |---|---|
//! | B1, B4 | a snapshot shows exactly one published state, all transactions whole, less what had signalled while that state was the published one; so does a visit, less what had signalled before it returned |
//! | B2 | "idle" was true in one of the states: every matching fence of it had signalled before the next state was published and before the reader returned |
//! | "busy" | in one of the states a matching fence had not surely signalled before the call |
//! | B9 | whatever is pending and not superseded by a later transaction is in the states, so a loss is a state that never was |
//! | order | no reader sees an older state than it has seen before, nor than another reader had seen that returned before it called |
//!
//! Transactions are numbered under the object's lock; state *v* is what transactions 1 to *v* leave
//! behind under the semantics. Half of the histories are of writers that keep something pending at
//! every instant (H-02: each fence signals after its successor is published), where "idle" is a lie
//! whatever else is true. The others add several fences at a time, raise usages, add older fences
//! again, replace a timeline, signal under the lock and outside. All of them issue and drop
//! foreign fences, so that cells are recycled at once (H-01).
//!
//! Writers yield or sleep in the middle of an update: between edits, between edits and publish,
//! between publish and signal. No back end runs foreign code inside a write section (B5), so a thread
//! can be stopped there by the scheduler alone; more threads than processors make that happen.
//!
//! # The clocks
//!
//! Threads share no read-modify-write and no lock but the object's own, as those would order what the
//! back end has to order. The clocks are counters that one thread at a time stores to, each on a cache
//! line of its own, Release; all others load them, Acquire:
//!
//! * *begun* and *done*, stored by the holder of the object's lock: the last transaction whose edits
//!   have begun, and the last that is published.
//! * for each writer, the same pair for its signals, in its own order: all fences signal by one
//!   writer, the one that issued them.
//! * for each reader, how many reads it has returned from.
//!
//! A reader loads *done* and the readers' clocks before a call, *begun* after it. A transaction loads
//! the *begun* signals of all writers after it has published: what had not begun to signal then did
//! not signal while the state before was published.
//!
//! # Why it is never a false alarm
//!
//! *At least.* What a clock of the *done* kind tells before the call happened before the call, by that
//! store and load. B1 promises an instant after it.
//!
//! *At most.* A reader that was shown state *v* has acquired what its writer released by publishing,
//! or it could not look into the fences; *begun* was stored before that, so the load after the call
//! sees at least *v*. The same goes for a fence seen signalled: the signal is a Release, the test an
//! Acquire.
//!
//! *The end of a state.* Let a reader have seen fence *e* signalled while *v* was published, that is
//! before *v + 1* became visible. The writer of *v + 1* has a SeqCst fence between its publish and its
//! load of *begun*, so on machines where a store becomes visible to all others at once (x86, Arm v8,
//! RISC-V) the load sees the signal of *e*. On others (POWER) it may not, and there the rule is not
//! sound.
//!
//! *The choice of a state.* Several states may explain an answer. Each answer is given the oldest that
//! is not older than those of the answers before it. If any choice explains the whole history, this one
//! does: it leaves every later answer at least as many states to choose from.
//!
//! # What it may miss
//!
//! * What does not happen in the run: it samples schedules. loom and shuttle explore them.
//! * Missing orderings that this machine supplies anyway. The clocks' own Release stores order the
//!   publish before what the writer does next, too.
//! * A late answer: the clocks tell the limits of a call to within the time that lies between them and
//!   the call. An answer that was wrong by less is accepted.
//! * Fences shown in a snapshot that had signalled: contract B9 allows them there, and in a visit they
//!   are judged.
//! * A back end that never returns. There is no watchdog here.

mod clocks;
mod judge;
mod states;
mod threads;
mod violation;

pub use violation::Violation;

use crate::Subject;

/// What a history is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides what the threads do, but not how they are scheduled.
    pub seed: u64,
    /// Threads that edit, at least 1.
    pub writers: usize,
    /// Threads that read, at least 1.
    pub readers: usize,
    /// Transactions of each writer. What is kept for judging grows with it: about a thousand in all is
    /// plenty.
    pub transactions: usize,
}

impl Plan {
    /// Whether something is pending in this history at every instant (H-02).
    pub fn is_always_pending(&self) -> bool {
        self.seed.is_multiple_of(2)
    }
}

/// How much was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions that were published.
    pub transactions: u64,
    /// Answers of readers, snapshots included.
    pub reads: u64,
    /// Snapshots and visits: answers that are a whole state.
    pub snapshots: u64,
    /// Answers that said "idle".
    pub idles: u64,
}

/// Records one history of a new object and judges it.
///
/// ```
/// use resv_conformance::Subject;
/// use resv_conformance::history::{Plan, run};
/// use resv_core::{Locked, UsageLevels};
///
/// let plan = Plan { seed: 1, writers: 2, readers: 2, transactions: 100 };
/// let tally = run(Subject::of::<UsageLevels, Locked>(), plan).unwrap_or_else(|violation| panic!("{violation}"));
/// assert_eq!(tally.transactions, 200);
/// ```
///
/// # Errors
///
/// The first answer, in the order of some reader, that no state explains.
///
/// # Panics
///
/// When the plan has no writers or no readers, or when the back end panics in one of the threads.
pub fn run(on: Subject, plan: Plan) -> Result<Tally, Box<Violation>> {
    assert!(plan.writers > 0 && plan.readers > 0, "a history needs both");
    judge::judge(on, plan, &threads::record(on, plan))
}
