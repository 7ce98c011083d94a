//! What readers do: they hold no lock, and look twice.

use crate::counter::{ATTEMPTS, Word};
use crate::object::Seqcount;
use crate::raw::{Picked, try_with_capacity};
use crate::slot::{Asked, Content, Slot};
use resv_core::{Entry, Fence, Key, ReserveError, UsageSet};
use resv_sync::keys::{Keys, columns};
use std::alloc::{Layout, handle_alloc_error};
use std::sync::atomic::Ordering;

/// How many keys a visit keeps on the stack.
#[cfg(not(any(loom, shuttle)))]
const KEYS: usize = 64;
/// Few, so that more are in reach of random schedules.
#[cfg(shuttle)]
const KEYS: usize = 1;
/// As many as the models have: what does not fit is read twice, which is too long for loom.
#[cfg(loom)]
const KEYS: usize = 2;

impl Seqcount {
    #[inline]
    pub(crate) fn word(&self) -> Word {
        self.counter.load()
    }

    /// Reads with `attempt` until what it read is of one instant; says also at which word it was.
    /// The first attempt begins at `first`; `None`: there was one, which was overtaken.
    ///
    /// `attempt` sees slots that may change under it. It must not wait, and what it returns when it
    /// was overtaken is dropped. What it collects goes to `state`, which is empty when an attempt
    /// begins: `discard` empties it, with no lock held, so that it may drop fences.
    #[inline]
    pub(crate) fn read<S, T>(
        &self,
        first: Option<Word>,
        state: &mut S,
        mut attempt: impl FnMut(&mut S, &[Slot]) -> T,
        discard: impl Fn(&mut S),
    ) -> (T, Word) {
        if let Some(first) = first.filter(|first| self.counter.may_read(*first)) {
            let answer = attempt(state, self.tables.used());
            if self.counter.is_current(first) {
                return (answer, first);
            }
            discard(state);
        }
        self.read_again(state, &mut attempt, &discard)
    }

    /// The attempts after the first.
    #[cold]
    #[inline(never)]
    fn read_again<S, T>(
        &self,
        state: &mut S,
        attempt: &mut impl FnMut(&mut S, &[Slot]) -> T,
        discard: &impl Fn(&mut S),
    ) -> (T, Word) {
        self.counter.see_the_first_section();
        let side = self.tables.side();
        let side = side.expect("the side is there before the first section is opened");
        for _ in (0..ATTEMPTS).skip(1) {
            side.retries.fetch_add(1, Ordering::Relaxed);
            let word = self.word();
            if !self.counter.may_read(word) {
                continue;
            }
            let answer = attempt(state, self.tables.used());
            if self.counter.is_current(word) {
                return (answer, word);
            }
            discard(state);
        }
        side.fallbacks.fetch_add(1, Ordering::Relaxed);
        loop {
            let turn = side.turns.take();
            let word = self.counter.load_in_turn();
            let answer = attempt(state, self.tables.used());
            if self.counter.is_current_in_turn(word) {
                return (answer, word);
            }
            // By a writer that had looked before this turn began.
            drop(turn);
            discard(state);
        }
    }

    /// Collects with `pick` from every slot in use, at one instant, beginning at `first` as
    /// [`read`](Seqcount::read) does. Memory is got between attempts, never inside one.
    pub(crate) fn collect<T>(
        &self,
        first: Option<Word>,
        mut pick: impl FnMut(Content) -> Option<T>,
    ) -> Result<Vec<T>, ReserveError> {
        let mut word = first;
        // A hint, which is right if nobody edits the object.
        let mut wanted = self.tables.used().len();
        loop {
            let mut found = try_with_capacity(wanted)?;
            let room = found.capacity();
            let (used, _) = self.read(
                word,
                &mut found,
                |found, slots| {
                    if slots.len() <= room {
                        let contents = slots.iter().filter_map(Slot::load);
                        contents.filter_map(&mut pick).for_each(|t| found.push(t));
                    }
                    slots.len()
                },
                Vec::clear,
            );
            if used <= room {
                return Ok(found);
            }
            wanted = used;
            word = Some(self.word());
        }
    }

    /// [`snapshot`](Backend::snapshot) where the idle bits of `first` do not answer: the first attempt of
    /// `collect`, by itself. `None`: it was overtaken, or there is no memory.
    #[inline(never)]
    pub(crate) fn snapshot_pending(&self, first: Word) -> Option<Picked<Entry>> {
        if !self.counter.may_read(first) {
            return None;
        }
        let all = Asked::new(UsageSet::ALL);
        let found = Picked::of(self.tables.used(), |slot| slot.if_asked(all, owned_entry))?;
        if self.counter.is_current(first) {
            return Some(found);
        }
        // With no lock held, as it may drop fences.
        drop(found.into_vec());
        None
    }

    /// The attempts after the first.
    #[cold]
    #[inline(never)]
    pub(crate) fn snapshot_again(&self) -> Result<Vec<Entry>, ReserveError> {
        self.collect(None, owned_entry)
    }

