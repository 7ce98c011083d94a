//! Merging many fences one at a time: against a plain table, with fences that signal and fail meanwhile.

use super::*;
use std::collections::BTreeMap;

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// The pending fence of each timeline that was merged, and its signaler.
type Table = BTreeMap<TimelineId, Vec<Signaler>>;

fn latest(table: &Table) -> Vec<Fence> {
    let latest = table.values().filter_map(|jobs| jobs.last());
    latest.map(|job| job.fence().clone()).collect()
}

/// A thousand timelines; fences are merged one at a time or some at a time, and signal in order, with
/// success or an error, in between. All that was merged before stays, and is right in the end, too.
#[test]
fn f_10_merging_one_at_a_time_is_merging_all_at_once() {
    for seed in 1..=6 {
        let mut random = Xorshift(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let timelines: Vec<_> = (0..1000).map(|_| Timeline::new("t")).collect();
        let (mut acc, mut table) = (merge([]), Table::new());
        // A merged fence, and whether one of its leaves has failed.
        let mut kept: Vec<(Fence, Vec<Fence>)> = Vec::new();
        for step in 0..3000 {
            let count = [1, 1, 1, 7, 300][random.below(if step % 100 == 0 { 5 } else { 4 })];
            let mut new = Vec::new();
            for _ in 0..count {
                let job = timelines[random.below(1000)]
                    .issue()
                    .expect("a seqno is left");
                new.push(job.fence().clone());
                table
                    .entry(job.fence().timeline_id())
                    .or_default()
                    .push(job);
            }
            new.push(acc.clone());
            acc = merge(&new);
            let expected = latest(&table);
            assert_eq!(unwrap(&acc), expected, "step {step}");
            if let [only] = expected.as_slice() {
                assert_eq!(&acc, only);
            }
            if step % 50 == 0 {
                kept.push((acc.clone(), expected));
            }
            let signals = random.below([2, 3, 9][step / 1000]);
            for _ in 0..signals {
                let at = random.below(table.len().max(1));
                if let Some(jobs) = table.values_mut().nth(at) {
                    let jobs = std::mem::take(jobs);
                    for job in jobs {
                        match random.below(4) {
                            0 => job.signal_error(FenceError::IO),
                            _ => job.signal(),
                        }
                    }
                }
                table.retain(|_, jobs| !jobs.is_empty());
            }
        }
        for jobs in std::mem::take(&mut table).into_values() {
            jobs.into_iter().for_each(Signaler::signal);
        }
        for (merged, leaves) in kept {
            let fails = |leaf: &Fence| leaf.status() != FenceStatus::Signaled;
            let expected = match leaves.iter().any(fails) {
                true => FenceStatus::Error(FenceError::IO),
                false => FenceStatus::Signaled,
            };
            assert_eq!(merged.status(), expected);
        }
    }
}

/// Errors of before are forgotten, also those that a part knows that could be shared.
#[test]
fn a_part_that_has_failed_is_not_shared() {
    let jobs: Vec<_> = (0..200)
        .map(|_| Timeline::new("t").issue().expect("a seqno is left"))
        .collect();
    let before = merge(jobs.iter().map(Signaler::fence));
    let mut jobs = jobs.into_iter();
    jobs.next().expect("200").signal_error(FenceError::IO);
    let new = Timeline::new("t").issue().expect("a seqno is left");
    let after = merge([&before, new.fence()]);
    assert_eq!(unwrap(&after).len(), 200);
    jobs.for_each(Signaler::signal);
    new.signal();
    assert_eq!(before.status(), FenceStatus::Error(FenceError::IO));
    assert_eq!(after.status(), FenceStatus::Signaled);
}

/// The last one that is pending, however deep, is what is merged.
#[test]
fn one_that_is_left_of_many_is_that_very_fence() {
    let mut jobs: Vec<_> = (0..5000)
        .map(|_| Timeline::new("t").issue().expect("a seqno is left"))
        .collect();
    let many = merge(jobs.iter().map(Signaler::fence));
    assert_eq!(unwrap(&many).len(), 5000);
    let left = jobs.swap_remove(1234);
    jobs.into_iter().for_each(Signaler::signal);
    assert_eq!(&merge([&many]), left.fence());
    assert_eq!(unwrap(&many), [left.fence().clone()]);
    left.signal();
    assert!(many.is_signaled() && merge([&many]).is_signaled());
}
