//! Deadlines: a hint to the signaller of when a waiter would like the fence to have signalled.
//!
//! A compositor sets the next vertical blank, and the driver raises its clocks. Nothing depends on
//! it: a deadline that passes changes no fence.

use super::handle::Fence;
use super::task::{self, Task};
use super::timeline::Signaler;
use std::sync::Arc;
use std::time::Instant;

impl Fence {
    /// Says that a waiter would like this fence to have signalled by `deadline`.
    ///
    /// May be called at any time from any thread; the soonest deadline counts, later ones change
    /// nothing. One in the past means now. On a signalled fence nothing happens. A composed fence
    /// passes it on to its children, a point to the fences that it and earlier places are
    /// [attached](super::Timeline::attach) to, also later. A hint is not a wait: it does not ask a
    /// [lazy](super::Timeline::issue_lazy) fence for its work.
    pub fn set_deadline(&self, deadline: Instant) {
        // A list, not a recursion: compositions may be nested.
        let mut todo = vec![self.clone()];
        while let Some(fence) = todo.pop() {
            let (hook, point) = {
                let mut locked = fence.cell().extra().lock();
                if !fence.cell().set_slow_path(&mut locked) {
                    continue;
                }
                let extra = locked.get_or_insert_default();
                if extra.deadline.is_some_and(|soonest| soonest <= deadline) {
                    continue;
                }
                extra.deadline = Some(deadline);
                if let Some(composition) = &extra.composition {
                    let children = composition.children.iter().rev();
                    todo.extend(children.map(|child| child.fence.clone()));
                }
                (extra.on_deadline.clone(), extra.point)
            };
            if let Some(timeline) = point {
                let attached = timeline.set_deadline(fence.seqno(), deadline);
                todo.extend(attached.into_iter().rev());
            }
            if let Some(hook) = hook {
                task::run(Task::Deadline(hook, deadline));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let locked = self.cell().extra().lock();
        locked.as_ref().and_then(|extra| extra.deadline)
    }
}

impl Signaler {
    /// The soonest deadline that has been set for the fence.
    ///
    /// ```
    /// use resv_core::Timeline;
    /// use std::time::{Duration, Instant};
    ///
    /// let job = Timeline::new("gfx").issue()?;
    /// assert_eq!(job.deadline(), None);
    /// let blank = Instant::now() + Duration::from_millis(16);
    /// job.fence().set_deadline(blank);
    /// job.fence().set_deadline(blank + Duration::from_millis(16));
    /// assert_eq!(job.deadline(), Some(blank));
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.fence().deadline()
    }

    /// Has `hook` called with every deadline that is sooner than all before it, on the thread that
    /// sets it and with no lock held; at once, if there is a deadline already. Takes the place of an
    /// earlier hook. Two threads that set deadlines may call it at the same time, in any order. Inside a
    /// callback or another hook it is called when that has returned.
    pub fn on_deadline(&self, hook: impl Fn(Instant) + Send + Sync + 'static) {
        let hook: super::extra::DeadlineHook = Arc::new(hook);
        let (deadline, _earlier) = {
            let cell = self.fence().cell();
            let mut locked = cell.extra().lock();
            if !cell.set_slow_path(&mut locked) {
                // The timeline has failed all its fences.
                return;
            }
            let extra = locked.get_or_insert_default();
            (extra.deadline, extra.on_deadline.replace(Arc::clone(&hook)))
        };
        if let Some(deadline) = deadline {
            task::run(Task::Deadline(hook, deadline));
        }
    }
}
