//! Fences made of fences, and taking them apart.
//!
//! # The concept
//!
//! [`Fence::all`] signals when the last of its children has, [`Fence::any`] when the first has. Both
//! are ordinary fences: the one fence of a timeline of its own, seqno 1, with children instead of a
//! [`Signaler`](super::Signaler).
//!
//! # Rules
//!
//! * A composed fence signals by itself. It watches its children from the start, so nobody has to
//!   wait for it to make it notice (H-12); what the last child's `signal` returns after includes it
//!   (stronger than F-09). Watching is not waiting: [lazy](super::Timeline::issue_lazy) children are
//!   asked for their work only when somebody waits for the composed fence.
//! * There is no composed fence of nothing (H-13): it would have signalled before anything happened.
//! * `all` signals with the error of the child that was the first to fail, when all have signalled;
//!   `any` with what its first child signalled with.
//! * A child of the same kind is taken apart first, so `all` never has a child that is an `all`
//!   (H-18). `any` within `all` cannot be taken apart and is a child like any other; nothing here
//!   recurses, so nesting may have any depth.
//! * The children are let go when the composed fence signals. When it is dropped unsignalled, its
//!   watchers are taken off them, and nothing of it is left behind. If it has callbacks, it stays
//!   until they have run.
//!
//! # Merging
//!
//! [`merge`] is for who hands on "everything that is still pending": it takes apart, leaves out what
//! has signalled, keeps the latest fence of each timeline, which stands for the earlier ones, and
//! composes only if more than one is left. Merging what was merged changes nothing (F-10).

use super::completion::spread;
use super::extra::{Composition, Extra, Mode, Watcher};
use super::handle::Fence;
use super::pool;
use super::status::{FenceError, FenceStatus};
use super::timeline::Line;
use super::trace;
use std::cmp::Reverse;

impl Fence {
    /// A fence that signals when all of `fences` have signalled. `None` if there are none.
    ///
    /// It signals with the error of the one that was the first to fail, if one did; of those that
    /// had signalled before, the first given.
    ///
    /// ```
    /// use resv_core::{Fence, Timeline};
    /// let (a, b) = (Timeline::new("gfx").issue()?, Timeline::new("dma").issue()?);
    /// let both = Fence::all([a.fence(), b.fence()]).expect("not empty");
    /// a.signal();
    /// assert!(!both.is_signaled());
    /// b.signal();
    /// assert!(both.is_signaled());
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    pub fn all<'a>(fences: impl IntoIterator<Item = &'a Fence>) -> Option<Fence> {
        compose(Mode::All, fences)
    }

    /// A fence that signals when one of `fences` has signalled, and as that one did. `None` if there
    /// are none.
    ///
    /// ```
    /// use resv_core::{Fence, Timeline};
    /// let (a, b) = (Timeline::new("gfx").issue()?, Timeline::new("dma").issue()?);
    /// let first = Fence::any([a.fence(), b.fence()]).expect("not empty");
    /// b.signal();
    /// assert!(first.is_signaled());
    /// # Ok::<(), resv_core::SeqnoError>(())
    /// ```
    pub fn any<'a>(fences: impl IntoIterator<Item = &'a Fence>) -> Option<Fence> {
        compose(Mode::Any, fences)
    }

    /// The fences that are to be waited for in place of this one: the children of a pending
    /// [`all`](Fence::all), in order, some of which may have signalled; of any other fence, an
    /// [`any`](Fence::any) included, the fence itself.
    ///
    /// Allocates nothing. If the fence signals meanwhile, the rest, signalled too, is left out.
    pub fn leaves(&self) -> Leaves<'_> {
        Leaves {
            fence: self,
            next: 0,
        }
    }

    /// The children, and whether one of them is enough; `None` if there are none or it has signalled.
    #[cfg(all(feature = "checks", not(loom)))]
    pub(crate) fn parts(&self) -> Option<(bool, Vec<Fence>)> {
        self.composition(|c| (c.mode == Mode::Any, c.children.clone()))
    }

    /// Runs `f` on the composition of this fence; `None` if there is none or it has signalled.
    fn composition<R>(&self, f: impl FnOnce(&Composition) -> R) -> Option<R> {
        if !self.cell().is_composed() {
            return None;
        }
        let cold = self.cell().cold().lock();
        cold.extra.as_ref()?.composition.as_ref().map(f)
    }

    /// Has this fence count down `parent` when it signals; if it has signalled, says how.
    fn watch(&self, parent: Watcher) -> Result<(), FenceStatus> {
        let mut cold = self.cell().cold().lock();
        // Marked with the lock held: either it has signalled, or the signaller finds the mark, waits
        // for the lock, and finds the watcher.
        if !self.cell().attend(&mut cold) {
            return Err(self.status());
        }
        let extra = cold.extra.get_or_insert_default();
        extra.watchers.push(parent);
        Ok(())
    }

    /// Takes back one [`watch`](Fence::watch) for `parent`, if there is one. Looks from the end:
    /// parents mostly go in the reverse order of their making.
    pub(super) fn unwatch(&self, parent: Watcher) {
        if self.is_signaled() {
            return;
        }
        if let Some(extra) = &mut self.cell().cold().lock().extra
            && let Some(at) = extra.watchers.iter().rposition(|have| *have == parent)
        {
            extra.watchers.remove(at);
        }
    }
}

