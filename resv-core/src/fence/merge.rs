//! Merging: one fence for everything that is still pending.
//!
//! # The concept
//!
//! [`merge`] is for a program that hands on "everything that is still pending": it takes apart, leaves out what
//! has signalled, keeps the latest fence of each timeline, which stands for the earlier ones, and
//! composes only if more than one is left. Merging what was merged changes nothing (F-10).
//!
//! # How it is kept
//!
//! A program merges one fence at a time into what it has: `acc = merge([&acc, &fence])`. So what was merged is
//! a search tree, ordered by timeline, of which each node is a composed fence of at most [`WIDTH`] children.
//! Merging a few fences into it makes new nodes on the ways to their places, and shares all the others: n
//! merges take n log n steps, and so much memory if all of them are kept.
//!
//! A node that is shared may have children that have signalled; they are not shown as leaves. It goes as
//! soon as all have. A node of which a leaf has failed is not shared but made anew of what is pending, as
//! the merged fence does not know of errors before.

use super::compose::{give_children, with_composition};
use super::extra::{Child, Composition, Merged, Mode};
use super::handle::Fence;
use super::id::TimelineId;
use std::cmp::Reverse;

/// How many children a node has at most.
const WIDTH: usize = 16;
/// A merged fence is kept as it is when this many times fewer fences come to it; otherwise all is made anew.
const FEW: usize = 4;

/// One fence that has signalled when all of `fences` have: made of the pending leaves among them, of
/// each timeline the latest, ordered by timeline. If there is one, that very fence; if there is
/// none, one that is born signalled.
///
/// Errors of what has signalled before are forgotten.
///
/// A few fences are merged into many in steps that grow with the logarithm of the many, if these were merged
/// before: `acc = merge([&acc, &fence])` may be called for each of 100,000 fences.
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
    // What is worth to be shared, the longest first, and the leaves of the rest.
    let (mut bases, mut pending) = (Vec::new(), Vec::new());
    for fence in fences {
        match merged_len(fence) {
            _ if fence.is_signaled() => {}
            Some(len) if len > WIDTH => bases.push((len, fence)),
            _ if fence.is_composed() => pending.extend(fence.leaves()),
            _ => pending.push(fence.clone()),
        }
    }
    bases.sort_by_key(|(len, _)| Reverse(*len));
    let (base, others) = match bases.split_first() {
        Some((base, others)) => (Some(base), others),
        None => (None, &[][..]),
    };
    pending.extend(others.iter().flat_map(|(_, other)| other.leaves()));
    if let Some((len, base)) = base {
        let height = base.composition(|c| c.merged.as_ref().map(|merged| merged.height));
        match height.flatten() {
            Some(height) if pending.len() < len / FEW => {
                let new = parts(latest(pending));
                return top(children_with(base, height, new), height);
            }
            // Too many, or it has signalled meanwhile.
            _ => pending.extend(base.leaves()),
        }
    }
    let mut leaves = latest(pending);
    match leaves.len() {
        0 => Fence::signaled(),
        1 => leaves.remove(0),
        2..=WIDTH => {
            let no_firsts = Box::default();
            node(leaves.iter(), no_firsts, leaves.len(), 0)
        }
        _ => top(parts(leaves), 0),
    }
}

/// How many leaves a fence had that was merged, when it was; `None` for another one.
fn merged_len(fence: &Fence) -> Option<usize> {
    fence.composition(|c| c.merged.as_ref().map(|merged| merged.len))?
}

/// A leaf or a node, and its first timeline.
type Part = (TimelineId, Fence);

/// The pending ones of `fences`, of each timeline the latest, in order.
fn latest(mut fences: Vec<Fence>) -> Vec<Fence> {
    fences.retain(|fence| !fence.is_signaled());
    fences.sort_by_key(|fence| (fence.timeline_id(), Reverse(fence.seqno())));
    fences.dedup_by_key(|fence| fence.timeline_id());
    fences
}

