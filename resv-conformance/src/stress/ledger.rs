//! The model of one object: every edit in the order in which the object's lock let it in.
//!
//! The ledger is written by the holder of the object's lock, and keeps a handle of every fence that
//! may be pending in the object. So, at any moment of holding the lock, although fences signal
//! meanwhile:
//!
//! * what the object shows, the ledger has: it forgets only what has signalled, and that is never
//!   shown;
//! * what the ledger has and is *still* pending after the object was read, the object has shown.

use resv_core::{AnySemantics, Entry, Fence, Key, Semantics, TimelineId, Usage};

#[derive(Default)]
pub(super) struct Ledger {
    entries: Vec<(Fence, Usage)>,
}

impl Ledger {
    /// As [`Slots::add`](resv_api::Slots::add). `parts` are the fences that `fence` is all of, or
    /// itself; those of one timeline signal in order.
    pub(super) fn add(
        &mut self,
        semantics: AnySemantics,
        fence: &Fence,
        parts: &[Fence],
        usage: Usage,
    ) {
        let usage = semantics.class(usage);
        self.forget_signaled();
        let parts = if goes_apart(semantics, parts, usage) {
            parts
        } else {
            std::slice::from_ref(fence)
        };
        for part in parts {
            let new = Key::new(part, usage);
            self.put(part, usage, |old| semantics.supersedes(new, old));
        }
    }

    /// As [`Slots::replace`](resv_api::Slots::replace), for a timeline on which nothing signals
    /// meanwhile, and a plain fence.
    pub(super) fn replace(
        &mut self,
        semantics: AnySemantics,
        of: TimelineId,
        fence: &Fence,
        usage: Usage,
    ) {
        let usage = semantics.class(usage);
        self.forget_signaled();
        if !self.entries.iter().any(|(old, _)| old.timeline_id() == of) {
            return;
        }
        let new = Key::new(fence, usage);
        self.put(fence, usage, |old| {
            let dominated =
                old.timeline == new.timeline && old.seqno <= new.seqno && old.usage >= new.usage;
            old.timeline == of || dominated
        });
    }

    fn put(&mut self, fence: &Fence, usage: Usage, removes: impl Fn(Key) -> bool) {
        self.entries
            .retain(|(old, usage)| !removes(Key::new(old, *usage)));
        self.entries.push((fence.clone(), usage));
    }

    fn forget_signaled(&mut self) {
        self.entries.retain(|(fence, _)| !fence.is_signaled());
    }

    /// What is wrong with the entries that the object has just shown to the holder of its lock.
    pub(super) fn compare(&self, shown: &[Entry]) -> Result<(), String> {
        for (at, entry) in shown.iter().enumerate() {
            let Entry { fence, usage } = entry;
            let is_entry = |other: &Entry| other.fence == *fence && other.usage == *usage;
            if shown[..at].iter().any(is_entry) {
                return Err(format!("the object shows {fence} as {usage} twice"));
            }
            if !self.has(fence, *usage) {
                return Err(format!(
                    "the object shows {fence} as {usage}, which was superseded or never added"
                ));
            }
        }
        for (fence, usage) in &self.entries {
            let is_it = |entry: &Entry| entry.fence == *fence && entry.usage == *usage;
            if !fence.is_signaled() && !shown.iter().any(is_it) {
                return Err(format!("the object has lost {fence}, pending as {usage}"));
            }
        }
        Ok(())
    }

    fn has(&self, fence: &Fence, usage: Usage) -> bool {
        self.entries
            .iter()
            .any(|(have, as_usage)| have == fence && *as_usage == usage)
    }

    /// The keys of what is pending, in a fixed order.
    pub(super) fn pending(&self) -> Vec<Key> {
        let pending = self
            .entries
            .iter()
            .filter(|(fence, _)| !fence.is_signaled());
        sorted(pending.map(|(fence, usage)| Key::new(fence, *usage)))
    }
}

/// Keys in a fixed order.
pub(super) fn sorted(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut keys: Vec<Key> = keys.collect();
    keys.sort_by_key(|key| (key.timeline, key.seqno, key.usage));
    keys
}

/// Whether the parts of a composed fence are added each by itself: none supersedes one of another
/// timeline.
fn goes_apart(semantics: AnySemantics, parts: &[Fence], usage: Usage) -> bool {
    let keys = || parts.iter().map(|part| Key::new(part, usage));
    keys().all(|new| {
        keys().all(|old| old.timeline == new.timeline || !semantics.supersedes(new, old))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::{ExclusiveShared, Timeline, UsageLevels};

    fn shown(fence: &Fence, usage: Usage) -> Entry {
        Entry {
            fence: fence.clone(),
            usage,
        }
    }

    #[test]
    fn b9_what_is_lost_superseded_or_doubled_is_told() {
        let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
        let jobs = [&gfx, &gfx, &dma].map(|timeline| timeline.issue().expect("a seqno is left"));
        let [a, b, c] = jobs.each_ref().map(|job| job.fence().clone());
        let mut ledger = Ledger::default();
        for fence in [&a, &b, &c] {
            ledger.add(
                AnySemantics::new(&UsageLevels),
                fence,
                std::slice::from_ref(fence),
                Usage::Read,
            );
        }
        let (a, b, c) = (
            shown(&a, Usage::Read),
            shown(&b, Usage::Read),
            shown(&c, Usage::Read),
        );
        let says = |shown: &[&Entry]| {
            let shown: Vec<Entry> = shown.iter().map(|entry| (*entry).clone()).collect();
            ledger.compare(&shown).err().unwrap_or_default()
        };
        assert_eq!(says(&[&b, &c]), "");
        assert!(says(&[&b]).contains("lost dma:1"));
        assert!(says(&[&a, &b, &c]).contains("shows gfx:1"));
        assert!(says(&[&b, &b, &c]).contains("twice"));
        for job in jobs {
            job.signal();
        }
        assert_eq!(says(&[]), "");
    }

    #[test]
    fn h_18_a_composed_exclusive_fence_stays_whole() {
        let jobs = ["gfx", "dma"].map(|name| Timeline::new(name).issue().expect("a seqno is left"));
        let parts = jobs.each_ref().map(|job| job.fence().clone());
        let all = Fence::all(&parts).expect("not empty");
        let count = |usage| {
            let mut ledger = Ledger::default();
            ledger.add(AnySemantics::new(&ExclusiveShared), &all, &parts, usage);
            ledger.pending().len()
        };
        assert_eq!((count(Usage::Write), count(Usage::Read)), (1, 2));
    }
}