fn compose<'a>(mode: Mode, fences: impl IntoIterator<Item = &'a Fence>) -> Option<Fence> {
    let mut children = Vec::new();
    let mut error = None;
    for fence in fences {
        flatten(mode, fence, &mut children, &mut error);
    }
    if children.is_empty() {
        return None;
    }
    let parent = pending_parent(mode, children.clone(), error);
    watch_all(&parent, &children);
    Some(parent)
}

/// Appends `fence`, or its children if it is pending and of the same kind.
fn flatten(mode: Mode, fence: &Fence, children: &mut Vec<Fence>, error: &mut Option<FenceError>) {
    let same_kind = fence
        .composition(|inner| {
            (inner.mode == mode).then(|| {
                children.extend_from_slice(&inner.children);
                *error = error.or(inner.error);
            })
        })
        .flatten();
    if same_kind.is_none() {
        children.push(fence.clone());
    }
}

/// A composed fence that watches nobody yet.
pub(super) fn pending_parent(mode: Mode, children: Vec<Fence>, error: Option<FenceError>) -> Fence {
    let name = match mode {
        Mode::All => "all",
        Mode::Any => "any",
    };
    let pending = match mode {
        Mode::All => children.len(),
        Mode::Any => 1,
    };
    let (line, cell) = (Line::new(name), pool::take());
    let composition = Composition {
        mode,
        children,
        pending,
        error,
        started: false,
        own: Watcher::new(cell, line.id()),
    };
    let extra = Extra {
        composition: Some(composition),
        ..Extra::default()
    };
    cell.occupy(line, 1, true, Some(Box::new(extra)));
    let fence = Fence::from_cell(cell);
    trace::init(&fence);
    fence
}

/// Has `parent` watch `children`. It may signal meanwhile, and be signalled by the time of return.
fn watch_all(parent: &Fence, children: &[Fence]) {
    let own = Watcher::new(parent.cell(), parent.timeline_id());
    for child in children {
        if let Err(status) = child.watch(own)
            && let Some(completion) = parent.clone().child_signaled(status)
        {
            spread(completion);
        }
        if parent.is_signaled() {
            break;
        }
    }
    if parent.is_signaled() {
        // Whoever completed it may have been here before the last watcher was.
        for child in children {
            child.unwatch(own);
        }
    }
}

/// The fences to be waited for in place of one: see [`Fence::leaves`].
#[derive(Debug)]
pub struct Leaves<'a> {
    fence: &'a Fence,
    next: usize,
}

impl Leaves<'_> {
    /// How many are left at present: at least as many as will come.
    pub fn count_left(&self) -> usize {
        self.look(|children| children.len().saturating_sub(self.next))
            .unwrap_or(usize::from(self.next == 0))
    }

    fn look<R>(&self, f: impl FnOnce(&[Fence]) -> R) -> Option<R> {
        self.fence
            .composition(|c| (c.mode == Mode::All).then(|| f(&c.children)))
            .flatten()
    }
}

impl Iterator for Leaves<'_> {
    type Item = Fence;

    fn next(&mut self) -> Option<Fence> {
        let at = self.next;
        let leaf = match self.look(|children| children.get(at).cloned()) {
            Some(child) => child,
            None => (at == 0).then(|| self.fence.clone()),
        };
        self.next += usize::from(leaf.is_some());
        leaf
    }
}

/// The [leaves](Fence::leaves) of `fence`, all as of one instant.
pub fn unwrap(fence: &Fence) -> Vec<Fence> {
    let children = fence
        .composition(|c| (c.mode == Mode::All).then(|| c.children.clone()))
        .flatten();
    children.unwrap_or_else(|| vec![fence.clone()])
}

/// One fence that has signalled when all of `fences` have: made of the pending leaves among them, of
/// each timeline the latest, ordered by timeline. If there is one, that very fence; if there is
/// none, one that is born signalled.
///
/// Errors of what has signalled before are forgotten.
///
/// ```
/// use resv_core::{Timeline, fence::{merge, unwrap}};
/// let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
/// let (a, b, c) = (gfx.issue()?, gfx.issue()?, dma.issue()?);
/// let merged = merge([a.fence(), c.fence(), b.fence()]);
/// assert_eq!(unwrap(&merged), [b.fence().clone(), c.fence().clone()]);
/// assert_eq!(&merge([a.fence(), b.fence()]), b.fence());
/// assert!(merge([]).is_signaled());
/// # Ok::<(), resv_core::SeqnoError>(())
/// ```
pub fn merge<'a>(fences: impl IntoIterator<Item = &'a Fence>) -> Fence {
    let mut pending: Vec<Fence> = fences.into_iter().flat_map(unwrap).collect();
    pending.retain(|fence| !fence.is_signaled());
    pending.sort_by_key(|fence| (fence.timeline_id(), Reverse(fence.seqno())));
    pending.dedup_by_key(|fence| fence.timeline_id());
    match pending.as_slice() {
        [one] => one.clone(),
        several_or_none => Fence::all(several_or_none).unwrap_or_else(Fence::signaled),
    }
}
