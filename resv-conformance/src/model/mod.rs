//! Naive models: what objects must answer, worked out without any of the code under test.
//!
//! # The concept
//!
//! * [`Model`] keeps each object as a plain vector and applies the rules of the three semantics as
//!   they are *written down* (the documentation of each semantics), stated a second time
//!   in [`Rules`]. It shares no table with `resv-core`, so a wrong table there and a wrong back end
//!   both show up as a difference.
//! * [`SlotModel`] applies the rules of the *kernel generations*: slots that are scanned from the
//!   front, the first that matches overwritten. It may keep dominated fences that a [`Model`] drops;
//!   what must agree is the latest pending seqno of each timeline under each access, as long as
//!   fences of a timeline signal in order.
//!
//! A fence here is only a position, [`At`]; whether it has signalled is a set beside the objects.
//!
//! What an object's failure is follows from the history ([`resv_core::failure`]): the model keeps, beside
//! what is in an object, the entries that count for it, and never drops one because it has signalled.

mod rules;
mod slots;

pub use rules::{Generation, Rules};
pub use slots::SlotModel;

use resv_core::{Access, FenceError, Usage};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A fence: its timeline's number and its seqno there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The number of the timeline.
    pub timeline: usize,
    /// The position on it.
    pub seqno: u64,
}

/// One entry of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// The fence.
    pub at: At,
    /// The usage under which it is kept.
    pub usage: Usage,
}

/// For each timeline that has one, the latest pending seqno.
pub type Latest = BTreeMap<usize, u64>;

/// Objects as plain vectors, under the rules of one semantics.
#[derive(Clone, Debug)]
pub struct Model {
    rules: Rules,
    objects: Vec<Vec<Item>>,
    /// Of each object, what counts for its failure.
    counting: Vec<Vec<Item>>,
    signaled: HashSet<At>,
    failed: HashMap<At, FenceError>,
}

