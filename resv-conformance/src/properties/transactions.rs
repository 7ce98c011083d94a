//! Transactions over many objects: what [`exec`](resv_api::exec()) and [`lock_all`] leave in the objects, on every path.
//!
//! Which transaction waits and which one yields is in [`locks`](super::locks).

use crate::support::{
    add, entries, entry_of, is_busy, job, lone_job, many_side_by_side, occupied, reference,
    side_by_side, sorted, while_another_holds,
};
use crate::{Object, Subject};
use resv_api::{
    Access, AnyBackend, AnySemantics, ExecError, Guards, ReserveError, Semantics, TimedOut,
    Timeline, TimelineId, Transaction, Usage, Visibility, exec, exec_until, lock_all,
};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The entries of each object, whose lock must be free.
#[track_caller]
fn at_rest(objects: &[Object]) -> Vec<Vec<(TimelineId, u64, Usage)>> {
    let each = objects.iter().enumerate().map(|(at, object)| {
        let guard = object.try_lock();
        let guard = guard.unwrap_or_else(|| panic!("L-09: the lock of object {at} is not free"));
        assert_eq!(sorted(&guard.entries()), entries(object), "object {at}");
        drop(guard);
        entries(object)
    });
    each.collect()
}

/// Nobody can take any of the locks.
#[track_caller]
fn assert_all_held(objects: &[Object]) {
    for (at, object) in objects.iter().enumerate() {
        assert!(object.try_lock().is_none(), "object {at} is not locked");
    }
}

/// Section 5: the closure fails, before or after it has reserved: every object is as it was, and its
/// lock is free.
pub fn an_error_leaves_every_object_as_it_was(on: Subject) {
    for reserves in [0, 1, 5] {
        let (objects, _jobs) = occupied(on, 4);
        let before = at_rest(&objects);
        let failed = exec(|tx| {
            for object in objects.iter().rev() {
                let receipt = tx.lock(object)?;
                for _ in 0..reserves {
                    let _slots = receipt.reserve(reserves).expect("memory");
                }
            }
            assert_all_held(&objects);
            Err::<(), _>(ExecError::Failed("no"))
        });
        assert_eq!(failed, Err("no"));
        assert_eq!(at_rest(&objects), before, "{reserves} reserved");
    }
}

