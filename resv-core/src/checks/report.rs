//! What is found, and where it is told.

use super::thread;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

/// A place in the source of the caller.
pub type Place = &'static Location<'static>;

/// What kind of misuse. The [module](super) says what the places of each are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Misuse {
    /// A wait, in a signalling section, for a fence that the section must signal.
    WaitInSection,
    /// A reservation lock is waited for in a signalling section.
    LockInSection,
    /// A fence was waited for with a lock held, and the section that signals it takes a lock.
    WaitHoldsLock,
    /// Two locks are taken in both orders, without a common context.
    LockOrder,
    /// A thread waits for a lock that it holds.
    Relock,
    /// A context is dropped that holds locks: their proofs were leaked.
    ContextDropped,
    /// A fence is signalled before an earlier one of its timeline.
    OutOfOrder,
    /// A fence is in an object that nobody will signal.
    NoSignaler,
}

impl Misuse {
    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Misuse::WaitInSection => {
                "signal first, or wait before the section begins, or on another thread"
            }
            Misuse::LockInSection | Misuse::WaitHoldsLock => {
                "take the lock before the section begins or after it has ended, or use try_lock"
            }
            Misuse::LockOrder => {
                "take both with one context (exec, lock_all), or in one order everywhere"
            }
            Misuse::Relock => "use the guard that is there, or a context, which says AlreadyHeld",
            Misuse::ContextDropped => "drop what the context holds; do not forget it",
            Misuse::OutOfOrder => {
                "signal the fences of a timeline in the order of their seqnos; jobs that may end in another \
                 order need a timeline each"
            }
            Misuse::NoSignaler => {
                "keep the signaler until it signals; add a point when its fence has been issued"
            }
        }
    }
}

/// One misuse, found at two places.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What kind.
    pub kind: Misuse,
    /// The earlier place.
    pub first: Place,
    /// The later place.
    pub second: Place,
    /// The cause in words, with both places and the names of fences.
    pub message: String,
}

/// The cause and the remedy.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { kind, message, .. } = self;
        write!(f, "{kind:?}: {message}; remedy: {}", kind.remedy())
    }
}

type Handler = Arc<dyn Fn(&Report) + Send + Sync>;

/// How many pairs of places are told to the handler.
const MAX_TOLD: usize = 1024;

struct Told {
    handler: Option<Handler>,
    pairs: BTreeSet<(Misuse, usize, usize)>,
}

static TOLD: Mutex<Told> = Mutex::new(Told {
    handler: None,
    pairs: BTreeSet::new(),
});

/// Has `handler` called with each report, of each pair of places the first one, in place of the
/// default, which prints. Once for the whole process; the last call counts.
///
/// It is called on the thread that made the second place come true, before the reported step is
/// done, with no lock of this library held by the checks. It may panic. What it does itself is
/// not reported.
pub fn set_handler(handler: impl Fn(&Report) + Send + Sync + 'static) {
    let handler: Handler = Arc::new(handler);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let earlier = told.handler.replace(handler);
    drop(told);
    drop(earlier);
}

/// Runs `f`, and returns with its result what was found meanwhile on this thread, repetitions
/// included. The handler gets none of it. For tests; nests.
pub fn collect<R>(f: impl FnOnce() -> R) -> (R, Vec<Report>) {
    let collector = thread::Collector::begin();
    let result = f();
    (result, collector.end())
}

/// Tells `report`. The caller holds no lock of the checks.
pub(super) fn tell(report: Report) {
    let Some(report) = thread::collected(report) else {
        return;
    };
    let key = (
        report.kind,
        std::ptr::from_ref(report.first).addr(),
        std::ptr::from_ref(report.second).addr(),
    );
    let handler = {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.pairs.len() >= MAX_TOLD || !told.pairs.insert(key) {
            return;
        }
        told.handler.clone()
    };
    let _quiet = thread::Quiet::begin();
    match handler {
        Some(handler) => handler(&report),
        None => default(&report),
    }
}

fn default(report: &Report) {
    let wish = std::env::var("RESV_CHECKS").unwrap_or_default();
    let mut words = wish.split(',');
    let is_left_out = |word: &str| word.strip_prefix('-') == Some(&format!("{:?}", report.kind));
    if words.clone().any(is_left_out) {
        return;
    }
    if words.any(|word| word == "panic") && !std::thread::panicking() {
        panic!("resv checks: {report}");
    }
    eprintln!("resv checks: {report}");
}
