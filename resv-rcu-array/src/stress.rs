//! Known-bad variants under real threads: what must be caught, and that the sound object is not.

use crate::raw::Defect;
use crate::versioned::Versioned;
use race::{AlwaysPending, STEPS, race, was_published};
use resv_core::{Backend, EntryRef, EntrySet, Key, UsageSet};

#[path = "../tests/common/race.rs"]
mod race;

/// Whether a reader saw a set that was never published: with a snapshot, whose fences must be those of the
/// object for as long as it lives.
fn sees_what_never_was(object: &Versioned) -> bool {
    let snapshot = object.snapshot().expect("no memory needed");
    let keys = || snapshot.iter().map(EntryRef::key).collect::<Vec<Key>>();
    let first = keys();
    std::hint::spin_loop();
    !was_published(&first) || keys() != first
}

fn sees_nothing(object: &Versioned) -> bool {
    // A snapshot keeps the cell, so that its life goes on: only the head tells.
    let _kept = object.snapshot().expect("no memory needed");
    object.is_idle(UsageSet::ALL)
}

#[test]
fn b6_the_sound_object_shows_what_was_published() {
    assert!(!race(Versioned::default(), STEPS, sees_what_never_was));
    assert!(!race(Versioned::default(), STEPS, sees_nothing));
}

/// Whether a snapshot holds the cell must be asked by a read-modify-write: with a plain load, the publisher
/// misses a reader that misses the new head (store buffering), and gives up fences under its snapshot.
#[test]
fn b6_known_bad_a_plain_load_before_fences_are_given_up() {
    let bad = Versioned::with_defect(Defect::PlainLoadAtRelease);
    assert!(race(bad, 100 * STEPS, sees_what_never_was));
}

/// The life of a cell alone does not say that what was read of it is published still.
#[test]
fn h25_known_bad_no_second_look() {
    let bad = Versioned::with_defect(Defect::NoSecondLook);
    assert!(race(bad, 100 * STEPS, sees_nothing));
}

/// A reader between the steps of a writer.
#[test]
fn h25_what_is_handed_on_is_seen_at_each_step() {
    let always = AlwaysPending::new(Versioned::default());
    let mut writer = always.writer();
    for _ in 0..100 {
        writer.step();
        assert!(!sees_nothing(&always.object));
        assert!(!sees_what_never_was(&always.object));
    }
}