    /// [`visit`](Backend::visit) where the idle bits of `first` do not answer.
    #[inline(never)]
    pub(crate) fn visit_pending<A>(
        &self,
        first: Word,
        usages: UsageSet,
        init: A,
        mut f: impl FnMut(A, Key) -> A,
    ) -> A {
        if !self.counter.may_read(first) {
            return self.visit_again(usages, init, f);
        }
        // The first attempt of `read`, by itself: what it collects is seen by nobody but `f`, so that what
        // `f` does not look at is not even collected.
        let asked = Asked::new(usages);
        let pick = |slot: &Slot| {
            slot.if_asked(asked, |(cell, usage)| {
                let (timeline, seqno) = cell.is_pending().then(|| cell.key_parts())?;
                Some((timeline, seqno, usage))
            })
        };
        let mut init = Some(init);
        let done = columns::<KEYS, _, _, _, _, _>(self.tables.used(), pick, |picked| {
            let init = self.counter.is_current(first).then(|| init.take())??;
            let keys = picked.rows().map(|(timeline, seqno, usage)| Key {
                timeline,
                seqno,
                usage,
            });
            Some(keys.fold(init, &mut f))
        });
        match (done, init) {
            (Some(Some(acc)), _) => acc,
            (Some(None), Some(init)) => self.visit_again(usages, init, f),
            (_, init) => self.visit_many(usages, init.expect("not shown yet"), f),
        }
    }

    /// The attempts after the first.
    #[cold]
    #[inline(never)]
    fn visit_again<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        let mut keys = Keys::<Key, KEYS>::new();
        // What was collected by an attempt that was overtaken is written over.
        let (fits, _) = self.read_again(
            &mut keys,
            &mut |keys: &mut Keys<_, KEYS>, slots: &[Slot]| {
                slots.len() <= KEYS && keys.fill(pending_keys(slots, usages))
            },
            &|_| (),
        );
        match fits {
            true => keys.as_slice().iter().copied().fold(init, f),
            false => self.visit_many(usages, init, f),
        }
    }

    /// A visit of more entries than have their place on the stack.
    #[inline(never)]
    fn visit_many<A>(&self, usages: UsageSet, init: A, f: impl FnMut(A, Key) -> A) -> A {
        match self.collect(Some(self.word()), |content| pending_key(content, usages)) {
            Ok(keys) => keys.into_iter().fold(init, f),
            Err(error) => match Layout::array::<Key>(error.entries()) {
                Ok(layout) => handle_alloc_error(layout),
                Err(_) => handle_alloc_error(Layout::new::<Key>()),
            },
        }
    }

    /// [`is_idle`](Backend::is_idle) where the idle bits of `first` do not answer.
    #[inline]
    pub(crate) fn scan(&self, first: Word, usages: UsageSet) -> bool {
        // The first attempt of `read`, by itself: with no call in it, it saves no registers.
        if self.counter.may_read(first) {
            let is_busy = has_pending(self.tables.used(), usages);
            if self.counter.is_current(first) {
                if !is_busy {
                    self.counter.set_idle_bits(first, usages);
                }
                return !is_busy;
            }
        }
        self.scan_again(usages)
    }

    #[cold]
    #[inline(never)]
    fn scan_again(&self, usages: UsageSet) -> bool {
        let attempt = &mut |(): &mut (), slots: &[Slot]| has_pending(slots, usages);
        let (is_busy, word) = self.read_again(&mut (), attempt, &|()| ());
        if !is_busy {
            self.counter.set_idle_bits(word, usages);
        }
        !is_busy
    }
}

/// Whether an entry with one of the usages is pending.
#[inline]
fn has_pending(slots: &[Slot], usages: UsageSet) -> bool {
    let asked = Asked::new(usages);
    let is_pending =
        |slot: &Slot| slot.if_asked(asked, |(cell, _)| cell.is_pending().then_some(()));
    slots.iter().any(|slot| is_pending(slot).is_some())
}

/// The entry, owned, if it is pending.
#[inline(always)]
fn owned_entry((cell, usage): Content) -> Option<Entry> {
    // A fence whose references are gone is in no slot any more: the attempt is overtaken.
    let fence = cell.is_pending().then(|| Fence::try_acquire(cell))??;
    Some(Entry { fence, usage })
}

/// The key of an entry that is pending and has one of the usages.
#[inline]
fn pending_key((cell, usage): Content, usages: UsageSet) -> Option<Key> {
    (usages.contains(usage) && cell.is_pending()).then(|| {
        let (timeline, seqno) = cell.key_parts();
        Key {
            timeline,
            seqno,
            usage,
        }
    })
}

/// The keys of the entries that are pending and have one of the usages.
#[inline]
fn pending_keys(slots: &[Slot], usages: UsageSet) -> impl Iterator<Item = Key> {
    let contents = slots.iter().filter_map(Slot::load);
    contents.filter_map(move |content| pending_key(content, usages))
}
