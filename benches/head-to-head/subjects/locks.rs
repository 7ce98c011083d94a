//! A vector of entries under a lock: what most programs do.

use super::{Entries, Subject, count_pending, is_idle, matching, put, visit};
use resv_core::{Access, Entry, Fence, Usage};

/// `parking_lot::Mutex<Vec>`.
pub(crate) struct MutexVec(parking_lot::Mutex<Entries>);
/// `parking_lot::RwLock<Vec>`.
pub(crate) struct RwLockVec(parking_lot::RwLock<Entries>);
/// `std::sync::RwLock<Vec>`.
pub(crate) struct StdRwLockVec(std::sync::RwLock<Entries>);

/// The three differ in how they are locked only.
macro_rules! locked_vector {
    ($subject:ident, $name:expr, $lock:ty, $read:expr, $write:expr) => {
        impl Subject for $subject {
            fn name() -> &'static str {
                $name
            }

            type Snapshot = Entries;

            fn new() -> Self {
                $subject(<$lock>::default())
            }

            #[inline]
            fn is_idle(&self, access: Access) -> bool {
                is_idle(&$read(&self.0), access)
            }

            #[inline]
            fn visit(&self, access: Access) -> u64 {
                visit(&$read(&self.0), access)
            }

            #[inline]
            fn snapshot(&self) -> Entries {
                $read(&self.0).clone()
            }

            #[inline]
            fn waits_for(&self, access: Access) -> usize {
                let entries = self.snapshot();
                count_pending(&entries, access)
            }

            #[inline]
            fn add_around(&self, fence: &Fence, usage: Usage, pause: impl FnOnce()) {
                let mut entries = $write(&self.0);
                pause();
                let old = put(
                    &mut entries,
                    Entry {
                        fence: fence.clone(),
                        usage,
                    },
                );
                drop(entries);
                drop(old);
            }

            fn transaction(objects: &[&Self], fence: &Fence, usage: Usage) {
                let mut guards = Vec::with_capacity(objects.len());
                for object in objects {
                    guards.push($write(&object.0));
                }
                for entries in &mut guards {
                    put(
                        entries,
                        Entry {
                            fence: fence.clone(),
                            usage,
                        },
                    );
                }
            }
        }
    };
}

impl MutexVec {
    /// Locks all objects, which are sorted by address, collects what a job with these usages waits for,
    /// and adds its fence to each.
    pub(crate) fn submit(objects: &[(&Self, Usage)], fence: &Fence) -> Vec<Fence> {
        let mut waits: Vec<Fence> = Vec::new();
        let mut guards = Vec::with_capacity(objects.len());
        for (object, usage) in objects {
            let entries = object.0.lock();
            for entry in matching(&entries, usage.access()) {
                if !waits.contains(&entry.fence) {
                    waits.push(entry.fence.clone());
                }
            }
            guards.push((entries, usage));
        }
        for (entries, usage) in &mut guards {
            let fence = fence.clone();
            let usage = **usage;
            put(entries, Entry { fence, usage });
        }
        waits
    }
}

locked_vector!(
    MutexVec,
    super::MUTEX,
    parking_lot::Mutex<Entries>,
    parking_lot::Mutex::lock,
    parking_lot::Mutex::lock
);
locked_vector!(
    RwLockVec,
    "rwlock-vec",
    parking_lot::RwLock<Entries>,
    parking_lot::RwLock::read,
    parking_lot::RwLock::write
);
locked_vector!(
    StdRwLockVec,
    "std-rwlock-vec",
    std::sync::RwLock<Entries>,
    read_std,
    write_std
);

fn read_std(lock: &std::sync::RwLock<Entries>) -> std::sync::RwLockReadGuard<'_, Entries> {
    lock.read().expect("no writer panics")
}

fn write_std(lock: &std::sync::RwLock<Entries>) -> std::sync::RwLockWriteGuard<'_, Entries> {
    lock.write().expect("no writer panics")
}
