//! Which buffers a job touches: the rule, as no Linux event says it.
//!
//! | rule | a user's job | a job of the kernel |
//! |---|---|---|
//! | `handoff` | writes the output buffer of its own context; reads that of the context that submitted last before it, if it is another one | a page-table update: `bookkeep`, waiting for nothing implicit, on the buffer written last; the first one after a buffer move is that move: `kernel`, waiting for everything |
//! | `private` | writes its own context's buffer | the same |
//! | `single` | writes the one buffer | the same |
//! | `recorded` | what the recording says, if it is one of this project's library (`resv_api::trace`); else nothing | the same |
//! | a sidecar file | what the file says; nothing if it says nothing | the same; the first one after a buffer move also moves that buffer |
//!
//! `handoff` is what a chain of image producers and consumers does (a game, then the compositor). It is the default where there
//! is no sidecar, the recording does not say, and does not contradict it ([`choose`](super::choose)); else the default is
//! `recorded`. `private` and `single` are its two extremes: nobody shares, all share.
//!
//! *A job of the kernel* is one that the recording says the kernel's DRM client submitted, or one on a timeline on which the
//! recording has no submission at all. A user's job whose submission is not in the recording writes its own context's buffer
//! and reads none: what was submitted before it is not known.
//!
//! Whatever rests on a rule is an assumption, and every dependency that follows from it is reported as *assumed*.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use resv_api::{Access, Usage};

use super::lists::Lists;
use super::recorded::{At, Job, JobId, Recorded};
use crate::sidecar::{Sidecar, SidecarAccess, SidecarError, SidecarUsage};

/// The place of a buffer in [`Workload::buffers`](super::Workload::buffers).
pub type BufferId = u32;

/// How jobs get their buffers.
#[derive(Clone, Debug)]
pub enum BufferRule {
    /// Each context's jobs read what the context before them wrote.
    Handoff,
    /// Each context has a buffer to itself.
    Private,
    /// One buffer for all.
    Single,
    /// As the recording itself says; no buffers if it does not.
    Recorded,
    /// As a file says.
    Sidecar {
        /// The name of the file, for people.
        name: String,
        /// What it says.
        sidecar: Box<Sidecar>,
    },
}

impl BufferRule {
    /// The rule that one of the words `handoff`, `private`, `single`, `recorded` means; `None` for anything else, which is then the path
    /// of a sidecar.
    pub fn parse(word: &str) -> Option<BufferRule> {
        match word {
            "handoff" => Some(BufferRule::Handoff),
            "private" => Some(BufferRule::Private),
            "single" => Some(BufferRule::Single),
            "recorded" => Some(BufferRule::Recorded),
            _ => None,
        }
    }

    /// The rule that a sidecar file says.
    ///
    /// # Errors
    /// As [`Sidecar::load`].
    pub fn load(path: &Path) -> Result<BufferRule, SidecarError> {
        Ok(BufferRule::Sidecar {
            name: path.display().to_string(),
            sidecar: Box::new(Sidecar::load(path)?),
        })
    }

    /// The rule of the [`default_sidecar`] of a recording, if there is such a file.
    ///
    /// # Errors
    /// If the sidecar exists and is wrong.
    pub fn for_recording(recording: &Path) -> Result<Option<BufferRule>, SidecarError> {
        let sidecar = default_sidecar(recording);
        if recording.as_os_str() != "-" && sidecar.is_file() {
            BufferRule::load(&sidecar).map(Some)
        } else {
            Ok(None)
        }
    }

    /// What the rule says, in a sentence.
    pub fn describe(&self) -> &'static str {
        match self {
            BufferRule::Handoff => {
                "a job writes its context's buffer and reads that of the context that submitted last before it"
            }
            BufferRule::Private => "a job writes its context's buffer and touches no other",
            BufferRule::Single => "all jobs write one buffer",
            BufferRule::Recorded => {
                "only what is recorded counts: the objects a job was added to, and what its thread asked them before"
            }
            BufferRule::Sidecar { .. } => "a file says which buffers a job touches",
        }
    }
}

/// `handoff`, `private`, `single`, `recorded`, or the name of the sidecar.
impl fmt::Display for BufferRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            BufferRule::Handoff => "handoff",
            BufferRule::Private => "private",
            BufferRule::Single => "single",
            BufferRule::Recorded => "recorded",
            BufferRule::Sidecar { name, .. } => name,
        })
    }
}

/// Where the sidecar of a recording is looked for: the same path with the extension `.buffers`.
///
/// ```
/// use resv_cli::replay::default_sidecar;
/// use std::path::Path;
/// assert_eq!(default_sidecar(Path::new("a/desktop.report")), Path::new("a/desktop.buffers"));
/// ```
pub fn default_sidecar(recording: &Path) -> PathBuf {
    recording.with_extension("buffers")
}

