//! L-05, L-06, L-07, L-10 and L-11: each is a property that holds for the lock as it is, and that
//! rejects a lock with the [`Defect`] that breaks its rule.

use super::*;

/// What holds for locks without a defect.
type Property = fn(Algorithm, Option<Defect>);

fn holds(algorithms: &[Algorithm], property: Property) {
    for &algorithm in algorithms {
        property(algorithm, None);
    }
}

/// Asserts that the property fails with the defect, by an assertion about the rule.
#[track_caller]
fn is_rejected(algorithms: &[Algorithm], property: Property, defect: Defect, rule: &str) {
    for &algorithm in algorithms {
        let run = thread::spawn(move || property(algorithm, Some(defect)));
        let panic = run.join().expect_err("the property rejects the defect");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains(rule), "{algorithm:?}: {message}");
    }
}

/// Waits until a request is queued at `lock`, or has come back without that.
fn until_queued_or_back<T>(lock: &ObjectLock, asking: &ScopedJoinHandle<'_, T>) {
    while queued(lock) == 0 && !asking.is_finished() {
        thread::yield_now();
    }
}

/// An older set holds a, a younger context b, and each asks for the other's lock. What the older one
/// is told, which has backed off before if it was to: it must be able to wait.
fn older_of_two_that_cross(
    algorithm: Algorithm,
    defect: Option<Defect>,
    backs_off: bool,
) -> Result<(), LockError> {
    let [a, b] = &[defect; 2].map(ObjectLock::with_defect);
    let [older, younger] = contexts(algorithm);
    thread::scope(|scope| {
        let (ready, is_ready) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let older = scope.spawn(move || {
            let mut older = LockSet::new(older);
            if backs_off {
                older.lock(b).expect("free");
                older.back_off(a);
            } else {
                older.lock(a).expect("free");
            }
            ready.send(()).expect("it waits");
            may_go.recv().expect("it tells");
            if algorithm == Algorithm::WoundWait {
                until_queued(a, 1);
            }
            older.lock(b).map(drop)
        });
        is_ready.recv().expect("it comes so far");
        let b_held = b.lock_with(&younger).expect("free");
        go.send(()).expect("it waits");
        // It waits until it is wounded, or dies at once; or, which is the defect, it is given a.
        drop(a.lock_with(&younger));
        until_queued_or_back(b, &older);
        drop(b_held);
        older.join().expect("no panic")
    })
}

fn the_oldest_waits(algorithm: Algorithm, defect: Option<Defect>) {
    let answer = older_of_two_that_cross(algorithm, defect, false);
    assert_eq!(answer, Ok(()), "L-05, {algorithm:?}");
}

#[test]
fn l_05_the_oldest_waits() {
    holds(&Algorithm::ALL, the_oldest_waits);
}

#[test]
fn l_05_known_bad_age_is_ignored() {
    is_rejected(
        &Algorithm::ALL,
        the_oldest_waits,
        Defect::IgnoresAge,
        "L-05",
    );
}

fn who_holds_nothing_waits(algorithm: Algorithm, defect: Option<Defect>) {
    let lock = &ObjectLock::with_defect(defect);
    let [oldest, middle, youngest] = contexts(algorithm);
    let mut asking = middle;
    for holder in [Some(&oldest), Some(&youngest), None] {
        let held = match holder {
            Some(context) => lock.lock_with(context).expect("it holds nothing"),
            None => lock.lock(),
        };
        let answer;
        (answer, asking) = thread::scope(|scope| {
            let waits = scope.spawn(move || (lock.lock_with(&asking).map(drop), asking));
            until_queued_or_back(lock, &waits);
            drop(held);
            waits.join().expect("no panic")
        });
        assert_eq!(answer, Ok(()), "L-06, {algorithm:?}, held by {holder:?}");
    }
    assert_free(lock);
}

#[test]
fn l_06_a_context_that_holds_nothing_waits_for_anybody() {
    holds(&Algorithm::ALL, who_holds_nothing_waits);
}

#[test]
fn l_06_known_bad_the_empty_handed_back_off() {
    is_rejected(
        &Algorithm::ALL,
        who_holds_nothing_waits,
        Defect::RefusesTheEmptyHanded,
        "L-06",
    );
}

fn age_is_kept_over_a_back_off(algorithm: Algorithm, defect: Option<Defect>) {
    let answer = older_of_two_that_cross(algorithm, defect, true);
    assert_eq!(answer, Ok(()), "L-07, {algorithm:?}");
}

