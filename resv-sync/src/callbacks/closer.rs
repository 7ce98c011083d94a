//! Closing: taking the list, and running what is in it.

use super::defect::Defect;
use super::in_order::{Noted, Places};
use super::node::{Header, free};
use super::{CLOSED, Callbacks, RACED, SLOW_PATH, WALKED, Word, closed, free_all, has, newest};
use crate::sync::atomic::Ordering;
use std::any::Any;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};

/// What a callback panicked with.
pub type Panic = Box<dyn Any + Send>;

/// What a thread that has closed is left to do: the callbacks, which it [runs](Closed::due), and the slow path,
/// if the flag for that was set.
///
/// Two words, which say what was there and nothing that is made of it: most fences have no callbacks, and
/// this is handed on in registers. Dropping it drops the callbacks.
#[must_use = "the callbacks are to be run"]
#[derive(Debug)]
pub struct Closed<'a> {
    list: &'a Callbacks,
    /// The word that was closed, or a closed one if that had no effect. `WALKED` stands for a race.
    word: Word,
}

/// The callbacks that are due, in the order in which they were stored.
///
/// Dropping it drops those that have not been run.
#[derive(Debug)]
pub struct Due<'a> {
    list: &'a Callbacks,
    outcome: u32,
    /// The next callback to run.
    first: *mut Header,
    /// All nodes; from the oldest to the newest, or after a race the newest and nothing.
    nodes: (*mut Header, *mut Header),
    /// How many they are, unless there was a race.
    count: usize,
    /// Whether there was a walker at the time of closing.
    raced: bool,
}

/// One callback that is to be run.
#[derive(Debug)]
pub struct Callback<'a> {
    node: NonNull<Header>,
    outcome: u32,
    _due: PhantomData<&'a Due<'a>>,
}

impl Callbacks {
    /// Closes, and takes the callbacks. On a closed one nothing happens and there are none.
    ///
    /// Without callbacks this is one load and one read-modify-write.
    ///
    /// # Panics
    ///
    /// When `outcome` is greater than [`MAX_OUTCOME`](Callbacks::MAX_OUTCOME).
    #[inline]
    pub fn close(&self, outcome: u32) -> Closed<'_> {
        assert!(outcome <= Self::MAX_OUTCOME, "an outcome has 28 bits");
        // Relaxed, here and on failure: a guess. A word that is closed is none of ours.
        let mut word = self.word.load(Ordering::Relaxed);
        while !has(word, CLOSED) {
            let is_raced = has(word, WALKED) && !self.seam.has(Defect::ClosesAlone);
            let bits = if is_raced { WALKED | RACED } else { 0 };
            // Release: publishes what the closer did before. Acquire: pairs with the Release of each
            // push in the list, and with a walker's leaving.
            match self.word.compare_exchange_weak(
                word,
                closed(outcome, bits),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        if self.seam.has(Defect::ClosesAlone) {
            word = word.map_addr(|addr| addr & !WALKED);
        }
        Closed { list: self, word }
    }
}

impl<'a> Closed<'a> {
    /// Whether it was open: of several that close, one is told so.
    #[inline]
    pub fn took_effect(&self) -> bool {
        !has(self.word, CLOSED)
    }

    /// Whether the [slow-path flag](Callbacks::set_slow_path) was set.
    #[inline]
    pub fn takes_slow_path(&self) -> bool {
        self.took_effect() && has(self.word, SLOW_PATH)
    }

    /// Whether there may be callbacks to run.
    #[inline]
    pub fn has_callbacks(&self) -> bool {
        self.took_effect() && self.word.addr() & !SLOW_PATH != 0
    }

    /// Runs the callbacks: all, in the order in which they were stored, whatever panics. What one has panicked
    /// with goes to `panicked`, which must not panic: what is left then is neither run nor freed.
    #[inline]
    pub fn run(&mut self, panicked: impl FnMut(Panic)) {
        let rest = self.word.map_addr(|addr| addr & SLOW_PATH);
        let word = std::mem::replace(&mut self.word, rest);
        Closed { word, ..*self }.run_all(panicked);
    }

