//! The reference back end: a mutex around a vector.
//!
//! Every read takes the mutex, so B1 and B2 hold by mutual exclusion and need no argument. It is
//! the oracle that the other back ends are compared with, and it may be as slow as it likes.
//!
//! Two vectors: what is published, and what the holder of the object's lock has made of it since
//! the last publish. An edit that is published at once is made in the first. Fences are dropped and closures run
//! with the mutex released (B5).

use crate::backend::{Backend, Budget, Plan, Removes, ReserveError};
use crate::entry::{Entry, EntryRef, Key};
use crate::failure::Failures;
use crate::fence::{Fence, FenceError, FenceStatus};
use crate::lock::{LockProof, ObjectLock};
use crate::usage::UsageSet;
use resv_sync::sync::{Mutex, MutexGuard};

/// The reference back end. See the [module](self).
///
/// ```
/// use resv_core::{Backend, Entry, Locked, Budget, Timeline, Usage, UsageSet};
///
/// let object = Locked::default();
/// let job = Timeline::new("gfx").issue()?;
///
/// let mut held = object.object_lock().lock();
/// object.reserve(&mut held, Budget { adds: 1, publishes: 1 })?;
/// let entry = Entry { fence: job.fence().clone(), usage: Usage::Write };
/// object.edit(&mut held, |_| false, Some(entry));
/// assert!(object.is_idle(UsageSet::ALL)); // not published yet
/// object.publish(&mut held);
/// object.unreserve(&mut held);
/// drop(held);
///
/// assert!(!object.is_idle(UsageSet::of(&[Usage::Write])));
/// assert!(object.is_idle(UsageSet::of(&[Usage::Read])));
/// job.signal();
/// assert!(object.is_idle(UsageSet::ALL));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Locked {
    lock: ObjectLock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    published: Vec<Stored>,
    /// What the holder has made of `published`; empty and `!is_staged` when it has made nothing.
    staged: Vec<Stored>,
    is_staged: bool,
    /// Where removed entries wait to be dropped outside the mutex.
    removed: Vec<Stored>,
    /// Of entries that counted and were dropped.
    failures: Failures,
    /// Entries that may still be added and publishes that may still be made.
    budget: Option<Budget>,
}

#[derive(Clone, Debug)]
struct Stored {
    entry: Entry,
    /// Whether it counts for the object's failure (B10).
    counts: bool,
    /// Whether the edit that is being made removes it.
    goes: bool,
}

impl Stored {
    fn new(entry: Entry) -> Stored {
        Stored {
            entry,
            counts: true,
            goes: false,
        }
    }
}

impl State {
    /// What the holder sees.
    fn held(&mut self) -> &mut Vec<Stored> {
        if self.is_staged {
            &mut self.staged
        } else {
            &mut self.published
        }
    }

    /// Takes from the reservation what one edit needs.
    fn spend(&mut self, adds: bool) {
        let budget = self.budget.as_mut().expect("an edit needs a reservation");
        budget.spend_on_edit(adds);
    }

    /// Edits what the holder sees: removes what has signalled and what `removes` names, then adds `add`.
    fn edit(&mut self, mut removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        let mut failures = self.failures;
        // All is judged before anything is changed: a predicate may panic.
        for stored in self.held() {
            let Entry { fence, usage } = &stored.entry;
            // What fails from here on has left while it was pending.
            let status = fence.status();
            stored.goes = status != FenceStatus::Pending || removes(stored.entry.key());
            if stored.goes && stored.counts {
                failures.note(*usage, status);
            }
        }
        self.failures = failures;
        let State {
            published, staged, ..
        } = self;
        let held = if self.is_staged { staged } else { published };
        self.removed
            .extend(held.extract_if(.., |stored| stored.goes));
        held.extend(add.map(Stored::new));
    }

    /// Takes a publish from the reservation.
    fn spend_publish(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.publishes -= 1;
        }
    }
}

impl Locked {
    fn check(&self, held: &LockProof<'_>) {
        assert!(
            held.is_for(&self.lock),
            "the lock of another object is held"
        );
    }

    /// Drops what edits removed, with the mutex released. Only the holder comes here.
    fn drop_removed(&self, mut state: MutexGuard<'_, State>) {
        if state.removed.is_empty() {
            return;
        }
        let mut removed = std::mem::take(&mut state.removed);
        drop(state);
        removed.clear();
        self.state.lock().removed = removed;
    }
}

/// The entries that are pending.
fn pending(stored: &[Stored]) -> impl Iterator<Item = &Entry> {
    let entries = stored.iter().map(|stored| &stored.entry);
    entries.filter(|entry| !entry.fence.is_signaled())
}

impl Backend for Locked {
    type Snapshot = Vec<Entry>;

