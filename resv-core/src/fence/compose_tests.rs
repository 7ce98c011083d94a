//! Composed fences: Linux' self-tests of unwrapping and merging, F-09, F-10, H-12, H-13, H-18, and a stress.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `all` is the only way to say array and chain here: a chain of fences is signalled when all are.
pub(super) fn all(fences: &[&Fence]) -> Fence {
    Fence::all(fences.iter().copied()).expect("not empty")
}

pub(super) fn any(fences: &[&Fence]) -> Fence {
    Fence::any(fences.iter().copied()).expect("not empty")
}

pub(super) fn issue() -> Signaler {
    Timeline::new("mock").issue().expect("a seqno is left")
}

fn seqno(timeline: &Timeline, seqno: u64) -> Signaler {
    timeline.issue_at(seqno).expect("in range")
}

fn watchers(fence: &Fence) -> usize {
    let extra = fence.cell().extra().lock();
    extra.as_ref().map_or(0, |extra| extra.watchers.len())
}

/// Another handle of the fence can be had from its cell only while there is one.
fn is_alive(cell: &'static cell::FenceCell, timeline: TimelineId) -> bool {
    Fence::try_acquire(cell).is_some_and(|fence| fence.timeline_id() == timeline)
}

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Back ends and transactions ask this before they look for parts.
#[test]
fn a_fence_knows_whether_it_was_made_of_others() {
    let (a, b) = (issue(), issue());
    for made in [all(&[a.fence()]), any(&[a.fence(), b.fence()])] {
        assert!(made.is_composed(), "{made}");
    }
    let merged = merge([a.fence(), b.fence()]);
    assert!(merged.is_composed());
    let point = Timeline::new("later").point(1);
    let lone = merge([a.fence()]);
    for plain in [a.fence(), &lone, &merge([]), &point, &Fence::signaled()] {
        assert!(!plain.is_composed(), "{plain}");
    }
    // The memory of a composed fence is used again.
    drop(merged);
    assert!(!issue().fence().is_composed());
}

#[test]
fn u1_sanitycheck() {
    let job = issue();
    let nested = all(&[&all(&[job.fence()])]);
    assert_eq!(
        nested.wait(Some(Duration::from_millis(1))),
        Waited::TimedOut
    );
    job.signal();
    assert_eq!(nested.wait(None), Waited::Signaled);
}

#[test]
fn u2_unwrap_array() {
    let (a, b) = (issue(), issue());
    let array = all(&[a.fence(), b.fence()]);
    assert_eq!(unwrap(&array), [a.fence().clone(), b.fence().clone()]);
}

#[test]
fn u3_u4_unwrap_nested_yields_each_once() {
    let (a, b) = (issue(), issue());
    let inner = all(&[a.fence(), b.fence()]);
    let expected = [a.fence().clone(), b.fence().clone()];
    let chain = all(&[&all(&[a.fence()]), b.fence()]);
    assert_eq!(unwrap(&chain), expected);
    assert_eq!(unwrap(&all(&[&inner])), expected);
    assert_eq!(all(&[&inner]).leaves().collect::<Vec<_>>(), expected);
    assert_eq!(inner.leaves().count_left(), 2);
}

#[test]
fn the_leaves_of_a_fence_that_is_not_all_are_itself_once() {
    let (a, b) = (issue(), issue());
    let (either, both) = (any(&[a.fence(), b.fence()]), all(&[a.fence(), b.fence()]));
    a.signal();
    b.signal();
    // What is composed and has signalled counts as plain.
    for fence in [issue().fence(), &either, &both] {
        let mut leaves = fence.leaves();
        assert_eq!(leaves.count_left(), 1);
        assert_eq!(leaves.next().as_ref(), Some(fence));
        assert_eq!((leaves.count_left(), leaves.next()), (0, None));
    }
}

#[test]
fn u5_u6_merge_lists_each_once() {
    let (a, b) = (issue(), issue());
    let merged = merge([a.fence(), b.fence()]);
    assert_eq!(unwrap(&merged), [a.fence().clone(), b.fence().clone()]);
    assert_eq!(merge([a.fence(), a.fence()]), *a.fence());
}

