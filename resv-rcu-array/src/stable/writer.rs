//! The holder's side: what is reserved, staged and published. All safe code.
//!
//! The holder's builders are one list. The first may be *staged*: edits are made in it. Those that are
//! *reserved* are for the publishes that were promised; each has room for all that can be in the object
//! by then. One may be *cached*: the memory of the array before, kept so that the next reservation need
//! not go to the pool.

use crate::raw::stable::{Builder, Holder, Object, Protocol, Role, Spares};
use resv_core::{Budget, Entry, Key, LockProof, ReserveError};

/// Gets room so that `room.adds` entries can be added and `room.publishes` publishes made. Changes
/// nothing when it fails.
#[inline]
pub(super) fn reserve(holder: Holder<'_>, room: Budget) -> Result<(), ReserveError> {
    // The common case: one publish of a small edit, and the memory of the array before last.
    if room.publishes == 1
        && let Some(first) = holder.spares.first_mut()
        && first.role() == Role::Cached
        && let wanted = room.adds.max(*holder.adds as usize)
        && first.capacity() >= holder.current.len().saturating_add(wanted)
    {
        first.set_role(Role::Reserved);
        // Not more than the capacity of a cell.
        *holder.adds = wanted as u32;
        return Ok(());
    }
    reserve_more(holder, room)
}

/// The same, whatever there is and is wanted.
#[inline(never)]
fn reserve_more(holder: Holder<'_>, room: Budget) -> Result<(), ReserveError> {
    let Holder {
        current,
        spares,
        adds,
    } = holder;
    let error = ReserveError::new(room.adds);
    let wanted_adds = u32::try_from(room.adds).map_err(|_| error)?.max(*adds);
    let has_staged = spares.staged().is_some();
    let entries = match spares.staged() {
        Some(staged) => staged.len(),
        // A fence that is not pending now never will be, and is left behind by the first edit.
        None => current.iter().filter(|e| !e.fence.is_signaled()).count(),
    };
    // Enough for every array until the room is used up: entries only come by adding.
    let capacity = entries + wanted_adds as usize;
    let reserved = spares.count(|role, _| role == Role::Reserved);
    // What is staged has its array already.
    let wanted = (room.publishes - room.publishes.min(usize::from(has_staged))).max(reserved);
    let fitting = spares.count(|role, has| role != Role::Staged && has >= capacity);

    let mut ready = Spares::default();
    for _ in fitting..wanted {
        ready.push(Builder::with_capacity(capacity).ok_or(error)?);
    }
    let larger = match spares.staged() {
        Some(staged) if staged.capacity() < capacity => {
            Some(Builder::with_capacity(capacity).ok_or(error)?)
        }
        _ => None,
    };

    // Nothing fails from here on.
    let mut before = std::mem::take(spares);
    let staged = before.take_staged();
    let mut kept = wanted.saturating_sub(fitting);
    while let Some(spare) = before.pop() {
        if spare.capacity() >= capacity && kept < wanted {
            ready.push(spare);
            kept += 1;
        }
    }
    while let Some(mut spare) = ready.pop() {
        spare.set_role(Role::Reserved);
        spares.push(spare);
    }
    if let Some(mut staged) = staged {
        if let Some(mut larger) = larger {
            larger.take_all(&mut staged);
            larger.set_role(Role::Staged);
            staged = larger;
        }
        spares.push(staged);
    }
    *adds = wanted_adds;
    Ok(())
}

/// Makes one edit in what is staged; stages what is pending now if nothing is.
#[inline]
pub(super) fn edit(holder: Holder<'_>, mut removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
    let Holder {
        current,
        spares,
        adds,
    } = holder;
    // Both panics come before anything is changed.
    let left = adds
        .checked_sub(u32::from(add.is_some()))
        .expect("no room is reserved for this add");
    let has_staged = spares.staged().is_some();
    let first = spares.first_mut().filter(|s| s.role() != Role::Cached);
    let staged = first.expect("no room is reserved for a publish");
    if has_staged {
        staged.retain(|entry| !removes(entry.key()));
    } else {
        staged.borrow_from(current, |entry| {
            !entry.fence.is_signaled() && !removes(entry.key())
        });
        staged.set_role(Role::Staged);
    }
    if let Some(entry) = add {
        staged.push(entry);
    }
    *adds = left;
}

/// Makes one edit and publishes it, together with what is staged.
#[inline]
pub(super) fn edit_and_publish<P: Protocol>(
    object: &Object,
    held: &mut LockProof<'_>,
    removes: impl FnMut(Key) -> bool,
    add: Option<Entry>,
) {
    edit(object.holder(held), removes, add);
    if let Some(staged) = object.holder(held).spares.pop() {
        publish_staged::<P>(object, held, staged);
    }
}

/// Publishes what is staged.
#[inline]
pub(super) fn publish<P: Protocol>(object: &Object, held: &mut LockProof<'_>) {
    if let Some(staged) = object.holder(held).spares.take_staged() {
        publish_staged::<P>(object, held, staged);
    }
}

#[inline(never)]
fn publish_staged<P: Protocol>(object: &Object, held: &mut LockProof<'_>, mut staged: Builder) {
    staged.set_role(Role::Cached);
    let (new, unused) = match staged.is_empty() {
        true => (None, Some(staged)),
        false => (Some(staged), None),
    };
    let old = object.publish::<P>(held, new);
    if let Some(unused) = unused {
        keep(object, held, unused);
    }
    if let Some(old) = old {
        keep(object, held, old);
    }
}

/// Keeps the memory for the next reservation, if there is none kept yet. The new set is published and
/// the lock still held: dropping a fence may run its owner's code.
#[inline]
fn keep(object: &Object, held: &mut LockProof<'_>, mut spare: Builder) {
    spare.clear();
    let spares = object.holder(held).spares;
    if spares.first().is_none() {
        spares.push(spare);
    }
}

/// Gives up what was reserved; keeps what is staged, and one builder for the next reservation.
#[inline]
pub(super) fn unreserve(holder: Holder<'_>) {
    let Holder { spares, adds, .. } = holder;
    *adds = 0;
    if let Some(first) = spares.first()
        && first.role() != Role::Cached
    {
        give_up(spares);
    }
}

#[inline(never)]
fn give_up(spares: &mut Spares) {
    let mut before = std::mem::take(spares);
    let staged = before.take_staged();
    if let Some(mut spare) = before.pop() {
        spare.set_role(Role::Cached);
        spares.push(spare);
    }
    if let Some(staged) = staged {
        spares.push(staged);
    }
}
