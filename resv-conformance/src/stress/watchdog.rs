//! A thread that looks whether all others get on, and says which is stuck where if one does not.

use super::crew::Crew;
use super::post::{Doing, Post};
use super::{Config, Failure, Fault};
use resv_core::Backend;
use resv_core::lock::lock_stats;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::Scope;
use std::time::{Duration, Instant};

/// A quiet time is made of so many looks. They are counted, rather than the time: if this thread does
/// not get on either, the machine is at fault and not the library.
const LOOKS: u32 = 20;

/// Looks until `ended` hangs up. Reports a hang, once; `report` says what is known about the thread
/// that does not get on.
fn watch(
    posts: &[Post],
    config: &Config,
    ended: &mpsc::Receiver<()>,
    report: impl Fn(usize) -> Failure,
) {
    let mut seen = vec![(0, 0); posts.len()];
    while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(config.patience / LOOKS) {
        for (at, (post, (beats, quiet))) in posts.iter().zip(&mut seen).enumerate() {
            let now = post.beats.load(Ordering::Relaxed);
            if now != *beats || post.doing().0 == Doing::Ended {
                (*beats, *quiet) = (now, 0);
                continue;
            }
            *quiet += 1;
            if *quiet >= LOOKS {
                (config.on_hang)(&report(at));
                return;
            }
        }
    }
}

/// Watches the threads of a crew, until `ended` hangs up.
pub(super) fn watch_crew<'scope>(
    scope: &'scope Scope<'scope, '_>,
    crew: &'scope Crew,
    config: &Config,
    ended: &mpsc::Receiver<()>,
) {
    watch(&crew.posts, config, ended, |thread| {
        hang(scope, crew, config, thread)
    });
}

/// Watches the calling thread while it does a check, which beats at the post that it is given. A panic
/// of the library is a failure of the check.
pub(super) fn watched<T>(
    config: &Config,
    phase: &str,
    check: impl FnOnce(&Post) -> Result<T, Fault>,
) -> Result<T, Failure> {
    let post = Post::new();
    let found = |fault: Fault| fault.found_by(None, phase, config.seed);
    let checked = std::thread::scope(|scope| {
        let (until, ended) = mpsc::channel::<()>();
        let posts = std::slice::from_ref(&post);
        let watchdog = scope.spawn(move || {
            watch(posts, config, &ended, |_| {
                let quiet = config.patience;
                found(Fault::new(format_args!(
                    "a hang of the checks, outside of the threads: no progress for {quiet:?}"
                )))
            });
        });
        let checked = catch_unwind(AssertUnwindSafe(|| check(&post)));
        drop(until);
        // ThreadSanitizer sees a thread joined, but not a scope that waits for it.
        watchdog.join().expect("watching does not panic");
        checked
    });
    let checked = checked.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic)));
    checked.map_err(found)
}

fn hang<'scope>(
    scope: &'scope Scope<'scope, '_>,
    crew: &'scope Crew,
    config: &Config,
    thread: usize,
) -> Failure {
    // What was found before is the cause.
    let mut failure = crew.found().unwrap_or_else(|| {
        let (doing, object) = crew.posts[thread].doing();
        let about_object = matches!(doing, Doing::Wants | Doing::WaitsHolding);
        let fault = Fault {
            object: about_object.then_some(object as usize),
            what: format!("a hang: no progress for {:?}", config.patience),
        };
        fault.found_by(Some(thread), &crew.phase, config.seed)
    });
    failure.details = describe(scope, crew);
    failure
}

/// What each thread wants and holds, and what the objects hold. The latter is asked on a thread of its
/// own, as it may hang as well.
fn describe<'scope>(scope: &'scope Scope<'scope, '_>, crew: &'scope Crew) -> String {
    let mut text = String::new();
    for (thread, post) in crew.posts.iter().enumerate() {
        let (doing, object) = post.doing();
        let doing = match doing {
            Doing::Starts => "has not started".to_owned(),
            Doing::Works => "works".to_owned(),
            Doing::Wants => format!("wants the lock of object {object}"),
            Doing::WaitsHolding => format!("waits for a fence, holding object {object}"),
            Doing::Waits => "waits for a fence".to_owned(),
            Doing::Meets => "waits for the others to meet".to_owned(),
            Doing::Ended => "has ended".to_owned(),
        };
        let objects = 0..crew.world.objects.len();
        let held: Vec<String> = objects
            .filter(|at| crew.world.holder(*at) == Some(thread))
            .map(|at| at.to_string())
            .collect();
        let held = if held.is_empty() {
            "nothing".to_owned()
        } else {
            held.join(", ")
        };
        // Writing to a string cannot fail; here and below.
        let _ = writeln!(text, "thread {thread} {doing}; holds {held}");
    }
    let (says, said) = mpsc::channel();
    scope.spawn(move || {
        // A receiver that has gone does not want to know.
        let _ = says.send(format!("{:?}\n", lock_stats()));
        for (at, object) in crew.world.objects.iter().enumerate() {
            let lock = object.resv.backend().object_lock();
            let state = if lock.is_locked() { "locked" } else { "free" };
            let fences = object.resv.describe().unwrap_or_default();
            let _ = says.send(format!("object {at}, {state}:\n{fences}"));
        }
    });
    let until = Instant::now() + Duration::from_secs(2);
    while let Ok(more) = said.recv_timeout(until.saturating_duration_since(Instant::now())) {
        text.push_str(&more);
    }
    text
}
