//! A back end of one's own: an array that is copied for each publish, behind a mutex.
//!
//! This is the idea of 2019 in its plainest form. The holder of the object's lock makes a new array; to
//! publish is to exchange a pointer; readers take a reference. What the real back ends add is how a reader
//! gets that reference without the mutex.

use resv_core::{
    Backend, Budget, Entry, EntryRef, EntrySet, Failures, FenceError, FenceStatus, Key, LockProof,
    ObjectLock, ReserveError, UsageSet,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The toy back end.
#[derive(Default)]
pub(crate) struct CopiedArray {
    lock: ObjectLock,
    /// What readers see. Locked for a moment by readers and to publish; nothing is dropped under it (B5).
    published: Mutex<Array>,
    /// What the holder has. No reader locks it.
    holder: Mutex<Holder>,
}

/// A published set of entries, which is a snapshot as it stands (B6).
#[derive(Clone, Default)]
pub(crate) struct Array(Arc<Vec<Entry>>);

#[derive(Default)]
struct Holder {
    budget: Option<Budget>,
    /// An array with room for each publish that is reserved (B3).
    spare: Vec<Array>,
    /// The array that is being made.
    staged: Option<Array>,
    /// Of entries that counted and were left behind (B10).
    failures: Failures,
    /// The entries that do not count.
    overwritten: Vec<Key>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pending(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| !entry.fence.is_signaled())
}

impl CopiedArray {
    fn holder(&self, held: &LockProof<'_>) -> MutexGuard<'_, Holder> {
        assert!(
            held.is_for(&self.lock),
            "the lock of another object is held"
        );
        locked(&self.holder)
    }

    fn published(&self) -> Array {
        locked(&self.published).clone()
    }
}

impl Backend for CopiedArray {
    type Snapshot = Array;

    fn name(&self) -> &'static str {
        "copied-array"
    }

    fn object_lock(&self) -> &ObjectLock {
        &self.lock
    }

    // B3: all memory is got here.
    fn reserve(&self, held: &mut LockProof<'_>, budget: Budget) -> Result<(), ReserveError> {
        let holder = &mut *self.holder(held);
        let mut wanted = holder.budget.unwrap_or_default();
        wanted.widen(budget);
        let now = holder.staged.clone().unwrap_or_else(|| self.published());
        let failed = |_| ReserveError::new(budget.adds);
        let capacity = now.0.len().saturating_add(wanted.adds);
        drop(now);
        if let Some(Array(staged)) = &mut holder.staged {
            let staged = Arc::get_mut(staged).expect("nobody else has it");
            staged.try_reserve(wanted.adds).map_err(failed)?;
        }
        let mut spare = Vec::new();
        spare.try_reserve(wanted.publishes).map_err(failed)?;
        for _ in 0..wanted.publishes {
            let mut entries = Vec::new();
            entries.try_reserve(capacity).map_err(failed)?;
            spare.push(Array(Arc::new(entries)));
        }
        let missing = capacity.saturating_sub(holder.overwritten.len());
        holder.overwritten.try_reserve(missing).map_err(failed)?;
        (holder.budget, holder.spare) = (Some(wanted), spare);
        Ok(())
    }

    fn edit(
        &self,
        held: &mut LockProof<'_>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let holder = &mut *self.holder(held);
        let budget = holder.budget.as_mut().expect("an edit needs a reservation");
        budget.spend_on_edit(add.is_some());
        // B10: what counts and is stored no more is noted, with how it had ended by now.
        let (failures, overwritten) = (&mut holder.failures, &mut holder.overwritten);
        let mut leaves = |entry: &Entry, status| {
            if !overwritten.contains(&entry.key()) {
                failures.note(entry.usage, status);
            }
        };
        let staged = holder.staged.get_or_insert_with(|| {
            let mut new = holder.spare.pop().expect("one for each publish");
            let entries = Arc::get_mut(&mut new.0).expect("nobody else has it");
            for entry in self.published().0.as_slice() {
                match entry.fence.status() {
                    FenceStatus::Pending => entries.push(entry.clone()),
                    ended => leaves(entry, ended),
                }
            }
            new
        });
        let entries = Arc::get_mut(&mut staged.0).expect("nobody else has it");
        entries.retain(|entry| {
            let status = entry.fence.status();
            let goes = removes(entry.key());
            if goes {
                leaves(entry, status);
            }
            !goes
        });
        if let Some(entry) = &add {
            overwritten.retain(|key| *key != entry.key());
        }
        entries.extend(add);
    }

    fn append(&self, held: &mut LockProof<'_>, added: impl ExactSizeIterator<Item = Entry>) {
        let holder = &mut *self.holder(held);
        let budget = holder.budget.as_mut().expect("an add needs a reservation");
        let staged = holder.staged.as_mut().expect("an edit, not published yet");
        let entries = Arc::get_mut(&mut staged.0).expect("nobody else has it");
        for entry in added {
            budget.spend_on_edit(true);
            // Not counted as overwritten: it is an entry of its own.
            holder.overwritten.retain(|key| *key != entry.key());
            entries.push(entry);
        }
    }

    fn overwrite(&self, held: &mut LockProof<'_>) {
        let holder = &mut *self.holder(held);
        let array = holder.staged.clone().unwrap_or_else(|| self.published());
        holder.failures = Failures::default();
        holder.overwritten.clear();
        let keys = array.0.as_slice().iter().map(Entry::key);
        holder.overwritten.extend(keys);
    }

    fn failure(&self, held: &LockProof<'_>, usages: UsageSet) -> Option<FenceError> {
        let holder = self.holder(held);
        let array = holder.staged.clone().unwrap_or_else(|| self.published());
        let mut failures = holder.failures;
        for entry in array.0.as_slice() {
            if !holder.overwritten.contains(&entry.key()) {
                failures.note(entry.usage, entry.fence.status());
            }
        }
        failures.smallest(usages)
    }

    // B4: one exchange of a pointer.
    fn publish(&self, held: &mut LockProof<'_>) {
        let mut holder = self.holder(held);
        let Some(new) = holder.staged.take() else {
            return;
        };
        if let Some(budget) = &mut holder.budget {
            budget.publishes -= 1;
        }
        drop(holder);
        let old = std::mem::replace(&mut *locked(&self.published), new);
        drop(old); // B5: with no reader shut out.
    }

    fn unreserve(&self, held: &mut LockProof<'_>) {
        let mut holder = self.holder(held);
        holder.budget = None;
        holder.spare = Vec::new();
    }

    fn visit_held<A>(
        &self,
        held: &LockProof<'_>,
        init: A,
        f: impl FnMut(A, EntryRef<'_>) -> A,
    ) -> A {
        let staged: Option<Vec<Entry>> = {
            let holder = self.holder(held);
            holder.staged.as_ref().map(|Array(array)| array.to_vec())
        };
        let entries = staged.unwrap_or_else(|| self.published().0.to_vec());
        pending(&entries).map(EntryRef::from).fold(init, f)
    }

    fn snapshot(&self) -> Result<Array, ReserveError> {
        Ok(self.published())
    }

    // The fences are tested while the array is surely the published one (B2).
    fn visit<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let keys: Vec<Key> = {
            let array = locked(&self.published);
            let shown = pending(&array.0).filter(|entry| usages.contains(entry.usage));
            shown.map(Entry::key).collect()
        };
        keys.into_iter().fold(init, f)
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        let array = locked(&self.published);
        !pending(&array.0).any(|entry| usages.contains(entry.usage))
    }
}

impl EntrySet for Array {
    fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.0.iter()
    }
}
