//! loom models of the fence: signalling against registering, waiting and recycling, on the real
//! code, some with a variant that loom must reject. `scripts/loom` runs them.

use super::cell::FenceCell;
use super::completion::{News, spread, spread_points};
use super::compose::without_children;
use super::extra::{Child, Mode, Watcher};
use super::line::LineOwner;
use super::point::new_point;
use super::reach::{Defect, Reach};
use super::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a seqno is left")
}

/// A callback runs exactly once if it was accepted, and never if it was refused. (The variants that
/// lose one are with the list itself, in `resv-sync`.)
#[test]
fn f_02_a_callback_is_not_lost() {
    loom::model(|| {
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let signaller = thread::spawn(move || job.signal());
        let count = Arc::clone(&runs);
        let callback = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let accepted = fence.on_signal(callback).is_ok();
        signaller.join().expect("the signaller ends");
        assert_eq!(runs.load(Ordering::Relaxed), usize::from(accepted), "lost");
    });
}

/// Taking back races with signalling: the callback runs, or it was taken back, never both.
#[test]
fn f_02_cancel_against_signal() {
    loom::model(|| {
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let id = fence
            .on_signal(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .expect("pending");
        let signaller = thread::spawn(move || job.signal());
        let cancelled = fence.cancel(id);
        signaller.join().expect("the signaller ends");
        assert_eq!(runs.load(Ordering::Relaxed), usize::from(!cancelled));
    });
}

/// A waiter wakes up, and sees what the signaller did before (F-05).
#[test]
fn f_05_a_waiter_wakes_and_sees_the_work() {
    loom::model(|| {
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let work = Arc::new(AtomicUsize::new(0));
        let signaller = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                work.store(1, Ordering::Relaxed);
                job.signal();
            })
        };
        assert_eq!(fence.wait(None), Waited::Signaled);
        assert_eq!(work.load(Ordering::Relaxed), 1);
        signaller.join().expect("the signaller ends");
    });
}

/// One thread drops the last reference, and the cell becomes another fence; another thread tries to
/// get a reference from the address. What it gets is whole: a key of one fence and its timeline.
#[test]
fn f_07_a_revived_cell_is_a_whole_fence() {
    loom::model(|| {
        let (ours, other) = (Timeline::new("ours"), Timeline::new("other"));
        let job = issue(&ours);
        let cell: &'static FenceCell = job.fence().cell();
        let dropper = {
            let other = other.clone();
            thread::spawn(move || {
                job.signal();
                issue(&other)
            })
        };
        if let Some(fence) = Fence::try_acquire(cell) {
            let lines = [&ours, &other].map(|line| (line.id(), line.name()));
            assert!(lines.contains(&(fence.timeline_id(), &fence.timeline_name())));
        }
        drop(dropper.join().expect("the dropper ends"));
    });
}

/// Watches `child` without the slow-path flag, so without knowing whether its signaller will look.
fn watch_unmarked(child: &Fence, parent: &Fence) {
    if child.is_signaled() {
        parent.in_composition(|c| c.count(child.status()));
        return;
    }
    let mut locked = child.cell().extra().lock();
    let extra = locked.get_or_insert_default();
    extra.watchers.push(Watcher::of(parent));
}

/// As children of which it is not known where they are watched.
fn unwatched(fences: &[Fence]) -> Vec<Child> {
    let child = |fence: &Fence| Child {
        fence: fence.clone(),
        place: None,
    };
    fences.iter().map(child).collect()
}

/// Composing races with two threads that signal the children: once both have, the composition has
/// signalled too, without a waiter (H-12).
fn composing_misses_no_child(sound: bool) {
    loom::model(move || {
        let jobs = [issue(&Timeline::new("a")), issue(&Timeline::new("b"))];
        let fences = [jobs[0].fence().clone(), jobs[1].fence().clone()];
        let signallers = jobs.map(|job| thread::spawn(move || job.signal()));
        let both = if sound {
            Fence::all(&fences).expect("not empty")
        } else {
            let both = without_children(Mode::All);
            for child in &fences {
                watch_unmarked(child, &both);
            }
            spread(both.make_whole(unwatched(&fences)));
            both
        };
        for signaller in signallers {
            signaller.join().expect("the signaller ends");
        }
        let signaled = both.is_signaled();
        // What is left of the unsound one: children that a static cell would keep beyond the model.
        drop(both);
        for fence in &fences {
            drop(fence.cell().extra().lock().take());
        }
        assert!(signaled, "lost");
    });
}

#[test]
fn h_12_composing_misses_no_child() {
    composing_misses_no_child(true);
}

