//! loom models of storing, closing and taking back, on the real code. `scripts/loom` runs them.
//!
//! What a model asks for: a callback that was stored and not taken back runs once, one that was taken
//! back or refused never, and each closure is dropped once. What loom asks for: no node is used by one
//! thread while another frees it, and no closure is taken by two.

use super::*;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use std::panic::resume_unwind;

/// How often a callback ran, and how often its closure was dropped.
#[derive(Default)]
struct Seen {
    runs: AtomicUsize,
    drops: AtomicUsize,
}

/// Owns nothing, so that a known-bad variant may drop it twice and be found out.
struct CountDrop(&'static Seen);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn list(defect: Option<Defect>) -> Arc<Callbacks> {
    let mut list = Callbacks::open();
    list.seam = defect.map_or(Seam::SOUND, Seam::planted);
    Arc::new(list)
}

fn callback(seen: &'static Seen) -> impl FnOnce(u32) + Send + 'static {
    let owned = CountDrop(seen);
    move |outcome| {
        assert_eq!(outcome, 5);
        owned.0.runs.fetch_add(1, Ordering::Relaxed);
    }
}

/// Stores one more; `Seen` says what becomes of it.
fn store(list: &Callbacks, id: u64) -> (&'static Seen, bool) {
    let seen: &Seen = Box::leak(Box::default());
    let stored = list.push_as(id, callback(seen)).is_ok();
    (seen, stored)
}

fn close(list: &Callbacks) {
    list.close(5).run(|panic| resume_unwind(panic));
}

fn check(seen: &Seen, runs: bool) {
    assert_eq!(
        seen.runs.load(Ordering::Relaxed),
        usize::from(runs),
        "lost or run twice"
    );
    assert_eq!(seen.drops.load(Ordering::Relaxed), 1, "dropped once");
}

/// Two threads store while one closes. A refused one sees what the closer did before.
fn push_against_close(defect: Option<Defect>) {
    loom::model(move || {
        let list = list(defect);
        let work = Arc::new(AtomicUsize::new(0));
        let closer = {
            let (list, work) = (Arc::clone(&list), Arc::clone(&work));
            thread::spawn(move || {
                work.store(1, Ordering::Relaxed);
                close(&list);
            })
        };
        let other = {
            let list = Arc::clone(&list);
            thread::spawn(move || store(&list, 1))
        };
        let (seen, stored) = store(&list, 2);
        if !stored {
            assert_eq!(work.load(Ordering::Relaxed), 1, "F-05");
        }
        closer.join().expect("the closer ends");
        let (also, and_stored) = other.join().expect("the other one ends");
        check(seen, stored);
        check(also, and_stored);
        assert_eq!(list.outcome(), Some(5), "closed for good");
    });
}

#[test]
fn f_02_a_callback_is_run_or_refused() {
    push_against_close(None);
}

#[test]
#[should_panic(expected = "lost or run twice")]
fn f_02_known_bad_storing_without_looking() {
    push_against_close(Some(Defect::StoredUnlooked));
}

/// One of three stored callbacks is taken back while another thread closes.
fn cancel_against_close(defect: Option<Defect>, which: u64) {
    cancel_of_against_close([0, 1, 2], defect, which);
}

/// The same of so many: a closer notes two of them, and turns round what is before them.
fn cancel_of_against_close<const N: usize>(ids: [u64; N], defect: Option<Defect>, which: u64) {
    loom::model(move || {
        let list = list(defect);
        let seen = ids.map(|id| store(&list, id).0);
        let closer = {
            let list = Arc::clone(&list);
            thread::spawn(move || close(&list))
        };
        let taken = list.cancel_as(which);
        let was_taken = taken.is_some();
        drop(taken);
        closer.join().expect("the closer ends");
        for (id, seen) in (0..).zip(seen) {
            check(seen, !(id == which && was_taken));
        }
        // The race is over: opening again says so.
        list.reopen(false);
    });
}

#[test]
fn f_02_the_newest_is_taken_back() {
    cancel_against_close(None, 2);
}

#[test]
fn f_02_one_in_the_middle_is_taken_back() {
    cancel_against_close(None, 1);
}

#[test]
fn f_02_one_of_a_list_that_is_noted_is_taken_back() {
    for which in [0, 1] {
        cancel_of_against_close([0, 1], None, which);
    }
}

#[test]
#[should_panic(expected = "Causality violation")]
fn f_02_known_bad_noting_a_list_with_a_walker() {
    cancel_of_against_close([0, 1], Some(Defect::ClosesAlone), 1);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn f_02_known_bad_walking_unseen_in_a_list_that_is_noted() {
    cancel_of_against_close([0, 1], Some(Defect::WalksUnseen), 0);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn f_02_known_bad_walking_unseen() {
    cancel_against_close(Some(Defect::WalksUnseen), 1);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn f_02_known_bad_closing_alone() {
    cancel_against_close(Some(Defect::ClosesAlone), 1);
}

#[test]
#[should_panic(expected = "lost or run twice")]
fn f_02_known_bad_claiming_anyway() {
    cancel_against_close(Some(Defect::ClaimsAnyway), 1);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn f_02_known_bad_keeping_a_node_that_the_closer_looks_at() {
    cancel_against_close(Some(Defect::KeepsItsNode), 1);
}

/// Two threads take back, a third stores: nobody's callback is lost or run twice.
#[test]
fn f_02_taking_back_against_taking_back_and_storing() {
    loom::model(|| {
        let list = list(None);
        let seen = [0, 1].map(|id| store(&list, id).0);
        let other = {
            let list = Arc::clone(&list);
            thread::spawn(move || list.cancel_as(0).is_some())
        };
        let third = {
            let list = Arc::clone(&list);
            thread::spawn(move || store(&list, 2).0)
        };
        assert!(list.cancel_as(1).is_some());
        assert!(other.join().expect("the other one ends"));
        let third = third.join().expect("the third one ends");
        assert_eq!(list.count(), 1);
        close(&list);
        seen.iter().for_each(|seen| check(seen, false));
        check(third, true);
    });
}

/// The newest callback is taken back while another thread stores.
fn cancel_against_push(defect: Option<Defect>) {
    loom::model(move || {
        let list = list(defect);
        let first = store(&list, 0).0;
        let pusher = {
            let list = Arc::clone(&list);
            thread::spawn(move || store(&list, 1).0)
        };
        assert!(list.cancel_as(0).is_some());
        let second = pusher.join().expect("the pusher ends");
        close(&list);
        check(first, false);
        check(second, true);
    });
}

#[test]
fn f_02_the_newest_is_taken_back_while_another_comes() {
    cancel_against_push(None);
}

#[test]
#[should_panic(expected = "lost or run twice")]
fn f_02_known_bad_missing_what_came() {
    cancel_against_push(Some(Defect::MissesWhatCame));
}

/// A callback that is stored on a list while that is closed and walked is refused or served.
#[test]
fn f_02_all_three_at_once() {
    loom::model(|| {
        let list = list(None);
        let first = store(&list, 0).0;
        let closer = {
            let list = Arc::clone(&list);
            thread::spawn(move || close(&list))
        };
        let pusher = {
            let list = Arc::clone(&list);
            thread::spawn(move || store(&list, 1))
        };
        let taken = list.cancel_as(0).is_some();
        closer.join().expect("the closer ends");
        let (second, stored) = pusher.join().expect("the pusher ends");
        check(first, !taken);
        check(second, stored);
        list.reopen(false);
    });
}