    /// The same, for one that has nothing else: it stays in registers.
    #[inline]
    pub fn run_all(self, mut panicked: impl FnMut(Panic)) {
        let closed = ManuallyDrop::new(self);
        let is_plain = closed.word.addr() & (CLOSED | WALKED) == 0;
        let Some(newest) = newest(closed.word).filter(|_| is_plain) else {
            if closed.has_callbacks() {
                run_due(ManuallyDrop::into_inner(closed), panicked);
            }
            return;
        };
        // Nobody else can reach the nodes, and nothing here unwinds: so nothing is kept for that, and what is
        // done is done in registers.
        let outcome = closed.list.outcome().unwrap_or(0);
        // SAFETY: the node is the closer's, and lives until it is freed here.
        if unsafe { newest.as_ref() }.is_oldest() {
            // SAFETY: as above, and its closure is there.
            let ran = catch_unwind(AssertUnwindSafe(|| unsafe { Header::run(newest, outcome) }));
            if let Err(panic) = ran {
                panicked(panic);
            }
            // SAFETY: as above, and the closure was taken out.
            return unsafe { free(newest, newest, 1) };
        }
        let mut places = Places::new();
        // SAFETY: the nodes are the closer's, and live until they are freed below.
        let mut noted = unsafe { places.note(newest) };
        let (mut oldest, mut count) = (noted.oldest, noted.count);
        if noted.older.is_some() {
            // SAFETY: as above, and the closures are there.
            let before = unsafe { run_older(&noted, outcome, &mut panicked) };
            (oldest, count) = (before.0, count + before.1);
        }
        // SAFETY: as above, and the closures are there.
        let ran = catch_unwind(AssertUnwindSafe(|| unsafe { noted.run(outcome) }));
        if let Err(panic) = ran {
            panicked(panic);
            // SAFETY: as above: what has been begun is not noted any more.
            unsafe { run_rest(&mut noted, outcome, panicked) };
        }
        // SAFETY: as above, and every closure was taken out.
        unsafe { free(newest, oldest, count) };
    }

    /// Takes the callbacks out, to be run one by one.
    #[inline]
    pub fn due(&mut self) -> Due<'a> {
        let raced = self.took_effect() && has(self.word, WALKED);
        let newest = newest(self.word).filter(|_| self.took_effect());
        let newest_or_null = newest.map_or(null_mut(), NonNull::as_ptr);
        let (first, nodes, count) = if raced {
            let first = claim_all(self.list, newest);
            (first, (newest_or_null, null_mut()), 0)
        } else {
            let (first, count) = turn_round(newest);
            (first, (first, newest_or_null), count)
        };
        if self.took_effect() {
            self.word = self.word.map_addr(|addr| addr & SLOW_PATH);
        }
        Due {
            list: self.list,
            first,
            nodes,
            count,
            // It is closed, and stays so.
            outcome: self.list.outcome().unwrap_or(0),
            raced,
        }
    }
}

/// Puts the nodes of a list, which are the caller's, in order, oldest first. Returns that, and how many they
/// are.
#[inline]
fn turn_round(newest: Option<NonNull<Header>>) -> (*mut Header, usize) {
    let (mut first, mut count, mut at) = (null_mut(), 0, newest);
    while let Some(node) = at {
        // SAFETY: the node lives: it is the caller's.
        let header = unsafe { node.as_ref() };
        header.look();
        at = NonNull::new(header.next.load(Ordering::Relaxed));
        header.next.store(first, Ordering::Relaxed);
        first = node.as_ptr();
        count += 1;
    }
    (first, count)
}

/// Claims the closures of a list after a race, where it keeps its form. Returns the node of the oldest that
/// the closer has.
#[cold]
#[inline(never)]
fn claim_all(list: &Callbacks, newest: Option<NonNull<Header>>) -> *mut Header {
    let (mut first, mut at) = (null_mut(), newest);
    while let Some(node) = at {
        // SAFETY: the node lives: nobody frees it before `RACED` is cleared.
        let header = unsafe { node.as_ref() };
        header.look();
        at = NonNull::new(header.next.load(Ordering::Relaxed));
        if header.claim(first) || list.seam.has(Defect::ClaimsAnyway) {
            first = node.as_ptr();
        }
    }
    first
}

impl Drop for Closed<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Most fences have no callbacks, and those of the others have been run.
        if self.has_callbacks() {
            self.drop_callbacks();
        }
    }
}

impl Closed<'_> {
    #[cold]
    #[inline(never)]
    fn drop_callbacks(&mut self) {
        drop(self.due());
    }
}

impl Due<'_> {
    /// Whether there are callbacks left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Runs those that are left. If one panics, those behind it are left.
    #[inline]
    pub fn run(&mut self) {
        // SAFETY: the nodes live: they are freed when this is dropped. The closer owns the closures.
        unsafe { run_from(&mut self.first, self.raced, self.outcome) };
    }

    /// The next callback.
    #[inline]
    pub fn next_callback(&mut self) -> Option<Callback<'_>> {
        let node = NonNull::new(self.first)?;
        // SAFETY: the node lives: nodes are freed when this is dropped.
        self.first = unsafe { after(node, self.raced) };
        Some(Callback {
            node,
            outcome: self.outcome,
            _due: PhantomData,
        })
    }

    /// Drops the callbacks that have not been run, and leaves after a race.
    #[cold]
    #[inline(never)]
    fn finish(&mut self) {
        while let Some(callback) = self.next_callback() {
            drop(callback);
        }
        if self.raced {
            self.part(self.nodes.0);
        }
    }

    /// Leaves after a race: the last one out frees the nodes.
    fn part(&self, nodes: *mut Header) {
        // Relaxed: published with the word, to the walker that finds `RACED` cleared.
        self.list.left.store(nodes, Ordering::Relaxed);
        let word = self
            .list
            .change(|word| Some(word.map_addr(|addr| addr & !RACED)));
        if word.is_ok_and(|word| !has(word, WALKED)) {
            // SAFETY: the walker has left, none can enter, and the closures have been taken out: the
            // closer's before this, the walker's before it left.
            unsafe { free_all(nodes) };
        }
    }
}

