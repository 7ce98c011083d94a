//! What fences of fences cost at the sizes that programs reach: allocations, and bytes while they are
//! there and after they have gone. Nothing here is timed.
#![cfg(not(loom))]

#[path = "../../resv-rcu-array/tests/common/mod.rs"]
mod common;

use common::{bytes, counted, total_bytes};
use resv_core::fence::{merge, unwrap};
use resv_core::{Fence, Signaler, Timeline};

fn jobs(count: usize) -> Vec<Signaler> {
    (0..count)
        .map(|_| Timeline::new("t").issue().expect("a seqno is left"))
        .collect()
}

/// Bytes that `make` has allocated and its result keeps, cells of the pool included.
fn size_of_made<T>(make: impl FnOnce() -> T) -> (isize, T) {
    let before = bytes();
    let made = make();
    (bytes() - before, made)
}

/// Linux' own chain test has 4,096 links. Each level used to be flattened anew: 239 MB.
#[test]
fn a_chain_of_compositions_shares_its_links() {
    let chain = |jobs: &[Signaler]| {
        let mut links = vec![jobs[0].fence().clone()];
        for job in &jobs[1..] {
            let last = links.last().expect("not empty");
            links.push(Fence::all([last, job.fence()]).expect("not empty"));
        }
        links
    };
    let jobs = jobs(4096);
    let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    let (size, links) = size_of_made(|| chain(&jobs));
    assert!(size < 4096 * 1024, "{size} bytes");
    let leaves = unwrap(links.last().expect("not empty"));
    assert_eq!(leaves, fences);
    // In order, in reverse, and the middle first: link n signals when the first n + 1 have.
    for (n, job) in jobs.into_iter().enumerate() {
        assert!(!links[n].is_signaled());
        job.signal();
        assert!(links[n].is_signaled());
    }
    let (left, ()) = size_of_made(|| drop(links));
    assert!(left <= 0, "{left} bytes");
}

/// Compositions of a fence leave it in any order, each in constant time; it keeps nothing of them.
#[test]
fn a_shared_fence_is_left_in_any_order() {
    const MANY: usize = 80_000;
    let shared = jobs(1).pop().expect("one");
    let other = jobs(1).pop().expect("one");
    let before = bytes();
    for order in 0..3 {
        let mut made: Vec<_> = (0..MANY)
            .map(|_| Fence::all([shared.fence(), other.fence()]).expect("not empty"))
            .collect();
        match order {
            0 => {} // the oldest first
            1 => made.reverse(),
            _ => {
                let mut random = 0x2545_F491_4F6C_DD1D_u64;
                for n in (1..made.len()).rev() {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    made.swap(n, (random % (n as u64 + 1)) as usize);
                }
            }
        }
        made.into_iter().for_each(drop);
    }
    // Cells of the pool stay, for the next fences: once for all three rounds.
    let cells = bytes() - before;
    let limit = isize::try_from(MANY * 300).expect("small");
    assert!(cells < limit, "{cells} bytes are kept");
}

#[test]
fn a_composition_of_ten_thousand_is_two_allocations_a_leaf() {
    let jobs = jobs(10_000);
    // Cells are made in chunks; there are enough for one more.
    drop(Fence::all(jobs.iter().take(1).map(Signaler::fence)));
    let before = bytes();
    let (all, allocations, _) = counted(|| Fence::all(jobs.iter().map(Signaler::fence)));
    let size = bytes() - before;
    assert!(allocations <= 2 * 10_000 + 20, "{allocations} allocations");
    assert!(size < 4_000_000, "{size} bytes");
    drop(all);
    drop(jobs);
    let left = bytes() - before;
    assert!(left <= 0, "{left} bytes");
}

/// Each level has the one below twice: 2^64 ways to a leaf, each of which is met once.
#[test]
fn a_composition_that_is_met_twice_is_gone_through_once() {
    let jobs = jobs(2);
    let mut top = Fence::all(jobs.iter().map(Signaler::fence)).expect("not empty");
    for _ in 0..64 {
        top = Fence::all([&top, &top]).expect("not empty");
    }
    let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    assert_eq!(unwrap(&top), fences);
    assert_eq!(top.leaves().count_left(), 2);
    jobs.into_iter().for_each(Signaler::signal);
    assert!(top.is_signaled());
}

/// Each leaf of an add is found after the reservation, where there may be no memory (B3).
#[test]
fn a_composition_that_is_nested_a_little_is_gone_through_without_memory() {
    let jobs = jobs(16);
    let all = |fences: &[&Fence]| Fence::all(fences.iter().copied()).expect("not empty");
    let leaf = |at: usize| jobs[at].fence();
    // Eight within the fence, one of them twice; and four within each other.
    let pairs: Vec<_> = (0..8)
        .map(|at| all(&[leaf(2 * at), leaf(2 * at + 1)]))
        .collect();
    let wide = all(&pairs.iter().chain([&pairs[3]]).collect::<Vec<_>>());
    let chain =
        |depth: usize| (1..depth).fold(all(&[leaf(0)]), |inner, at| all(&[&inner, leaf(at)]));
    for (fence, count) in [(wide, 16), (chain(5), 5)] {
        let ((leaves, left), allocations, _) =
            counted(|| (fence.leaves().count(), fence.leaves().count_left()));
        assert_eq!((leaves, left, allocations), (count, count, 0));
    }
    // One more than that needs memory, so the counting is not in vain.
    let deeper = chain(6);
    let (leaves, allocations, _) = counted(|| deeper.leaves().count());
    assert!(leaves == 6 && allocations > 0, "{allocations} allocations");
}

/// One fence at a time is merged into what there is: each in steps of the logarithm. Each used to copy all.
#[test]
fn merging_one_at_a_time_takes_n_log_n() {
    let merge_all = |count: usize, keep: bool| {
        let jobs = jobs(count);
        // Cells of the pool are counted once, so the first round makes them.
        let (mut acc, mut kept) = (merge([]), Vec::new());
        let before = total_bytes();
        for job in &jobs {
            acc = merge([&acc, job.fence()]);
            if keep {
                kept.push(acc.clone());
            }
        }
        let total = total_bytes() - before;
        assert_eq!(acc.leaves().count_left(), count);
        total
    };
    merge_all(8_000, false);
    let (half, whole) = (merge_all(4_000, false), merge_all(8_000, false));
    assert!(whole < 8_000 * 16_384, "{whole} bytes in all");
    assert!(2 * whole < 5 * half, "{half} for half as many, {whole}");
    let kept = merge_all(8_000, true);
    assert!(kept < 8_000 * 16_384, "{kept} bytes with all of them kept");
}

/// A fence that comes again and again, later each time, is one leaf.
#[test]
fn merging_what_supersedes_does_not_grow() {
    let (ring, jobs) = (Timeline::new("ring"), jobs(100));
    let mut acc = merge(jobs.iter().map(Signaler::fence));
    let mut again = |count: u64| {
        for _ in 0..count {
            let point = ring.point(ring.last_seqno() + 1);
            ring.issue_counted().expect("a seqno is left");
            acc = merge([&acc, &point]);
        }
        ring.signal_up_to(ring.last_seqno() - 1).expect("issued");
        acc.leaves().count_left()
    };
    again(1000);
    let before = bytes();
    assert_eq!(again(1000), 101);
    let grown = bytes() - before;
    assert!(grown < 1000, "{grown} bytes");
}
