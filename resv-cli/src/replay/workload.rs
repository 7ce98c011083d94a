//! A recording whose jobs have buffers: what is played.

use resv_api::Usage;

use super::lists::Lists;
use super::recorded::{Job, JobId, Recorded};
use super::rule::{Assigned, BufferId, BufferRule, Query, RuleAccount, Touch, assign};

/// A recording whose jobs have buffers: what is played.
#[derive(Clone, Debug)]
pub struct Workload {
    pub(super) recorded: Recorded,
    pub(super) buffers: Vec<String>,
    pub(super) touches: Lists<Touch>,
    pub(super) account: RuleAccount,
    /// What tasks asked objects for themselves, in order of time.
    pub(super) queries: Vec<Query>,
    /// Why the rule was chosen, where nobody did.
    pub(super) why: Option<String>,
}

impl Workload {
    /// Gives the jobs of a recording their buffers.
    pub fn new(recorded: Recorded, rule: &BufferRule) -> Workload {
        let Assigned {
            buffers,
            touches,
            account,
            queries,
        } = assign(&recorded, rule);
        Workload {
            recorded,
            buffers,
            touches,
            account,
            queries,
            why: None,
        }
    }

    /// The same recording under another rule.
    #[must_use]
    pub fn under(self, rule: &BufferRule) -> Workload {
        Workload::new(self.recorded, rule)
    }

    /// The recording.
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// The names of the buffers.
    pub fn buffers(&self) -> &[String] {
        &self.buffers
    }

    /// The buffers that a job touches; different ones.
    pub fn touches(&self, job: JobId) -> &[Touch] {
        self.touches.of(job)
    }

    /// How the rule gave jobs their buffers.
    pub fn account(&self) -> &RuleAccount {
        &self.account
    }

    pub(super) fn job(&self, job: JobId) -> &Job {
        &self.recorded.jobs[job as usize]
    }

    pub(super) fn buffer_name(&self, buffer: BufferId) -> &str {
        self.buffers
            .get(buffer as usize)
            .map_or("?", String::as_str)
    }

    /// What `job` does with `buffer`.
    pub(super) fn usage_of(&self, job: JobId, buffer: BufferId) -> Option<Usage> {
        let mut touches = self.touches(job).iter();
        touches.find(|t| t.buffer == buffer).map(|t| t.usage)
    }
}