/// Runs the callbacks of a list that a walker was in.
#[cold]
#[inline(never)]
fn run_due(mut closed: Closed<'_>, mut panicked: impl FnMut(Panic)) {
    // If `panicked` panics, it is a model's, which has found something and would find it again in the unwinding.
    let mut due = ManuallyDrop::new(closed.due());
    while !due.is_empty() {
        // Again after a panic: what has been begun is not there any more.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| due.run())) {
            panicked(panic);
        }
    }
    drop(ManuallyDrop::into_inner(due));
}

/// Runs the callbacks that were stored before those that are noted. Returns the node to which the last one noted leads
/// then by way of theirs, and how many they are.
///
/// # Safety
///
/// As [`Noted::run`], and for those before.
#[inline(never)]
unsafe fn run_older(
    noted: &Noted<'_>,
    outcome: u32,
    mut panicked: impl FnMut(Panic),
) -> (NonNull<Header>, usize) {
    let (first, count) = turn_round(noted.older);
    let mut at = first;
    // SAFETY: the caller's contract. Again after a panic, as in `run_due`.
    while let Err(panic) = catch_unwind(AssertUnwindSafe(|| unsafe {
        run_from(&mut at, false, outcome);
    })) {
        panicked(panic);
    }
    // SAFETY: the caller's contract. Of all that are to be freed each leads to the next again.
    unsafe { noted.oldest.as_ref() }
        .next
        .store(first, Ordering::Relaxed);
    // What was the newest of them is the last one now.
    (noted.older.unwrap_or(noted.oldest), count)
}

/// Runs the callbacks behind one that has panicked.
///
/// # Safety
///
/// As [`Noted::run`], but none need be left.
#[cold]
#[inline(never)]
unsafe fn run_rest(noted: &mut Noted<'_>, outcome: u32, mut panicked: impl FnMut(Panic)) {
    while !noted.is_empty() {
        // SAFETY: the caller's contract, and one is left.
        match catch_unwind(AssertUnwindSafe(|| unsafe { noted.run(outcome) })) {
            Ok(()) => return,
            Err(panic) => panicked(panic),
        }
    }
}

/// Runs the callback at `first` and those behind it. If one panics, `first` is the one behind it.
///
/// # Safety
///
/// The nodes live, were put in order, and their closures are the caller's.
#[inline]
unsafe fn run_from(first: &mut *mut Header, raced: bool, outcome: u32) {
    // By itself: a callback may do anything, so what is in memory would be loaded again after each, and
    // one could not begin before that has come.
    let mut at = *first;
    while let Some(node) = NonNull::new(at) {
        // SAFETY: the caller's contract.
        at = unsafe { after(node, raced) };
        *first = at;
        // SAFETY: as above.
        unsafe { Header::run(node, outcome) };
    }
}

/// The node that is to be run after this one.
///
/// # Safety
///
/// The node lives, and was put in order.
#[inline]
unsafe fn after(node: NonNull<Header>, raced: bool) -> *mut Header {
    // SAFETY: the caller's contract.
    let header = unsafe { node.as_ref() };
    if raced {
        header.later()
    } else {
        header.next.load(Ordering::Relaxed)
    }
}

impl Drop for Due<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.raced || !self.is_empty() {
            self.finish();
        }
        let (first, last) = self.nodes;
        if let (Some(first), Some(last)) = (NonNull::new(first), NonNull::new(last)) {
            // SAFETY: there was no race, so the nodes are the closer's, in this order, and every closure
            // was taken out.
            unsafe { free(first, last, self.count) };
        }
    }
}

impl Callback<'_> {
    /// Runs it, with the outcome.
    #[inline]
    pub fn run(self) {
        let callback = ManuallyDrop::new(self);
        // SAFETY: the node lives, and the closer owns its closure.
        unsafe { Header::run(callback.node, callback.outcome) };
    }
}

impl Drop for Callback<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `run`.
        unsafe { Header::discard(self.node) };
    }
}