#[test]
fn l_07_age_is_kept_over_a_back_off() {
    holds(&Algorithm::ALL, age_is_kept_over_a_back_off);
}

#[test]
fn l_07_known_bad_a_new_ticket_for_each_run() {
    is_rejected(
        &Algorithm::ALL,
        age_is_kept_over_a_back_off,
        Defect::RenewsTheTicket,
        "L-07",
    );
}

fn the_wounded_takes_what_is_free(algorithm: Algorithm, defect: Option<Defect>) {
    let [a, b] = &[None, defect].map(ObjectLock::with_defect);
    let [older, younger] = contexts(algorithm);
    thread::scope(|scope| {
        let held = a.lock_with(&younger).unwrap();
        let waiting = scope.spawn(move || a.lock_with(&older).map(drop));
        until_queued(a, 1);
        assert!(wounds::has_record(younger.claim()));
        let uncontended = b.lock_with(&younger).map(drop);
        assert_eq!(uncontended, Ok(()), "L-10");
        // The next contended one is not waited for.
        thread::scope(|inner| {
            let (taken, is_taken) = mpsc::channel();
            let (release, released) = mpsc::channel();
            inner.spawn(move || {
                let context = context(algorithm);
                let _b = b.lock_with(&context).unwrap();
                taken.send(()).unwrap();
                released.recv().unwrap();
            });
            is_taken.recv().unwrap();
            assert_eq!(b.lock_with(&younger).err(), Some(LockError::Deadlock));
            release.send(()).unwrap();
        });
        drop(held);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert!(!wounds::has_record(younger.claim()), "healed");
    assert_free(a);
    assert_free(b);
}

#[test]
fn l_10_a_wounded_context_that_needs_no_more_finishes() {
    holds(&[Algorithm::WoundWait], the_wounded_takes_what_is_free);
}

#[test]
fn l_10_known_bad_the_wounded_is_refused_a_free_lock() {
    is_rejected(
        &[Algorithm::WoundWait],
        the_wounded_takes_what_is_free,
        Defect::RefusesTheWounded,
        "L-10",
    );
}

/// A set of four locks backs off at each but the first, for the sake of an older context that holds
/// that one and asks for the first. The second lock has the defect.
fn a_back_off_leaves_nothing(algorithm: Algorithm, defect: Option<Defect>) {
    for at in (1..4).rev() {
        let locks = &[None, defect, None, None].map(ObjectLock::with_defect);
        let contended = &locks[at];
        let [older, younger] = contexts(algorithm);
        let both = &Barrier::new(2);
        let (set, left_behind) = thread::scope(|scope| {
            let mut set = LockSet::new(younger);
            for lock in &locks[..at] {
                set.lock(lock).expect("free");
            }
            let older = scope.spawn(move || {
                let _contended = contended.lock_with(&older).expect("free");
                both.wait();
                if algorithm == Algorithm::WoundWait {
                    until_queued(contended, 1);
                }
                locks[0].lock_with(&older).map(drop)
            });
            both.wait();
            assert_eq!(set.lock(contended), Err(LockError::Deadlock));
            // Nobody would wake it, and a lock of another test may be at this address later.
            let left_behind = queue::of_lock(contended.address()).pop(contended.address());
            set.back_off(contended);
            assert_eq!(older.join().expect("no panic"), Ok(()));
            (set, left_behind)
        });
        assert!(
            left_behind.is_none(),
            "L-11, {algorithm:?} at {at}: still queued"
        );
        assert_eq!((set.len(), set.position(contended)), (1, Some(0)));
        for (index, lock) in locks.iter().enumerate() {
            let is_right = lock.is_locked() == (index == at);
            assert!(
                is_right,
                "L-11, {algorithm:?} at {at}: {index} still locked"
            );
        }
        drop(set);
        locks.iter().for_each(assert_free);
    }
}

#[test]
fn l_11_a_back_off_leaves_nothing() {
    holds(&Algorithm::ALL, a_back_off_leaves_nothing);
}

#[test]
fn l_11_known_bad_a_lock_stays_locked() {
    is_rejected(
        &Algorithm::ALL,
        a_back_off_leaves_nothing,
        Defect::StaysLocked,
        "still locked",
    );
}

#[test]
fn l_11_known_bad_a_request_stays_queued() {
    // Under wait-die no sleeper backs off by itself: the one that kills it takes it out.
    is_rejected(
        &[Algorithm::WoundWait],
        a_back_off_leaves_nothing,
        Defect::StaysQueued,
        "still queued",
    );
}
