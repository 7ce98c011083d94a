//! The leaves of a composition, added to an object in one edit.
//!
//! One edit for each leaf would look at all that is there each time: n leaves would cost n² steps. Here they
//! are put in order first. Then one edit removes what any of them supersedes, each old entry being looked up
//! among the leaves, and those of the leaves that no later one supersedes are appended. That is
//! n log n for n leaves, and log n for each entry that is there.
//!
//! The object is left as one edit for each leaf would leave it, in the order of the leaves. That few leaves
//! have to be asked about an old entry follows from [the contract of a semantics](resv_core::Semantics#the-contract):
//! an older fence removes no newer one of its timeline; all newer ones do the same; and so do all fences of
//! other timelines, as they have one usage here.
//!
//! The memory is got with the reservation (B3). For [`FEW`] leaves there is none, and each is an edit.

use resv_core::{Entry, Fence, FenceStatus, Key, ReserveError, Usage};

/// So many leaves are added one by one.
const FEW: usize = 16;

/// Memory to put leaves in order.
#[derive(Default)]
pub struct LeafRoom {
    leaves: Vec<Leaf>,
}

struct Leaf {
    fence: Fence,
    /// Its place among the leaves.
    at: u32,
    /// Whether it is superseded by one that comes later.
    goes: bool,
}

impl LeafRoom {
    /// Gets room for the leaves that take `slots` slots.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had. Nothing has changed then.
    #[inline]
    pub(crate) fn reserve(&mut self, slots: usize) -> Result<(), ReserveError> {
        if slots <= FEW {
            return Ok(());
        }
        let room = self.leaves.try_reserve_exact(slots);
        room.map_err(|_| ReserveError::new(slots))
    }

    /// The leaves of `fence`; `None` if they are few, or more than there is room for.
    pub(crate) fn fill(&mut self, fence: &Fence) -> Option<Leaves<'_>> {
        let room = self.leaves.capacity();
        let mut of_fence = fence.leaves().zip(0..);
        // They are dropped with this, whatever comes.
        let leaves = Leaves(&mut self.leaves);
        if room <= FEW {
            return None;
        }
        let placed = of_fence.by_ref().take(room).map(|(fence, at)| Leaf {
            fence,
            at,
            goes: false,
        });
        leaves.0.extend(placed);
        (leaves.0.len() > FEW && of_fence.next().is_none()).then_some(leaves)
    }
}

/// The leaves of one composition.
pub(crate) struct Leaves<'r>(&'r mut Vec<Leaf>);

impl<'r> Leaves<'r> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fence> {
        self.0.iter().map(|leaf| &leaf.fence)
    }

    /// Puts them in order, and finds those that go. `removes` says whether a new entry removes an old one;
    /// all are under one usage.
    pub(crate) fn sort<R: Fn(Key, Key) -> bool>(
        self,
        usage: Usage,
        removes: R,
    ) -> SortedLeaves<'r, R> {
        let key = |leaf: &Leaf| Key::new(&leaf.fence, usage);
        put_in_order(self.0, usage);
        for line in self
            .0
            .chunk_by_mut(|a, b| key(a).timeline == key(b).timeline)
        {
            // Of the leaves with a greater seqno the one that comes last.
            let mut newer: Option<(u32, Key)> = None;
            for same in line.chunk_by_mut(|a, b| key(a) == key(b)).rev() {
                let (key, last) = (key(&same[0]), same[same.len() - 1].at);
                for leaf in same {
                    let by_same = leaf.at < last && removes(key, key);
                    let by_newer = newer.is_some_and(|(at, new)| leaf.at < at && removes(new, key));
                    // One that has failed counts for the object's failure, so it has to be there (B10).
                    let has_failed = matches!(leaf.fence.status(), FenceStatus::Error(_));
                    leaf.goes = (by_same || by_newer) && !has_failed;
                }
                newer = newer.max(Some((last, key)));
            }
        }
        SortedLeaves {
            leaves: self,
            usage,
            removes,
        }
    }
}

// Sorting is much code. Here it is compiled once, and not for each rule and back end.

/// By key, and then by place.
fn put_in_order(leaves: &mut [Leaf], usage: Usage) {
    leaves.sort_unstable_by_key(|leaf| (Key::new(&leaf.fence, usage), leaf.at));
}

fn put_last_what_goes(leaves: &mut [Leaf]) {
    leaves.sort_unstable_by_key(|leaf| leaf.goes);
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// The leaves of one composition, by timeline and seqno, and what they remove.
pub(crate) struct SortedLeaves<'r, R> {
    leaves: Leaves<'r>,
    usage: Usage,
    removes: R,
}

impl<R: Fn(Key, Key) -> bool> SortedLeaves<'_, R> {
    /// Whether one of them removes `old`.
    pub(crate) fn supersede(&self, old: Key) -> bool {
        let key = |leaf: &Leaf| Key::new(&leaf.fence, self.usage);
        let leaves = self.leaves.0.as_slice();
        let from = leaves.partition_point(|leaf| key(leaf).timeline < old.timeline);
        let line = &leaves[from..];
        let line = &line[..line.partition_point(|leaf| key(leaf).timeline == old.timeline)];
        let at = line.partition_point(|leaf| key(leaf).seqno < old.seqno);
        // The same or the next one, the newest, and one of another timeline.
        let other = match from {
            0 => leaves.get(line.len()),
            _ => leaves.first(),
        };
        let asked = [line.get(at), line[at..].last(), other];
        let mut asked = asked.into_iter().flatten();
        asked.any(|leaf| (self.removes)(key(leaf), old))
    }

    /// What is to be appended, when nothing is to be looked up any more.
    pub(crate) fn take_entries(&mut self) -> impl ExactSizeIterator<Item = Entry> {
        let (usage, leaves) = (self.usage, &mut *self.leaves.0);
        put_last_what_goes(leaves);
        let stay = leaves.partition_point(|leaf| !leaf.goes);
        let entry = move |Leaf { fence, .. }| Entry { fence, usage };
        leaves.drain(..stay).map(entry)
    }
}