impl Model {
    /// A model of `objects` empty objects.
    pub fn new(rules: Rules, objects: usize) -> Model {
        Model {
            rules,
            objects: vec![Vec::new(); objects],
            counting: vec![Vec::new(); objects],
            signaled: HashSet::new(),
            failed: HashMap::new(),
        }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// `add OBJECT FENCE USAGE`, one fence of a transaction.
    pub fn add(&mut self, object: usize, fence: At, usage: Usage) {
        self.rules.add(&mut self.objects[object], fence, usage);
        if self.rules.is_write(usage) {
            self.counting[object].clear();
        }
        self.count(object, fence, usage);
    }

    /// An entry counts that has just come. One that has just gone and was pending does not any more.
    fn count(&mut self, object: usize, fence: At, usage: Usage) {
        let usage = self.rules.kept_as(usage);
        let (signaled, set) = (&self.signaled, &self.objects[object]);
        let counting = &mut self.counting[object];
        counting.retain(|item| signaled.contains(&item.at) || set.contains(item));
        counting.push(Item { at: fence, usage });
    }

    /// `replace OBJECT TIMELINE FENCE USAGE`; whether there was anything to replace.
    pub fn replace(&mut self, object: usize, timeline: usize, fence: At, usage: Usage) -> bool {
        let usage = self.rules.kept_as(usage);
        let (set, signaled) = (&mut self.objects[object], &self.signaled);
        set.retain(|old| !signaled.contains(&old.at));
        if !set.iter().any(|old| old.at.timeline == timeline) {
            return false;
        }
        set.retain(|old| {
            let behind = old.at.timeline == fence.timeline
                && old.at.seqno <= fence.seqno
                && old.usage >= usage;
            old.at.timeline != timeline && !behind
        });
        set.push(Item { at: fence, usage });
        self.count(object, fence, usage);
        true
    }

    /// `copy DST SRC`.
    pub fn copy(&mut self, dst: usize, src: usize) {
        self.objects[dst] = self.list(src).into_iter().collect();
        self.counting[dst] = self.objects[dst].clone();
    }

    /// `signal FENCE`.
    pub fn signal(&mut self, fence: At) {
        self.signaled.insert(fence);
    }

    /// `signal FENCE error`, with this error.
    pub fn fail(&mut self, fence: At, error: FenceError) {
        if self.signaled.insert(fence) {
            self.failed.insert(fence, error);
        }
    }

    /// The failure of the object for `access`.
    pub fn failure(&self, object: usize, access: Access) -> Option<FenceError> {
        let counting = self.counting[object].iter();
        let asked_for = counting.filter(|item| self.rules.waits_for(access, item.usage));
        let errors = asked_for.filter_map(|item| self.failed.get(&item.at).copied());
        errors.min_by_key(|error| error.errno())
    }

    /// The pending entries.
    pub fn list(&self, object: usize) -> BTreeSet<Item> {
        self.pending(object, |_| true)
    }

    fn pending(&self, object: usize, is_asked_for: impl Fn(Usage) -> bool) -> BTreeSet<Item> {
        let is_pending = |at| !self.signaled.contains(at);
        let items = self.objects[object].iter();
        items
            .filter(|item| is_asked_for(item.usage) && is_pending(&item.at))
            .copied()
            .collect()
    }

    /// The pending entries that `access` must wait for.
    pub fn waits(&self, object: usize, access: Access) -> BTreeSet<Item> {
        self.pending(object, |usage| self.rules.waits_for(access, usage))
    }

    /// Whether `access` has nothing to wait for.
    pub fn is_idle(&self, object: usize, access: Access) -> bool {
        self.waits(object, access).is_empty()
    }

    /// The latest pending seqno of each timeline that `access` must wait for.
    pub fn latest(&self, object: usize, access: Access) -> Latest {
        latest(self.waits(object, access).iter().map(|item| item.at))
    }
}

/// The latest of `fences` on each timeline.
pub fn latest(fences: impl Iterator<Item = At>) -> Latest {
    let mut latest = Latest::new();
    for at in fences {
        let seqno = latest.entry(at.timeline).or_insert(at.seqno);
        *seqno = at.seqno.max(*seqno);
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;
    use Usage::{Bookkeep, Kernel, Read, Write};
    use resv_core::SemanticsKind;

    const fn at(timeline: usize, seqno: u64) -> At {
        At { timeline, seqno }
    }

    fn text(items: BTreeSet<Item>) -> String {
        let words: Vec<String> = items
            .iter()
            .map(|i| format!("{}:{}={}", i.at.timeline, i.at.seqno, i.usage))
            .collect();
        words.join(" ")
    }

    #[test]
    fn one_sequence_under_the_three_rules() {
        for (kind, list) in [
            (
                SemanticsKind::ExclusiveShared,
                "1:1=write 2:1=read 3:1=read",
            ),
            (
                SemanticsKind::WritersReadersOthers,
                "1:1=write 2:1=read 3:1=bookkeep",
            ),
            (
                SemanticsKind::UsageLevels,
                "0:1=kernel 1:1=write 2:1=read 3:1=bookkeep",
            ),
        ] {
            let mut model = Model::new(Rules::of(kind), 2);
            for (timeline, usage) in [Kernel, Write, Read, Bookkeep].into_iter().enumerate() {
                model.add(0, at(timeline, 1), usage);
            }
            assert_eq!(text(model.list(0)), list, "{kind}");
            model.copy(1, 0);
            model.signal(at(1, 1));
            assert!(!text(model.list(1)).contains("1:1=write"), "{kind}");
            assert_eq!(model.list(0), model.list(1));
        }
    }

    #[test]
    fn replace_takes_one_timeline_and_what_lies_behind_the_new_fence() {
        let mut model = Model::new(Rules::of(SemanticsKind::UsageLevels), 1);
        model.add(0, at(0, 1), Write);
        model.add(0, at(0, 2), Bookkeep);
        model.add(0, at(1, 5), Read);
        model.add(0, at(1, 1), Bookkeep);
        assert!(!model.replace(0, 7, at(2, 1), Read));
        assert!(model.replace(0, 0, at(1, 3), Read));
        assert_eq!(text(model.list(0)), "1:3=read 1:5=read");
    }

    #[test]
    fn a_failure_lasts_until_a_write() {
        let io = Some(FenceError::IO);
        for generation in Generation::ALL {
            let mut model = Model::new(Rules::of(generation.kind()), 2);
            model.add(0, at(0, 1), Write);
            model.add(0, at(1, 1), Read);
            model.fail(at(1, 1), FenceError::CANCELED);
            assert_eq!(model.failure(0, Access::Read), None);
            assert_eq!(model.failure(0, Access::Write), Some(FenceError::CANCELED));
            model.fail(at(0, 1), FenceError::IO);
            assert_eq!(model.failure(0, Access::Read), io);
            assert_eq!(model.failure(0, Access::Write), io, "the smaller errno");
            model.copy(1, 0);
            assert_eq!(
                model.failure(1, Access::Move),
                None,
                "what is pending is copied"
            );
            model.add(0, at(2, 1), Bookkeep);
            assert_eq!(model.failure(0, Access::Read), io);
            model.add(0, at(3, 1), Kernel);
            let is_write = generation != Generation::UsageLevels;
            assert_eq!(model.failure(0, Access::Read), io.filter(|_| !is_write));
            model.add(0, at(0, 2), Write);
            assert_eq!(model.failure(0, Access::Move), None);
        }
    }

    #[test]
    fn the_slot_rule_keeps_a_dominated_fence_and_answers_alike() {
        let kind = SemanticsKind::UsageLevels;
        let generation = Generation::UsageLevels;
        let (mut slots, mut model) = (
            SlotModel::new(generation, 1),
            Model::new(Rules::of(kind), 1),
        );
        let mut add = |slots: &mut SlotModel, fence| {
            slots.add(0, fence, Read);
            model.add(0, fence, Read);
        };
        // [B1 signalled, A1], then A2: the first slot that matches is B's.
        add(&mut slots, at(1, 1));
        add(&mut slots, at(0, 1));
        slots.signal(at(1, 1));
        add(&mut slots, at(0, 2));
        model.signal(at(1, 1));
        assert_eq!(slots.pending(0).len(), 2);
        assert_eq!(model.list(0).len(), 1);
        for access in Access::ALL {
            assert_eq!(slots.latest(0, access), model.latest(0, access));
        }
    }
}