#[test]
fn u7_merge_keeps_the_latest_of_a_timeline() {
    let (c0, c1) = (Timeline::new("c0"), Timeline::new("c1"));
    let (f1, f2, f3) = (seqno(&c1, 1), seqno(&c1, 2), seqno(&c0, 1));
    let merged = merge([f1.fence(), f2.fence(), f3.fence()]);
    assert_eq!(unwrap(&merged), [f3.fence().clone(), f2.fence().clone()]);
}

#[test]
fn u8_u9_merge_of_compositions_and_a_stub() {
    let (a, b) = (issue(), issue());
    let expected = [a.fence().clone(), b.fence().clone()];
    let (array, reversed) = (all(&[a.fence(), b.fence()]), all(&[b.fence(), a.fence()]));
    let chain = all(&[&all(&[a.fence()]), &all(&[b.fence()])]);
    assert_eq!(unwrap(&merge([&array, &chain])), expected);
    let first = merge([a.fence(), b.fence()]);
    let complex = merge([&first, &reversed, &Fence::signaled()]);
    assert_eq!(unwrap(&complex), expected);
}

/// What fuzzing `compose` found its model to be wrong about: the composition that was merged shows the
/// error of a leaf that had failed by then, the merged fence that of the one that was left.
#[test]
fn a_merged_fence_fails_as_what_was_pending() {
    let (failed, left) = (issue(), issue());
    let both = all(&[failed.fence(), left.fence()]);
    failed.signal_error(FenceError::IO);
    let merged = merge([&both]);
    drop(left);
    assert_eq!(both.status(), FenceStatus::Error(FenceError::IO));
    assert_eq!(merged.status(), FenceStatus::Error(FenceError::CANCELED));
}

#[test]
fn u10_merge_complex_seqno() {
    let (c0, c1) = (Timeline::new("c0"), Timeline::new("c1"));
    let (a, b) = (seqno(&c0, 2), seqno(&c1, 1));
    let (c, d) = (seqno(&c0, 1), seqno(&c1, 2));
    let left = all(&[a.fence(), b.fence()]);
    let right = all(&[c.fence(), d.fence()]);
    let expected = [a.fence().clone(), d.fence().clone()];
    assert_eq!(unwrap(&merge([&left, &right])), expected);
}

/// Stronger than F-09: when the last child's `signal` has returned, the parents have signalled, and
/// callbacks of the child see it too.
#[test]
fn f_09_the_last_child_signals_the_composition() {
    let mut random = Xorshift(0x9E37_79B9_7F4A_7C15);
    for _ in 0..300 {
        let mut jobs: Vec<_> = (0..1 + random.below(8)).map(|_| issue()).collect();
        let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
        let (every, one) = (Fence::all(&fences).unwrap(), Fence::any(&fences).unwrap());
        while !jobs.is_empty() {
            assert!(!every.is_signaled());
            let job = jobs.swap_remove(random.below(jobs.len()));
            let (seen, last) = (every.clone(), jobs.is_empty());
            let registered = job
                .fence()
                .on_signal(move |_| assert_eq!(seen.is_signaled(), last));
            assert!(registered.is_ok());
            job.signal();
            assert!(one.is_signaled());
        }
        assert_eq!(every.status(), FenceStatus::Signaled);
    }
}

