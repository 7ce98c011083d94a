//! Locks of objects that are known beforehand, taken in the order of their addresses.
//!
//! Threads that take locks in one order cannot deadlock with each other. So two
//! [submits](crate::submit()), or batches ([`lock_all`](crate::lock_all)), wait for each other and
//! never back off. Where a [transaction](crate::exec()) that locks in an order of its own is in the way,
//! they begin again as such a transaction, with an age, and so come through. (The argument:
//! [`lock`](crate::lock), Locks in order.)

use crate::patience::{Patience, TimedOut};
use crate::submit::SubmitError;
use resv_core::lock::{Class, Context, LockError, LockSet};
use resv_core::{LockProof, ObjectLock, ReserveError};
use smallvec::SmallVec;

/// Whether the locks are tried first. Not where that would leave out what the feature is for: what
/// the checks are told when a lock is waited for, and the points at which back-offs are injected.
pub(crate) const TRIES_FIRST: bool = !cfg!(any(feature = "checks", feature = "inject-backoff"));

/// Places of a slice, in the order of addresses, which stand before them.
pub(crate) type Order = SmallVec<[(usize, usize); 16]>;

/// In which order the places of a slice are to be locked; `None` if that is their own order and each
/// names another object.
///
/// # Errors
///
/// When there are many, and no memory for their order.
#[inline]
pub(crate) fn ascending<'l>(
    len: usize,
    lock: impl Fn(usize) -> &'l ObjectLock,
) -> Result<Option<Order>, ReserveError> {
    let address = |at: usize| std::ptr::from_ref(lock(at)).addr();
    if (1..len).all(|at| address(at - 1) < address(at)) {
        return Ok(None);
    }
    let mut order = Order::new();
    let room = order.try_reserve_exact(len);
    room.map_err(|_| ReserveError::new(len))?;
    (0..len).for_each(|at| order.push((address(at), at)));
    order.sort_unstable_by_key(|&(address, _)| address);
    if !are_distinct(&order) {
        // Places that name one object, in the caller's order.
        order.sort_unstable();
    }
    Ok(Some(order))
}

/// An empty list with room for so many.
pub(crate) fn room_for<L>(len: usize) -> Result<Vec<L>, ReserveError> {
    let mut list = Vec::new();
    let room = list.try_reserve_exact(len);
    room.map_err(|_| ReserveError::new(len))?;
    Ok(list)
}

/// Whether each place names another object.
#[inline]
pub(crate) fn are_distinct(order: &Order) -> bool {
    order.windows(2).all(|two| two[0].0 < two[1].0)
}

/// Waits for the locks, which are in the order of their addresses, each once; the proofs are in the same
/// order. Gets the memory for all of them before it takes one.
#[cold]
#[inline(never)]
#[cfg_attr(feature = "checks", track_caller)]
pub(crate) fn lock_ascending<'l>(
    class: &'static Class,
    locks: &[&'l ObjectLock],
    patience: Patience,
) -> Result<Vec<LockProof<'l>>, SubmitError> {
    let proofs = room_for(locks.len())?;
    let mut set = LockSet::in_order(class);
    set.try_reserve(locks.len())?;
    match set.lock_in_order(locks.iter().copied(), patience.deadline()) {
        Ok(()) => Ok(set.into_proofs_in(proofs)),
        Err(LockError::TimedOut) => Err(TimedOut.into()),
        Err(LockError::Deadlock | LockError::AlreadyHeld) => {
            drop(set);
            lock_with_age(class, locks, patience, proofs)
        }
    }
}

/// The same by a context that has an age, which others in the way yield to in its time.
#[cfg_attr(feature = "checks", track_caller)]
fn lock_with_age<'l>(
    class: &'static Class,
    locks: &[&'l ObjectLock],
    patience: Patience,
    proofs: Vec<LockProof<'l>>,
) -> Result<Vec<LockProof<'l>>, SubmitError> {
    let mut set = LockSet::new(Context::in_class(class));
    set.try_reserve(locks.len())?;
    // Which lock comes first; the others follow in their order.
    let mut first = None;
    let mut next = 0;
    while let Some(&lock) = locks.get(next) {
        match patience.lock(&set, lock) {
            // Held already: the one that the last back-off was about.
            Ok(_) | Err(LockError::AlreadyHeld) => next += 1,
            Err(LockError::Deadlock) => {
                patience.back_off(&mut set, lock)?;
                first = Some(next);
                next = 0;
            }
            Err(LockError::TimedOut) => return Err(TimedOut.into()),
        }
    }
    // Nothing more is locked, so each lock can be held by itself.
    let mut proofs = set.into_proofs_in(proofs);
    if let Some(first) = first {
        proofs[..=first].rotate_left(1);
    }
    Ok(proofs)
}