#[test]
#[should_panic(expected = "lost")]
fn h_12_known_bad_watching_unmarked() {
    composing_misses_no_child(false);
}

/// Counts a child in two critical sections where there has to be one.
fn count_in_two_steps(parent: &Fence) {
    let Some(signaled) = parent.in_composition(|c| c.signaled) else {
        return;
    };
    parent.in_composition(|c| c.signaled = signaled);
    let news = parent.clone().child_signaled(FenceStatus::Signaled);
    if let Some(News::Signaled(completion)) = news {
        spread([completion]);
    }
}

/// Two threads signal the two children of an `all`: its callback runs exactly once, and then both
/// have signalled and what both did before is visible (F-05).
fn all_signals_once_after_both(sound: bool) {
    loom::model(move || {
        let jobs = [issue(&Timeline::new("a")), issue(&Timeline::new("b"))];
        let fences = [jobs[0].fence().clone(), jobs[1].fence().clone()];
        let both = if sound {
            Fence::all(&fences).expect("not empty")
        } else {
            let both = without_children(Mode::All);
            assert!(both.make_whole(unwatched(&fences)).is_none());
            both
        };
        let (runs, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, done) = (Arc::clone(&runs), Arc::clone(&work));
        let registered = both.on_signal(move |_| {
            assert_eq!(done.load(Ordering::Relaxed), 2, "early");
            assert!(fences.iter().all(Fence::is_signaled));
            count.fetch_add(1, Ordering::Relaxed);
        });
        let signallers = jobs.map(|job| {
            let (work, both) = (Arc::clone(&work), both.clone());
            thread::spawn(move || {
                work.fetch_add(1, Ordering::Relaxed);
                job.signal();
                if !sound {
                    count_in_two_steps(&both);
                }
            })
        });
        for signaller in signallers {
            signaller.join().expect("the signaller ends");
        }
        let runs = runs.load(Ordering::Relaxed);
        if runs == 0 {
            both.cancel(registered.expect("registered above"));
        }
        assert_eq!(runs, 1, "lost");
    });
}

#[test]
fn all_signals_exactly_once_after_both() {
    all_signals_once_after_both(true);
}

#[test]
#[should_panic(expected = "lost")]
fn all_known_bad_counting_in_two_steps() {
    all_signals_once_after_both(false);
}

/// Dropping a composition races with its last child: nothing runs, nothing is left behind.
#[test]
fn dropping_a_composition_against_its_child() {
    loom::model(|| {
        let job = issue(&Timeline::new("a"));
        let fence = job.fence().clone();
        let array = Fence::all([&fence]).expect("not empty");
        let signaller = thread::spawn(move || job.signal());
        drop(array);
        signaller.join().expect("the signaller ends");
        assert!(fence.cell().extra().lock().is_none());
    });
}

/// A timeline that may do something wrong.
fn timeline_with(defect: Option<Defect>) -> Timeline {
    let timeline = Timeline::new("t");
    if let Some(defect) = defect {
        timeline.reach().plant(defect);
    }
    timeline
}

/// Asking for a point races with reaching it: it is found reached, or it is signalled.
fn a_point_is_not_lost(defect: Option<Defect>) {
    loom::model(move || {
        let ring = timeline_with(defect);
        let job = issue(&ring);
        let signaller = thread::spawn(move || job.signal());
        let point = ring.point(1);
        signaller.join().expect("the signaller ends");
        assert_eq!(point.status(), FenceStatus::Signaled, "lost");
    });
}

#[test]
fn points_are_not_lost() {
    a_point_is_not_lost(None);
}

#[test]
#[should_panic(expected = "lost")]
fn points_known_bad_without_looking_again() {
    a_point_is_not_lost(Some(Defect::LooksTooEarly));
}

/// The last handle goes while the last fence signals: its own place is reached and later ones are
/// cancelled, whichever is first; no later one before.
fn a_timeline_ends(defect: Option<Defect>) {
    loom::model(move || {
        let ring = timeline_with(defect);
        let job = issue(&ring);
        let (near, far) = (ring.point(1), ring.point(2));
        let fence = job.fence().clone();
        let signaller = thread::spawn(move || job.signal());
        drop(ring);
        if far.is_signaled() {
            assert!(fence.is_signaled(), "the point stands for the fence");
        }
        signaller.join().expect("the signaller ends");
        assert_eq!(near.status(), FenceStatus::Signaled, "lost");
        assert_eq!(
            far.status(),
            FenceStatus::Error(FenceError::CANCELED),
            "lost"
        );
    });
}

#[test]
fn the_end_of_a_timeline_cancels_what_nobody_reaches() {
    a_timeline_ends(None);
}

