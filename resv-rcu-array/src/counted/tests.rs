//! Readers that are overtaken, by one thread and in fixed steps; and the pointers of both flavours.

use super::*;
use resv_core::{Fence, Signaler, Timeline, Usage};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// A pointer whose array "was replaced" as often as a test says, and then is published still.
#[derive(Default)]
struct Overtaken {
    array: Mutex<Option<ArrayRef>>,
    times: AtomicUsize,
    /// Dropped (so signalled) when a reader was told so.
    signals: Mutex<Option<Signaler>>,
}

impl PublishedCell for Overtaken {
    const NAME: &'static str = "overtaken";

    fn prepare(&self, _publishes: usize) {}

    fn publish(&self, new: Option<ArrayBuilder>) -> Option<ArrayRef> {
        let (mine, theirs) = new.map(ArrayBuilder::share).unzip();
        *self.array.lock().expect("no panic") = theirs;
        mine
    }

    fn read<T>(&self, look: impl FnOnce(Option<&ArrayRef>) -> T) -> T {
        look(self.array.lock().expect("no panic").as_ref())
    }

    fn is_current(&self, _array: &ArrayRef) -> bool {
        drop(self.signals.lock().expect("no panic").take());
        let less = |left: usize| left.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        self.times.fetch_update(relaxed, relaxed, less).is_err()
    }

    fn garbage() -> Garbage {
        Garbage { live: 1, peak: 2 }
    }

    fn reset_garbage_peak() {}
}

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("seqnos are left")
}

fn set<C: PublishedCell>(object: &Counted<C>, fences: &[Fence]) {
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: fences.len(),
        publishes: 1,
    };
    object.reserve(&mut held, room).expect("memory");
    object.edit(&mut held, |_| true, None);
    for fence in fences {
        let (fence, usage) = (fence.clone(), Usage::Write);
        object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    }
    object.publish(&mut held);
    object.unreserve(&mut held);
}

fn seqnos<C: PublishedCell>(object: &Counted<C>) -> Vec<u64> {
    object.visit(UsageSet::ALL, Vec::new(), |mut seqnos, key| {
        seqnos.push(key.seqno);
        seqnos
    })
}

#[test]
fn b2_idle_counts_if_the_array_is_still_published() {
    let object = Counted::<Overtaken>::default();
    let job = issue(&Timeline::new("t"));
    set(&object, &[job.fence().clone()]);
    object.published.times.store(3, Ordering::Relaxed);
    assert!(!object.is_idle(UsageSet::ALL));
    assert_eq!(object.counters().retries, 0, "busy needs no second look");
    job.signal();
    assert!(object.is_idle(UsageSet::ALL));
    assert_eq!(object.counters().retries, 3);
    assert!(object.is_idle(UsageSet::ALL));
    assert_eq!(object.counters().retries, 3);
}

#[test]
fn b1_a_visit_counts_if_the_array_is_still_published_and_all_marked_still_pending() {
    let object = Counted::<Overtaken>::default();
    let line = Timeline::new("t");
    let (a, b) = (issue(&line), issue(&line));
    set(&object, &[a.fence().clone(), b.fence().clone()]);
    assert_eq!(seqnos(&object), [1, 2]);
    assert_eq!(object.counters().retries, 0);
    object.published.times.store(2, Ordering::Relaxed);
    assert_eq!(seqnos(&object), [1, 2]);
    assert_eq!(object.counters().retries, 2, "another array was published");
    *object.published.signals.lock().expect("no panic") = Some(a);
    assert_eq!(seqnos(&object), [2]);
    assert_eq!(
        object.counters().retries,
        3,
        "what was marked has signalled"
    );
    drop(b);
}

#[test]
fn an_object_reports_the_garbage_of_its_flavour() {
    assert_eq!(
        Counted::<Overtaken>::default().garbage(),
        Garbage { live: 1, peak: 2 }
    );
}

/// An array, or nothing, is current from its publication to the next.
fn one_array_is_current<C: PublishedCell>() {
    let cell = C::default();
    cell.prepare(4);
    let publish = |len| {
        let mut array = ArrayBuilder::with_capacity(len).expect("memory");
        let job = issue(&Timeline::new("t"));
        for _ in 0..len {
            let (fence, usage) = (job.fence().clone(), Usage::Read);
            array.push(Entry { fence, usage });
        }
        cell.publish(Some(array)).expect("an array was published")
    };
    assert!(cell.read(|array| array.is_none()));
    let first = publish(1);
    assert!(cell.is_current(&first));
    let second = publish(2);
    assert!(cell.is_current(&second) && !cell.is_current(&first));
    assert!(cell.read(|array| array.is_some_and(|array| array.is_same(&second))));
    assert_eq!((first.len(), second.len()), (1, 2));
    assert!(cell.publish(None).is_none());
    assert!(!cell.is_current(&second) && !cell.is_current(&first));
    assert!(cell.read(|array| array.is_none()));
}

#[cfg(feature = "arc-swap")]
#[test]
fn arc_swap_one_array_is_current() {
    one_array_is_current::<crate::ArcSwapped>();
}