/// How a rule gave jobs their buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleAccount {
    /// The rule's name.
    pub rule: String,
    /// What it says.
    pub description: String,
    /// Jobs that touch at least one buffer.
    pub jobs_with_buffers: u64,
    /// Jobs that the rule gives no buffer: those that a sidecar does not name.
    pub jobs_without_buffers: u64,
    /// Jobs that take no part because only their end was seen.
    pub jobs_ended_first: u64,
    /// Touches in all.
    pub touches: u64,
    /// Buffer moves that became a touch.
    pub moves_used: u64,
    /// Buffer moves that did not: the rule knows no moves, the buffer has no name, or no job of the kernel followed.
    pub moves_unused: u64,
    /// Job lines of a sidecar that no job of the recording made use of.
    pub lines_unused: u64,
}

/// One buffer that a job touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The buffer.
    pub buffer: BufferId,
    /// What the job does with it.
    pub usage: Usage,
    /// What the job waits for before.
    pub access: Access,
}

/// The buffers of a recording's jobs.
pub(super) struct Assigned {
    pub(super) buffers: Vec<String>,
    pub(super) touches: Lists<Touch>,
    pub(super) account: RuleAccount,
    pub(super) queries: Vec<Query>,
}

/// What a task asked an object for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) at: At,
    pub(super) buffer: BufferId,
    pub(super) access: Access,
}

/// Gives the jobs of a recording their buffers.
pub(super) fn assign(recorded: &Recorded, rule: &BufferRule) -> Assigned {
    let mut assigner = Assigner::new(recorded, rule);
    let mut moves = recorded.moves.iter().peekable();
    for step in recorded.steps.iter().filter(|step| !step.is_end) {
        while let Some(moved) = moves.next_if(|moved| moved.at < step.at) {
            assigner.moved(moved.bo);
        }
        assigner.begin(step.job);
    }
    let mut account = assigner.account;
    let count = recorded.jobs.len();
    let touches = Lists::new(count, &assigner.touches);
    let with = (0..count as JobId)
        .filter(|&job| !touches.of(job).is_empty())
        .count() as u64;
    account.rule = rule.to_string();
    rule.describe().clone_into(&mut account.description);
    account.jobs_with_buffers = with;
    account.jobs_without_buffers = count as u64 - with - account.jobs_ended_first;
    account.touches = touches.len() as u64;
    account.moves_unused = recorded.counts.moves - account.moves_used;
    if let BufferRule::Sidecar { sidecar, .. } = rule {
        let unused = sidecar.rules().len() - assigner.lines.len();
        account.lines_unused = unused as u64;
    }
    // Only a recording that names its objects has tasks that ask them.
    let queries = recorded.asks.iter().filter_map(|asked| {
        Some(Query {
            at: asked.at,
            buffer: *assigner.objects.get(&asked.resv)?,
            access: asked.access,
        })
    });
    let queries = queries.collect();
    Assigned {
        queries,
        buffers: assigner.buffers,
        touches,
        account,
    }
}

/// The state of a rule as it walks along the recording.
struct Assigner<'a> {
    recorded: &'a Recorded,
    rule: &'a BufferRule,
    buffers: Vec<String>,
    /// For each timeline its own buffer, once it has one.
    own: Vec<Option<BufferId>>,
    touches: Vec<(JobId, Touch)>,
    /// The timeline of the last submission by a user.
    last: Option<u32>,
    written: Option<BufferId>,
    /// Moves that no job of the kernel has taken up yet; for `handoff` it matters only whether there are any.
    moves: u64,
    moved: Vec<BufferId>,
    /// The buffers of recorded objects.
    objects: HashMap<u64, BufferId>,
    /// Lines of the sidecar that were used.
    lines: HashSet<usize>,
    account: RuleAccount,
}

impl<'a> Assigner<'a> {
    fn new(recorded: &'a Recorded, rule: &'a BufferRule) -> Self {
        let buffers = match rule {
            BufferRule::Single => vec!["all".to_owned()],
            BufferRule::Sidecar { sidecar, .. } => sidecar.buffer_names().to_vec(),
            BufferRule::Handoff | BufferRule::Private | BufferRule::Recorded => Vec::new(),
        };
        Assigner {
            recorded,
            rule,
            buffers,
            own: vec![None; recorded.timelines.len()],
            touches: Vec::new(),
            last: None,
            written: None,
            moves: 0,
            moved: Vec::new(),
            objects: HashMap::new(),
            lines: HashSet::new(),
            account: RuleAccount::default(),
        }
    }

    fn moved(&mut self, bo: u64) {
        match self.rule {
            BufferRule::Handoff => self.moves += 1,
            BufferRule::Sidecar { sidecar, .. } => {
                if let Some(buffer) = sidecar.buffer_of_move(bo) {
                    self.moves += 1;
                    if !self.moved.contains(&(buffer as BufferId)) {
                        self.moved.push(buffer as BufferId);
                    }
                }
            }
            BufferRule::Private | BufferRule::Single | BufferRule::Recorded => {}
        }
    }

