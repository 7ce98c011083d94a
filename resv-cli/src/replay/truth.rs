//! What is really in use, whatever a semantics keeps or drops.
//!
//! Beside each object stands a plain list of the pending jobs that touch the buffer, with the usage that each was given, not
//! the category a semantics made of it. Two uses conflict if the table of the usage levels, the one that tells all four
//! usages apart, has the access wait for the usage. So a run can be held against the truth in both directions:
//!
//! * a dependency whose uses do not conflict is *needless* (a false dependency);
//! * a conflict with a job that is neither waited for nor followed is *missed*.

use resv_api::{Access, SemanticsKind, Usage};

use super::follow::Follow;
use super::recorded::JobId;
use super::rule::Touch;
use super::workload::Workload;

/// Whether an access has to wait for a job with this usage.
pub(super) fn conflicts(access: Access, usage: Usage) -> bool {
    SemanticsKind::UsageLevels.waits_for(access).contains(usage)
}

/// The pending uses of every buffer.
#[derive(Debug)]
pub(super) struct InUse {
    uses: Vec<Vec<(JobId, Usage)>>,
}

impl InUse {
    pub(super) fn new(workload: &Workload) -> InUse {
        InUse {
            uses: vec![Vec::new(); workload.buffers.len()],
        }
    }

    /// Adds to `missed` the pending jobs of other timelines that conflict with `touch` and that `job` does not follow.
    pub(super) fn missed(
        &mut self,
        workload: &Workload,
        follow: &Follow,
        is_over: &[bool],
        job: JobId,
        touch: &Touch,
        missed: &mut Vec<JobId>,
    ) {
        let line = workload.job(job).timeline;
        let uses = &mut self.uses[touch.buffer as usize];
        uses.retain(|&(user, _)| !is_over[user as usize]);
        missed.extend(uses.iter().filter_map(|&(user, usage)| {
            let is_missed = conflicts(touch.access, usage)
                && workload.job(user).timeline != line
                && !follow.follows(workload, job, user);
            is_missed.then_some(user)
        }));
    }

    /// Adds the use of `job`; a weaker use by an earlier job of its timeline needs no entry any more.
    pub(super) fn add(&mut self, workload: &Workload, job: JobId, touch: &Touch) {
        let line = workload.job(job).timeline;
        let uses = &mut self.uses[touch.buffer as usize];
        uses.retain(|&(user, usage)| {
            workload.job(user).timeline != line || user > job || usage < touch.usage
        });
        uses.push((job, touch.usage));
    }
}
