//! Models of publish, read and give up, on the code of the default flavour. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=1 cargo test -p resv-rcu-array --release --lib models
//! ```
//!
//! A model explores every order of the steps of its threads, with at most so many preemptions, and every
//! value that a load may see under the C11 model as loom has it. Models whose name begins with
//! `must_find` have a defect; they show that the ones without can fail.
//!
//! A cell of a model has two slots, four, eight and so on: so there are publishes within the cell, and
//! changes of cells.

use crate::raw::Defect;
use crate::versioned::Versioned;
use loom::sync::Arc;
use resv_core::{
    Backend, Budget, Entry, EntrySet, Fence, Key, Signaler, Timeline, Usage, UsageSet,
};

/// Makes an object: a sound one, or one with a defect.
type New = fn() -> Versioned;

std::thread_local! {
    /// Whether adds are made in two steps, and what the first then asks for: all, so that it finds what goes; or
    /// nothing, so that the second does. A model runs on one thread of the system.
    static TWO_STEPS: std::cell::Cell<Option<UsageSet>> = const { std::cell::Cell::new(None) };
}

fn commit(object: &Versioned, removes: impl Fn(Key) -> bool, job: Option<&Signaler>) {
    let mut held = object.object_lock().lock();
    if let Some(job) = job
        && let Some(asked) = TWO_STEPS.get()
    {
        let (fence, usage) = (job.fence().clone(), Usage::Write);
        let plan = object.prepare(&mut held, asked, |_, _| Ok(()), &removes);
        let plan = plan.expect("memory");
        let removed = object.commit(&mut held, plan, &removes, Entry { fence, usage });
        drop(held);
        return drop(removed);
    }
    let room = Budget {
        adds: usize::from(job.is_some()),
        publishes: 1,
    };
    object.reserve(&mut held, room).expect("memory");
    let add = job.map(|job| Entry {
        fence: job.fence().clone(),
        usage: Usage::Write,
    });
    object.edit_and_publish(&mut held, removes, add);
    object.unreserve(&mut held);
}

fn issue() -> Signaler {
    Timeline::new("t").issue().expect("seqnos are left")
}

/// An object with one pending fence and one that has signalled, which readers have to look behind.
fn object_with_two(new: New, job: &Signaler) -> Arc<Versioned> {
    let other = issue();
    let object = object_with(new, &other);
    commit(&object, |_| false, Some(job));
    other.signal();
    object
}

/// An object with one pending fence.
fn object_with(new: New, job: &Signaler) -> Arc<Versioned> {
    let object = Arc::new(new());
    commit(&object, |_| false, Some(job));
    object
}

fn timelines(entries: &impl EntrySet) -> Vec<u64> {
    entries
        .iter()
        .map(|entry| entry.fence.timeline_id().as_raw())
        .collect()
}

/// Drops the object before the model ends: the fence pool does not outlive it. loom's threads can be joined
/// before their thread-locals are gone, so that a reader's magazine may be dropped after this.
fn end(object: Arc<Versioned>) {
    drop(object);
}

/// A reader takes a snapshot while a writer replaces the array and frees the old one.
fn publish_snapshot_retire(new: New) {
    let (a, b) = (issue(), issue());
    let before = timelines(&vec![Entry {
        fence: a.fence().clone(),
        usage: Usage::Write,
    }]);
    let after = timelines(&vec![Entry {
        fence: b.fence().clone(),
        usage: Usage::Write,
    }]);
    let object = object_with(new, &a);
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            let snapshot = object.snapshot().expect("no memory needed");
            let seen = timelines(&snapshot);
            assert!(seen == before || seen == after, "half a set");
        }
    });
    commit(&object, |_| true, Some(&b));
    reader.join().expect("no panic");
    end(object);
}

/// A reader takes a snapshot while the first array is published.
fn publish_and_snapshot(new: New) {
    let a = issue();
    let object = Arc::new(new());
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || object.snapshot().expect("no memory needed").len()
    });
    commit(&object, |_| false, Some(&a));
    assert!(reader.join().expect("no panic") <= 1);
    end(object);
}