/// Section 5: the same when the closure panics.
pub fn a_panic_leaves_every_object_as_it_was(on: Subject) {
    for reserves in [0, 2] {
        let (objects, _jobs) = occupied(on, 4);
        let before = at_rest(&objects);
        let run = || {
            exec::<(), Infallible>(|tx| {
                let receipts = tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
                let each = receipts.iter().map(|receipt| receipt.reserve(reserves));
                let _slots = each.collect::<Result<Vec<_>, _>>().expect("memory");
                panic!("in the closure");
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert_eq!(at_rest(&objects), before, "{reserves} reserved");
    }
}

/// B4: what was added is never taken back, by an error or a panic of the closure either: the job may
/// be running. What was not added to is as it was.
pub fn b4_what_was_added_before_a_failure_stays(on: Subject) {
    for panics in [false, true] {
        let (objects, _jobs) = occupied(on, 3);
        let before = at_rest(&objects);
        let job = lone_job();
        let run = || {
            exec(|tx| {
                let receipts = tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
                let _unused = receipts[0].reserve(2).expect("memory");
                let mut slots = receipts[1].reserve(2).expect("memory");
                slots.add(job.fence(), Usage::Bookkeep);
                assert!(!panics, "in the closure");
                Err::<(), _>(ExecError::Failed("no"))
            })
        };
        assert_eq!(catch_unwind(AssertUnwindSafe(run)).is_err(), panics);
        let mut expected = before;
        on.add_to(&mut expected[1], job.fence(), Usage::Bookkeep);
        assert_eq!(at_rest(&objects), expected, "panics: {panics}");
    }
}

/// B4: the receipts of one transaction edit many objects; each is published by the end, at the latest,
/// and the holder reads its own edits before.
pub fn b4_every_object_of_a_transaction_is_published(on: Subject) {
    let objects = on.objects(40);
    let timeline = Timeline::new("gfx");
    let at_once = usize::from(on.semantics().visibility() == Visibility::AtOnce);
    for usage in Usage::ALL {
        let job = job(&timeline);
        exec::<_, ReserveError>(|tx| {
            let receipts = tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
            let each = receipts.iter().map(|receipt| receipt.reserve(1));
            let slots = each.collect::<Result<Vec<_>, _>>()?;
            for ((mut slots, receipt), object) in slots.into_iter().zip(&receipts).zip(&objects) {
                assert!(receipt.is_idle(Access::Move));
                slots.add(job.fence(), usage);
                let added = [entry_of(on, job.fence(), usage)];
                assert_eq!(sorted(&receipt.entries()), added, "{usage}: the holder");
                assert!(!receipt.is_idle(Access::Move));
                assert_eq!(entries(object).len(), at_once, "{usage}: everybody else");
            }
            Ok(())
        })
        .expect("memory");
        let expected = vec![entry_of(on, job.fence(), usage)];
        assert!(at_rest(&objects).iter().all(|have| *have == expected));
        job.signal();
        assert!(objects.iter().all(|object| !is_busy(object, Access::Move)));
    }
}

/// L-02: an object that is locked again is the same member, and slots reserved through both receipts
/// add up; another object is another member. One release frees it.
pub fn l_02_an_object_locked_again_is_the_same_member(on: Subject) {
    let objects = on.objects(2);
    let [first, second] = side_by_side();
    exec::<_, ReserveError>(|tx| {
        let (once, other) = (tx.lock(&objects[0])?, tx.lock(&objects[1])?);
        let again = tx.lock(&objects[0])?;
        assert!(once.is_same(&again) && !once.is_same(&other));
        assert_eq!(tx.held(), 2, "members");
        assert_all_held(&objects);
        let (mut slots, mut more) = (once.reserve(1)?, again.reserve(1)?);
        slots.add(first.fence(), Usage::Read);
        // What is held may be asked for at any time.
        assert_eq!(tx.lock(&objects[0])?.entries().len(), 1);
        more.add(second.fence(), Usage::Read);
        assert_eq!(once.entries().len(), 2);
        assert!(other.entries().is_empty(), "an edit of another object");
        Ok(())
    })
    .expect("memory");
    let lengths: Vec<usize> = at_rest(&objects).iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 0]);
}

/// Reserving ends nothing: the next object may be locked after it. After the first add
/// none may, which is said by a panic whether or not the object is contended.
pub fn locking_ends_with_the_first_add(on: Subject) {
    let objects = on.objects(4);
    let job = lone_job();
    let run = || {
        exec::<_, ReserveError>(|tx| {
            let mut all = Vec::new();
            for object in &objects[..3] {
                all.push(tx.lock(object)?.reserve(1)?);
            }
            all[2].add(job.fence(), Usage::Write);
            assert_eq!(tx.held(), 3);
            tx.lock(&objects[3])?;
            Ok(())
        })
    };
    let refused = catch_unwind(AssertUnwindSafe(run)).expect_err("refused");
    let message = refused.downcast_ref::<&str>().copied().unwrap_or_default();
    assert!(message.contains("lock everything before"), "{message:?}");
    let lengths: Vec<usize> = at_rest(&objects).iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 0, 1, 0]);
}

/// Objects of different back ends, and many of them, meet in one transaction.
pub fn objects_of_all_kinds_meet_in_one_transaction(on: Subject) {
    let (ours, reference) = (on.objects(40), reference(on));
    let job = lone_job();
    let held = exec::<_, ReserveError>(|tx| {
        let mut first = tx.lock(&ours[0])?.reserve(1)?;
        let mut other = tx.lock(&reference)?.reserve(1)?;
        for object in &ours {
            tx.lock(object)?;
        }
        let mut last = tx.lock(&ours[39])?.reserve(1)?;
        for slots in [&mut first, &mut last] {
            slots.add(job.fence(), Usage::Write);
        }
        other.add(job.fence(), Usage::Write);
        Ok(tx.held())
    });
    assert_eq!(held, Ok(41));
    assert!(!reference.is_idle(on.read()));
    let lengths: Vec<usize> = at_rest(&ours).iter().map(Vec::len).collect();
    assert_eq!((lengths[0], lengths[39]), (1, 1));
    assert!(lengths[1..39].iter().all(|&length| length == 0));
}

/// Replaces and copies under a transaction count as edits, like those under a guard.
pub fn a_transaction_replaces_and_copies(on: Subject) {
    let objects = on.objects(2);
    let kfd = Timeline::new("kfd");
    let (old, new) = (job(&kfd), lone_job());
    add(&objects[0], &old, Usage::Bookkeep);
    exec::<_, ReserveError>(|tx| {
        let (from, to) = (tx.lock(&objects[0])?, tx.lock(&objects[1])?);
        let mut slots = from.reserve(1)?;
        assert!(!slots.replace(new.fence().timeline_id(), new.fence(), Usage::Read));
        assert!(slots.replace(kfd.id(), new.fence(), Usage::Read));
        assert_eq!(slots.left(), 0);
        slots.publish();
        to.copy_from(from.resv()).map_err(ExecError::from)
    })
    .expect("memory");
    let expected = vec![entry_of(on, new.fence(), Usage::Read)];
    assert_eq!(at_rest(&objects), [expected.clone(), expected]);
}

