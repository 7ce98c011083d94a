//! The tag of a timeline is found on every fence that stands for its jobs.

use super::*;
use crate::Entry;
use crate::Usage;

const TAG: Tag = Tag::new(Owner::Client(7)).on_device(2);

#[test]
fn a_tag_stays_with_a_fence_through_entries_compositions_and_merges() {
    let (ring, plain) = (Timeline::tagged("gfx", TAG), Timeline::new("dma"));
    let jobs = [
        ring.issue().expect("a seqno is left"),
        plain.issue().expect("a seqno is left"),
    ];
    let entry = Entry {
        fence: jobs[0].fence().clone(),
        usage: Usage::Write,
    };
    assert_eq!(entry.clone().fence.tag(), TAG);
    let both = Fence::all(jobs.iter().map(Signaler::fence)).expect("not empty");
    let nested = Fence::all([&both]).expect("not empty");
    for fence in [&both, &nested, &merge([&nested, &both])] {
        let tags: Vec<_> = fence.leaves().map(|leaf| leaf.tag()).collect();
        assert_eq!(tags, [TAG, Tag::default()]);
        assert_eq!(fence.tag(), Tag::default());
    }
    assert_eq!(ring.point(9).tag(), TAG);
    let [tagged, _] = jobs.map(|job| job.fence().clone());
    assert_eq!((tagged.is_signaled(), tagged.tag()), (true, TAG));
}

#[test]
fn owners_are_written_as_they_are_read() {
    let all = [
        (Owner::Undefined, "undefined"),
        (Owner::PageTables, "page-tables"),
        (Owner::Compute, "compute"),
        (Owner::Client(u64::MAX), "client:18446744073709551615"),
    ];
    for (owner, word) in all {
        assert_eq!(owner.to_string(), word);
        assert_eq!(word.parse(), Ok(owner));
    }
    let wrong =
        "client|client:|client:x|client:-1|client:+1|client:01|client: 1|client:1 |Compute|";
    for wrong in wrong.split('|') {
        let error = wrong.parse::<Owner>().expect_err("no owner");
        assert!(error.to_string().contains("page-tables"), "{error}");
    }
}