/// A reader tests while a writer adds a fence before it signals the one that is there: something is
/// pending at every instant.
fn always_pending(new: New, idle: impl Fn(&Versioned) -> bool + Copy + 'static) {
    handed_on(|job| object_with(new, job), idle);
}

/// The reader is the thread that begins: one preemption lets the whole of the writer in.
fn handed_on(
    begin: impl FnOnce(&Signaler) -> Arc<Versioned>,
    idle: impl Fn(&Versioned) -> bool + Copy + 'static,
) {
    let (a, b) = (issue(), issue());
    let object = begin(&a);
    let writer = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            commit(&object, |_| false, Some(&b));
            a.signal();
            b
        }
    });
    assert!(!idle(&object), "idle was never true");
    drop(writer.join().expect("no panic"));
    end(object);
}

/// The same, for a visit.
fn always_pending_visit(new: New) {
    always_pending(new, |object| {
        object.visit(UsageSet::ALL, 0, |count, _| count + 1) == 0
    });
}

/// What was before a signal is visible to a reader that finds the object idle, also when it does so
/// by finding it empty.
fn idle_is_after_the_signal(new: New) {
    let a = issue();
    let object = object_with(new, &a);
    let work = Arc::new(loom::cell::UnsafeCell::new(0));
    let writer = loom::thread::spawn({
        let (object, work) = (Arc::clone(&object), Arc::clone(&work));
        move || {
            work.with_mut(|_| ());
            a.signal();
            commit(&object, |_| false, None);
        }
    });
    if object.is_idle(UsageSet::ALL) {
        // A read that loom checks: it must be ordered after the write above.
        work.with(|_| ());
    }
    writer.join().expect("no panic");
    end(object);
}

/// Two writers and a reader: each writer's fence is there in the end.
fn two_writers(new: New) {
    let (a, b) = (issue(), issue());
    let object = Arc::new(new());
    let other = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            commit(&object, |_| false, Some(&b));
            // Nothing is left for the end of the thread, which loom may put after the model's.
            b
        }
    });
    commit(&object, |_| false, Some(&a));
    let _b = other.join().expect("no panic");
    let count = object.visit(UsageSet::ALL, 0, |count, _| count + 1);
    assert_eq!(count, 2, "an update was lost");
    end(object);
}

/// A reader tests while the work is handed on: with one fence to look at, and with two.
fn idle_in_a_race(new: New) {
    always_pending(new, |object| object.is_idle(UsageSet::ALL));
}

/// The same, where a snapshot is kept, so that the first array does not end when it is replaced.
fn idle_beside_a_snapshot(new: New) {
    let snapshot = std::cell::Cell::new(None);
    handed_on(
        |job| {
            let object = object_with_two(new, job);
            snapshot.set(Some(object.snapshot().expect("no memory needed")));
            object
        },
        |object| object.is_idle(UsageSet::ALL),
    );
}

fn idle_of_two_in_a_race(new: New) {
    handed_on(
        |job| object_with_two(new, job),
        |object| object.is_idle(UsageSet::ALL),
    );
}

/// A reader finds {A} done, and says so for later readers, while {A, B} is published: the idle bit is about
/// the former.
fn an_idle_bit_is_of_its_publication(new: New) {
    let (a, b) = (issue(), issue());
    let object = object_with(new, &a);
    a.signal();
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || object.is_idle(UsageSet::ALL)
    });
    commit(&object, |_| false, Some(&b));
    reader.join().expect("no panic");
    assert!(
        !object.is_idle(UsageSet::ALL),
        "a later one was said to be idle"
    );
    drop(b);
    end(object);
}

/// What was before a signal is visible to a reader that finds the object idle because another one has
/// set an idle bit.
fn an_idle_bit_is_after_the_signal(new: New) {
    let a = issue();
    let object = object_with(new, &a);
    let work = Arc::new(loom::cell::UnsafeCell::new(0));
    let readers = [0, 1].map(|_| {
        let (object, work) = (Arc::clone(&object), Arc::clone(&work));
        loom::thread::spawn(move || {
            if object.is_idle(UsageSet::ALL) {
                work.with(|_| ());
            }
        })
    });
    work.with_mut(|_| ());
    a.signal();
    for reader in readers {
        reader.join().expect("no panic");
    }
    end(object);
}

