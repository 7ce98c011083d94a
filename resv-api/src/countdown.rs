//! One completion for many fences: what a blocking wait, a future and a file descriptor are made of.
//!
//! A [`Countdown`] is about groups of fences, and completes a group when all of its fences have
//! signalled. A wait for all is one group. Each group starts with one share of its own, gets one for
//! each of its fences, and gives its own up when all of them are registered. Each callback gives up the
//! shares of its fence. The thread that gives up the last share of a group completes it, so that happens once, and
//! not before every fence of the group has been registered.
//!
//! A fence is registered with once, however many groups name it: `n` mentions of fences cost
//! `n log n` steps and as many callbacks as there are fences. A wait for all of few fences allocates twice: what
//! its callbacks share, and their names.
//!
//! # The race
//!
//! A fence may signal after it was seen pending and before the callback is registered.
//! [`Fence::on_signal`] decides in one step and hands the callback back; the shares must then be given
//! up here. A registration that forgets to does not complete: the test
//! `forgetting_a_refused_callback_is_caught` has it as a defect fixture.

use resv_core::fence::trace;
use resv_core::{CallbackId, Fence};
use resv_sync::sync::atomic::{AtomicUsize, Ordering};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// What is done when the last fence of a group has signalled: once, on the thread that signalled it
/// (or on the registering one if nothing was left to wait for), with no lock held.
pub(crate) trait Complete: Send + Sync + 'static {
    fn complete(&self, group: usize);
}

struct Shared<C> {
    /// For each group, the shares not given up yet: one for each mention of a registered fence, and
    /// one while the group is being registered.
    left: SmallVec<[AtomicUsize; 1]>,
    /// The groups that mention each fence, fence by fence. Empty if there is one group.
    groups: Vec<usize>,
    completion: C,
}

impl<C: Complete> Shared<C> {
    fn give_up_shares(&self, group: usize, count: usize) {
        // Release: what this share's thread did comes before the completion. Acquire: the last one
        // sees what all others did. Each pairs with the other decrements.
        if self.left[group].fetch_sub(count, Ordering::AcqRel) == count {
            self.completion.complete(group);
        }
    }

    /// The fence of these mentions has signalled.
    fn give_up(&self, mentions: Range<usize>) {
        self.each_group(mentions, |group, count| self.give_up_shares(group, count));
    }

    /// Calls `f` with each group that makes these mentions, and how many of them.
    fn each_group(&self, mentions: Range<usize>, mut f: impl FnMut(usize, usize)) {
        if self.left.len() == 1 {
            return f(0, mentions.len());
        }
        for &group in &self.groups[mentions] {
            f(group, 1);
        }
    }

    /// A fence signalled before its callback was registered: nobody else gives up its shares.
    fn refused(&self, mentions: Range<usize>) {
        self.give_up(mentions);
    }

    /// Whether every group is complete.
    fn is_over(&self) -> bool {
        // Relaxed: nothing is read on the strength of it. At 0 every callback has been taken.
        let mut left = self.left.iter();
        left.all(|left| left.load(Ordering::Relaxed) == 0)
    }
}

/// One fence, and where the groups that mention it stand in [`Shared::groups`].
struct Mentions {
    /// The place at which it is mentioned first.
    first: usize,
    groups: Range<usize>,
}

/// The registration of one wait with all its fences. Dropping it takes the callbacks back that have
/// not run.
pub(crate) struct Countdown<C: Complete> {
    shared: Arc<Shared<C>>,
    callbacks: Vec<(Fence, CallbackId)>,
}

impl<C: Complete> Countdown<C> {
    /// Registers with those of `fences` that are pending, group by group, until one group is
    /// complete; each completes when all of its fences have signalled, which may be before this
    /// returns. Group `i` ends before place `ends[i]`.
    pub(crate) fn start(fences: &[Fence], ends: &[usize], completion: C) -> Self {
        Self::start_observed(fences, ends, completion, |_| {}, Shared::refused)
    }

