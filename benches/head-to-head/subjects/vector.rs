//! What all peers that keep a vector of entries do with it.

use resv_core::{Access, Entry, Semantics, UsageLevels};

pub(crate) type Entries = Vec<Entry>;

pub(crate) fn matching(entries: &[Entry], access: Access) -> impl Iterator<Item = &Entry> {
    let usages = UsageLevels.waits_for(access);
    entries
        .iter()
        .filter(move |e| usages.contains(e.usage) && !e.fence.is_signaled())
}

#[inline]
pub(crate) fn is_idle(entries: &[Entry], access: Access) -> bool {
    matching(entries, access).next().is_none()
}

#[inline]
pub(crate) fn visit(entries: &[Entry], access: Access) -> u64 {
    matching(entries, access).fold(0, |sum, e| sum.wrapping_add(e.fence.seqno()))
}

#[inline]
pub(crate) fn count_pending(entries: &[Entry], access: Access) -> usize {
    matching(entries, access).count()
}

/// Puts `new` in the place of what it supersedes, or at the end. What was there first is returned, to
/// be dropped with no lock held.
#[inline]
pub(crate) fn put(entries: &mut Entries, new: Entry) -> Option<Entry> {
    let key = new.key();
    let superseded = |e: &Entry| UsageLevels.supersedes(key, e.key());
    let Some(first) = entries.iter().position(superseded) else {
        if entries.len() == entries.capacity() {
            entries.retain(|e| !e.fence.is_signaled());
        }
        entries.push(new);
        return None;
    };
    let mut at = first + 1;
    while at < entries.len() {
        if superseded(&entries[at]) {
            entries.swap_remove(at);
        } else {
            at += 1;
        }
    }
    Some(std::mem::replace(&mut entries[first], new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_core::{Timeline, Usage};

    #[test]
    fn a_later_fence_takes_the_place_of_the_earlier_ones() {
        let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
        let jobs: Vec<_> = [&gfx, &dma, &gfx, &gfx]
            .iter()
            .map(|timeline| timeline.issue().expect("a seqno"))
            .collect();
        let entry = |at: usize, usage| Entry {
            fence: jobs[at].fence().clone(),
            usage,
        };
        let mut entries = Entries::new();
        put(&mut entries, entry(0, Usage::Read));
        put(&mut entries, entry(1, Usage::Read));
        put(&mut entries, entry(2, Usage::Bookkeep)); // weaker: stands beside the first
        assert_eq!(entries.len(), 3);
        put(&mut entries, entry(3, Usage::Read));
        assert_eq!(entries, [entry(3, Usage::Read), entry(1, Usage::Read)]);
        assert_eq!(visit(&entries, Access::Write), 3 + 1);
    }
}
