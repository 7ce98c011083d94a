//! Which entries of an array were pending at one instant.
//!
//! A visit shows the caller the pending entries of one instant, each once. The caller's closure may
//! be slow and fences signal while it runs, so the choice is made before it runs and written down:
//! a bit an entry. Up to 256 entries the bits are on the stack.

use resv_core::{Entry, UsageSet};

/// Marks in a word.
const WORD: usize = u64::BITS as usize;
/// Words on the stack.
const WORDS: usize = 4;

/// A set of positions in one array.
pub(crate) struct Marks {
    inline: [u64; WORDS],
    /// The words behind the inline ones.
    more: Vec<u64>,
}

impl Marks {
    /// Marks the entries with a usage in `usages` that are pending.
    pub(crate) fn of_pending(entries: &[Entry], usages: UsageSet) -> Marks {
        let mut marks = Marks {
            inline: [0; WORDS],
            more: Vec::new(),
        };
        for (at, chunk) in entries.chunks(WORD).enumerate() {
            let mut word = 0;
            for (bit, entry) in chunk.iter().enumerate() {
                let marked = usages.contains(entry.usage) && !entry.fence.is_signaled();
                word |= u64::from(marked) << bit;
            }
            match marks.inline.get_mut(at) {
                Some(inline) => *inline = word,
                None => marks.more.push(word),
            }
        }
        marks
    }

    /// Folds the marked ones of `entries`, in their order.
    #[inline]
    pub(crate) fn fold<A>(
        &self,
        entries: &[Entry],
        init: A,
        mut f: impl FnMut(A, &Entry) -> A,
    ) -> A {
        let mut acc = init;
        for (at, chunk) in entries.chunks(WORD).enumerate() {
            let mut word = self.word(at);
            while word != 0 {
                acc = f(acc, &chunk[word.trailing_zeros() as usize]);
                word &= word - 1;
            }
        }
        acc
    }

    /// Whether none of the marked ones has signalled since.
    #[cfg(any(all(test, not(loom)), feature = "arc-swap"))]
    #[inline]
    pub(crate) fn still_pending(&self, entries: &[Entry]) -> bool {
        self.fold(entries, true, |all, entry| {
            all && !entry.fence.is_signaled()
        })
    }

    #[inline]
    fn word(&self, at: usize) -> u64 {
        match self.inline.get(at) {
            Some(word) => *word,
            None => self.more[at - WORDS],
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use resv_core::{Timeline, Usage};

    /// Arrays up to this length need no memory for their marks.
    const INLINE: usize = 256;

    #[test]
    fn marks_say_what_was_pending_for_any_length() {
        let line = Timeline::new("t");
        for len in [0, 1, 63, 64, 65, INLINE, INLINE + 1, 3 * INLINE + 7] {
            let mut jobs: Vec<_> = (0..len).map(|_| line.issue().ok()).collect();
            let entries: Vec<Entry> = jobs
                .iter()
                .flatten()
                .enumerate()
                .map(|(at, job)| Entry {
                    fence: job.fence().clone(),
                    usage: Usage::ALL[at % 4],
                })
                .collect();
            jobs.iter_mut().step_by(3).for_each(|job| drop(job.take()));
            let usages = UsageSet::of(&[Usage::Write, Usage::Bookkeep]);
            let marks = Marks::of_pending(&entries, usages);
            let expected: Vec<Entry> = entries
                .iter()
                .enumerate()
                .filter(|(at, entry)| at % 3 != 0 && usages.contains(entry.usage))
                .map(|(_, entry)| entry.clone())
                .collect();
            let shown = || {
                marks.fold(&entries, Vec::new(), |mut shown, entry| {
                    shown.push(entry.clone());
                    shown
                })
            };
            assert_eq!(shown(), expected);
            assert!(marks.still_pending(&entries));
            jobs.clear();
            assert_eq!(marks.still_pending(&entries), expected.is_empty());
            assert_eq!(shown(), expected);
        }
    }
}
