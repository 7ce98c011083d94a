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
//!   asked for their work only when a thread or a task waits for the composed fence.
//! * There is no composed fence of nothing (H-13): it would have signalled before anything happened.
//! * `all` signals with the error of the leaf that was the first to fail, when all have signalled;
//!   `any` with what its first child signalled with.
//! * Compositions share what they have in common: an `all` within an `all` is one child, and is gone
//!   through by [`Fence::leaves`] only. So a chain of n compositions, each of the one before and one more
//!   fence, takes memory for 2 n children. Nothing here recurses, so nesting may have any depth (H-18).
//! * The children are let go when the composed fence signals. When it is dropped unsignalled, its
//!   watchers are taken off them, each in constant time, and nothing of it is left behind. If it has
//!   callbacks, it stays until they have run.

use super::cell::Kind;
use super::completion::spread;
use super::extra::{Child, Composition, Extra, Mode, Watcher};
use super::handle::Fence;
use super::status::{FenceError, FenceStatus};
use super::watchers::Place;

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

    /// The children, and whether one of them is enough; `None` if there are none or it has signalled.
    #[cfg(all(feature = "checks", not(loom)))]
    pub(crate) fn parts(&self) -> Option<(bool, Vec<Fence>)> {
        self.composition(|c| {
            let children = c.children.iter().map(|child| child.fence.clone());
            (c.mode == Mode::Any, children.collect())
        })
    }

    /// Runs `f` on the composition of this fence; `None` if there is none or it has signalled.
    pub(super) fn composition<R>(&self, f: impl FnOnce(&Composition) -> R) -> Option<R> {
        if !self.cell().is_composed() {
            return None;
        }
        let locked = self.cell().extra().lock();
        locked.as_ref()?.composition.as_ref().map(f)
    }

    /// Has this fence tell `watcher` when it signals; if it has signalled, says how. With the place of
    /// the watcher comes the error with which this fence will signal, if that is known.
    pub(super) fn watch(
        &self,
        watcher: Watcher,
    ) -> Result<(Place, Option<FenceError>), FenceStatus> {
        let mut locked = self.cell().extra().lock();
        // The flag is set with the lock held: either it has signalled, or the signaller finds the flag, waits
        // for the lock, and finds the watcher.
        if !self.cell().set_slow_path(&mut locked) {
            return Err(self.status());
        }
        let extra = locked.get_or_insert_default();
        let composition = extra.composition.as_ref();
        let error = composition.and_then(Composition::known_error);
        Ok((extra.watchers.push(watcher), error))
    }

    /// Takes back a [`watch`](Fence::watch).
    pub(super) fn unwatch(&self, place: Place) {
        if self.is_signaled() {
            return;
        }
        if let Some(extra) = &mut *self.cell().extra().lock() {
            extra.watchers.take(place);
        }
    }
}

fn compose<'a>(mode: Mode, fences: impl IntoIterator<Item = &'a Fence>) -> Option<Fence> {
    let mut fences = fences.into_iter().peekable();
    fences.peek()?;
    let parent = without_children(mode);
    give_children(&parent, fences);
    Some(parent)
}

/// Makes `fences` the children of a fence that has none yet.
pub(super) fn give_children<'a>(parent: &Fence, fences: impl Iterator<Item = &'a Fence>) {
    let own = Watcher::of(parent);
    let mut children = Vec::with_capacity(fences.size_hint().0);
    for fence in fences {
        let place = match fence.watch(own) {
            Ok((place, error)) => {
                if let Some(error) = error {
                    parent.in_composition(|c| c.will_fail(error));
                }
                Some(place)
            }
            Err(status) => {
                parent.in_composition(|c| c.count(status));
                None
            }
        };
        children.push(Child {
            fence: fence.clone(),
            place,
        });
    }
    if let Some(completion) = parent.make_whole(children) {
        spread([completion]);
    }
}

/// A composed fence that has no children yet, and does not signal before it [has](Fence::make_whole).
pub(super) fn without_children(mode: Mode) -> Fence {
    with_composition(Composition::new(mode))
}

pub(super) fn with_composition(composition: Composition) -> Fence {
    let kind = match composition.mode {
        Mode::All => Kind::All,
        Mode::Any => Kind::Any,
    };
    let extra = Extra {
        composition: Some(composition),
        ..Extra::default()
    };
    Fence::alone(kind, None, Some(Box::new(extra)))
}