    /// [`start`](Self::start), with the two steps that tests replace: what happens between seeing a
    /// fence pending and registering with it, and what is done about a refused callback.
    fn start_observed(
        fences: &[Fence],
        ends: &[usize],
        completion: C,
        mut before_registering: impl FnMut(&Fence),
        refused: impl Fn(&Shared<C>, Range<usize>),
    ) -> Self {
        let (mentions, groups) = mentions(fences, ends);
        // From the first callback on in its place: if a hook of a lazy fence panics in here, the
        // callbacks are taken back.
        let mut this = Countdown {
            shared: Arc::new(Shared {
                left: ends.iter().map(|_| AtomicUsize::new(1)).collect(),
                groups,
                completion,
            }),
            callbacks: Vec::with_capacity(mentions.len()),
        };
        let mut mentions = mentions.into_iter().peekable();
        for (group, &end) in ends.iter().enumerate() {
            while let Some(Mentions { first, groups }) = mentions.next_if(|next| next.first < end) {
                let fence = &fences[first];
                if fence.is_signaled() {
                    continue;
                }
                before_registering(fence);
                this.shared.each_group(groups.clone(), |group, count| {
                    // Relaxed: the callback that gives the share up is registered later, with Release.
                    this.shared.left[group].fetch_add(count, Ordering::Relaxed);
                });
                let on_signal = Arc::clone(&this.shared);
                let its_groups = groups.clone();
                trace::wait_start(fence);
                match fence.on_signal(move |_| on_signal.give_up(its_groups)) {
                    Ok(id) => this.callbacks.push((fence.clone(), id)),
                    Err(_signaled_meanwhile) => {
                        trace::wait_end(fence);
                        refused(&this.shared, groups);
                    }
                }
            }
            this.shared.give_up_shares(group, 1);
            // Relaxed: a group that completes a moment later has told so.
            if this.shared.left[group].load(Ordering::Relaxed) == 0 {
                break;
            }
        }
        this
    }

    /// What completes.
    pub(crate) fn completion(&self) -> &C {
        &self.shared.completion
    }
}

/// Each fence once, in the order of its first mention, and the groups that mention it, if there are several.
fn mentions(fences: &[Fence], ends: &[usize]) -> (SmallVec<[Mentions; 8]>, Vec<usize>) {
    let address = |at: usize| std::ptr::from_ref(fences[at].cell()).addr();
    let mut order: SmallVec<[usize; 16]> = (0..fences.len()).collect();
    order.sort_unstable_by_key(|&at| (address(at), at));
    let mut each: SmallVec<[Mentions; 8]> = SmallVec::with_capacity(order.len());
    for (place, &at) in order.iter().enumerate() {
        match each.last_mut() {
            Some(last) if fences[last.first] == fences[at] => last.groups.end = place + 1,
            _ => each.push(Mentions {
                first: at,
                groups: place..place + 1,
            }),
        }
    }
    each.sort_unstable_by_key(|mentions| mentions.first);
    if ends.len() == 1 {
        return (each, Vec::new());
    }
    let group_of = |at: usize| ends.partition_point(|&end| end <= at);
    (each, order.into_iter().map(group_of).collect())
}

