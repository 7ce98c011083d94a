//! Small defects that nobody has had yet, each in a corner that only one property of the suite looks
//! into. Without them nobody would notice if that property were gone.

pub mod contract;
pub mod selftests;

use crate::fault::{Fault, Sound};
use resv_core::{Backend, Budget, Entry, LockProof, Locked, ReserveError};

/// The entries that the holder sees.
fn held_by(object: &Locked, held: &LockProof<'_>) -> Vec<Entry> {
    Sound.held(object, held)
}

/// Takes the first entry out of the object.
fn lose_first(object: &Locked, held: &mut LockProof<'_>, room: Budget) -> Result<(), ReserveError> {
    let publishes = room.publishes.saturating_add(1);
    object.reserve(held, Budget { publishes, ..room })?;
    let mut first = true;
    object.edit(held, |_| std::mem::take(&mut first), None);
    object.publish(held);
    Ok(())
}