#[test]
#[should_panic(expected = "lost")]
fn the_end_known_bad_forgetting_the_waiters() {
    a_timeline_ends(Some(Defect::EndForgets));
}

#[test]
#[should_panic(expected = "lost")]
fn the_end_known_bad_without_looking_how_far_it_has_come() {
    a_timeline_ends(Some(Defect::EndDoesNotLook));
}

/// Attaching a place races with the signal of the fence, and with a thread that asks for the place. Once with
/// the real order of steps, once watching the fence before there is anything for its signaller to take
/// away.
fn an_attached_place_is_not_lost(sound: bool) {
    loom::model(move || {
        let chain = Timeline::new("chain");
        let job = issue(&Timeline::new("t"));
        let fence = job.fence().clone();
        let signaller = thread::spawn(move || job.signal());
        if sound {
            chain.attach(1, &fence).expect("attached");
        } else {
            attach_watched(&chain, &fence);
        }
        let point = chain.point(1);
        signaller.join().expect("the signaller ends");
        let status = point.status();
        // What is left of the unsound one keeps the timeline, beyond the model.
        chain.fail_all(FenceError::CANCELED);
        assert_eq!(status, FenceStatus::Signaled, "lost");
        assert_eq!(chain.completed_seqno(), 1);
    });
}

/// Attaches place 1 in the wrong order: watches the fence first.
fn attach_watched(chain: &Timeline, fence: &Fence) {
    let (reach, hold) = (chain.reach(), Reach::name(1));
    let watched = fence.watch(Watcher::Place(reach, hold));
    reach.attach(hold, fence).expect("not reached");
    match watched {
        Ok((place, _)) => reach.watched(hold, place),
        Err(status) => spread_points(reach.release(hold, status)),
    }
}

#[test]
fn attached_places_are_not_lost() {
    an_attached_place_is_not_lost(true);
}

#[test]
#[should_panic(expected = "lost")]
fn attached_known_bad_watching_first() {
    an_attached_place_is_not_lost(false);
}

/// Waiting for a submission races with it: it is found issued, or it is told. Once with the real order of
/// steps, once looking before announcing.
fn a_submission_is_not_lost(sound: bool) {
    loom::model(move || {
        let ring = Timeline::new("t");
        let issuer = {
            let ring = ring.clone();
            thread::spawn(move || issue(&ring))
        };
        let submitted = if sound {
            ring.submitted(1)
        } else {
            submitted_without_looking_again(&ring)
        };
        let job = issuer.join().expect("the issuer ends");
        assert!(submitted.is_signaled(), "lost");
        job.signal();
    });
}

fn submitted_without_looking_again(ring: &Timeline) -> Fence {
    if ring.last_seqno() >= 1 {
        return Fence::signaled();
    }
    let owner = std::sync::Arc::new(LineOwner::new("issues".into(), Tag::default()));
    ring.book().lock().issues = Some(std::sync::Arc::clone(&owner));
    let issues = owner.line();
    let point = new_point(issues, 1);
    let fence = super::point::place(issues, 1, issues.reach().insert(1, point));
    ring.expect_waiters();
    fence
}

#[test]
fn submissions_are_not_lost() {
    a_submission_is_not_lost(true);
}

#[test]
#[should_panic(expected = "lost")]
fn submissions_known_bad_without_looking_again() {
    a_submission_is_not_lost(false);
}

/// A fence's signaler and a lost device at once: it signals once, as one of them says, and its callback runs
/// once. (What makes two that close one is with the list itself, in `resv-sync`.)
#[test]
fn a_fence_that_is_failed_and_signalled_signals_once() {
    loom::model(|| {
        let ring = Timeline::new("t");
        let job = issue(&ring);
        let fence = job.fence().clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let registered = fence.on_signal(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(registered.is_ok());
        let signaller = thread::spawn(move || job.signal());
        ring.fail_all(FenceError::IO);
        signaller.join().expect("the signaller ends");
        assert!(fence.is_signaled());
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(ring.completed_seqno(), 1);
    });
}

/// A leaf of an inner composition fails while an outer one is being made of it: the outer one fails, as
/// the leaf was the first to.
#[test]
fn an_error_within_is_not_lost() {
    loom::model(|| {
        let (a, b) = (issue(&Timeline::new("a")), issue(&Timeline::new("b")));
        let inner = Fence::all([a.fence(), b.fence()]).expect("not empty");
        let failing = thread::spawn(move || a.signal_error(FenceError::IO));
        let outer = Fence::all([&inner]).expect("not empty");
        failing.join().expect("it ends");
        b.signal_error(FenceError::CANCELED);
        assert_eq!(outer.status(), FenceStatus::Error(FenceError::IO));
    });
}
