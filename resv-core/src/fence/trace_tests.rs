//! What is emitted, when, and what a subscriber may do.

use super::trace::undisturbed;
use super::{Fence, FenceStatus, Timeline, pool_stats};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher, span};

/// An event: its name without `dma_fence_`, then `TIMELINE:SEQNO`.
fn told(event: &Event<'_>) -> String {
    #[derive(Default)]
    struct Fields(String, u64);
    impl Visit for Fields {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "timeline" {
                self.0 = value.to_owned();
            } else {
                assert_eq!((field.name(), value), ("driver", "resv"));
            }
        }
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == "seqno" {
                self.1 = value;
            }
        }
        fn record_debug(&mut self, field: &Field, _: &dyn std::fmt::Debug) {
            panic!("no such field: {field}");
        }
    }
    assert_eq!(event.metadata().target(), "dma_fence");
    let mut fields = Fields::default();
    event.record(&mut fields);
    let name = event.metadata().name().strip_prefix("dma_fence_").unwrap();
    format!("{name} {}:{}", fields.0, fields.1)
}

/// Calls a function with each event.
struct Told<F>(F);

impl<F: Fn(String) + Send + Sync + 'static> Subscriber for Told<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "dma_fence"
    }
    fn event(&self, event: &Event<'_>) {
        (self.0)(told(event));
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Runs `f` with `subscriber` for this thread.
fn with_default<R>(subscriber: impl Subscriber + Send + Sync, f: impl FnOnce() -> R) -> R {
    // As long as there is one subscriber only, `tracing` asks that of the thread which comes first to a
    // place that emits, and if that thread, of another test, has none, the place stays silent. So
    // there are always two.
    static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Told(|_| {})));
    LazyLock::force(&OTHER);
    dispatcher::with_default(&Dispatch::new(subscriber), f)
}

/// The events of this thread while `f` runs.
fn events(f: impl FnOnce()) -> Vec<String> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let in_subscriber = Arc::clone(&log);
    with_default(
        Told(move |event| in_subscriber.lock().unwrap().push(event)),
        f,
    );
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn a_fence_tells_of_its_life_in_order() {
    let told = events(|| {
        let job = Timeline::new("gfx").issue_at(7).unwrap();
        let fence = job.fence().clone();
        fence.on_signal(|_| {}).unwrap();
        fence.on_signal(|_| {}).unwrap();
        job.signal();
        drop(fence);
    });
    assert_eq!(
        told,
        [
            "init gfx:7",
            "emit gfx:7",
            "enable_signal gfx:7",
            "signaled gfx:7",
            "destroy gfx:7"
        ]
    );
}

#[test]
fn signalling_is_enabled_once_for_each_fence_not_for_each_cell() {
    let asked = |told: Vec<String>| told.iter().filter(|t| t.starts_with("enable")).count();
    let ring = Timeline::new("gfx");
    let mut cells = std::collections::HashSet::new();
    let told = events(|| {
        for _ in 0..50 {
            let job = ring.issue().unwrap();
            cells.insert(std::ptr::from_ref(job.fence().cell()));
            let _ = job.fence().on_signal(|_| {});
            let _ = job.fence().wait(Some(Duration::from_nanos(1)));
            job.signal();
        }
    });
    assert_eq!(asked(told), 50);
    assert!(
        cells.len() < 50,
        "a cell was used again, or this proves nothing"
    );
}

#[test]
fn a_wait_begins_and_ends_once_and_a_look_is_none() {
    let job = Timeline::new("gfx").issue().unwrap();
    let fence = job.fence().clone();
    let told = events(|| {
        let _ = fence.wait(Some(Duration::ZERO));
        let _ = fence.is_signaled();
        let _ = fence.wait(Some(Duration::from_millis(1)));
    });
    assert_eq!(
        told,
        ["wait_start gfx:1", "enable_signal gfx:1", "wait_end gfx:1"]
    );
    job.signal();
    assert!(events(|| assert!(fence.wait(None).is_signaled())).is_empty());
}

