//! From the events of reservation objects to the uses of buffers: what a library that records itself says, and Linux does not.
//!
//! An add says object and usage. The access is what the task that adds was told last about that object, and holds for all adds
//! of one transaction: its end uses the question up, if anything was added in it. A job that did not ask is taken to be in
//! explicit sync.

use std::collections::HashMap;

use resv_api::{Access, Usage};

use super::collect::{Added, Seen};
use super::polls::{Look, Pending};
use super::recorded::{At, JobId, Use};

/// What is known of the reservation objects so far.
#[derive(Debug, Default)]
pub(super) struct Objects {
    asked: HashMap<Seen, Asked>,
    /// For each object its last add: the job, and the place of the event.
    last: HashMap<u64, (usize, At)>,
    /// Jobs by the order in which they were seen.
    uses: Vec<(usize, Use)>,
    index: HashMap<(usize, u64), usize>,
    /// Which job looked at which object and found it busy.
    pub(super) looks: Vec<Look>,
    /// Every add: the job, the object, the usage, when.
    added: Vec<(usize, u64, Usage, At)>,
    pub(super) adds: u64,
    pub(super) late: u64,
}

#[derive(Debug)]
struct Asked {
    access: Access,
    is_used: bool,
    /// The place of the look.
    look: usize,
}

impl Objects {
    pub(super) fn ask(&mut self, seen: Seen, access: Access, at: At) {
        let asked = Asked {
            access,
            is_used: false,
            look: self.looks.len(),
        };
        self.asked.insert(seen, asked);
        self.look(seen, access, at);
    }

    /// A task found an object busy.
    pub(super) fn look(&mut self, seen: Seen, access: Access, at: At) {
        self.looks.push(Look {
            task: seen.task,
            resv: seen.resv,
            access,
            at,
            is_used: false,
        });
    }

    /// The fences that were added, and until when they were pending; `end` gives that of a job.
    pub(super) fn pending(&mut self, end: impl Fn(usize) -> u64) -> Vec<Pending> {
        let added = std::mem::take(&mut self.added).into_iter();
        let pending = added.map(|(job, resv, usage, at)| Pending {
            resv,
            usage,
            at,
            until_ns: end(job),
        });
        pending.collect()
    }

    /// `job`, which was submitted by event `submit`, was added by event `order`.
    pub(super) fn add(&mut self, job: usize, added: &Added, order: At, submit: At) {
        let resv = added.by.resv;
        self.adds += 1;
        self.added.push((job, resv, added.usage, order));
        let access = match self.asked.get_mut(&added.by) {
            Some(asked) => {
                asked.is_used = true;
                self.looks[asked.look].is_used = true;
                asked.access
            }
            None => Access::Explicit,
        };
        let before = self.last.insert(resv, (job, order));
        self.late += u64::from(before.is_some_and(|(who, at)| who != job && at > submit));
        let place = *self.index.entry((job, resv)).or_insert(self.uses.len());
        match self.uses.get_mut(place) {
            // Again in the same object: a job that waits for either waits for both.
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