fn parts(leaves: Vec<Fence>) -> Vec<Part> {
    let part = |leaf: Fence| (leaf.timeline_id(), leaf);
    leaves.into_iter().map(part).collect()
}

/// The children of a node that have not signalled; `None` if it has.
fn pending_children(node: &Fence) -> Option<Vec<Part>> {
    node.composition(|c| {
        let children = c.children.iter().enumerate();
        let pending = children.filter(|(_, child)| !child.fence.is_signaled());
        let firsts = c.merged.as_ref().map_or(&[][..], |merged| &merged.firsts);
        let part = |(at, child): (usize, &Child)| {
            let first = firsts.get(at).copied();
            let first = first.unwrap_or_else(|| child.fence.timeline_id());
            (first, child.fence.clone())
        };
        pending.map(part).collect()
    })
}

/// What the children of a node of this height are to be when `new` leaves, in order, come to it.
fn children_with(node: &Fence, height: u32, new: Vec<Part>) -> Vec<Part> {
    let Some(children) = pending_children(node).filter(|children| !children.is_empty()) else {
        return below(new, height);
    };
    if height == 0 {
        let fences = children.into_iter().chain(new).map(|(_, fence)| fence);
        return parts(latest(fences.collect()));
    }
    let mut new = new.into_iter().peekable();
    let mut parts = Vec::with_capacity(children.len() + 1);
    for (at, (first, child)) in children.iter().enumerate() {
        let next = children.get(at + 1).map(|(first, _)| *first);
        let is_here = |part: &Part| next.is_none_or(|next| part.0 < next);
        let here: Vec<Part> = std::iter::from_fn(|| new.next_if(is_here)).collect();
        // Errors of before are not to be known, so a node that knows one is not shared.
        if here.is_empty() && child.composition(|c| c.known_error()).flatten().is_none() {
            parts.push((*first, child.clone()));
        } else {
            parts.extend(nodes(children_with(child, height - 1, here), height - 1));
        }
    }
    parts
}

/// The children of a node of this height that has these leaves.
fn below(leaves: Vec<Part>, height: u32) -> Vec<Part> {
    (0..height).fold(leaves, nodes)
}

/// Nodes of this height that have these children, as even as can be.
fn nodes(children: Vec<Part>, height: u32) -> Vec<Part> {
    let count = children.len().div_ceil(WIDTH);
    let part = |group: &[Part]| (group[0].0, node_of(group, height));
    match count {
        0 => Vec::new(),
        _ => children
            .chunks(children.len().div_ceil(count))
            .map(part)
            .collect(),
    }
}

fn node_of(children: &[Part], height: u32) -> Fence {
    let len = |(_, child): &Part| merged_len(child).unwrap_or(1);
    let firsts = match height {
        0 => Box::default(),
        _ => children.iter().map(|(first, _)| *first).collect(),
    };
    let fences = children.iter().map(|(_, child)| child);
    node(fences, firsts, children.iter().map(len).sum(), height)
}

fn node<'a>(
    children: impl Iterator<Item = &'a Fence>,
    firsts: Box<[TimelineId]>,
    len: usize,
    height: u32,
) -> Fence {
    let mut composition = Composition::new(Mode::All);
    composition.merged = Some(Merged {
        height,
        len,
        firsts,
    });
    let node = with_composition(composition);
    give_children(&node, children);
    node
}

/// One fence for the children of a node of this height, of which there may be any number.
fn top(mut children: Vec<Part>, mut height: u32) -> Fence {
    loop {
        if let [(_, only)] = children.as_slice() {
            if height == 0 {
                return only.clone();
            }
            match pending_children(only) {
                Some(below) if below.len() > 1 => return only.clone(),
                below => children = below.unwrap_or_default(),
            }
            height -= 1;
        } else if children.is_empty() {
            return Fence::signaled();
        } else if children.len() <= WIDTH {
            return node_of(&children, height);
        } else {
            children = nodes(children, height);
            height += 1;
        }
    }
}
