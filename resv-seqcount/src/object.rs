//! The back end: what readers do, and what the holder of the object's lock does.

use crate::counter::{ATTEMPTS, Counter, Protocol, Sound};
use crate::garbage;
use crate::raw::{Content, HolderCell, NewTable, Table, Tables};
use crate::writer::Writer;
use resv_core::{
    Backend, Counters, Entry, Fence, Garbage, Held, Key, ObjectLock, ReserveError, Room, UsageSet,
};
use std::alloc::{Layout, handle_alloc_error};
use std::sync::atomic::{AtomicU64, Ordering};

/// The legacy back end. See the [crate](crate) for how it works.
pub type Seqcount = SeqcountWith<Sound>;

/// [`Seqcount`] with its protocol as a parameter, so that tests can leave parts of it out.
#[derive(Debug)]
pub struct SeqcountWith<P: Protocol> {
    lock: ObjectLock,
    counter: Counter,
    tables: Tables,
    writer: HolderCell<Writer>,
    // Statistics of the slow paths; no protocol reads them.
    retries: AtomicU64,
    fallbacks: AtomicU64,
    protocol: std::marker::PhantomData<P>,
}

impl<P: Protocol> Default for SeqcountWith<P> {
    fn default() -> Self {
        SeqcountWith {
            lock: ObjectLock::default(),
            counter: Counter::default(),
            tables: Tables::new(),
            writer: HolderCell::default(),
            retries: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            protocol: std::marker::PhantomData,
        }
    }
}

impl<P: Protocol> SeqcountWith<P> {
    /// How many slots the object has.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn capacity(&self) -> usize {
        self.tables.current().map_or(0, Table::capacity)
    }

    /// Reads with `read` until what it read is of one instant.
    ///
    /// `read` sees a table whose slots may change under it. It must not wait, and what it returns
    /// from an overtaken attempt is dropped.
    pub(crate) fn read<T>(&self, mut read: impl FnMut(Option<&Table>) -> T) -> T {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.retries.fetch_add(1, Ordering::Relaxed);
            }
            let Some(ticket) = self.counter.note() else {
                continue;
            };
            let result = read(self.tables.current());
            if self.counter.is_current::<P>(ticket) {
                return result;
            }
        }
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        let _no_writer = self.counter.shut_out_writers();
        read(self.tables.current())
    }

    /// Collects with `pick` from every slot in use, at one instant. Memory is got between attempts,
    /// never inside one.
    pub(crate) fn collect<T>(
        &self,
        mut pick: impl FnMut(Content) -> Option<T>,
    ) -> Result<Vec<T>, ReserveError> {
        let mut found = Vec::new();
        loop {
            let missing = self.read(|table| {
                found.clear();
                let used = table.map_or(&[][..], Table::used);
                if used.len() > found.capacity() {
                    return used.len();
                }
                found.extend(
                    used.iter()
                        .filter_map(|slot| slot.load())
                        .filter_map(&mut pick),
                );
                0
            });
            if missing == 0 {
                return Ok(found);
            }
            found
                .try_reserve_exact(missing)
                .map_err(|_| ReserveError::new(missing))?;
        }
    }
}

impl<P: Protocol> Backend for SeqcountWith<P> {
    const NAME: &'static str = "seqcount";
    type Snapshot = Vec<Entry>;

    fn object_lock(&self) -> &ObjectLock {
        &self.lock
    }

    fn reserve(&self, held: &mut Held<'_>, room: Room) -> Result<(), ReserveError> {
        let writer = self.writer.get_mut(&self.lock, held);
        let table = self.tables.current_held();
        let capacity = writer.prepare(table, room)?;
        if capacity > table.map_or(0, Table::capacity) {
            let new = NewTable::with_capacity(capacity)?;
            writer.fill::<P>(new.table(), table);
            if table.is_some() {
                garbage::retire();
            }
            let section = self.counter.open();
            self.tables.push(new);
            drop(section);
        }
        writer.admit(room);
        // Signalled fences that the new table left behind, dropped with no section open (B5).
        writer.drop_removed();
        Ok(())
    }

    fn edit(&self, held: &mut Held<'_>, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        let writer = self.writer.get_mut(&self.lock, held);
        writer.edit(self.tables.current_held(), removes, add);
    }

    fn publish(&self, held: &mut Held<'_>) {
        let writer = self.writer.get_mut(&self.lock, held);
        if !writer.is_staged() {
            return;
        }
        let mut section = Some(self.counter.open());
        writer.apply::<P>(self.tables.current_held(), || {
            if !P::ONE_SECTION {
                // The known-bad variant: readers may come in between two entries.
                drop(section.take());
                section = Some(self.counter.open());
            }
        });
        drop(section);
        writer.drop_removed();
    }

    fn unreserve(&self, held: &mut Held<'_>) {
        self.writer.get_mut(&self.lock, held).unreserve();
    }

    fn fold_held<A>(&self, held: &Held<'_>, init: A, mut f: impl FnMut(A, &Entry) -> A) -> A {
        let writer = self.writer.get(&self.lock, held);
        writer
            .entries(self.tables.current_held())
            .filter(|entry| !entry.fence.is_signaled())
            .fold(init, |acc, entry| f(acc, &entry))
    }

    fn snapshot(&self) -> Result<Self::Snapshot, ReserveError> {
        self.collect(|(cell, usage)| {
            // A fence whose references are gone is in no slot any more: the attempt is overtaken.
            let fence = cell.is_pending().then(|| Fence::try_acquire(cell))??;
            Some(Entry { fence, usage })
        })
    }

    fn fold<A>(&self, usages: UsageSet, init: A, mut f: impl FnMut(A, Key) -> A) -> A {
        let keys = self.collect(|(cell, usage)| {
            (usages.contains(usage) && cell.is_pending()).then(|| {
                let (timeline, seqno) = cell.key_parts();
                Key {
                    timeline,
                    seqno,
                    usage,
                }
            })
        });
        match keys {
            Ok(keys) => keys.into_iter().fold(init, &mut f),
            Err(error) => match Layout::array::<Key>(error.entries()) {
                Ok(layout) => handle_alloc_error(layout),
                Err(_) => handle_alloc_error(Layout::new::<Key>()),
            },
        }
    }

    fn is_idle(&self, usages: UsageSet) -> bool {
        self.read(|table| {
            !table.map_or(&[][..], Table::used).iter().any(|slot| {
                slot.load()
                    .is_some_and(|(cell, usage)| usages.contains(usage) && cell.is_pending())
            })
        })
    }

    fn counters(&self) -> Counters {
        Counters {
            retries: self.retries.load(Ordering::Relaxed),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
        }
    }

    fn garbage() -> Garbage {
        garbage::now()
    }

    fn reset_garbage_peak() {
        garbage::reset_peak();
    }
}

impl<P: Protocol> Drop for SeqcountWith<P> {
    fn drop(&mut self) {
        garbage::free(self.tables.retired());
        if let Some(table) = self.tables.current() {
            for slot in table.used() {
                if let Some((cell, _)) = slot.load() {
                    drop(Fence::from_cell(cell));
                }
            }
        }
    }
}