#[test]
fn what_a_signal_completes_tells_after_it_and_before_callbacks() {
    let (ring, log) = (Timeline::new("gfx"), Arc::new(Mutex::new(Vec::new())));
    let job = ring.issue().unwrap();
    let both = Fence::all([job.fence(), &Fence::signaled()]).unwrap();
    let point = ring.point(1);
    let in_callback = Arc::clone(&log);
    let in_subscriber = Arc::clone(&log);
    both.on_signal(move |_| in_callback.lock().unwrap().push("callback".to_owned()))
        .unwrap();
    with_default(
        Told(move |event| in_subscriber.lock().unwrap().push(event)),
        || job.signal(),
    );
    let told = log.lock().unwrap();
    assert_eq!(
        told[..3],
        ["signaled gfx:1", "signaled all:1", "callback"],
        "the point is the fence at its place, which has told"
    );
    assert!(point.is_signaled());
}

#[test]
fn waiting_for_a_composed_fence_asks_for_its_children() {
    let (a, b) = (Timeline::new("a"), Timeline::new("b"));
    let (a, b) = (a.issue().unwrap(), b.issue().unwrap());
    let told = events(|| {
        let both = Fence::all([a.fence(), b.fence()]).unwrap();
        both.on_signal(|_| {}).unwrap();
    });
    assert_eq!(
        told[..4],
        [
            "init all:1",
            "enable_signal all:1",
            "enable_signal a:1",
            "enable_signal b:1"
        ]
    );
}

#[test]
fn a_subscriber_that_panics_keeps_no_waiter_asleep() {
    let job = Timeline::new("gfx").issue().unwrap();
    let (told, ran) = mpsc::channel();
    job.fence()
        .on_signal(move |status| told.send(status).unwrap())
        .unwrap();
    with_default(Told(|_| panic!("a subscriber's own fault")), || {
        job.signal();
    });
    assert_eq!(ran.try_recv(), Ok(FenceStatus::Signaled));
    assert_eq!(events(|| drop(Fence::signaled())).len(), 3, "and is over");
}

/// B5: a subscriber that takes every lock there is, and makes, signals and drops fences, neither
/// hangs nor is told of what it does itself.
#[test]
fn no_lock_is_held_when_an_event_is_emitted() {
    let (done, watchdog) = mpsc::channel();
    let _thread = std::thread::spawn(move || {
        let ring = Timeline::new("gfx");
        let jobs: Vec<_> = (0..3).map(|_| ring.issue().unwrap()).collect();
        let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
        let composed = Fence::all(&fences).unwrap();
        let point = ring.point(3);
        let all = [fences.clone(), vec![composed.clone(), point.clone()]].concat();
        let count = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&count);
        let meddle = move |_| {
            *counter.lock().unwrap() += 1;
            for fence in &all {
                let _ = (ring.point(100), pool_stats());
                if let Ok(id) = fence.on_signal(|_| {}) {
                    fence.cancel(id);
                }
            }
            drop(Timeline::new("own").issue());
        };
        with_default(Told(meddle), || {
            let waited = composed.wait(Some(Duration::from_millis(1)));
            assert!(!waited.is_signaled());
            for job in jobs {
                job.signal();
            }
            drop((fences, composed, point));
            drop(Fence::signaled());
        });
        done.send(*count.lock().unwrap()).unwrap();
    });
    let told = watchdog
        .recv_timeout(Duration::from_secs(60))
        .expect("no deadlock");
    // A wait pair, once asked (the children have been, by the subscriber), 3 + 1 signals, and a
    // stub's 3. The subscriber itself keeps the other fences alive.
    assert_eq!(told, 2 + 1 + 4 + 3);
}

#[test]
fn nothing_is_emitted_from_within_a_subscriber() {
    let told = events(|| undisturbed(|| drop(Timeline::new("own").issue())));
    assert!(told.is_empty(), "{told:?}");
}
