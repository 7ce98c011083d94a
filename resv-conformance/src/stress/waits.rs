//! What a thread does between transactions: waits of every form, some to the end and some dropped half
//! way, so that callbacks are registered, run and taken back all the time.

use super::Fault;
use super::jobs::wait_to_the_end;
use super::post::Doing;
use super::worker::Worker;
use resv_api::{Fence, Waitable, WaitedAny, wait_all, wait_any};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

impl Worker<'_> {
    /// Between transactions, with nothing held: now and then a wait or a signal.
    pub(super) fn pause(&mut self) -> Result<(), Fault> {
        self.beat(Doing::Waits, 0);
        let crew = self.crew;
        let chosen = [(); 2].map(|()| self.rng.below(crew.world.objects.len()));
        let [one, other] = chosen.map(|at| &crew.world.objects[at].resv);
        let access = self.access();
        let moment = Duration::from_micros(self.rng.below(100) as u64);
        match self.rng.below(64) {
            0 => {
                // Some of it may be kept by other threads, so not for ever.
                let _ = one.wait(access, moment);
            }
            1 => {
                let groups = [one.waits_for(access), other.snapshot()];
                if let WaitedAny::Signaled(at) | WaitedAny::Failed(at, _) =
                    wait_any(&groups, moment)
                    && !groups[at].is_idle()
                {
                    return Err(Fault::at(chosen[at], "wait_any has returned too early"));
                }
            }
            2 => {
                let both = (one.snapshot(), other.snapshot());
                let in_time = wait_all(&both, moment).is_signaled();
                if in_time && !(both.0.is_idle() && both.1.is_idle()) {
                    return Err(Fault::at(chosen[0], "wait_all has returned too early"));
                }
            }
            3 => {
                // Dropped half way.
                let mut future = pin!(one.wait_async(access));
                let _ = poll(future.as_mut(), Waker::noop());
            }
            4 => {
                // Dropped half way, while a thread that has looked away for a moment is to be woken.
                let waker = thread_waker();
                let mut future = pin!(one.wait_async(access));
                if poll(future.as_mut(), &waker).is_pending() {
                    thread::park_timeout(moment);
                    let _ = poll(future.as_mut(), &waker);
                }
            }
            5 => self.wait_for_a_job()?,
            6 => {
                let timeline = self.rng.below(usize::MAX);
                self.crew.jobs.signal_one(timeline);
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.tally.waits += 1;
        Ok(())
    }

    /// Waits for a job of its own, to the end: with a thread or as a task, for the job or for
    /// something that is made of it.
    fn wait_for_a_job(&mut self) -> Result<(), Fault> {
        let signaler = Self::issue(&self.soon[0])?;
        let job = signaler.fence().clone();
        let kept = self.kept.back().map(|kept| kept.fence().clone());
        let any = Fence::any(std::iter::once(&job).chain(&kept)).expect("not empty");
        // Made and dropped unsignalled.
        let _all = Fence::all(std::iter::once(&job).chain(&kept));
        self.crew
            .jobs
            .submit(Self::TIMELINES * self.thread, signaler);
        if self.rng.one_in(2) {
            return wait_to_the_end(&any);
        }
        let waker = thread_waker();
        let mut future = pin!(any.when_signaled());
        while poll(future.as_mut(), &waker).is_pending() {
            thread::park();
        }
        if job.is_signaled() {
            Ok(())
        } else {
            Err(Fault::new("a future has resolved too early"))
        }
    }
}

pub(super) fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Wakes a task that is polled by a thread.
struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Unparks the current thread.
pub(super) fn thread_waker() -> Waker {
    Waker::from(Arc::new(Unparks(thread::current())))
}
