//! Why two semantics give different edges.
//!
//! An edge that only one of two runs has is traced to the table that makes the difference. Either the other semantics does
//! not have the access wait for such a fence at all, which the tables say; or it would, and the fence had left the object,
//! which the run knows: which add dropped it, and whether that left it lost.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use resv_api::{Access, BackendKind, SemanticsKind, Usage};
use serde::Serialize;

use super::digest::hex;
use super::edges::{Edge, Via};
use super::error::PlayError;
use super::measure::play;
use super::play::{Run, Superseded, tell};
use super::recorded::JobId;
use super::rule::BufferId;
use super::workload::Workload;

/// How many edges are named for each reason.
const EXAMPLES: usize = 3;

/// Why an edge is in one run and not in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The one keeps bookkeep as a shared fence, so that a writer waits for it.
    BookkeepIsShared,
    /// The one tells a kernel move apart, so that an explicit job waits for it too.
    ExplicitMinds,
    /// The tables differ in another cell.
    Table(Access, Usage),
    /// The other dropped the fence for one of a job that does not follow it.
    Lost,
    /// The other dropped the fence for one of a job that follows it.
    Stood,
    /// The other dropped the fence for a later one of its timeline.
    Later,
    /// None of these.
    Unexplained,
}

impl Reason {
    /// Puts the reason into words: `has` has the edge, `lacks` does not.
    pub fn describe(self, has: SemanticsKind, lacks: SemanticsKind) -> String {
        match self {
            Reason::BookkeepIsShared => {
                format!("bookkeep counts as shared in {has}, so a writer waits for it")
            }
            Reason::ExplicitMinds => format!(
                "an explicit job waits for the kernel's fences in {has} and ignores them in {lacks}"
            ),
            Reason::Table(access, usage) => {
                format!("{access} waits for {usage} in {has} and not in {lacks}")
            }
            Reason::Lost => format!(
                "{lacks} has lost the fence: a new writer dropped it and does not follow it"
            ),
            Reason::Stood => {
                format!("in {lacks} a new writer, which follows it, has taken the fence's place")
            }
            Reason::Later => {
                format!("in {lacks} a later fence of its timeline has taken the fence's place")
            }
            Reason::Unexplained => "none of the known reasons".to_owned(),
        }
    }
}

/// An edge as an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EdgeExample {
    /// The waiter.
    pub job: String,
    /// For whom.
    pub dependency: String,
    /// On which buffer.
    pub buffer: String,
    /// What the job does with it, and what it asks for.
    pub access: String,
    /// What the dependency does with it.
    pub usage: String,
    /// The recording has it.
    pub recorded: bool,
    /// When the job was submitted, in nanoseconds from the first event.
    pub at_ns: u64,
    /// Whose add dropped the fence in the other run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_by: Option<String>,
}

/// The edges that are in one run only for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The reason, in words.
    pub reason: String,
    /// How many.
    pub edges: u64,
    /// For how many of them the job follows the dependency in the other run all the same, through other objects and timelines.
    pub followed_anyway: u64,
    /// How many of them the recording has.
    pub recorded: u64,
    /// The first few.
    pub examples: Vec<EdgeExample>,
}

/// What one of two runs has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The semantics.
    pub semantics: String,
    /// Edges in all.
    pub edges: u64,
    /// Edges that the objects give, recorded or not.
    pub from_objects: u64,
    /// Those that the other run's objects do not give.
    pub only_here: u64,
    /// Those by reason, the most frequent first.
    pub groups: Vec<Group>,
    /// Fences lost.
    pub lost: u64,
    /// Conflicts that the objects give no edge for, and that follow from none.
    pub missed: u64,
    /// Needless edges.
    pub needless: u64,
    /// The sum of stalls, a lower bound.
    pub stall_ns: u64,
    /// The digest of the edges.
    pub edges_digest: String,
}

/// What changes if only the semantics changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SemanticsDiff {
    /// The back end of both.
    pub backend: String,
    /// Edges that the objects of both give.
    pub common: u64,
    /// The one.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// The stall of the other less that of the one, in nanoseconds.
    pub stall_change_ns: i64,
}

/// Where two back ends first answer differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstDifference {
    /// The number of the answer, from 0.
    pub answer: u64,
    /// The job at whose submission it was asked.
    pub job: String,
    /// What was asked.
    pub question: String,
    /// What the one said.
    pub a: String,
    /// What the other said.
    pub b: String,
}