/// merge is idempotent, commutative, lists no timeline twice, and keeps exactly the latest pending
/// fence of each: against a naive table.
#[test]
fn f_10_merge_against_a_table() {
    let mut random = Xorshift(0xD1B5_4A32_D192_ED03);
    for _ in 0..500 {
        let timelines: Vec<_> = (0..4).map(|_| Timeline::new("t")).collect();
        let mut jobs = Vec::new();
        for _ in 0..random.below(10) {
            jobs.push(timelines[random.below(4)].issue().expect("a seqno is left"));
        }
        let mut inputs: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
        for _ in 0..random.below(4) {
            if inputs.len() > 1 {
                let (a, b) = (random.below(inputs.len()), random.below(inputs.len()));
                inputs.push(all(&[&inputs[a], &inputs[b]]));
            }
        }
        for _ in 0..random.below(4) {
            if !jobs.is_empty() {
                // Given up, which is legal in any order.
                drop(jobs.remove(random.below(jobs.len())));
            }
        }
        let mut latest = std::collections::BTreeMap::new();
        for job in &jobs {
            let best = latest.entry(job.fence().timeline_id()).or_insert(0);
            *best = job.fence().seqno().max(*best);
        }
        let key = |fence: &Fence| (fence.timeline_id(), fence.seqno());
        let listed = |fence: &Fence| {
            let mut keys: Vec<_> = unwrap(fence).iter().map(key).collect();
            keys.retain(|_| !fence.is_signaled());
            keys
        };
        let merged = merge(&inputs);
        let expected: Vec<_> = latest.into_iter().collect();
        assert_eq!(listed(&merged), expected);
        assert_eq!(listed(&merge([&merged])), expected);
        assert_eq!(listed(&merge([&merged, &merged])), expected);
        inputs.reverse();
        assert_eq!(listed(&merge(&inputs)), expected);
    }
}

#[test]
fn h_12_polling_sees_it_without_a_waiter() {
    let jobs: Vec<_> = (0..5).map(|_| issue()).collect();
    let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    let every = Fence::all(&fences).unwrap();
    for job in jobs {
        assert!(!every.is_signaled());
        job.signal();
    }
    assert!(every.is_signaled());
}

#[test]
fn h_13_there_is_no_composition_of_nothing() {
    assert!(Fence::all([]).is_none());
    assert!(Fence::any([]).is_none());
    assert!(merge([]).is_signaled());
}

#[test]
fn composing_what_has_signalled_is_born_signalled() {
    let (done, pending) = (Fence::signaled(), issue());
    assert!(all(&[&done, &done]).is_signaled());
    assert!(any(&[pending.fence(), &done]).is_signaled());
    assert!(!all(&[&done, pending.fence()]).is_signaled());
    assert_eq!(watchers(pending.fence()), 0, "the dropped ones are gone");
    let cancelled = issue();
    let failed = cancelled.fence().clone();
    drop(cancelled);
    let expected = FenceStatus::Error(FenceError::CANCELED);
    assert_eq!(all(&[&done, &failed]).status(), expected);
    assert_eq!(any(&[&failed, pending.fence()]).status(), expected);
}

#[test]
fn the_first_error_wins() {
    let (a, b, c) = (issue(), issue(), issue());
    let inner = all(&[a.fence(), b.fence()]);
    b.signal_error(FenceError::IO);
    let outer = all(&[&inner, c.fence()]);
    let first = any(&[a.fence(), c.fence()]);
    drop(a);
    assert_eq!(inner.status(), FenceStatus::Error(FenceError::IO));
    assert_eq!(first.status(), FenceStatus::Error(FenceError::CANCELED));
    assert_eq!(outer.status(), FenceStatus::Pending);
    c.signal();
    assert_eq!(outer.status(), FenceStatus::Error(FenceError::IO));
}

#[test]
fn children_are_let_go_when_it_signals() {
    let (a, b) = (issue(), issue());
    let (cell, id) = (a.fence().cell(), a.fence().timeline_id());
    let (every, one) = (all(&[a.fence()]), any(&[a.fence(), b.fence()]));
    a.signal();
    assert!(!is_alive(cell, id));
    assert!(every.is_signaled() && one.is_signaled());
    assert_eq!(watchers(b.fence()), 0);
}

#[test]
fn a_dropped_composition_leaves_nothing_on_its_children() {
    let (a, b) = (issue(), issue());
    let array = all(&[a.fence(), b.fence()]);
    let (cell, id) = (array.cell(), array.timeline_id());
    assert_eq!(watchers(a.fence()), 1);
    assert_eq!(array.wait(Some(Duration::from_millis(1))), Waited::TimedOut);
    drop(array);
    assert_eq!((watchers(a.fence()), watchers(b.fence())), (0, 0));
    assert!(!is_alive(cell, id));
}