    fn name(&self) -> &'static str {
        "locked"
    }

    fn object_lock(&self) -> &ObjectLock {
        &self.lock
    }

    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        self.check(held);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let base = if state.is_staged {
            state.staged.len()
        } else {
            state.published.len()
        };
        let wanted = base.saturating_add(budget.adds);
        let missing = wanted.saturating_sub(state.staged.len());
        // Publishing swaps the two vectors, and removing moves entries to `removed`: with room in
        // each of the three, nothing allocates any more.
        let have = state.published.len();
        state
            .staged
            .try_reserve(missing)
            .and_then(|()| state.published.try_reserve(wanted.saturating_sub(have)))
            .and_then(|()| state.removed.try_reserve(wanted))
            .map_err(|_| ReserveError::new(budget.adds))?;
        state.budget.get_or_insert_default().widen(budget);
        Ok(())
    }

    fn edit(&self, held: &mut LockProof<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        self.check(held);
        let mut state = self.state.lock();
        state.spend(add.is_some());
        if !state.is_staged {
            let State {
                published, staged, ..
            } = &mut *state;
            staged.extend_from_slice(published);
            state.is_staged = true;
        }
        state.edit(removes, add);
        self.drop_removed(state);
    }

    fn append(&self, held: &mut LockProof<'_>, entries: impl ExactSizeIterator<Item = Entry>) {
        self.check(held);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        assert!(
            state.is_staged,
            "an append needs an edit that is not published"
        );
        let budget = state
            .budget
            .as_mut()
            .expect("an append needs a reservation");
        for entry in entries {
            budget.spend_on_edit(true);
            state.staged.push(Stored::new(entry));
        }
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        self.check(held);
        let mut state = self.state.lock();
        state.failures = Failures::default();
        state
            .held()
            .iter_mut()
            .for_each(|stored| stored.counts = false);
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        self.check(held);
        let mut state = self.state.lock();
        let mut failures = state.failures;
        for stored in state.held().iter().filter(|stored| stored.counts) {
            failures.note(stored.entry.usage, stored.entry.fence.status());
        }
        failures.smallest(usages)
    }

    fn publish(&self, held: &mut LockProof<'_>) {
        self.check(held);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !std::mem::take(&mut state.is_staged) {
            return;
        }
        state.spend_publish();
        std::mem::swap(&mut state.published, &mut state.staged);
        let State {
            staged, removed, ..
        } = state;
        removed.append(staged);
        self.drop_removed(guard);
    }

    /// In place, unless something is staged: the mutex is held, so no reader comes in between.
    fn edit_and_publish(
        &self,
        held: &mut LockProof<'_>,
        removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        self.check(held);
        let mut state = self.state.lock();
        state.spend(add.is_some());
        state.edit(removes, add);
        let is_staged = state.is_staged;
        if !is_staged {
            state.spend_publish();
        }
        self.drop_removed(state);
        if is_staged {
            self.publish(held);
        }
    }

    fn commit(
        &self,
        held: &mut LockProof<'_>,
        _: Plan,
        removes: impl Removes,
        add: Entry,
    ) -> Option<Fence> {
        self.check(held);
        let mut state = self.state.lock();
        if state.is_staged {
            drop(state);
            self.edit_and_publish(held, removes.predicate(), Some(add));
            self.unreserve(held);
            return None;
        }
        state.spend(true);
        state.edit(removes.predicate(), Some(add));
        state.budget = None;
        let removed = state.removed.pop();
        self.drop_removed(state);
        removed.map(|stored| stored.entry.fence)
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        self.check(held);
        self.state.lock().budget = None;
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        mut f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        self.check(held);
        // One at a time: no foreign code runs under the mutex (B5), and no memory is needed for a copy. Nobody
        // else edits what the holder sees.
        let stored = |at: usize| {
            let mut state = self.state.lock();
            state.held().get(at).map(|stored| stored.entry.clone())
        };
        let entries = (0..).map_while(stored);
        let pending = entries.filter(|entry| !entry.fence.is_signaled());
        pending.fold(init, |acc, entry| f(acc, EntryRef::from(&entry)))
    }

    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        let state = self.state.lock();
        let (mut copy, most) = (Vec::new(), state.published.len());
        copy.try_reserve_exact(most)
            .map_err(|_| ReserveError::new(most))?;
        copy.extend(pending(&state.published).cloned());
        Ok(copy)
    }

    fn visit<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        // One load each, and no foreign code (B5). Tested under the mutex: when it is released, everything that
        // is left out has signalled, and the set is still the same (H-02).
        let keys: Vec<Key> = {
            let state = self.state.lock();
            let asked_for = pending(&state.published).filter(|e| usages.contains(e.usage));
            asked_for.map(Entry::key).collect()
        };
        keys.into_iter().fold(init, &mut f)
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        let state = self.state.lock();
        !pending(&state.published).any(|entry| usages.contains(entry.usage))
    }
}