/// What changes if only the back end changes: nothing, or else where it begins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendDiff {
    /// The semantics of both.
    pub semantics: String,
    /// The one.
    pub a: String,
    /// The other.
    pub b: String,
    /// Whether every answer was the same.
    pub identical: bool,
    /// How many answers were compared.
    pub answers: u64,
    /// The digests over all answers.
    pub answers_digest: [String; 2],
    /// How many edges there are.
    pub edges: [u64; 2],
    /// The digests over the edges.
    pub edges_digest: [String; 2],
    /// Fences lost.
    pub lost: [u64; 2],
    /// The sums of stalls, in nanoseconds.
    pub stall_ns: [u64; 2],
    /// Operations in a second: what may differ.
    pub ops_per_second: [f64; 2],
    /// The first answer that differs.
    pub first_difference: Option<FirstDifference>,
}

/// Plays a workload under two semantics on one back end and says what differs, and why.
///
/// # Errors
/// As [`play`](super::play()).
pub fn diff_semantics(
    workload: &Workload,
    a: SemanticsKind,
    b: SemanticsKind,
    backend: BackendKind,
) -> Result<SemanticsDiff, PlayError> {
    let a = play(workload, a, backend)?;
    let b = play(workload, b, backend)?;
    Ok(compare(workload, &a, &b))
}

/// Plays a workload on two back ends under one semantics and proves that nothing differs, or says what does.
///
/// # Errors
/// As [`play`](super::play()).
pub fn diff_backends(
    workload: &Workload,
    semantics: SemanticsKind,
    a: BackendKind,
    b: BackendKind,
) -> Result<BackendDiff, PlayError> {
    let runs = [play(workload, semantics, a)?, play(workload, semantics, b)?];
    let [one, other] = &runs;
    let first = one.trail.answers.first_difference(&other.trail.answers);
    let first_difference = match first {
        None => None,
        Some(at) => {
            let told = [
                tell(workload, semantics, a, at)?,
                tell(workload, semantics, b, at)?,
            ];
            let asked = told.iter().flatten().next();
            let answer = |place: usize| match &told[place] {
                Some(told) => told.answer.clone(),
                None => "(was not asked)".to_owned(),
            };
            Some(FirstDifference {
                answer: at as u64,
                job: asked.map_or_else(String::new, |told| workload.recorded.job_name(told.job)),
                question: asked.map_or_else(String::new, |told| told.question.clone()),
                a: answer(0),
                b: answer(1),
            })
        }
    };
    let each = |of: fn(&Run) -> u64| [of(one), of(other)];
    Ok(BackendDiff {
        semantics: semantics.to_string(),
        a: a.to_string(),
        b: b.to_string(),
        identical: first_difference.is_none(),
        answers: one.answers.min(other.answers),
        answers_digest: each(|run| run.answers_digest).map(hex),
        edges: each(|run| run.counts.edges),
        edges_digest: each(|run| run.edges_digest).map(hex),
        lost: each(|run| run.counts.lost),
        stall_ns: each(|run| run.timing.stall_ns),
        ops_per_second: [one, other].map(|run| run.measured.ops_per_second),
        first_difference,
    })
}

/// What differs between two runs of one workload.
pub(super) fn compare(workload: &Workload, a: &Run, b: &Run) -> SemanticsDiff {
    let (only_a, only_b, common) = split(&a.trail.edges, &b.trail.edges);
    let change = i128::from(b.timing.stall_ns) - i128::from(a.timing.stall_ns);
    SemanticsDiff {
        backend: if a.backend == b.backend {
            a.backend.to_string()
        } else {
            format!("{}, {}", a.backend, b.backend)
        },
        common,
        a: side(workload, a, b, &only_a),
        b: side(workload, b, a, &only_b),
        stall_change_ns: i64::try_from(change).unwrap_or(if change < 0 {
            i64::MIN
        } else {
            i64::MAX
        }),
    }
}

