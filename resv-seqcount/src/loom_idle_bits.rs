//! loom models of the idle bits in the sequence word, and of what readers fall back to; each with
//! variants that loom must reject.

use crate::counter::{Defect, Seam};
use crate::loom_models::transact;
use crate::object::Seqcount;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use resv_core::{Backend, Budget, Timeline, UsageSet};

/// Another thread, which does `f` with the object.
fn beside<R: 'static>(
    object: &Arc<Seqcount>,
    f: impl FnOnce(&Seqcount) -> R + 'static,
) -> thread::JoinHandle<R> {
    let object = Arc::clone(object);
    thread::spawn(move || f(&object))
}

/// {E}, which has signalled; a reader finds that out and sets the idle bits while S is added. Afterwards the
/// object is not idle.
fn an_idle_bit_is_never_on_a_newer_set(seam: Seam) {
    loom::model(move || {
        let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
        let (e, s) = (gfx.issue().expect("seqno"), dma.issue().expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        transact(&object, |_| false, &[e.fence()]);
        e.signal();
        let marker = beside(&object, |object| object.is_idle(UsageSet::ALL));
        transact(&object, |_| false, &[s.fence()]);
        let mut lied = object.is_idle(UsageSet::ALL);
        marker.join().expect("the marker ends");
        lied |= object.is_idle(UsageSet::ALL);
        // Asserted when nothing is left to be dropped: loom aborts on a drop while it unwinds.
        drop((object, s));
        assert!(!lied, "idle");
    });
}

#[test]
fn b2_an_idle_bit_is_never_on_a_newer_set() {
    an_idle_bit_is_never_on_a_newer_set(Seam::SOUND);
}

#[test]
#[should_panic(expected = "idle")]
fn b2_known_bad_idle_bits_on_any_word() {
    an_idle_bit_is_never_on_a_newer_set(Seam::planted(Defect::IdleBitsOnAnyWord));
}

#[test]
#[should_panic(expected = "idle")]
fn b2_known_bad_idle_bits_of_an_unvalidated_scan() {
    an_idle_bit_is_never_on_a_newer_set(Seam::planted(Defect::IdleBitsUnvalidated));
}

#[test]
#[should_panic(expected = "idle")]
fn b2_known_bad_a_writer_keeps_idle_bits() {
    an_idle_bit_is_never_on_a_newer_set(Seam::planted(Defect::KeepsIdleBits));
}

/// {E}, then S is added, then E signals: something is pending at every instant, for a reader that is
/// answered by the idle bit of another, too.
fn idle_by_an_idle_bit_was_true(seam: Seam) {
    loom::model(move || {
        let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
        let (e, s) = (gfx.issue().expect("seqno"), dma.issue().expect("seqno"));
        let object = Arc::new(Seqcount::with(seam));
        transact(&object, |_| false, &[e.fence()]);
        let marker = beside(&object, |object| object.is_idle(UsageSet::ALL));
        transact(&object, |_| false, &[s.fence()]);
        e.signal();
        let mut lied = object.word().says_idle(UsageSet::ALL);
        lied |= marker.join().expect("the marker ends");
        drop((object, s));
        assert!(!lied, "idle");
    });
}

#[test]
fn b2_idle_by_an_idle_bit_was_true() {
    idle_by_an_idle_bit_was_true(Seam::SOUND);
}

#[test]
#[should_panic(expected = "idle")]
fn b2_known_bad_idle_by_the_bit_of_an_unvalidated_scan() {
    idle_by_an_idle_bit_was_true(Seam::planted(Defect::IdleBitsUnvalidated));
}

/// A thread that is told "idle" by the idle bits, not by a scan of its own, and then looks for the result.
fn reader_of_idle_bits(
    object: &Arc<Seqcount>,
    result: &Arc<AtomicUsize>,
) -> thread::JoinHandle<bool> {
    let (object, result) = (Arc::clone(object), Arc::clone(result));
    thread::spawn(move || {
        !object.word().says_idle(UsageSet::ALL) || result.load(Ordering::Relaxed) == 1
    })
}

/// A job writes its result and signals E. A thread does `first` meanwhile; a reader, which is told "idle" by the
/// idle bits that come of that, sees the result.
fn what_was_before_the_signal_is_seen(seam: Seam, first: fn(&Seqcount)) {
    loom::model(move || {
        let gfx = Timeline::new("gfx");
        let e = gfx.issue().expect("seqno");
        let object = Arc::new(Seqcount::with(seam));
        let result = Arc::new(AtomicUsize::new(0));
        transact(&object, |_| false, &[e.fence()]);
        let other = beside(&object, first);
        let reader = reader_of_idle_bits(&object, &result);
        result.store(1, Ordering::Relaxed);
        e.signal();
        other.join().expect("the first thread ends");
        let is_good = reader.join().expect("the reader ends");
        drop(object);
        assert!(is_good, "unseen");
    });
}

/// With a reader that looks, and sets the idle bits.
fn an_idle_bit_brings_what_was_before_the_signal(seam: Seam) {
    what_was_before_the_signal_is_seen(seam, |object| {
        object.is_idle(UsageSet::ALL);
    });
}

#[test]
fn f_05_an_idle_bit_brings_what_was_before_the_signal() {
    an_idle_bit_brings_what_was_before_the_signal(Seam::SOUND);
}

#[test]
#[should_panic(expected = "unseen")]
fn f_05_known_bad_unordered_idle_bits() {
    an_idle_bit_brings_what_was_before_the_signal(Seam::planted(Defect::UnorderedIdleBits));
}

#[test]
#[should_panic(expected = "unseen")]
fn f_05_known_bad_unordered_load() {
    an_idle_bit_brings_what_was_before_the_signal(Seam::planted(Defect::UnorderedLoad));
}

/// With a writer that finds E signalled, drops it, and closes with the idle bits of an empty set.
fn a_close_brings_what_was_before_the_signal(seam: Seam) {
    what_was_before_the_signal_is_seen(seam, |object| {
        let mut held = object.object_lock().lock();
        let room = Budget {
            adds: 0,
            publishes: 1,
        };
        object.reserve(&mut held, room).expect("memory");
        object.edit(&mut held, |_| false, None);
        object.publish(&mut held);
        object.unreserve(&mut held);
    });
}

#[test]
fn f_05_a_close_brings_what_was_before_the_signal() {
    a_close_brings_what_was_before_the_signal(Seam::SOUND);
}

#[test]
#[should_panic(expected = "unseen")]
fn f_05_known_bad_unordered_close() {
    a_close_brings_what_was_before_the_signal(Seam::planted(Defect::UnorderedClose));
}

/// An object gets its side, its table and its first fence under a reader, which falls back to the side
/// when it is overtaken (after one attempt here).
fn the_side_is_there_for_a_reader_that_falls_back(seam: Seam) {
    loom::model(move || {
        let gfx = Timeline::new("gfx");
        let job = gfx.issue().expect("seqno");
        let object = Arc::new(Seqcount::with(seam));
        let writer = {
            let object = Arc::clone(&object);
            thread::spawn(move || {
                transact(&object, |_| false, &[job.fence()]);
                job
            })
        };
        // Not `visit`: the idle bits of the empty object would answer at once.
        let seen = object.collect(Some(object.word()), Some).expect("memory");
        assert!(seen.len() <= 1, "{} of one", seen.len());
        drop(writer.join().expect("the writer ends"));
    });
}

#[test]
fn b7_the_side_is_there_for_a_reader_that_falls_back() {
    the_side_is_there_for_a_reader_that_falls_back(Seam::SOUND);
}

#[test]
#[should_panic(expected = "the side is there")]
fn b7_known_bad_unordered_open() {
    the_side_is_there_for_a_reader_that_falls_back(Seam::planted(Defect::UnorderedOpen));
}
