//! Which contexts are wounded: a registry by ticket, so that a lock need not know its holder.
//!
//! Wounding happens where locks are contended and nowhere else, so a context has no record until
//! a context wounds it or until it goes to sleep with locks held. Both sides make the record if it is
//! missing, under the mutex of its bucket; so either the sleeper sees the wound before it sleeps, or
//! the wounder sees what the sleeper sleeps on and wakes it.
//!
//! # Why no record is left behind
//!
//! A wound is dealt by a context queued at a lock that the victim holds, under the lock's queue, with
//! the lock's word flagged as queued. That flag stays until the victim releases the lock, which
//! therefore goes through the queue, after the wound, and notes that a record may exist
//! ([`Context::set_recorded`](super::Context)). With its last lock the context forgets its record. A lock
//! that is detached from its context is one that nobody can be wounded for.

use super::queue::Parker;
use super::word::Claim;
use resv_sync::process_wide;
use resv_sync::sync::Mutex;
use std::sync::Arc;

struct Record {
    claim: Claim,
    wounded: bool,
    /// What the context sleeps on, if it has slept since it last held nothing.
    parker: Option<Arc<Parker>>,
}

/// On a cache line of its own.
#[repr(align(128))]
struct Bucket(Mutex<Vec<Record>>);

#[cfg(not(loom))]
const BUCKETS: usize = 32;
#[cfg(loom)]
const BUCKETS: usize = 1;

process_wide!(static REGISTRY: [Bucket; BUCKETS] = each Bucket(Mutex::new(Vec::new())));

fn bucket(claim: Claim) -> &'static Mutex<Vec<Record>> {
    let ticket = claim.ticket().unwrap_or(0);
    &REGISTRY[ticket as usize % REGISTRY.len()].0
}

fn record(records: &mut Vec<Record>, claim: Claim) -> &mut Record {
    let at = match records.iter().position(|record| record.claim == claim) {
        Some(at) => at,
        None => {
            records.push(Record {
                claim,
                wounded: false,
                parker: None,
            });
            records.len() - 1
        }
    };
    &mut records[at]
}

/// Wounds the context, and wakes it if it sleeps.
pub(super) fn wound(claim: Claim, wake: bool) {
    let mut records = bucket(claim).lock();
    let record = record(&mut records, claim);
    record.wounded = true;
    if wake && let Some(parker) = &record.parker {
        parker.disturb();
        parker.notify();
    }
}

/// Announces that the context is about to sleep on `parker`, unless it is wounded: then answers
/// `false`, and it must not.
pub(super) fn may_sleep(claim: Claim, parker: &Arc<Parker>) -> bool {
    let mut records = bucket(claim).lock();
    let record = record(&mut records, claim);
    if record.parker.is_none() {
        record.parker = Some(Arc::clone(parker));
    }
    !record.wounded
}

/// Drops the record, if there is one.
pub(super) fn forget(claim: Claim) {
    let mut records = bucket(claim).lock();
    if let Some(at) = records.iter().position(|record| record.claim == claim) {
        let record = records.swap_remove(at);
        drop(records);
        drop(record);
    }
}

/// How many records there are, over all contexts of the process.
pub(super) fn records() -> usize {
    REGISTRY.iter().map(|bucket| bucket.0.lock().len()).sum()
}

/// Whether there is a record of the context.
pub(super) fn has_record(claim: Claim) -> bool {
    let records = bucket(claim).lock();
    records.iter().any(|record| record.claim == claim)
}
