//! The kernel generations' own add rules: scan the slots, overwrite the first that matches.
//!
//! | generation | containers | a slot matches when |
//! |---|---|---|
//! | until 5.18 | one exclusive fence, a list of shared ones; a new exclusive empties the list | same context, or signalled |
//! | 2019 proposal | writers, readers, others; setting the writer makes it the only reader too | same context, or signalled |
//! | since 6.7 | one list with usages | same context, usage not stronger, new one later or the same; or signalled |
//!
//! The first two do not ask whether the new fence is later, which was a defect (H-16). So they are
//! comparable only where fences of a timeline are added in order. All are comparable only where
//! they signal in order, and where no signalled leftover of the timeline that is replaced is in the
//! object (`replace` revives it; [`SlotModel::has_leftover`] tells).

use super::rules::{Generation, is_writer};
use super::{At, Item, Latest, latest};
use resv_core::{Access, Usage};
use std::collections::HashSet;

/// Objects as arrays of slots, under the rule of one kernel generation.
#[derive(Clone, Debug)]
pub struct SlotModel {
    generation: Generation,
    objects: Vec<Containers>,
    signaled: HashSet<At>,
}

/// `lists` is one list for usage levels; else the list of shared fences or readers, then others.
#[derive(Clone, Debug, Default)]
struct Containers {
    writer: Option<At>,
    lists: [Slots; 2],
}

#[derive(Clone, Debug, Default)]
struct Slots {
    slots: Vec<Item>,
    capacity: usize,
}

impl Slots {
    /// Budget for one more: when the list is full it doubles, and signalled slots are left behind.
    fn reserve(&mut self, signaled: &HashSet<At>) {
        if self.slots.len() == self.capacity {
            self.capacity = (2 * self.capacity).max(4);
            self.slots.retain(|slot| !signaled.contains(&slot.at));
        }
    }

    fn put(&mut self, new: Item, matches: impl Fn(&Item) -> bool) {
        match self.slots.iter_mut().find(|slot| matches(slot)) {
            Some(slot) => *slot = new,
            None => self.slots.push(new),
        }
    }
}

impl SlotModel {
    /// A model of `objects` empty objects of the generation that is named.
    pub fn new(generation: Generation, objects: usize) -> SlotModel {
        SlotModel {
            generation,
            objects: vec![Containers::default(); objects],
            signaled: HashSet::new(),
        }
    }

    /// Reserves one slot and adds.
    pub fn add(&mut self, object: usize, fence: At, usage: Usage) {
        let (object, signaled) = (&mut self.objects[object], &self.signaled);
        let new = Item { at: fence, usage };
        let same_context = |old: &Item| old.at.timeline == fence.timeline;
        let done = |old: &Item| signaled.contains(&old.at);
        match self.generation {
            Generation::UsageLevels => {
                let [list, _] = &mut object.lists;
                list.reserve(signaled);
                list.put(new, |old| {
                    let superseded =
                        same_context(old) && old.usage >= usage && fence.seqno >= old.at.seqno;
                    superseded || done(old)
                });
            }
            kind if is_writer(usage) => {
                object.writer = Some(fence);
                let readers = &mut object.lists[0].slots;
                readers.clear();
                if kind == Generation::WritersReadersOthers {
                    readers.push(new);
                }
            }
            kind => {
                let others = kind == Generation::WritersReadersOthers && usage == Usage::Bookkeep;
                let list = &mut object.lists[usize::from(others)];
                list.reserve(signaled);
                list.put(new, |old| same_context(old) || done(old));
            }
        }
    }

    /// Every slot of the timeline, signalled or not, becomes the fence. Only usage levels have it.
    pub fn replace(&mut self, object: usize, timeline: usize, fence: At, usage: Usage) {
        for slot in &mut self.objects[object].lists[0].slots {
            if slot.at.timeline == timeline {
                *slot = Item { at: fence, usage };
            }
        }
    }

    /// Whether a signalled fence of `timeline` still has a slot.
    pub fn has_leftover(&self, object: usize, timeline: usize) -> bool {
        let slots = &self.objects[object].lists[0].slots;
        slots
            .iter()
            .any(|slot| slot.at.timeline == timeline && self.signaled.contains(&slot.at))
    }

    /// `dst` holds what is pending in `src`, each container by itself.
    pub fn copy(&mut self, dst: usize, src: usize) {
        let mut copy = self.objects[src].clone();
        copy.writer = copy.writer.filter(|at| !self.signaled.contains(at));
        for list in &mut copy.lists {
            list.slots.retain(|slot| !self.signaled.contains(&slot.at));
            list.capacity = list.slots.len();
        }
        self.objects[dst] = copy;
    }

    /// The fence has signalled.
    pub fn signal(&mut self, fence: At) {
        self.signaled.insert(fence);
    }

    /// The pending slots, the writer first.
    pub fn pending(&self, object: usize) -> Vec<Item> {
        let Containers { writer, lists } = &self.objects[object];
        let writer = writer.map(|at| Item {
            at,
            usage: Usage::Write,
        });
        let slots = lists.iter().flat_map(|list| &list.slots).copied();
        let all = writer.into_iter().chain(slots);
        all.filter(|item| !self.signaled.contains(&item.at))
            .collect()
    }

    /// The latest pending seqno of each timeline that `access` looks at.
    pub fn latest(&self, object: usize, access: Access) -> Latest {
        let Containers { writer, lists } = &self.objects[object];
        let [first, others] = lists;
        let pending = |at: &At| !self.signaled.contains(at);
        if self.generation == Generation::UsageLevels {
            let cut = [Usage::Kernel, Usage::Write, Usage::Read, Usage::Bookkeep][access as usize];
            let seen = first.slots.iter().filter(|slot| slot.usage <= cut);
            return latest(seen.map(|slot| slot.at).filter(pending));
        }
        let depth = access as usize;
        let mut seen: Vec<At> = Vec::new();
        if depth >= 1 {
            seen.extend(writer);
        }
        if depth >= 2 {
            seen.extend(first.slots.iter().map(|slot| slot.at));
        }
        if depth >= 3 {
            seen.extend(others.slots.iter().map(|slot| slot.at));
        }
        latest(seen.into_iter().filter(pending))
    }
}
