//! Real threads against the promises to readers: H-02 (something is pending at every instant, so no
//! reader may find nothing), B1 (a set is one that was published). The variants with a
//! known defect are in `src/stress.rs`.
#![cfg(not(loom))]

#[path = "common/race.rs"]
mod race;

use race::{AlwaysPending, STEPS, race, was_published};
use resv_core::{Backend, EntryRef, EntrySet, Key, Usage, UsageSet};
use resv_rcu_array::{Flavour, RcuArray};

fn h02_no_reader_ever_finds_nothing_pending<F: Flavour>() {
    let lied = race(RcuArray::<F>::default(), STEPS, |object| {
        assert!(!object.is_idle(UsageSet::ALL), "is_idle lied");
        assert!(object.is_idle(UsageSet::of(&[Usage::Kernel, Usage::Bookkeep])));
        let keys = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
            keys.push(key);
            keys
        });
        assert!(!keys.is_empty(), "a visit showed nothing");
        let snapshot = object.snapshot().expect("no memory needed");
        let keys: Vec<Key> = snapshot.iter().map(EntryRef::key).collect();
        assert!(was_published(&keys), "never published: {keys:?}");
        false
    });
    assert!(!lied);
}

/// The test that an immutable array invites one to write: it does not look whether the array is
/// still published. `between` runs between taking the array and testing its fences.
fn naive_is_idle<F: Flavour>(object: &RcuArray<F>, between: impl FnOnce()) -> bool {
    let snapshot = object.snapshot().expect("no memory needed");
    between();
    snapshot.iter().all(|e| e.fence.is_signaled())
}

fn h25_without_the_second_look_idle_is_a_lie<F: Flavour>() {
    let always = AlwaysPending::new(RcuArray::<F>::default());
    let mut writer = always.writer();
    let object = &always.object;
    for _ in 0..100 {
        // The reader has {E} (and an S that has signalled) in its hands when the writer steps.
        assert!(naive_is_idle(object, || writer.add_read_and_signal_write()));
        assert!(!object.is_idle(UsageSet::ALL));
        writer.replace_write_and_signal_read();
        assert!(!object.is_idle(UsageSet::ALL));
    }
}

fn h25_the_race_catches_a_test_without_the_second_look<F: Flavour>() {
    // The race above is able to catch what it is for; it ends as soon as it has.
    let caught = race(RcuArray::<F>::default(), 100 * STEPS, |object| {
        naive_is_idle(object, || ())
    });
    assert!(caught);
}

/// The race goes on until a visit was disturbed, which [`Backend::counters`] tells.
fn b7_what_is_started_again_is_counted<F: Flavour>() {
    let counted = race(RcuArray::<F>::default(), 100 * STEPS, |object| {
        object.visit(UsageSet::ALL, (), |(), _| ());
        assert_eq!(object.counters().fallbacks, 0);
        object.counters().retries > 0
    });
    assert!(counted);
}

macro_rules! on_each_flavour {
    ($($test:ident)*) => {
        mod stable {
            $(#[test] fn $test() { super::$test::<resv_rcu_array::Stable>(); })*
        }
        #[cfg(feature = "arc-swap")]
        mod arc_swap {
            $(#[test] fn $test() { super::$test::<resv_rcu_array::ArcSwapped>(); })*
        }
    };
}

on_each_flavour! {
    h02_no_reader_ever_finds_nothing_pending
    h25_without_the_second_look_idle_is_a_lie
    h25_the_race_catches_a_test_without_the_second_look
    b7_what_is_started_again_is_counted
}
