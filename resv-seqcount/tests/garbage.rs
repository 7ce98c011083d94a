//! B8: what is counted as garbage. The counts are of the whole process, so this is the only test here.
#![cfg(not(any(loom, shuttle)))]

use resv_core::fence::pool_stats;
use resv_core::{Backend, Budget, Entry, Garbage, LockProof, Signaler, Timeline, Usage};
use resv_seqcount::Seqcount;

fn stage(object: &Seqcount, held: &mut LockProof<'_>, job: &Signaler) {
    let (adds, publishes) = (1, 1);
    object
        .reserve(held, Budget { adds, publishes })
        .expect("memory");
    let (fence, usage) = (job.fence().clone(), Usage::Read);
    object.edit(held, |_| false, Some(Entry { fence, usage }));
}

fn add(object: &Seqcount, jobs: &[Signaler]) {
    for job in jobs {
        let mut held = object.object_lock().lock();
        stage(object, &mut held, job);
        object.publish(&mut held);
        object.unreserve(&mut held);
    }
}

#[test]
fn b8_outgrown_tables_and_fences_go_with_their_object() {
    let fences = pool_stats().live;
    let lines: Vec<_> = (0..33).map(|_| Timeline::new("t")).collect();
    let jobs: Vec<_> = lines
        .iter()
        .map(|line| line.issue().expect("seqnos"))
        .collect();
    let garbage = |live, peak| Garbage { live, peak };
    let (small, large) = (Seqcount::default(), Seqcount::default());
    add(&small, &jobs[..4]);
    assert_eq!(
        Seqcount::default().garbage(),
        garbage(0, 0),
        "nothing was outgrown"
    );
    // The four slots in the side are no memory of their own.
    add(&small, &jobs[4..16]);
    assert_eq!(Seqcount::default().garbage(), garbage(0, 0));
    add(&small, &jobs[16..17]);
    assert_eq!(Seqcount::default().garbage(), garbage(1, 1));
    // 16 and 32 slots are too few.
    add(&large, &jobs);
    assert_eq!(Seqcount::default().garbage(), garbage(3, 3));
    drop(large);
    assert_eq!(Seqcount::default().garbage(), garbage(1, 3));
    Seqcount::default().reset_garbage_peak();
    assert_eq!(Seqcount::default().garbage(), garbage(1, 1));
    drop(small);
    assert_eq!(Seqcount::default().garbage(), garbage(0, 1));
    drop(Seqcount::default());
    assert_eq!(Seqcount::default().garbage(), garbage(0, 1));
    let never_published = Seqcount::default();
    let mut held = never_published.object_lock().lock();
    stage(&never_published, &mut held, &jobs[0]);
    drop(held);
    drop(never_published);
    drop(jobs);
    assert_eq!(pool_stats().live, fences, "the objects owned references");
}