#[test]
fn callbacks_run_though_every_handle_is_dropped() {
    let (a, b) = (issue(), issue());
    let array = all(&[a.fence(), b.fence()]);
    let (cell, id) = (array.cell(), array.timeline_id());
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let last_handle = array.clone();
    let registered = array.on_signal(move |status| {
        assert_eq!(status, FenceStatus::Signaled);
        count.fetch_add(1, Ordering::Relaxed);
        drop(last_handle);
    });
    assert!(registered.is_ok());
    drop(array);
    a.signal();
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    b.signal();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(!is_alive(cell, id));
}

#[test]
fn h_18_the_same_kind_is_flattened() {
    let (a, b, c) = (issue(), issue(), issue());
    let mixed = all(&[&all(&[a.fence(), b.fence()]), &any(&[b.fence(), c.fence()])]);
    assert_eq!(unwrap(&mixed).len(), 3);
    let mut deep = all(&[a.fence(), b.fence()]);
    for _ in 0..100_000 {
        deep = all(&[&deep]);
    }
    assert_eq!(unwrap(&deep), [a.fence().clone(), b.fence().clone()]);
}

/// 10^5 compositions, each inside the next, that cannot be flattened.
fn tower(base: &Fence, pending: &Fence) -> Fence {
    let mut top = base.clone();
    for level in 0..100_000 {
        top = match level % 2 {
            0 => any(&[&top, pending]),
            _ => all(&[&top, base]),
        };
    }
    top
}

#[test]
fn h_18_dropping_a_tower_does_not_recurse() {
    let (base, other) = (issue(), issue());
    let top = tower(base.fence(), other.fence());
    other.fence().set_deadline(Instant::now());
    top.set_deadline(Instant::now());
    drop(top);
    assert_eq!((watchers(base.fence()), watchers(other.fence())), (0, 0));
}

