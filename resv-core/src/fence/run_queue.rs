//! The run queue of a thread: callbacks and hooks run one after the other, never inside each other.
//!
//! # The concept
//!
//! A callback may signal another fence, whose callbacks signal the next one, and so on: a scheduler does
//! little else. If each `signal` ran the callbacks of its fence at once, they would run on top of each
//! other, and a chain of some thousand fences would end the stack. So a thread that is running callbacks
//! already puts what comes up meanwhile at the end of its queue and goes on; the first `signal` on the
//! stack runs the queue until it is empty. Chains may have any length, in constant stack.
//!
//! # Rules
//!
//! * The *state* of a fence changes at once, and so does that of everything that the fence completes: when
//!   `signal` returns, everybody sees it, also inside a callback. Only the callbacks come later.
//! * For one fence: in order of registration (F-02). Between fences: in the order in which they signalled
//!   on this thread.
//! * The hooks of lazy fences and of deadlines go through the same queue, and so does the drop of what a
//!   fence owned, as hooks may own anything.
//! * A thread that waits for a fence inside a callback runs its queue before it sleeps
//!   ([`run_before_sleep`](super::run_before_sleep)): what it waits for may depend on what is in there. Such a wait nests; nothing
//!   else does. A callback that sleeps in another way may wait for what its own thread has yet to run.
//! * A panic keeps nothing else from running. The first one goes on in the `signal` or the wait that
//!   runs the queue, when the queue is empty; later ones are dropped, and so is the first when the thread
//!   is unwinding already. A payload that panics as it is dropped does not escape.
//!
//! # Cost
//!
//! A fence without callbacks never comes here. One pending task needs no allocation, so neither does a
//! chain; the queue for more is freed as soon as it is empty, so a thread keeps nothing.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A piece of foreign code, or several that belong together.
pub(super) trait Task {
    /// Runs all of it, whatever panics.
    fn run(self, panics: &mut Panics);
}

/// The queue of one thread. See the [module](self).
pub(super) struct RunQueue<T> {
    is_running: Cell<bool>,
    /// How many tasks are queued: most often none is, and nothing else is looked at.
    queued: Cell<usize>,
    /// The first of them, which most often is the only one.
    first: Cell<Option<T>>,
    /// Those behind it.
    more: RefCell<VecDeque<T>>,
}

impl<T: Task> RunQueue<T> {
    pub(super) const fn new() -> Self {
        RunQueue {
            is_running: Cell::new(false),
            queued: Cell::new(0),
            first: Cell::new(None),
            more: RefCell::new(VecDeque::new()),
        }
    }

    /// Runs `task` and all that it brings up; inside another task, leaves it to the one that runs them.
    #[inline]
    pub(super) fn run(&self, task: T) {
        if self.begin() {
            let mut panics = Panics::default();
            task.run(&mut panics);
            self.end(&mut panics);
        } else {
            self.push(task);
        }
    }

    /// Whether the caller is to run its task and then call [`end`](RunQueue::end). Otherwise it is inside
    /// another task, and [queues](RunQueue::push) its own.
    #[inline]
    pub(super) fn begin(&self) -> bool {
        !self.is_running.replace(true)
    }

    /// The task has run: runs what it has brought up.
    #[inline]
    pub(super) fn end(&self, panics: &mut Panics) {
        if self.queued.get() > 0 {
            self.run_queued(panics);
        }
        self.is_running.set(false);
        panics.resume();
    }

    /// Runs what is in the queue now, and what that brings up.
    pub(super) fn run_all(&self) {
        if self.queued.get() > 0 {
            let mut panics = Panics::default();
            self.run_queued(&mut panics);
            panics.resume();
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn push(&self, task: T) {
        match self.queued.replace(self.queued.get() + 1) {
            0 => self.first.set(Some(task)),
            _ => self.more.borrow_mut().push_back(task),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_queued(&self, panics: &mut Panics) {
        while let Some(task) = self.pop() {
            task.run(panics);
        }
    }

    fn pop(&self) -> Option<T> {
        let queued = self.queued.get();
        self.queued.set(queued.checked_sub(1)?);
        self.first.take().or_else(|| {
            let mut more = self.more.borrow_mut();
            let next = more.pop_front();
            if queued == 1 {
                // A thread keeps no memory: its end would have to give it back.
                *more = VecDeque::new();
            }
            next
        })
    }
}

/// The first panic of several pieces of foreign code, all of which are to run.
#[derive(Default)]
pub(super) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    pub(super) fn catch(&mut self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            self.keep(panic);
        }
    }

    /// A piece of foreign code has panicked with this.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, panic: Box<dyn Any + Send>) {
        match &self.0 {
            None => self.0 = Some(panic),
            Some(_) => discard(panic),
        }
    }

    /// Goes on with the panic, if there was one and this thread is not panicking already.
    #[inline]
    pub(super) fn resume(&mut self) {
        if let Some(panic) = self.0.take() {
            go_on(panic);
        }
    }
}

#[cold]
fn go_on(panic: Box<dyn Any + Send>) {
    if std::thread::panicking() {
        discard(panic);
    } else {
        resume_unwind(panic);
    }
}

/// Drops what a panic has thrown. That may panic in turn; what that throws is leaked, as its drop may
/// panic as well.
pub(super) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
