//! The locks that one thread holds.
//!
//! A transaction takes thousands of locks, and each lock asks whether it is held already. So each record has a
//! number that grows, its lock knows that number, and the records are found by it: the steps for one lock
//! grow with the logarithm of the locks held, in whatever order they are released.

use super::report::Place;

/// A lock that this thread holds.
#[derive(Clone, Copy)]
pub(super) struct HeldLock {
    pub(super) lock: u64,
    /// The ticket of the context that took it.
    pub(super) context: Option<u64>,
    pub(super) place: Place,
}

impl HeldLock {
    /// Whether a lock that `context` takes now has no order with it: that is what contexts are for.
    pub(super) fn is_ordered_by(&self, context: Option<u64>) -> bool {
        self.context.is_some() && self.context == context
    }
}

/// The records of one thread, in the order in which the locks were taken.
#[derive(Default)]
pub(super) struct Held {
    /// By number. An empty record is of a lock that has been released; the last one is not empty.
    records: Vec<(u64, Option<HeldLock>)>,
    count: usize,
    last_number: u64,
    /// How many records have been looked at or moved.
    #[cfg(test)]
    pub(super) steps: std::cell::Cell<usize>,
}

impl Held {
    /// Notes a lock; returns the number of its record.
    pub(super) fn push(&mut self, held: HeldLock) -> u64 {
        self.last_number += 1;
        self.records.push((self.last_number, Some(held)));
        self.count += 1;
        self.step(1);
        self.last_number
    }

    /// The record with this number, if it is of this lock: other threads have the same numbers.
    pub(super) fn find(&self, number: u64, lock: u64) -> Option<HeldLock> {
        self.records[self.position(number, lock)?].1
    }

    /// Takes out what [`find`](Held::find) finds.
    pub(super) fn remove(&mut self, number: u64, lock: u64) {
        if let Some(at) = self.position(number, lock) {
            self.records[at].1 = None;
            self.count -= 1;
            self.tidy();
        }
    }

    /// Takes out the locks that are held by the context with this ticket.
    pub(super) fn remove_of(&mut self, ticket: u64) -> Vec<HeldLock> {
        self.step(self.records.len());
        let of_it = |held: &mut HeldLock| held.context == Some(ticket);
        let records = self.records.iter_mut();
        let taken: Vec<_> = records
            .filter_map(|(_, held)| held.take_if(of_it))
            .collect();
        self.count -= taken.len();
        self.tidy();
        taken
    }

    /// How many locks are held.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The one that was taken last.
    pub(super) fn last(&self) -> Option<HeldLock> {
        self.records.last()?.1
    }

    /// All of them, in the order in which they were taken.
    pub(super) fn to_vec(&self) -> Vec<HeldLock> {
        self.step(self.records.len());
        self.records.iter().filter_map(|(_, held)| *held).collect()
    }

    fn position(&self, number: u64, lock: u64) -> Option<usize> {
        let compare = |&(other, _): &(u64, _)| {
            self.step(1);
            other.cmp(&number)
        };
        let at = self.records.binary_search_by(compare).ok()?;
        let is_its = |held: HeldLock| held.lock == lock;
        self.records[at].1.is_some_and(is_its).then_some(at)
    }

    /// Takes out empty records: the last ones at once, the others when there are more of them than of locks.
    /// So each is moved about as often as a lock is released.
    fn tidy(&mut self) {
        while self.records.pop_if(|(_, held)| held.is_none()).is_some() {
            self.step(1);
        }
        if self.records.len() > 2 * self.count {
            self.step(self.records.len());
            self.records.retain(|(_, held)| held.is_some());
        }
    }

    #[cfg(test)]
    fn step(&self, by: usize) {
        self.steps.set(self.steps.get() + by);
    }

    #[cfg(not(test))]
    fn step(&self, _by: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::Location;

    fn lock(lock: u64) -> HeldLock {
        HeldLock {
            lock,
            context: Some(lock % 2),
            place: Location::caller(),
        }
    }

    fn locks(held: &[HeldLock]) -> Vec<u64> {
        held.iter().map(|held| held.lock).collect()
    }

    /// The numbers of `count` locks, taken in order.
    fn take(held: &mut Held, count: u64) -> Vec<u64> {
        (0..count).map(|at| held.push(lock(at))).collect()
    }

    #[test]
    fn a_record_is_of_one_lock_until_it_is_released() {
        let mut held = Held::default();
        let numbers = take(&mut held, 4);
        assert_eq!(held.find(numbers[1], 1).map(|held| held.lock), Some(1));
        assert!(
            held.find(numbers[1], 2).is_none(),
            "another thread's number"
        );
        held.remove(numbers[1], 2);
        assert_eq!(held.len(), 4, "that was not its lock");
        held.remove(numbers[3], 3);
        held.remove(numbers[1], 1);
        held.remove(numbers[1], 1);
        assert!(held.find(numbers[1], 1).is_none());
        assert_eq!(held.last().map(|held| held.lock), Some(2));
        assert_eq!(locks(&held.to_vec()), [0, 2]);
        assert_eq!(held.len(), 2);
    }

    #[test]
    fn a_context_that_is_gone_takes_its_locks_along() {
        let mut held = Held::default();
        take(&mut held, 6);
        assert_eq!(locks(&held.remove_of(1)), [1, 3, 5]);
        assert_eq!(locks(&held.to_vec()), [0, 2, 4]);
        assert_eq!(held.last().map(|held| held.lock), Some(4));
    }

    /// 1,000 and 8,000 locks, looked for and released in any order: at most a logarithm more for each.
    #[test]
    fn the_steps_for_one_lock_do_not_grow_with_those_held() {
        type Order = fn(&mut [u64]);
        let orders: [Order; 3] = [
            |_| (),
            |numbers| numbers.reverse(),
            |numbers| numbers.sort_by_key(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        ];
        for order in orders {
            for count in [1_000_u64, 8_000] {
                let mut held = Held::default();
                let mut numbers = take(&mut held, count);
                order(&mut numbers);
                for &number in &numbers {
                    assert!(held.find(number, number - 1).is_some());
                    assert!(held.find(count + number, number - 1).is_none());
                    held.remove(number, number - 1);
                }
                assert_eq!((held.len(), held.records.len()), (0, 0));
                let most = count as usize * (4 * (count.ilog2() as usize + 1) + 6);
                let steps = held.steps.get();
                assert!(steps <= most, "{count} locks: {steps} steps, not {most}");
            }
        }
    }

    /// What is long held does not keep the records of what comes and goes.
    #[test]
    fn records_stay_in_proportion_to_the_locks_held() {
        let mut held = Held::default();
        let mut before = held.push(lock(0));
        for at in 1..10_000 {
            let number = held.push(lock(at));
            held.remove(before, at - 1);
            before = number;
            assert!(held.records.len() <= 2 * held.len());
        }
        assert_eq!(locks(&held.to_vec()), [9_999]);
    }
}
