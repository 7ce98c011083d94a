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
    let fences: Vec<&Fence> = fences.into_iter().collect();
    let lens = fences.iter().map(|fence| merged_len(fence).unwrap_or(0));
    let longest = lens.enumerate().max_by_key(|(_, len)| *len);
    let base = longest.filter(|(_, len)| *len > WIDTH);
    let (base, few) = match base {
        Some((at, len)) => (Some(at), len / FEW),
        None => (None, usize::MAX),
    };
    let others = fences
        .iter()
        .enumerate()
        .filter(|(at, _)| base != Some(*at));
    let mut leaves = others.flat_map(|(_, fence)| fence.leaves());
    let mut pending: Vec<Fence> = leaves.by_ref().take(few).collect();
    match base {
        Some(at) if pending.len() < few => {
            let (base, new) = (fences[at], latest(pending));
            match base.composition(|c| c.merged.as_ref().map(|merged| merged.height)) {
                Some(Some(height)) => top(children_with(base, height, new), height),
                // It has signalled meanwhile.
                _ => top(new, 0),
            }
        }
        base => {
            pending.extend(leaves);
            pending.extend(base.into_iter().flat_map(|at| fences[at].leaves()));
            top(latest(pending), 0)
        }
    }
}

/// How many leaves a fence had that was merged, when it was; `None` for another one.
fn merged_len(fence: &Fence) -> Option<usize> {
    fence.composition(|c| c.merged.as_ref().map(|merged| merged.len))?
}

/// A leaf or a node, and its first timeline.
type Part = (TimelineId, Fence);

/// The pending ones of `fences`, of each timeline the latest, in order.
fn latest(mut fences: Vec<Fence>) -> Vec<Part> {
    fences.retain(|fence| !fence.is_signaled());
    fences.sort_by_key(|fence| (fence.timeline_id(), Reverse(fence.seqno())));
    fences.dedup_by_key(|fence| fence.timeline_id());
    let part = |fence: Fence| (fence.timeline_id(), fence);
    fences.into_iter().map(part).collect()
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
        return latest(fences.collect());
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
    let part = |group: &[Part]| (group[0].0, node(group, height));
    match count {
        0 => Vec::new(),
        _ => children
            .chunks(children.len().div_ceil(count))
            .map(part)
            .collect(),
    }
}

fn node(children: &[Part], height: u32) -> Fence {
    let len = |(_, child): &Part| merged_len(child).unwrap_or(1);
    let merged = Merged {
        height,
        len: children.iter().map(len).sum(),
        firsts: match height {
            0 => Box::default(),
            _ => children.iter().map(|(first, _)| *first).collect(),
        },
    };
    let mut composition = Composition::new(Mode::All);
    composition.merged = Some(merged);
    let node = with_composition(composition);
    give_children(&node, children.iter().map(|(_, child)| child));
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
            return node(&children, height);
        } else {
            children = nodes(children, height);
            height += 1;
        }
    }
}
