//! A back end that does one thing wrong now and then, as the process is told.

use resv_core::{
    Backend, Budget, Entry, EntryRef, FenceError, Key, LockProof, ObjectLock, ReserveError,
    UsageSet,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing: the control.
    None,
    /// L-01: there is a second lock, which some get.
    TwoLocks,
    /// B9: some adds are lost.
    DropsAdds,
    /// Some adds supersede nothing.
    KeepsSuperseded,
    /// Idle is what nobody is told that it is not.
    AlwaysIdle,
    /// B6, H-33: some entries have a reference too many.
    LeaksFences,
    /// Some adds leave a callback behind.
    LeaksCallbacks,
    /// An edit never ends.
    Hangs,
    /// The first edit never ends.
    HangsAtOnce,
    /// An edit panics.
    Panics,
    /// The first edit panics.
    PanicsAtOnce,
}

impl Flaw {
    pub(crate) const ALL: [Flaw; 11] = [
        Flaw::None,
        Flaw::TwoLocks,
        Flaw::DropsAdds,
        Flaw::KeepsSuperseded,
        Flaw::AlwaysIdle,
        Flaw::LeaksFences,
        Flaw::LeaksCallbacks,
        Flaw::Hangs,
        Flaw::HangsAtOnce,
        Flaw::Panics,
        Flaw::PanicsAtOnce,
    ];
}

/// The flaw of this process.
pub(crate) static FLAW: OnceLock<Flaw> = OnceLock::new();

/// Whether the process has `flaw`.
fn has(flaw: Flaw) -> bool {
    FLAW.get() == Some(&flaw)
}

/// Whether this is one of the times that `flaw` shows: one in 100. So it does not show in the edits
/// that a phase makes before its threads start.
fn strikes(flaw: Flaw) -> bool {
    static TIMES: AtomicU64 = AtomicU64::new(1);
    has(flaw) && TIMES.fetch_add(1, Ordering::Relaxed).is_multiple_of(100)
}

/// A mutex around a vector. It trusts a caller that says that the lock is held, so that a wrong lock is the
/// stress's business; and it publishes at once.
#[derive(Default)]
pub(crate) struct Flawed {
    lock: ObjectLock,
    other: ObjectLock,
    entries: Mutex<Vec<Entry>>,
}

impl Flawed {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("nothing panics with it locked")
    }

    fn pending(&self) -> Vec<Entry> {
        let mut pending = self.entries().clone();
        pending.retain(|entry| !entry.fence.is_signaled());
        pending
    }
}

impl Backend for Flawed {
    type Snapshot = Vec<Entry>;

    fn name(&self) -> &'static str {
        "flawed"
    }

    fn object_lock(&self) -> &ObjectLock {
        if strikes(Flaw::TwoLocks) {
            &self.other
        } else {
            &self.lock
        }
    }

    fn reserve(&self, _: &mut LockProof<'_>, _: Budget) -> Result<(), ReserveError> {
        Ok(())
    }

    fn edit(
        &self,
        _: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        if strikes(Flaw::Hangs) || has(Flaw::HangsAtOnce) {
            loop {
                std::thread::park();
            }
        }
        let panics = strikes(Flaw::Panics) || has(Flaw::PanicsAtOnce);
        assert!(!panics, "of the back end");
        if let Some(entry) = &add {
            if strikes(Flaw::LeaksFences) {
                std::mem::forget(entry.fence.clone());
            }
            if strikes(Flaw::LeaksCallbacks) {
                // Of a fence that has signalled nothing is left.
                let _ = entry.fence.on_signal(|_| ());
            }
        }
        let keeps = strikes(Flaw::KeepsSuperseded);
        let mut entries = self.entries();
        entries.retain(|old| !old.fence.is_signaled() && (keeps || !removes(old.key())));
        entries.extend(add.filter(|_| !strikes(Flaw::DropsAdds)));
    }

    fn append(&self, _: &mut LockProof<'_>, added: impl ExactSizeIterator<Item = Entry>) {
        self.entries().extend(added);
    }

    // A stress asks no object for its failure.
    fn overwrite(&self, _: &mut LockProof<'_>) {}

    fn failure(&self, _: &LockProof<'_>, _: UsageSet) -> Option<FenceError> {
        None
    }

    fn publish(&self, _: &mut LockProof<'_>) {}

    fn unreserve(&self, _: &mut LockProof<'_>) {}

    fn visit_held<A>(&self, _: &LockProof<'_>, init: A, f: impl FnMut(A, EntryRef<'_>) -> A) -> A {
        self.pending().iter().map(EntryRef::from).fold(init, f)
    }

    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        Ok(self.pending())
    }

    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let pending = self.pending();
        let wanted = pending.iter().filter(|entry| usages.contains(entry.usage));
        wanted.map(Entry::key).fold(init, f)
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        has(Flaw::AlwaysIdle)
            || !self
                .pending()
                .iter()
                .any(|entry| usages.contains(entry.usage))
    }
}