/// A reader takes a snapshot while two arrays are published, the second perhaps where the first was.
/// Every fence has as many owners in the end as it should have: none but the signalers.
fn references_balance(new: New) {
    let (a, b) = (issue(), issue());
    let object = object_with(new, &a);
    let first = object.snapshot().expect("no memory needed");
    let writer = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            commit(&object, |_| false, Some(&b));
            commit(&object, |_| false, None);
            b
        }
    });
    assert_eq!(first.len(), 1);
    drop(first);
    let second = object.snapshot().expect("no memory needed");
    assert!(!second.is_empty(), "never empty");
    assert!(timelines(&second).iter().all(|&t| t > 0));
    drop(second);
    let b = writer.join().expect("no panic");
    end(object);
    for job in [&a, &b] {
        let has_owner = resv_core::Fence::try_acquire(job.fence().cell()).is_some();
        assert!(has_owner, "given up under its signaler");
    }
    drop((a, b));
    assert_eq!(resv_core::fence::pool_stats().live, 0, "leaked a fence");
}

/// A snapshot is taken while an entry is superseded in its cell, and its fence given up; the memory of that
/// fence becomes another one's. What the snapshot shows is what was published (B6).
fn a_snapshot_beside_a_release(new: New) {
    let (a, b) = (issue(), issue());
    let known = [a.fence().timeline_id(), b.fence().timeline_id()];
    let object = object_with(new, &a);
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            let snapshot = object.snapshot().expect("no memory needed");
            let shown: Vec<_> = snapshot.iter().map(|e| e.fence.timeline_id()).collect();
            let was_published = shown.len() == 1 && known.contains(&shown[0]);
            assert!(was_published, "never published");
        }
    });
    commit(&object, |_| true, Some(&b));
    // The last reference to the first fence, if it was given up: the next one gets its memory.
    drop(a);
    let stranger = issue();
    reader.join().expect("no panic");
    drop((b, stranger));
    end(object);
}

/// A reader tests while the entry is superseded, which changes where the living begin. It looks first where
/// nothing is.
fn a_test_beside_a_hint(new: New) {
    let (a, b) = (issue(), issue());
    let object = object_with(new, &a);
    object.look_elsewhere();
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || assert!(!object.is_idle(UsageSet::ALL), "idle was never true")
    });
    commit(&object, |_| true, Some(&b));
    reader.join().expect("no panic");
    drop((a, b));
    end(object);
}

/// The same, where all that happens meanwhile is a publish and then a signal: what edits look at they have
/// looked at before, as loom does not explore a race of two loads and a store.
fn a_test_beside_a_publish(new: New) {
    let (a, b) = (issue(), issue());
    let object = object_with(new, &a);
    object.look_elsewhere();
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: 1,
        publishes: 1,
    };
    object.reserve(&mut held, room).expect("memory");
    let (fence, usage) = (b.fence().clone(), Usage::Write);
    object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || assert!(!object.is_idle(UsageSet::ALL), "idle was never true")
    });
    object.publish(&mut held);
    a.signal();
    reader.join().expect("no panic");
    object.unreserve(&mut held);
    drop(held);
    drop(b);
    end(object);
}

