//! B8: what the arc-swap flavour reports. The counts are of the whole process, so there is one test here.
#![cfg(not(any(loom, shuttle)))]
#![cfg(feature = "arc-swap")]

use resv_core::{Backend, Budget, Entry, Garbage, Signaler, Timeline, Usage};
use resv_rcu_array::{RcuArray, Reclaim};

/// Replaces the array so often; an object has one to retire from the second time on.
fn replace<R: Reclaim>(object: &RcuArray<R>, job: &Signaler, times: usize) {
    for _ in 0..times {
        let mut held = object.object_lock().lock();
        let (adds, publishes) = (1, 1);
        let room = Budget { adds, publishes };
        object.reserve(&mut held, room).expect("memory");
        let (fence, usage) = (job.fence().clone(), Usage::Read);
        object.edit(&mut held, |_| true, Some(Entry { fence, usage }));
        object.publish(&mut held);
        object.unreserve(&mut held);
    }
}

fn garbage(live: usize, peak: usize) -> Garbage {
    Garbage { live, peak }
}

#[cfg(feature = "arc-swap")]
#[test]
fn arc_swap_frees_at_once() {
    type Object = RcuArray<resv_rcu_array::ArcSwapped>;

    let object = Object::default();
    let job = Timeline::new("t").issue().expect("seqnos");
    replace(&object, &job, 100);
    assert_eq!(Object::default().garbage(), garbage(0, 1));
    Object::default().reset_garbage_peak();
    assert_eq!(Object::default().garbage(), garbage(0, 0));
    replace(&object, &job, 1);
    assert_eq!(Object::default().garbage(), garbage(0, 1));
}
