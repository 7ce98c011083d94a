//! Edges: which job depends on which, and through what.
//!
//! An edge is a pair of jobs of different timelines. It is *recorded* if the recording itself says that the one waits for the
//! other; else it is *assumed*, as the objects gave it and they rest on the buffer rule. The objects may give it more than
//! once, through several buffers; the first is named.

use resv_api::{Access, Usage};

use super::digest::Fnv;
use super::recorded::JobId;
use super::rule::BufferId;
use super::truth::conflicts;
use super::workload::Workload;

/// An object said that a job must wait for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The job that waits.
    pub job: JobId,
    /// For whom.
    pub dependency: JobId,
    /// Whose object it is.
    pub buffer: BufferId,
    /// What the job asked for.
    pub access: Access,
    /// The category under which the object kept the dependency's fence.
    pub kept_as: Usage,
}

/// A job and one of another timeline that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The job that waits.
    pub job: JobId,
    /// For whom.
    pub dependency: JobId,
    /// The recording says so.
    pub is_recorded: bool,
    /// Assumed, and in no buffer do the uses of the two conflict.
    pub is_needless: bool,
    /// The first object that says so, in the order of the job's touches.
    pub via: Option<Via>,
}

/// The edges of a run, by job, then dependency, and their digest.
pub(super) struct Edges {
    pub(super) list: Vec<Edge>,
    pub(super) digest: u64,
}

/// Joins what objects said with what is recorded.
pub(super) fn edges(workload: &Workload, mut vias: Vec<Via>) -> Edges {
    // Stable: within a pair the touches stay in order.
    vias.sort_by_key(|via| (via.job, via.dependency));
    let mut list = Vec::new();
    let mut digest = Fnv::new();
    let mut rest = vias.as_mut_slice();
    for job in 0..workload.recorded.jobs.len() as JobId {
        let mut recorded = workload.recorded.dependencies.of(job).iter().copied();
        let mut next_recorded = recorded.next();
        loop {
            let assumed = rest.first().filter(|via| via.job == job);
            let assumed = assumed.map(|via| via.dependency);
            let Some(dependency) = [assumed, next_recorded].into_iter().flatten().min() else {
                break;
            };
            let is_recorded = next_recorded == Some(dependency);
            if is_recorded {
                next_recorded = recorded.next();
            }
            let is_same = |via: &Via| via.job == job && via.dependency == dependency;
            let count = rest.iter().take_while(|via| is_same(via)).count();
            let (here, later) = std::mem::take(&mut rest).split_at_mut(count);
            rest = later;
            let edge = Edge {
                job,
                dependency,
                is_recorded,
                is_needless: !is_recorded && !here.iter().any(|via| is_needed(workload, via)),
                via: here.first().copied(),
            };
            here.sort_unstable_by_key(|via| (via.buffer, via.access));
            add(&mut digest, workload, &edge, here);
            list.push(edge);
        }
    }
    Edges {
        list,
        digest: digest.value(),
    }
}

fn is_needed(workload: &Workload, via: &Via) -> bool {
    let usage = workload.usage_of(via.dependency, via.buffer);
    usage.is_none_or(|usage| conflicts(via.access, usage))
}

/// For each buffer of an edge (or once, if it is only recorded): context and seqno of both jobs, the buffer's name, the
/// access, and whether the edge is recorded or assumed.
fn add(digest: &mut Fnv, workload: &Workload, edge: &Edge, vias: &[Via]) {
    let recorded = &workload.recorded;
    let mut line = |buffer: &str, access: &str| {
        for id in [edge.job, edge.dependency] {
            let job = workload.job(id);
            digest.number(recorded.timelines[job.timeline as usize].context);
            digest.number(job.seqno);
        }
        digest.text(buffer);
        digest.text(access);
        digest.text(if edge.is_recorded {
            "recorded"
        } else {
            "assumed"
        });
    };
    if vias.is_empty() {
        line("-", "-");
    }
    for via in vias {
        line(workload.buffer_name(via.buffer), via.access.name());
    }
}