/// Of two sorted lists, the edges that only the objects of the one give, only those of the other, and how many both give.
fn split<'a>(a: &'a [Edge], b: &'a [Edge]) -> (Vec<&'a Edge>, Vec<&'a Edge>, u64) {
    let key = |edge: &Edge| (edge.job, edge.dependency);
    let (mut only_a, mut only_b, mut common) = (Vec::new(), Vec::new(), 0);
    let given = |edge: &&Edge| edge.via.is_some();
    let mut rest_a = a.iter().filter(given).peekable();
    let mut rest_b = b.iter().filter(given).peekable();
    loop {
        match (rest_a.peek(), rest_b.peek()) {
            (Some(one), Some(other)) if key(one) == key(other) => {
                common += 1;
                rest_a.next();
                rest_b.next();
            }
            (Some(one), other) if other.is_none_or(|other| key(one) < key(other)) => {
                only_a.extend(rest_a.next());
            }
            (_, Some(_)) => only_b.extend(rest_b.next()),
            (_, None) => return (only_a, only_b, common),
        }
    }
}

fn side(workload: &Workload, has: &Run, lacks: &Run, only: &[&Edge]) -> Side {
    let dropped: HashMap<(BufferId, JobId), &Superseded> = lacks
        .trail
        .superseded
        .iter()
        .map(|gone| ((gone.buffer, gone.job), gone))
        .collect();
    let mut groups: BTreeMap<Reason, Group> = BTreeMap::new();
    for edge in only {
        let Some(via) = &edge.via else { continue };
        let usage = workload.usage_of(via.dependency, via.buffer);
        let usage = usage.unwrap_or(via.kept_as);
        let gone = dropped.get(&(via.buffer, via.dependency)).copied();
        let reason = reason(workload, lacks.semantics, via, usage, gone);
        let group = groups.entry(reason).or_insert_with(|| Group {
            reason: reason.describe(has.semantics, lacks.semantics),
            edges: 0,
            followed_anyway: 0,
            recorded: 0,
            examples: Vec::new(),
        });
        let follow = &lacks.trail.follow;
        group.edges += 1;
        group.recorded += u64::from(edge.is_recorded);
        group.followed_anyway += u64::from(follow.follows(workload, via.job, via.dependency));
        if group.examples.len() < EXAMPLES {
            let by =
                gone.filter(|_| matches!(reason, Reason::Lost | Reason::Stood | Reason::Later));
            group.examples.push(example(workload, edge, via, usage, by));
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.edges));
    Side {
        semantics: has.semantics.to_string(),
        edges: has.counts.edges,
        from_objects: has.counts.edges_from_objects,
        only_here: only.len() as u64,
        groups,
        lost: has.counts.lost,
        missed: has.counts.missed,
        needless: has.counts.needless,
        stall_ns: has.timing.stall_ns,
        edges_digest: hex(has.edges_digest),
    }
}

fn reason(
    workload: &Workload,
    lacks: SemanticsKind,
    via: &Via,
    usage: Usage,
    gone: Option<&Superseded>,
) -> Reason {
    if !lacks.waits_for(via.access).contains(lacks.class(usage)) {
        return match (via.access, usage) {
            (Access::Read | Access::Write, Usage::Bookkeep) => Reason::BookkeepIsShared,
            (Access::Explicit, Usage::Kernel) => Reason::ExplicitMinds,
            (access, usage) => Reason::Table(access, usage),
        };
    }
    match gone {
        Some(gone) if gone.is_lost => Reason::Lost,
        Some(gone) if workload.job(gone.by).timeline == workload.job(gone.job).timeline => {
            Reason::Later
        }
        Some(_) => Reason::Stood,
        None => Reason::Unexplained,
    }
}

fn example(
    workload: &Workload,
    edge: &Edge,
    via: &Via,
    usage: Usage,
    by: Option<&Superseded>,
) -> EdgeExample {
    let recorded = &workload.recorded;
    EdgeExample {
        job: recorded.job_name(via.job),
        dependency: recorded.job_name(via.dependency),
        buffer: workload.buffer_name(via.buffer).to_owned(),
        access: via.access.to_string(),
        usage: usage.to_string(),
        recorded: edge.is_recorded,
        at_ns: recorded.since_start(workload.job(via.job).begin_ns),
        dropped_by: by.map(|gone| recorded.job_name(gone.by)),
    }
}

impl fmt::Display for EdgeExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EdgeExample {
            job,
            dependency,
            buffer,
            access,
            usage,
            ..
        } = self;
        write!(f, "{job} ({access}) <- {dependency} ({usage}) on {buffer}")?;
        match &self.dropped_by {
            Some(by) => write!(f, ", dropped by {by}"),
            None => Ok(()),
        }
    }
}
