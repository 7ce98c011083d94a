//! B8: what the flavours that keep arrays for readers report, and when `Epoch` frees. The counts are of
//! the whole process, so each flavour has one test here.
#![cfg(not(any(loom, shuttle)))]
#![cfg(any(feature = "arc-swap", feature = "crossbeam-epoch"))]

use resv_core::{Backend, Entry, Garbage, Room, Signaler, Timeline, Usage};
use resv_rcu_array::{RcuArray, Reclaim};

/// Replaces the array so often; an object has one to retire from the second time on.
fn replace<R: Reclaim>(object: &RcuArray<R>, job: &Signaler, times: usize) {
    for _ in 0..times {
        let mut held = object.object_lock().lock();
        let (adds, publishes) = (1, 1);
        let room = Room { adds, publishes };
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

#[cfg(feature = "crossbeam-epoch")]
#[test]
fn epoch_hands_over_a_batch_at_a_time_and_frees_it_when_nobody_reads() {
    use resv_rcu_array::Epoch;
    type Object = RcuArray<Epoch>;

    let object = Object::default();
    let job = Timeline::new("t").issue().expect("seqnos");
    replace(&object, &job, 1);
    assert_eq!(Object::garbage(), garbage(0, 0), "nothing was replaced");
    // What this thread gathers, it gathers in full.
    for count in 1..=Epoch::BATCH {
        replace(&object, &job, 1);
        assert_eq!(Object::garbage(), garbage(count, count));
    }
    Object::collect();
    assert_eq!(Object::garbage(), garbage(0, Epoch::BATCH));
    Object::reset_garbage_peak();
    assert_eq!(Object::garbage(), garbage(0, 0));
    // A row of batches: one that grows, and a few whose grace period is not over.
    replace(&object, &job, 1000 * Epoch::BATCH);
    let peak = Object::garbage().peak;
    let few = Epoch::BATCH..=8 * Epoch::BATCH;
    assert!(few.contains(&peak), "{peak}");
    Object::collect();
    assert_eq!(Object::garbage().live, 0);
    // A thread that ends leaves nothing on its list.
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| replace(&object, &job, 3));
        thread.join().expect("no panic");
    });
    assert_eq!(Object::garbage().live, 3);
    Object::collect();
    assert_eq!(Object::garbage().live, 0);
}

#[cfg(feature = "arc-swap")]
#[test]
fn arc_swap_frees_at_once() {
    type Object = RcuArray<resv_rcu_array::ArcSwapped>;

    let object = Object::default();
    let job = Timeline::new("t").issue().expect("seqnos");
    replace(&object, &job, 100);
    assert_eq!(Object::garbage(), garbage(0, 1));
    Object::reset_garbage_peak();
    assert_eq!(Object::garbage(), garbage(0, 0));
    replace(&object, &job, 1);
    assert_eq!(Object::garbage(), garbage(0, 1));
}
