//! The C peers: what `liburcu.c` exports, made safe.
//!
//! The loops are in C, so that no call between languages is measured. C fences cannot meet ours, so
//! these subjects bring their own: `add_fresh` is allocate, add, signal, free after a grace period.
//! There is no idle test that takes references, as Linux had one until 5.13: reads take none but
//! `snapshot`, which is the stronger form to be compared with.

use crate::crowd::{Pace, Round, round};
use crate::harness::Bench;
use std::cell::RefCell;
use std::hint::black_box;
use std::marker::{PhantomData, PhantomPinned};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

#[repr(C)]
struct RawObject {
    _memory: [u8; 0],
    _pinned: PhantomData<(*mut u8, PhantomPinned)>,
}

#[link(name = "head_to_head_liburcu", kind = "static")]
#[link(name = "urcu-memb")]
unsafe extern "C" {
    fn h2h_new(in_place: bool) -> *mut RawObject;
    fn h2h_free(object: *mut RawObject);
    fn h2h_fill(object: *mut RawObject, n: u32, signaled: u32);
    fn h2h_add_fresh(object: *mut RawObject, count: u64);
    fn h2h_test(object: *mut RawObject, count: u64) -> u64;
    fn h2h_visit(object: *mut RawObject, count: u64) -> u64;
    fn h2h_snapshot(object: *mut RawObject, count: u64) -> u64;
    fn h2h_register_thread();
    fn h2h_unregister_thread();
}

/// Says to liburcu that this thread reads, for as long as the thread runs.
struct Registered(PhantomData<*const ()>);

impl Registered {
    fn new() -> Self {
        // SAFETY: called once a thread, from the thread-local below, and undone when it is dropped.
        unsafe { h2h_register_thread() };
        Registered(PhantomData)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: this thread was registered when the value was made, and is in no read section:
        // those begin and end within one call.
        unsafe { h2h_unregister_thread() };
    }
}

thread_local! {
    static REGISTERED: RefCell<Option<Registered>> = const { RefCell::new(None) };
}

/// A number of runs of one operation.
type Run = unsafe extern "C" fn(*mut RawObject, u64) -> u64;

/// An object in C, filled.
struct Object(NonNull<RawObject>);

// SAFETY: every function but `h2h_free` and `h2h_fill` may be called by any registered thread at any
// time, by the locks and atomics in `liburcu.c`; these two take the object alone (`drop`, `new`).
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    fn new(in_place: bool, n: usize, pending: usize) -> Object {
        register();
        // SAFETY: the thread is registered; the result is not null, as `must` aborts instead; the
        // object is not shared yet, and `n` small numbers of fences fit into u32.
        unsafe {
            let object = NonNull::new_unchecked(h2h_new(in_place));
            h2h_fill(object.as_ptr(), n as u32, (n - pending) as u32);
            Object(object)
        }
    }

    fn run(&self, run: Run, count: u64) -> u64 {
        register();
        // SAFETY: the object lives as long as `self`; the thread is registered.
        unsafe { run(self.0.as_ptr(), count) }
    }

    fn add_fresh(&self, count: u64) {
        register();
        // SAFETY: as in `run`. The counters of the writer are changed outside of the lock: all adds
        // come from one thread at a time, the one that has the benchmark's only writing closure.
        unsafe { h2h_add_fresh(self.0.as_ptr(), count) };
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        register();
        // SAFETY: nobody else has the object any more.
        unsafe { h2h_free(self.0.as_ptr()) };
    }
}

fn register() {
    REGISTERED.with_borrow_mut(|registered| {
        registered.get_or_insert_with(Registered::new);
    });
}

const SUBJECTS: [(&str, bool); 2] = [("liburcu-seq", false), ("liburcu-list", true)];

/// The subjects of a case with one thread; none if C has no such operation.
pub(crate) fn benches(case: &str, n: usize) -> Vec<Bench> {
    let (pending, run): (usize, Option<Run>) = match case {
        "test_idle" => (0, Some(h2h_test)),
        "test_pending" => (n, Some(h2h_test)),
        "test_last_pending" => (1, Some(h2h_test)),
        "visit" => (n, Some(h2h_visit)),
        "snapshot" => (n, Some(h2h_snapshot)),
        "add_fresh" => (n, None),
        _ => return Vec::new(),
    };
    let bench = |(subject, in_place)| {
        Bench::new(subject, move || {
            let object = Object::new(in_place, n, pending);
            move |count: u64| {
                let idle = u64::from(pending == 0);
                assert_eq!(object.run(h2h_test, 1), idle, "{subject}");
                let start = Instant::now();
                match run {
                    Some(run) => {
                        black_box(object.run(run, count));
                    }
                    None => object.add_fresh(count),
                }
                start.elapsed()
            }
        })
    };
    SUBJECTS.into_iter().map(bench).collect()
}

/// The subjects of a case with several threads. Here each operation is a call from Rust into C, with a
/// look whether the thread is registered: about two nanoseconds against these subjects.
pub(crate) fn rounds(n: usize, snapshot: bool, hot: bool) -> Vec<(&'static str, Round)> {
    let make = |(subject, in_place)| {
        let object = Object::new(in_place, n, n);
        let run: Run = if snapshot { h2h_snapshot } else { h2h_test };
        let round = move |readers: usize, span: Duration| {
            let read = || {
                black_box(object.run(run, 1));
            };
            let mut write = || object.add_fresh(1);
            round(
                readers,
                Pace::Flat,
                span,
                read,
                hot.then_some(&mut write as &mut (dyn FnMut() + Send)),
            )
        };
        (subject, Box::new(round) as Round)
    };
    SUBJECTS.into_iter().map(make).collect()
}