/// A reader has noted head and life, and looks, while the cell goes and comes back, published at the same
/// length with another entry, which is pending to the end: the head says what it said, and only the life tells.
/// The entry that was there signals before, or when the other one is published.
fn a_cell_comes_round(new: New, is_over: bool) {
    let (mut a, b) = (Some(issue()), issue());
    // Its memory becomes no other fence's.
    let first = a.as_ref().map(|job| job.fence().clone());
    let object = Arc::new(new());
    let publish = |object: &Versioned, (adds, publishes), fence: Option<&Fence>| {
        let mut held = object.object_lock().lock();
        let room = Budget { adds, publishes };
        object.reserve(&mut held, room).expect("memory");
        let (fence, usage) = (fence.cloned(), Usage::Write);
        let add = fence.map(|fence| Entry { fence, usage });
        object.edit_and_publish(&mut held, |_| false, add);
        object.unreserve(&mut held);
    };
    publish(&object, (3, 1), first.as_ref());
    if let Some(job) = a.take_if(|_| is_over) {
        job.signal();
    }
    let noted = object.begin_test().expect("there is something");
    let writer = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            publish(&object, (1, 1), Some(b.fence()));
            if let Some(job) = a.take() {
                job.signal();
            }
            // A cell that is too large, and is left at once for a small one.
            publish(&object, (0, 6), None);
            b
        }
    });
    let answer = object.end_test(noted, UsageSet::ALL);
    let _b = writer.join().expect("no panic");
    let (now, _) = object.begin_test().expect("there is something");
    let is_round = now.head().is_same_publication(noted.0.head());
    // A reader that sets idle bits may have the first cell meanwhile, so that it is another one.
    assert!(is_over || is_round, "another cell or length");
    assert!(is_over || answer != Some(true), "idle was never true");
    let is_idle = object.is_idle(UsageSet::ALL);
    assert!(!is_idle, "a later one was said to be idle");
    drop(first);
    end(object);
}

/// The reader looks at an entry that signals when the other one is there.
fn a_test_beside_a_cell_that_comes_round(new: New) {
    a_cell_comes_round(new, false);
}

/// The reader finds everything signalled, and sets idle bits.
fn idle_bits_beside_a_cell_that_comes_round(new: New) {
    a_cell_comes_round(new, true);
}

/// Two entries are published at once, in the cell that a reader takes a snapshot of (B4).
fn a_snapshot_of_a_transaction(new: New) {
    let jobs = [issue(), issue(), issue()];
    let object = Arc::new(new());
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: 3,
        publishes: 2,
    };
    object.reserve(&mut held, room).expect("memory");
    let add = |held: &mut _, job: &Signaler| {
        let (fence, usage) = (job.fence().clone(), Usage::Write);
        object.edit(held, |_| false, Some(Entry { fence, usage }));
    };
    add(&mut held, &jobs[0]);
    object.publish(&mut held);
    let reader = loom::thread::spawn({
        let object = Arc::clone(&object);
        move || {
            let count = object.snapshot().expect("no memory needed").len();
            assert!(count == 1 || count == 3, "half a transaction");
        }
    });
    add(&mut held, &jobs[1]);
    add(&mut held, &jobs[2]);
    object.publish(&mut held);
    object.unreserve(&mut held);
    drop(held);
    reader.join().expect("no panic");
    end(object);
}

/// What the first of two steps asks for: it looks, or the second does.
const LOOKS: Option<UsageSet> = Some(UsageSet::ALL);
const LOOKS_LATER: Option<UsageSet> = Some(UsageSet::EMPTY);

fn sound(model: fn(New), two_steps: Option<UsageSet>) {
    long_model(move || {
        TWO_STEPS.set(two_steps);
        model(Versioned::default);
    });
}

/// A model with more steps than loom expects of one.
fn long_model(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 5_000;
    builder.check(model);
}

macro_rules! sound {
    ($($test:ident: $model:ident $(, $steps:expr)?;)*) => {$(
        #[test]
        fn $test() {
            sound($model, None$(.or($steps))?);
        }
    )*};
}

