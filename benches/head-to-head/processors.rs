//! Which processors the process may use, and threads that are bound to them.
//!
//! A scheduler may leave two threads on one processor while another one has nothing to do: on a virtual machine
//! with two processors that lasts for seconds, and two threads that share nothing make 1.0 times what one makes
//! in one run and twice as much in the next. What is measured then is the scheduler. Threads that are bound, in
//! turns, get the processors that there are.
//!
//! This program runs on Linux alone, whose futex the case `wakeup` is compared with.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that a thread may use; none where the system does not say.
pub(crate) struct Processors(Vec<usize>);

impl Processors {
    /// Those of the calling thread.
    pub(crate) fn of_this_thread() -> Processors {
        let may_use = |set: CpuSet| (0..CpuSet::MAX_CPU).filter(move |&at| set.is_set(at));
        let set = sched_getaffinity(None);
        Processors(set.map_or_else(|_| Vec::new(), |set| may_use(set).collect()))
    }

    /// Binds the calling thread to one of them: to the first if `turn` is 0, to the second if it is 1, and after
    /// the last to the first again. A thread that cannot be bound stays as it was.
    pub(crate) fn bind(&self, turn: usize) {
        if let Some(rest) = turn.checked_rem(self.0.len()) {
            let mut one = CpuSet::new();
            one.set(self.0[rest]);
            // Where it has been taken away in the meantime, the scheduler places the thread.
            let _ = sched_setaffinity(None, &one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_to_one_processor_in_its_turn() {
        let all = Processors::of_this_thread();
        assert!(!all.0.is_empty());
        std::thread::scope(|scope| {
            for turn in 0..=all.0.len() {
                let all = &all;
                let bound = scope.spawn(move || {
                    all.bind(turn);
                    Processors::of_this_thread().0
                });
                let bound = bound.join().expect("no panic");
                assert_eq!(bound, [all.0[turn % all.0.len()]], "turn {turn}");
            }
        });
        let after = Processors::of_this_thread();
        assert_eq!(after.0, all.0, "the thread that starts them is not bound");
    }

    #[test]
    fn where_the_system_names_no_processor_a_thread_stays_as_it_was() {
        let all = Processors::of_this_thread();
        Processors(Vec::new()).bind(1);
        assert_eq!(Processors::of_this_thread().0, all.0);
    }
}
