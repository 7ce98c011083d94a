//! One completion for many fences: what a blocking wait, a future and a file descriptor are made of.
//!
//! A [`Countdown`] starts with one share of its own, adds one for each fence that it registers with,
//! and gives its own up at the end. Each callback gives up one. Whoever gives up the last completes,
//! so that happens once, and not before every fence has been registered.
//!
//! # The race
//!
//! A fence may signal after it was seen pending and before the callback is registered.
//! [`Fence::on_signal`] decides in one step and hands the callback back; the share must then be given
//! up here. A registration that forgets to does not complete: the test
//! `forgetting_a_refused_callback_is_caught` has it as a defect fixture.

use resv_core::fence::trace;
use resv_core::{CallbackId, Fence};
use resv_sync::sync::atomic::{AtomicUsize, Ordering};
use std::borrow::Borrow;
use std::sync::Arc;

/// What is done when the last fence has signalled: once, on the thread that signalled it (or on the
/// registering one if nothing was left to wait for), with no lock held.
pub(crate) trait Complete: Send + Sync + 'static {
    fn complete(&self);
}

struct Shared<C> {
    /// Shares not given up yet: registered fences, and one while registering.
    left: AtomicUsize,
    completion: C,
}

impl<C: Complete> Shared<C> {
    fn give_up_share(&self) {
        // Release: what this share's thread did comes before the completion. Acquire: the last one
        // sees what all others did. Each pairs with the other decrements.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.completion.complete();
        }
    }

    /// A fence signalled before its callback was registered: nobody else gives up that share.
    fn refused(&self) {
        self.give_up_share();
    }
}

/// The registration of one wait with all its fences. Dropping it takes the callbacks back that have
/// not run.
pub(crate) struct Countdown<F: Borrow<Fence>, C: Complete> {
    shared: Arc<Shared<C>>,
    callbacks: Vec<(F, CallbackId)>,
}

impl<F: Borrow<Fence>, C: Complete> Countdown<F, C> {
    /// Registers with those of `fences` that are pending; completes when all have signalled, which
    /// may be before this returns.
    pub(crate) fn start(fences: impl IntoIterator<Item = F>, completion: C) -> Self {
        Self::start_observed(fences, completion, |_| {}, Shared::refused)
    }

    /// [`start`](Self::start), with the two steps that tests replace: what happens between seeing a
    /// fence pending and registering with it, and what is done about a refused callback.
    fn start_observed(
        fences: impl IntoIterator<Item = F>,
        completion: C,
        mut before_registering: impl FnMut(&Fence),
        refused: impl Fn(&Shared<C>),
    ) -> Self {
        let shared = Arc::new(Shared {
            left: AtomicUsize::new(1),
            completion,
        });
        let mut callbacks = Vec::new();
        for fence in fences {
            if fence.borrow().is_signaled() {
                continue;
            }
            before_registering(fence.borrow());
            // Relaxed: the callback that gives the share up is registered later, with Release.
            shared.left.fetch_add(1, Ordering::Relaxed);
            let on_signal = Arc::clone(&shared);
            trace::wait_start(fence.borrow());
            match fence.borrow().on_signal(move |_| on_signal.give_up_share()) {
                Ok(id) => callbacks.push((fence, id)),
                Err(_signaled_meanwhile) => {
                    trace::wait_end(fence.borrow());
                    refused(&shared);
                }
            }
        }
        shared.give_up_share();
        Countdown { shared, callbacks }
    }

    /// What completes.
    pub(crate) fn completion(&self) -> &C {
        &self.shared.completion
    }
}

impl<F: Borrow<Fence>, C: Complete> Drop for Countdown<F, C> {
    fn drop(&mut self) {
        // Relaxed: nothing is read on the strength of it. At 0 every callback has been taken.
        if self.shared.left.load(Ordering::Relaxed) != 0 {
            for (fence, id) in &self.callbacks {
                fence.borrow().cancel(*id);
            }
        }
        for (fence, _) in &self.callbacks {
            trace::wait_end(fence.borrow());
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
        fn complete(&self) {
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
    fn race(refused: impl Fn(&Shared<Count>)) -> usize {
        let (jobs, fences) = jobs(3);
        let jobs = RefCell::new(jobs);
        let count = Count::default();
        let _countdown = Countdown::start_observed(
            fences,
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
        assert_eq!(race(|_| {}), 0, "the defect: nobody is ever woken");
    }

    #[test]
    fn completes_once_and_only_after_the_last() {
        let (mut jobs, fences) = jobs(4);
        jobs.remove(2).signal();
        let count = Count::default();
        let countdown = Countdown::start(fences.iter(), count.clone());
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
        let _countdown = Countdown::start([Fence::signaled()], count.clone());
        let _empty = Countdown::<Fence, _>::start([], count.clone());
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn dropping_it_leaves_no_callback_behind() {
        let (mut jobs, fences) = jobs(3);
        let count = Count::default();
        let countdown = Countdown::start(fences.iter(), count.clone());
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
                let countdown = Countdown::start(fences.iter(), count.clone());
                while !fences.iter().all(Fence::is_signaled) {
                    std::thread::yield_now();
                }
                countdown
            });
            assert_eq!(count.get(), 1);
            drop(countdown);
        }
    }
}