fn lock_in<'a>(objects: &'a [Object], order: &[usize]) -> Guards<'a, AnySemantics, AnyBackend> {
    let slice: Vec<_> = order.iter().map(|&at| &objects[at]).collect();
    lock_all(&slice)
}

/// The batch form takes a slice in any order, with any repetitions: one guard for each object, and
/// each place of the slice has that of its object.
pub fn a_slice_is_locked_in_any_order_with_repetitions(on: Subject) {
    let orders: [&[usize]; 7] = [
        &[],
        &[0, 1, 2],
        &[2, 1, 0],
        &[1, 1, 1],
        &[2, 0, 2, 1, 0],
        &[0, 1, 2, 2],
        &[0, 0, 1, 2],
    ];
    for order in orders {
        let objects = on.objects(3);
        let mut named: Vec<usize> = order.to_vec();
        named.sort_unstable();
        named.dedup();
        let mut guards = lock_in(&objects, order);
        let (len, distinct) = (guards.len(), guards.objects().len());
        assert_eq!((len, distinct), (order.len(), named.len()), "{order:?}");
        assert_eq!(guards.is_empty(), order.is_empty());
        for (at, object) in objects.iter().enumerate() {
            let is_free = object.try_lock().is_some();
            assert_eq!(is_free, !named.contains(&at), "{order:?}: object {at}");
        }
        // Through each place its own object is edited, once for each time that it is named.
        let jobs = many_side_by_side(order.len());
        for (place, job) in jobs.iter().enumerate() {
            let slots = guards[place].reserve(1);
            slots.expect("memory").add(job.fence(), Usage::Read);
        }
        let count = |at: usize| order.iter().filter(|&&named| named == at).count();
        for (place, &at) in order.iter().enumerate() {
            assert_eq!(guards[place].entries().len(), count(at), "{order:?}");
        }
        drop(guards);
        let lengths: Vec<usize> = at_rest(&objects).iter().map(Vec::len).collect();
        assert_eq!(lengths, [count(0), count(1), count(2)], "{order:?}");
    }
}

/// B4: the guards of a batch publish what was added and leave the rest as it was, in a panic too.
pub fn b4_the_guards_of_a_slice_publish_what_was_added(on: Subject) {
    for panics in [false, true] {
        let (objects, _jobs) = occupied(on, 3);
        let mut expected = at_rest(&objects);
        let job = lone_job();
        let run = || {
            let mut guards = lock_in(&objects, &[2, 0, 1, 2]);
            let _ = guards[1].reserve(4).expect("memory");
            let slots = guards[3].reserve(2);
            slots.expect("memory").add(job.fence(), Usage::Bookkeep);
            assert!(!panics, "with the locks held");
        };
        assert_eq!(catch_unwind(AssertUnwindSafe(run)).is_err(), panics);
        on.add_to(&mut expected[2], job.fence(), Usage::Bookkeep);
        assert_eq!(at_rest(&objects), expected, "panics: {panics}");
    }
}

/// A lock that cannot be had in time: told, and every object as it was. What is free is had whatever
/// the time.
pub fn a_timeout_leaves_every_object_as_it_was(on: Subject) {
    let (objects, _jobs) = occupied(on, 4);
    let before = at_rest(&objects);
    let slice: Vec<_> = objects.iter().collect();
    let lock = |time: Duration| {
        exec_until(time, |tx| {
            let receipts = tx.lock_all(&slice[..2])?;
            let _slots = receipts[1].reserve(2).expect("memory");
            tx.lock_all(&slice)?;
            Ok::<_, ExecError<TimedOut>>(tx.held())
        })
    };
    for (held, object) in objects.iter().enumerate() {
        // Another thread has the lock: to wait for one's own is misuse, in time or not.
        while_another_holds(object, || {
            for time in [Duration::ZERO, Duration::from_micros(100)] {
                assert_eq!(lock(time), Err(TimedOut), "{held}");
                assert_eq!(
                    Transaction::new().until(time).lock_all(&slice).err(),
                    Some(TimedOut),
                    "{held}"
                );
            }
        });
        assert_eq!(at_rest(&objects), before, "{held}");
    }
    assert_eq!(lock(Duration::ZERO), Ok(4));
    let guards = Transaction::new()
        .until(Duration::ZERO)
        .lock_all(&slice)
        .expect("all are free");
    assert_all_held(&objects);
    drop(guards);
    assert_eq!(at_rest(&objects), before);
}
