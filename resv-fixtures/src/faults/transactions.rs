//! Defects that show when many objects are locked together: a lock that is not one lock, or not the
//! object's own, and a holder that is taken to be the only one of its thread.

use crate::fault::{Fault, Inner, Removes, now};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::reserve;
use resv_core::{
    Budget, Entry, Locked, ObjectLock, ReserveError, UsageLevels, WritersReadersOthers,
};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "lock_per_thread",
        "L-01",
        "mutant: a lock split by processor, taken on one of them only",
        "two threads hold the lock of one object at once, as each has a lock of its own",
        &[
            "locks::l_01_one_holder_at_a_time_in_all_mixes",
            "locks::l_02_locking_twice_is_locking_once",
            "locks::l_03_ab_against_ba",
            "locks::l_04_cycles_come_apart",
            "locks::l_11_a_back_off_at_any_point_leaves_nothing_locked",
            "locks::timeouts_of_both_algorithms",
        ],
        faulty::<LockPerThread>,
    ),
    fault::<UsageLevels>(
        "neighbours_share_a_lock",
        "L-02, B3",
        "mutant: locks striped over objects, as mutexes of hash tables are",
        "two objects have one lock, so the holder of the one holds the other",
        &[
            "transactions::l_02_an_object_locked_again_is_the_same_member",
            "transactions::a_slice_is_locked_in_any_order_with_repetitions",
        ],
        faulty::<NeighboursShareALock>,
    ),
    fault::<UsageLevels>(
        "reserving_ends_locking",
        "L-03",
        "mutant",
        "a reservation declares the context done, as only an edit may",
        &[
            "transactions::locking_ends_with_the_first_add",
            "transactions::objects_of_all_kinds_meet_in_one_transaction",
        ],
        || {
            reserve(|object, room| {
                object.done();
                object.reserve(room)
            })
        },
    ),
    fault::<WritersReadersOthers>(
        "one_stage_per_thread",
        "B4",
        "mutant",
        "a thread stages edits of one object at a time, and publishes none of the others",
        &["transactions::b4_every_object_of_a_transaction_is_published"],
        faulty::<OneStagePerThread>,
    ),
    fault::<UsageLevels>(
        "slots_given_up_take_an_entry",
        "B3, B9",
        "mutant",
        "several reservations of which none was used take an entry with them",
        &[
            "transactions::an_error_leaves_every_object_as_it_was",
            "transactions::a_timeout_leaves_every_object_as_it_was",
        ],
        faulty::<GivingUpTakesAnEntry<false>>,
    ),
    fault::<UsageLevels>(
        "panic_takes_an_entry",
        "B9",
        "mutant",
        "a reservation that a panic gives up takes an entry with it",
        &["transactions::a_panic_leaves_every_object_as_it_was"],
        faulty::<GivingUpTakesAnEntry<true>>,
    ),
];

/// See its fixture.
#[derive(Default)]
pub struct LockPerThread {
    locks: [ObjectLock; 8],
}

impl Fault for LockPerThread {
    fn object_lock<'a>(&'a self, _: &'a Locked) -> &'a ObjectLock {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static ME: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        &self.locks[ME.with(|me| me % self.locks.len())]
    }
}

/// See its fixture. Every other object of a thread shares its lock with the one before it. Of a thread, as
/// each property has one of its own: which objects are neighbours does not depend on what ran before.
pub struct NeighboursShareALock {
    lock: Arc<ObjectLock>,
}

impl Default for NeighboursShareALock {
    fn default() -> Self {
        thread_local! {
            static ONE_BEFORE: Cell<Option<Arc<ObjectLock>>> = const { Cell::new(None) };
        }
        let lock = ONE_BEFORE.take().unwrap_or_else(|| {
            let new = Arc::default();
            ONE_BEFORE.set(Some(Arc::clone(&new)));
            new
        });
        NeighboursShareALock { lock }
    }
}

impl Fault for NeighboursShareALock {
    fn object_lock<'a>(&'a self, _: &'a Locked) -> &'a ObjectLock {
        &self.lock
    }
}

/// See its fixture.
#[derive(Default)]
pub struct OneStagePerThread;

thread_local! {
    /// The address of the object whose edits this thread has staged.
    static STAGED: Cell<usize> = const { Cell::new(0) };
}

impl Fault for OneStagePerThread {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        STAGED.set(std::ptr::from_ref(object).addr());
        object.edit(removes, add);
    }

    fn publish(&self, object: &mut Inner<'_, '_>) {
        if STAGED.get() == std::ptr::from_ref(object).addr() {
            object.publish();
        }
    }
}

/// See its fixtures.
#[derive(Default)]
pub struct GivingUpTakesAnEntry<const IN_A_PANIC: bool> {
    reservations: AtomicUsize,
}

impl<const IN_A_PANIC: bool> Fault for GivingUpTakesAnEntry<IN_A_PANIC> {
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        self.reservations.fetch_add(1, Ordering::Relaxed);
        object.reserve(room)
    }

    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        self.reservations.store(0, Ordering::Relaxed);
        object.edit(removes, add);
    }

    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        let reservations = self.reservations.swap(0, Ordering::Relaxed);
        let is_due = match IN_A_PANIC {
            true => reservations > 0 && std::thread::panicking(),
            false => reservations > 0 && !std::thread::panicking() && now(object).len() > 1,
        };
        if is_due && object.reserve(Budget::ONE).is_ok() {
            let mut taken = false;
            object.edit(|_| !std::mem::replace(&mut taken, true), None);
            object.publish();
        }
        object.unreserve();
    }
}