    fn begin(&mut self, id: JobId) {
        let recorded = self.recorded;
        let job = &recorded.jobs[id as usize];
        if job.ended_first {
            self.account.jobs_ended_first += 1;
            if let BufferRule::Sidecar { sidecar, .. } = self.rule {
                self.line_of(job, sidecar);
            }
            return;
        }
        match self.rule {
            BufferRule::Single => self.touch(id, 0, Usage::Write, Access::Write),
            BufferRule::Private => {
                let own = self.own(job.timeline);
                self.touch(id, own, Usage::Write, Access::Write);
            }
            BufferRule::Recorded => self.recorded_uses(id),
            BufferRule::Handoff if job.is_kernel => self.handoff_kernel(id, job),
            BufferRule::Handoff => self.handoff(id, job),
            BufferRule::Sidecar { sidecar, .. } => self.named(id, job, sidecar),
        }
    }

    fn recorded_uses(&mut self, id: JobId) {
        let uses = &self.recorded.uses;
        let start = uses.partition_point(|&(job, _)| job < id);
        for (_, one) in uses[start..].iter().take_while(|&&(job, _)| job == id) {
            let buffer = *self.objects.entry(one.resv).or_insert_with(|| {
                self.buffers.push(format!("resv#{}", one.resv));
                self.buffers.len() as BufferId - 1
            });
            self.touch(id, buffer, one.usage, one.access);
        }
    }

    fn touch(&mut self, job: JobId, buffer: BufferId, usage: Usage, access: Access) {
        let touch = Touch {
            buffer,
            usage,
            access,
        };
        self.touches.push((job, touch));
    }

    fn own(&mut self, timeline: u32) -> BufferId {
        let place = timeline as usize;
        *self.own[place].get_or_insert_with(|| {
            let name = self.recorded.timeline_name(timeline);
            self.buffers.push(format!("{name}.out"));
            self.buffers.len() as BufferId - 1
        })
    }

    fn handoff(&mut self, id: JobId, job: &Job) {
        let own = self.own(job.timeline);
        self.touch(id, own, Usage::Write, Access::Write);
        self.written = Some(own);
        if job.submit_ns.is_none() {
            return;
        }
        if let Some(before) = self.last.replace(job.timeline)
            && before != job.timeline
        {
            let input = self.own(before);
            self.touch(id, input, Usage::Read, Access::Read);
        }
    }

    fn handoff_kernel(&mut self, id: JobId, job: &Job) {
        let buffer = match self.written {
            Some(buffer) => buffer,
            None => self.own(job.timeline),
        };
        if self.moves > 0 {
            // Several moves since are one job's work, as far as anybody can tell.
            self.account.moves_used += std::mem::take(&mut self.moves);
            self.touch(id, buffer, Usage::Kernel, Access::Move);
        } else {
            self.touch(id, buffer, Usage::Bookkeep, Access::Explicit);
        }
    }

    /// What the line for a job says.
    fn line_of<'s>(&mut self, job: &Job, sidecar: &'s Sidecar) -> &'s [crate::sidecar::Touch] {
        let context = self.recorded.timelines[job.timeline as usize].context;
        match sidecar.rule_of(context, job.seqno) {
            Some(rule) => {
                self.lines.insert(rule.line);
                &rule.touches
            }
            None => &[],
        }
    }

    fn named(&mut self, id: JobId, job: &Job, sidecar: &Sidecar) {
        let touched = self.line_of(job, sidecar);
        for touch in touched {
            let (usage, access) = (usage(touch.usage), access(touch.access));
            self.touch(id, touch.buffer as BufferId, usage, access);
        }
        if job.is_kernel && self.moves > 0 {
            self.account.moves_used += std::mem::take(&mut self.moves);
            for buffer in std::mem::take(&mut self.moved) {
                // A line for the job that names the buffer says more than the move does.
                if !touched.iter().any(|t| t.buffer as BufferId == buffer) {
                    self.touch(id, buffer, Usage::Kernel, Access::Move);
                }
            }
        }
    }
}

fn usage(usage: SidecarUsage) -> Usage {
    match usage {
        SidecarUsage::Kernel => Usage::Kernel,
        SidecarUsage::Write => Usage::Write,
        SidecarUsage::Read => Usage::Read,
        SidecarUsage::Bookkeep => Usage::Bookkeep,
    }
}

fn access(access: SidecarAccess) -> Access {
    match access {
        SidecarAccess::Explicit => Access::Explicit,
        SidecarAccess::Read => Access::Read,
        SidecarAccess::Write => Access::Write,
        SidecarAccess::Move => Access::Move,
    }
}
