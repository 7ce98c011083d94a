//! Foreign code at the place where a fence dies: a subscriber of trace events.

use resv_core::TimelineId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber, callsite, dispatcher, span};

/// Runs `f` with `at_death` called, on this thread, each time a fence of `timeline` is destroyed.
/// Panics with the first panic of `at_death`, which cannot pass through the place that emits.
pub(crate) fn at_death_of<R>(
    timeline: TimelineId,
    at_death: impl Fn() + Send + Sync + 'static,
    f: impl FnOnce() -> R,
) -> R {
    let panicked = Arc::new(Mutex::new(None));
    let first = Arc::clone(&panicked);
    let called = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(&at_death)) {
            first.lock().expect("not poisoned").get_or_insert(panic);
        }
    };
    let watch = AtDeath { timeline, called };
    // As long as there is one subscriber only, `tracing` asks that of the thread which comes first to a
    // place that emits, and if that thread has none, the place stays silent. So there is another.
    let idle = AtDeath {
        timeline,
        called: || {},
    };
    let idle = Dispatch::new(idle);
    let result = dispatcher::with_default(&Dispatch::new(watch), f);
    drop(idle);
    // Nobody listens any more, so that what comes after costs nothing.
    callsite::rebuild_interest_cache();
    let panic = panicked.lock().expect("not poisoned").take();
    if let Some(panic) = panic {
        std::panic::resume_unwind(panic);
    }
    result
}

struct AtDeath<F> {
    timeline: TimelineId,
    called: F,
}

impl<F: Fn() + Send + Sync + 'static> Subscriber for AtDeath<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.name() == "dma_fence_destroy"
    }

    fn event(&self, event: &Event<'_>) {
        let mut context = Context(None);
        event.record(&mut context);
        if context.0 == Some(self.timeline.as_raw()) {
            (self.called)();
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The timeline of an event's fence.
struct Context(Option<u64>);

impl Visit for Context {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "context" {
            self.0 = Some(value);
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
