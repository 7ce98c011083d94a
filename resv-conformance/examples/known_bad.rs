//! Programs with one defect each, which a sanitizer has to report: `scripts/sanitizers` runs them
//! under the same options and suppressions as everything else, and fails if one passes.
//!
//! Races are spread over what the suppressions and the mutexes of `--cfg tsan` are about, so that one
//! of these that hid too much would be noticed.
#![allow(
    unsafe_code,
    reason = "no safe program has the defects that sanitizers look for"
)]

use resv_api::{Resv, Timeline, Usage};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A number that anybody may change at any time.
#[derive(Default)]
struct Racy {
    number: UnsafeCell<u64>,
    /// How many threads have come to change it.
    here: AtomicUsize,
}

// SAFETY: none. Changing it on two threads at once is a data race, which is what it is for.
unsafe impl Sync for Racy {}

impl Racy {
    fn bump(&self) {
        // Both at once, whatever the machine does. Relaxed: it orders nothing.
        self.here.fetch_add(1, Ordering::Relaxed);
        while self.here.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
        for _ in 0..1_000 {
            // SAFETY: none, see above. The black box keeps each step in the program.
            unsafe { *self.number.get() = black_box(*self.number.get() + 1) };
        }
    }
}

/// Two threads, nothing between them.
fn race() {
    let number = Racy::default();
    thread::scope(|scope| {
        scope.spawn(|| number.bump());
        scope.spawn(|| number.bump());
    });
}

/// Each thread holds a lock, but not the same one.
fn race_under_two_locks() {
    let number = Racy::default();
    let (left, right) = (Resv::new(), Resv::new());
    thread::scope(|scope| {
        for object in [&left, &right] {
            let number = &number;
            scope.spawn(move || {
                let _held = object.lock();
                number.bump();
            });
        }
    });
}

/// Through a shared reference count, dropped by both.
fn race_through_an_arc() {
    let number = Arc::new(Racy::default());
    let threads = [(); 2].map(|()| {
        let number = Arc::clone(&number);
        thread::spawn(move || number.bump())
    });
    for thread in threads {
        thread.join().expect("it does not panic");
    }
}

/// In the callbacks of two fences, which two threads signal.
fn race_in_callbacks() {
    let number = Arc::new(Racy::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            let job = Timeline::new("t").issue().expect("seqnos are left");
            let number = Arc::clone(&number);
            let registered = job.fence().on_signal(move |_| number.bump());
            registered.expect("it is pending");
            scope.spawn(move || job.signal());
        }
    });
}

fn use_after_free() {
    let memory = Box::into_raw(Box::new(7_u64));
    // SAFETY: none. The first is in order, the second looks at memory that was freed.
    unsafe {
        drop(Box::from_raw(memory));
        black_box(memory.read_volatile());
    }
}

/// Memory, and the fence that it holds on to through an object.
fn leak() {
    // By a thread that ends: what is left on a stack that lives still would make it reachable.
    let leaks = || {
        let object = Box::new(Resv::new());
        let job = Timeline::new("t").issue().expect("seqnos are left");
        let mut guard = object.lock();
        guard
            .reserve(1)
            .expect("memory")
            .add(job.fence(), Usage::Write);
        drop(guard);
        std::mem::forget(black_box(object));
    };
    std::thread::spawn(leaks).join().expect("it does not panic");
}

const DEFECTS: [(&str, fn()); 6] = [
    ("race", race),
    ("race-under-two-locks", race_under_two_locks),
    ("race-through-an-arc", race_through_an_arc),
    ("race-in-callbacks", race_in_callbacks),
    ("use-after-free", use_after_free),
    ("leak", leak),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    match DEFECTS.iter().find(|(name, _)| *name == wanted) {
        Some((_, run)) => {
            run();
            ExitCode::SUCCESS
        }
        None => {
            let names = DEFECTS.map(|(name, _)| name).join(", ");
            eprintln!("known_bad: expected one of {names}");
            ExitCode::from(2)
        }
    }
}