#[test]
fn h_18_signalling_a_tower_does_not_recurse() {
    let (base, other) = (issue(), issue());
    let top = tower(base.fence(), other.fence());
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let registered = top.on_signal(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(registered.is_ok());
    base.signal();
    assert!(top.is_signaled());
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(watchers(other.fence()), 0);
}

#[test]
fn a_cell_is_two_cache_lines() {
    assert!(size_of::<cell::FenceCell>() <= 128);
}

/// Signalling, composing, registering, cancelling and dropping at once. At the end everything has
/// signalled, each accepted callback has run or was taken back, and no child has a watcher left.
#[test]
fn stress_signal_compose_drop() {
    let slots: Arc<Vec<Mutex<Fence>>> =
        Arc::new((0..16).map(|_| Mutex::new(Fence::signaled())).collect());
    let (accepted, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let end = Instant::now() + Duration::from_millis(800);
    std::thread::scope(|scope| {
        for id in 0..2 {
            let slots = Arc::clone(&slots);
            scope.spawn(move || {
                let mut random = Xorshift(77 + id);
                let timeline = Timeline::new("ring");
                while Instant::now() < end {
                    let jobs: Vec<_> = (0..4).map(|_| timeline.issue().unwrap()).collect();
                    for job in &jobs {
                        let slot = random.below(slots.len());
                        *slots[slot].lock().unwrap() = job.fence().clone();
                    }
                    for (n, job) in jobs.into_iter().enumerate() {
                        match (id, n) {
                            (0, 1) => drop(job),
                            _ => job.signal(),
                        }
                    }
                }
            });
        }
        for id in 0..2 {
            let (slots, accepted, ran) = (&slots, &accepted, &ran);
            scope.spawn(move || {
                let mut random = Xorshift(1234 + id);
                let mut kept: Vec<Fence> = Vec::new();
                while Instant::now() < end {
                    let mut children: Vec<_> = (0..1 + random.below(5))
                        .map(|_| slots[random.below(slots.len())].lock().unwrap().clone())
                        .collect();
                    if !kept.is_empty() {
                        children.push(kept[random.below(kept.len())].clone());
                    }
                    let made = match random.below(3) {
                        0 => Fence::all(&children).unwrap(),
                        1 => Fence::any(&children).unwrap(),
                        _ => merge(&children),
                    };
                    let count = Arc::clone(ran);
                    let registered = made.on_signal(move |_| {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                    if let Ok(callback) = registered
                        && (random.below(2) == 0 || !made.cancel(callback))
                    {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                    kept.push(made);
                    if kept.len() > 8 {
                        kept.swap_remove(random.below(8));
                    }
                }
                for fence in kept {
                    assert!(fence.wait(Some(Duration::from_secs(20))).is_signaled());
                }
            });
        }
    });
    for slot in slots.iter() {
        assert_eq!(watchers(&slot.lock().unwrap()), 0);
    }
    assert!(accepted.load(Ordering::Relaxed) > 0);
    assert_eq!(
        accepted.load(Ordering::Relaxed),
        ran.load(Ordering::Relaxed)
    );
}

/// What a fence is, by the numbers of its parts.
enum Made {
    Leaf,
    All(Vec<usize>),
    Any(Vec<usize>),
}

/// Compositions of compositions that share parts, against a plain model: what is pending after each signal,
/// and with which error each signals: an `all` with that of the first leaf that failed, where an `any` is a
/// leaf that ends as its first child did. Of what one signal completes any may be the first.
#[test]
fn shared_compositions_end_as_a_plain_model_says() {
    use std::collections::HashSet;
    for seed in 1..=300 {
        let mut random = Xorshift(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut jobs: Vec<_> = (0..8).map(|_| issue()).collect();
        let mut fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
        let mut made: Vec<_> = jobs.iter().map(|_| Made::Leaf).collect();
        for _ in 0..20 {
            let parts: Vec<usize> = (0..1 + random.below(4))
                .map(|_| random.below(fences.len()))
                .collect();
            let children = parts.iter().map(|&part| &fences[part]);
            let (fence, kind) = match random.below(3) {
                0 => (Fence::any(children), Made::Any(parts)),
                _ => (Fence::all(children), Made::All(parts)),
            };
            fences.push(fence.expect("not empty"));
            made.push(kind);
        }
        // How each has ended, and with which errors each may end.
        let mut ended = vec![FenceStatus::Pending; made.len()];
        let mut errors: Vec<HashSet<FenceError>> = vec![HashSet::new(); made.len()];
        while !jobs.is_empty() {
            let job = jobs.swap_remove(random.below(jobs.len()));
            let error = FenceError::from_errno(1 + random.below(3) as u16);
            match error.filter(|_| random.below(2) == 0) {
                None => job.signal(),
                Some(error) => job.signal_error(error),
            }
            // A node is made of earlier ones, so one round in order reaches all.
            for node in 0..made.len() {
                if ended[node] != FenceStatus::Pending {
                    continue;
                }
                let now = fences[node].status();
                match &made[node] {
                    Made::Leaf => {}
                    Made::Any(parts) => {
                        let first = parts.iter().map(|&part| ended[part]);
                        let first: HashSet<_> =
                            first.filter(|s| *s != FenceStatus::Pending).collect();
                        match first.is_empty() {
                            true => assert_eq!(now, FenceStatus::Pending),
                            false => assert!(first.contains(&now), "seed {seed}: {now:?}"),
                        }
                    }
                    Made::All(parts) => {
                        if errors[node].is_empty() {
                            let known = parts.iter().flat_map(|&part| errors[part].clone());
                            errors[node] = known.collect();
                        }
                        let done = |&part: &usize| ended[part] != FenceStatus::Pending;
                        match now {
                            _ if !parts.iter().all(done) => assert_eq!(now, FenceStatus::Pending),
                            FenceStatus::Error(error) => assert!(errors[node].contains(&error)),
                            _ => assert_eq!((now, errors[node].len()), (FenceStatus::Signaled, 0)),
                        }
                    }
                }
                ended[node] = now;
                if let FenceStatus::Error(error) = now {
                    errors[node] = HashSet::from([error]);
                }
            }
        }
        for (node, fence) in fences.iter().enumerate() {
            assert_eq!(watchers(fence), 0, "node {node}");
        }
    }
}