impl<C: Complete> Drop for Countdown<C> {
    fn drop(&mut self) {
        if !self.shared.is_over() {
            for (fence, id) in &self.callbacks {
                fence.cancel(*id);
            }
        }
        for (fence, _) in &self.callbacks {
            trace::wait_end(fence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::{Signaler, Timeline};
    use std::cell::RefCell;

    /// Counts its completions.
    #[derive(Clone, Default)]
    struct Count(Arc<AtomicUsize>);

    impl Complete for Count {
        fn complete(&self, _: usize) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn jobs(n: usize) -> (Vec<Signaler>, Vec<Fence>) {
        let jobs: Vec<_> = (0..n)
            .map(|_| Timeline::new("t").issue().unwrap())
            .collect();
        let fences = jobs.iter().map(|job| job.fence().clone()).collect();
        (jobs, fences)
    }

    /// Completions after each fence has signalled between the look and the registration.
    fn race(refused: impl Fn(&Shared<Count>, Range<usize>)) -> usize {
        let (jobs, fences) = jobs(3);
        let jobs = RefCell::new(jobs);
        let count = Count::default();
        let _countdown = Countdown::start_observed(
            &fences,
            &[3],
            count.clone(),
            |fence| {
                let at = jobs.borrow().iter().position(|job| job.fence() == fence);
                let job = jobs.borrow_mut().remove(at.expect("its job is not done"));
                job.signal();
            },
            refused,
        );
        count.get()
    }

    #[test]
    fn a_fence_that_signals_before_the_registration_counts() {
        assert_eq!(race(Shared::refused), 1);
    }

    #[test]
    fn forgetting_a_refused_callback_is_caught() {
        assert_eq!(race(|_, _| {}), 0, "the defect: nobody is ever woken");
    }

    #[test]
    fn completes_once_and_only_after_the_last() {
        let (mut jobs, fences) = jobs(4);
        jobs.remove(2).signal();
        let count = Count::default();
        let countdown = Countdown::start(&fences, &[4], count.clone());
        for job in jobs {
            assert_eq!(count.get(), 0);
            job.signal();
        }
        assert_eq!(count.get(), 1);
        drop(countdown);
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn nothing_to_wait_for_completes_at_once() {
        let count = Count::default();
        let _countdown = Countdown::start(&[Fence::signaled()], &[1], count.clone());
        let _empty = Countdown::start(&[], &[0], count.clone());
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn dropping_it_leaves_no_callback_behind() {
        let (mut jobs, fences) = jobs(3);
        let count = Count::default();
        let countdown = Countdown::start(&fences, &[3], count.clone());
        jobs.remove(0).signal();
        drop(countdown);
        assert_eq!(
            Arc::strong_count(&count.0),
            1,
            "callbacks own the completion"
        );
        drop(jobs);
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn signallers_on_many_threads_complete_it_once() {
        for _ in 0..200 {
            let (jobs, fences) = jobs(4);
            let count = Count::default();
            // Callbacks may be running still when all have signalled; the scope joins them.
            let countdown = std::thread::scope(|scope| {
                for job in jobs {
                    scope.spawn(|| job.signal());
                }
                let countdown = Countdown::start(&fences, &[4], count.clone());
                while !fences.iter().all(Fence::is_signaled) {
                    std::thread::yield_now();
                }
                countdown
            });
            assert_eq!(count.get(), 1);
            drop(countdown);
        }
    }

    /// Ten thousand groups that share a fence cost one callback for it, and one for each fence of
    /// their own; that one alone completes them all.
    #[test]
    fn a_fence_is_registered_with_once_however_many_groups_share_it() {
        const GROUPS: usize = 10_000;
        let (shared, shared_fences) = jobs(1);
        let (own, own_fences) = jobs(GROUPS);
        let mut fences = Vec::new();
        for own in own_fences {
            fences.extend([shared_fences[0].clone(), own]);
        }
        let ends: Vec<usize> = (1..=GROUPS).map(|group| 2 * group).collect();
        let count = Count::default();
        let countdown = Countdown::start(&fences, &ends, count.clone());
        assert_eq!(countdown.callbacks.len(), GROUPS + 1);
        for job in own {
            job.signal();
        }
        assert_eq!(count.get(), 0);
        for job in shared {
            job.signal();
        }
        assert_eq!(count.get(), GROUPS);
    }

    #[test]
    fn a_fence_that_a_group_names_twice_counts_once_it_has_signalled() {
        let (jobs, fences) = jobs(2);
        let twice = [fences[1].clone(), fences[0].clone(), fences[1].clone()];
        let count = Count::default();
        let countdown = Countdown::start(&twice, &[3], count.clone());
        assert_eq!(countdown.callbacks.len(), 2);
        for job in jobs {
            assert_eq!(count.get(), 0);
            job.signal();
        }
        assert_eq!(count.get(), 1);
    }

    /// Groups behind one that is found ready are left alone: their lazy fences are not asked.
    #[test]
    fn nothing_is_registered_behind_a_group_that_is_ready() {
        let (jobs, fences) = jobs(3);
        let count = Count::default();
        let countdown = Countdown::start(&fences, &[1, 1, 3], count.clone());
        assert_eq!((countdown.callbacks.len(), count.get()), (1, 1));
        drop(jobs);
    }
}
