//! From the events of reservation objects to the uses of buffers: what a library that records itself says, and Linux does not.
//!
//! An add says object and usage. The access is what the task that adds was told last about that object, and holds for all adds
//! of one transaction: its end uses the question up, if anything was added in it. Who did not ask is taken to be in
//! explicit sync.

use std::collections::HashMap;

use resv_api::Access;

use super::collect::{Added, Seen};
use super::workload::{JobId, Use};

/// What is known of the reservation objects so far.
#[derive(Debug, Default)]
pub(super) struct Objects {
    asked: HashMap<Seen, Asked>,
    /// For each object its last add: the job, and the place of the event.
    last: HashMap<u64, (usize, usize)>,
    /// Jobs by the order in which they were seen.
    uses: Vec<(usize, Use)>,
    index: HashMap<(usize, u64), usize>,
    pub(super) adds: u64,
    pub(super) late: u64,
}

#[derive(Debug)]
struct Asked {
    access: Access,
    is_used: bool,
}

impl Objects {
    pub(super) fn ask(&mut self, seen: Seen, access: Access) {
        let is_used = false;
        self.asked.insert(seen, Asked { access, is_used });
    }

    /// `job`, which was submitted by event `submit`, was added by event `order`.
    pub(super) fn add(&mut self, job: usize, added: &Added, order: usize, submit: usize) {
        let resv = added.by.resv;
        self.adds += 1;
        let access = match self.asked.get_mut(&added.by) {
            Some(asked) => {
                asked.is_used = true;
                asked.access
            }
            None => Access::Explicit,
        };
        let before = self.last.insert(resv, (job, order));
        self.late += u64::from(before.is_some_and(|(who, at)| who != job && at > submit));
        let place = *self.index.entry((job, resv)).or_insert(self.uses.len());
        match self.uses.get_mut(place) {
            // Again in the same object: whoever waits for either waits for both.
            Some((_, have)) => {
                have.usage = have.usage.min(added.usage);
                have.access = have.access.max(access);
            }
            None => self.uses.push((
                job,
                Use {
                    resv,
                    usage: added.usage,
                    access,
                },
            )),
        }
    }

    pub(super) fn unlock(&mut self, seen: Seen) {
        if self.asked.get(&seen).is_some_and(|asked| asked.is_used) {
            self.asked.remove(&seen);
        }
    }

    /// The uses by job, in the order of the adds; `numbers` are the jobs' final ones.
    pub(super) fn uses(&mut self, numbers: &[JobId]) -> Vec<(JobId, Use)> {
        let mut uses: Vec<(JobId, Use)> = std::mem::take(&mut self.uses)
            .into_iter()
            .map(|(job, one)| (numbers[job], one))
            .collect();
        uses.sort_by_key(|&(job, _)| job);
        uses
    }
}