sound! {
    b6_a_snapshot_is_whole_and_alive: publish_snapshot_retire;
    b6_a_first_snapshot_is_whole: publish_and_snapshot;
    b6_a_snapshot_beside_a_release_shows_what_was_published: a_snapshot_beside_a_release;
    b4_a_transaction_is_seen_whole: a_snapshot_of_a_transaction;
    b2_idle_is_never_a_lie: idle_in_a_race;
    b2_idle_beside_a_hint_is_never_a_lie: a_test_beside_a_hint;
    b2_idle_beside_a_publish_is_never_a_lie: a_test_beside_a_publish;
    h09_idle_beside_a_cell_that_comes_round_is_never_a_lie: a_test_beside_a_cell_that_comes_round;
    h09_an_idle_bit_is_not_of_what_comes_round: idle_bits_beside_a_cell_that_comes_round;
    b2_a_visit_that_shows_nothing_is_never_a_lie: always_pending_visit;
    f05_idle_shows_what_was_before_the_signal: idle_is_after_the_signal;
    b9_two_writers_lose_nothing: two_writers;
    b6_references_balance: references_balance;
    b2_idle_of_two_is_never_a_lie: idle_of_two_in_a_race;
    b2_idle_beside_a_snapshot_is_never_a_lie: idle_beside_a_snapshot;
    b2_an_idle_bit_is_of_its_publication: an_idle_bit_is_of_its_publication;
    f05_an_idle_bit_shows_what_was_before_the_signal: an_idle_bit_is_after_the_signal;
    b4_a_commit_is_seen_whole: publish_snapshot_retire, LOOKS;
    b4_a_commit_that_looks_is_seen_whole: publish_snapshot_retire, LOOKS_LATER;
    b6_a_snapshot_beside_a_commit_shows_what_was_published: a_snapshot_beside_a_release, LOOKS;
    b6_a_snapshot_beside_a_commit_that_looks_shows_what_was_published:
        a_snapshot_beside_a_release, LOOKS_LATER;
    b2_idle_beside_a_commit_is_never_a_lie: idle_in_a_race, LOOKS_LATER;
    b2_idle_beside_the_hint_of_a_commit_is_never_a_lie: a_test_beside_a_hint, LOOKS;
    b2_idle_beside_the_hint_of_a_commit_that_looks_is_never_a_lie: a_test_beside_a_hint, LOOKS_LATER;
    b9_two_commits_lose_nothing: two_writers, LOOKS_LATER;
    b6_references_balance_after_commits: references_balance, LOOKS;
    b6_references_balance_after_commits_that_look: references_balance, LOOKS_LATER;
}

macro_rules! must_find {
    ($($test:ident, $expected:literal: $defect:ident, $model:ident $(, $steps:expr)?;)*) => {$(
        #[test]
        #[should_panic(expected = $expected)]
        fn $test() {
            long_model(|| {
                TWO_STEPS.set(None$(.or($steps))?);
                $model(|| Versioned::with_defect(Defect::$defect));
            });
        }
    )*};
}

must_find! {
    must_find_a_head_without_release, "half a transaction":
        RelaxedHead, a_snapshot_of_a_transaction;
    must_find_a_plain_load_before_fences_are_given_up, "never published":
        PlainLoadAtRelease, a_snapshot_beside_a_release;
    must_find_a_hint_before_the_head, "idle was never true":
        HintBeforeHead, a_test_beside_a_hint;
    must_find_a_relaxed_null, "idle was never true":
        RelaxedNull, a_test_beside_a_hint;
    must_find_a_plain_load_before_a_commit_gives_up, "never published":
        PlainLoadAtRelease, a_snapshot_beside_a_release, LOOKS_LATER;
    must_find_a_relaxed_null_of_a_commit, "idle was never true":
        RelaxedNull, a_test_beside_a_hint, LOOKS_LATER;
    must_find_no_second_look, "idle was never true":
        NoSecondLook, a_test_beside_a_publish;
    must_find_no_second_look_at_the_life, "idle was never true":
        NoLife, a_test_beside_a_cell_that_comes_round;
    must_find_idle_bits_by_a_reader_without_a_reference, "a later one was said to be idle":
        IdleBitsUnowned, idle_bits_beside_a_cell_that_comes_round;
    must_find_idle_bits_without_release, "Causality violation":
        RelaxedIdleBits, an_idle_bit_is_after_the_signal;
    must_find_references_moved_from_under_a_snapshot, "given up under its signaler":
        MovesFromUnderReaders, references_balance;
}
