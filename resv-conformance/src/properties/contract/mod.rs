//! The promises of a back end, B1 to B9, as far as one thread or two can show them.
//!
//! Where a property edits through [`Backend`] itself, it does so because the promise is about the
//! back end under any semantics; then `S` plays no part in it.

mod edits;
mod reads;

pub use edits::*;
pub use reads::*;

use resv_api::{AnyBackend, Backend, Entry, Fence, Usage};
use resv_core::{Budget, LockProof};

/// How often the writer of a race comes round.
const ROUNDS: u64 = 2000;

fn entry(fence: &Fence, usage: Usage) -> Entry {
    Entry {
        fence: fence.clone(),
        usage,
    }
}

/// Locks, lets `edit` use `room`, publishes and unlocks, without a semantics.
fn transaction(object: &AnyBackend, adds: usize, edit: impl FnOnce(&mut LockProof<'_>)) {
    let mut held = object.object_lock().lock();
    let room = Budget { adds, publishes: 1 };
    object.reserve(&mut held, room).expect("memory");
    edit(&mut held);
    object.publish(&mut held);
    object.unreserve(&mut held);
}
