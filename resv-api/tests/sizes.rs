//! What objects cost at the sizes that programs reach, in bytes. Nothing here is timed.

#[path = "../../resv-rcu-array/tests/common/mod.rs"]
mod common;

use common::bytes;
use resv_api::*;

/// It used to keep 1.6 GB after all was dropped.
#[test]
fn a_composition_of_ten_thousand_leaves_is_given_back() {
    let jobs: Vec<_> = (0..10_000)
        .map(|_| Timeline::new("t").issue().unwrap())
        .collect();
    // Cells of fences, and what a fence has that somebody composes, stay with the jobs.
    let before = bytes();
    let all = Fence::all(jobs.iter().map(Signaler::fence)).unwrap();
    let object = Resv::<UsageLevels, DefaultBackend>::default();
    let slots = all.leaves().count_left();
    object.lock().reserve(slots).unwrap().add(&all, Usage::Read);
    assert_eq!(object.snapshot().iter().count(), 10_000);
    let peak = bytes() - before;
    assert!(peak < 20_000_000, "{peak} bytes while it is there");
    drop((object, all));
    let kept = bytes() - before;
    assert!(kept < 4_000_000, "{kept} bytes are kept while the jobs are");
    drop(jobs);
    let kept = bytes() - before;
    assert!(kept < 1_000_000, "{kept} bytes are kept");
}
