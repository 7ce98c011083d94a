//! Playing a script on real objects.

use super::answer::{Answer, FenceLabel, Listed, Value};
use super::ast::{Name, Scenario, Statement};
use super::error::ScenarioError;
use resv_api::{
    BackendKind, Edit, Entry, Fence, FenceError, NotCompiledIn, Reservation, ReserveError,
    SemanticsKind, SeqnoError, Signaler, Timeline, TimelineId, Usage, new_reservation,
};
use std::collections::HashMap;
use std::fmt;

/// Plays statements, one at a time, on objects of one semantics and one back end.
///
/// Every statement costs a few hash look-ups and what the object itself takes, whatever the length
/// of the script. Fences that no statement signals stay pending until the runner is dropped.
///
/// ```
/// use resv_conformance::scenario::{Runner, Scenario};
/// use resv_api::{BackendKind, SemanticsKind};
///
/// let script = Scenario::parse("
///     timeline gfx
///     fence f1 gfx
///     resv fb
///     add fb f1 write
///     waits fb read
/// ")?;
/// let mut runner = Runner::new(SemanticsKind::UsageLevels, BackendKind::Locked)?;
/// let answers = runner.run(&script)?;
/// assert_eq!(answers[0].to_string(), "waits fb read: gfx:1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Runner {
    factory: Factory,
    timelines: HashMap<Name, usize>,
    /// The timelines in order of declaration.
    declared: Vec<(Name, Timeline)>,
    /// Where in `declared` a timeline is.
    order: HashMap<TimelineId, usize>,
    fences: HashMap<Name, Job>,
    /// Which fence has a position, by place in `declared` and seqno.
    issued: HashMap<(usize, u64), Name>,
    objects: HashMap<Name, Box<dyn Reservation>>,
}

type Factory = Box<dyn Fn() -> Result<Box<dyn Reservation>, NotCompiledIn> + Send + Sync>;

/// A fence, and its signaler until it has signalled.
struct Job {
    fence: Fence,
    signaler: Option<Signaler>,
}

impl Runner {
    /// A runner whose objects have this semantics and this back end.
    ///
    /// # Errors
    ///
    /// When the back end is not compiled in.
    pub fn new(semantics: SemanticsKind, backend: BackendKind) -> Result<Runner, NotCompiledIn> {
        new_reservation(semantics, backend)?;
        Ok(Runner::from_factory(Box::new(move || {
            new_reservation(semantics, backend)
        })))
    }

    /// A runner whose objects are made by `factory`: for semantics and back ends from elsewhere.
    ///
    /// The factory makes empty objects, all of one semantics.
    pub fn with_factory(
        factory: impl Fn() -> Box<dyn Reservation> + Send + Sync + 'static,
    ) -> Runner {
        Runner::from_factory(Box::new(move || Ok(factory())))
    }

    fn from_factory(factory: Factory) -> Runner {
        Runner {
            factory,
            timelines: HashMap::new(),
            declared: Vec::new(),
            order: HashMap::new(),
            fences: HashMap::new(),
            issued: HashMap::new(),
            objects: HashMap::new(),
        }
    }

    /// Plays a whole script and returns its answers in order.
    ///
    /// # Errors
    ///
    /// On the first statement that is wrong; what was played before stays played.
    pub fn run(&mut self, scenario: &Scenario) -> Result<Vec<Answer>, ScenarioError> {
        let mut answers = Vec::new();
        for (line, statement) in scenario.statements() {
            answers.extend(self.step(line, statement)?);
        }
        Ok(answers)
    }

    /// Plays one statement, which stands on line number `line`; an answer if it is a query.
    ///
    /// # Errors
    ///
    /// When the statement is wrong: a name that is not declared, or declared twice; a seqno that is
    /// out of range, taken, or used up; a second signal. Nothing has changed then.
    pub fn step(
        &mut self,
        line: usize,
        statement: &Statement,
    ) -> Result<Option<Answer>, ScenarioError> {
        let value = self
            .play(statement)
            .map_err(|message| ScenarioError::new(line, message))?;
        Ok(value.map(|value| Answer {
            line,
            statement: statement.clone(),
            value,
        }))
    }

    fn play(&mut self, statement: &Statement) -> Result<Option<Value>, String> {
        match statement {
            Statement::Timeline { name } => self.declare_timeline(name)?,
            Statement::Fence {
                name,
                timeline,
                seqno,
            } => self.declare_fence(name, timeline, *seqno)?,
            Statement::Resv { name } => {
                unused(&self.objects, name, "object")?;
                let object = (self.factory)().map_err(|error| error.to_string())?;
                self.objects.insert(name.clone(), object);
            }
            Statement::Add { resv, edits } => {
                let object = self.object(resv)?;
                let edits = edits
                    .iter()
                    .map(|(fence, usage)| {
                        Ok(Edit::Add {
                            fence: self.job(fence)?.fence.clone(),
                            usage: *usage,
                        })
                    })
                    .collect::<Result<Vec<_>, String>>()?;
                object.transact(&edits).map_err(no_memory)?;
            }
            Statement::Replace {
                resv,
                timeline,
                fence,
                usage,
            } => {
                let edit = Edit::Replace {
                    timeline: self.declared[self.timeline(timeline)?].1.id(),
                    fence: self.job(fence)?.fence.clone(),
                    usage: *usage,
                };
                self.object(resv)?.transact(&[edit]).map_err(no_memory)?;
            }
            Statement::Copy { dst, src } => {
                let (dst, src) = (self.object(dst)?, self.object(src)?);
                dst.copy_from(src).map_err(no_memory)?;
            }
            Statement::Signal { fence, error } => self.signal(fence, *error)?,
            Statement::Waits { resv, access } => {
                let entries = self.object(resv)?.waits_for(*access).map_err(no_memory)?;
                let mut listed = self.listed(entries);
                listed.dedup_by(|a, b| a.fence == b.fence);
                let fences = listed.into_iter().map(|listed| listed.fence).collect();
                return Ok(Some(Value::Waits(fences)));
            }
            Statement::Idle { resv, access } => {
                return Ok(Some(Value::Idle(self.object(resv)?.is_idle(*access))));
            }
            Statement::List { resv } => {
                let entries = self.object(resv)?.entries().map_err(no_memory)?;
                return Ok(Some(Value::List(self.listed(entries))));
            }
            Statement::Status { fence } => {
                return Ok(Some(Value::Status(self.job(fence)?.fence.status())));
            }
        }
        Ok(None)
    }

    fn declare_timeline(&mut self, name: &Name) -> Result<(), String> {
        unused(&self.timelines, name, "timeline")?;
        let timeline = Timeline::new(name.as_str());
        let at = self.declared.len();
        self.order.insert(timeline.id(), at);
        self.declared.push((name.clone(), timeline));
        self.timelines.insert(name.clone(), at);
        Ok(())
    }

    fn declare_fence(
        &mut self,
        name: &Name,
        timeline: &Name,
        seqno: Option<u64>,
    ) -> Result<(), String> {
        unused(&self.fences, name, "fence")?;
        let at = self.timeline(timeline)?;
        if let Some(seqno) = seqno
            && let Some(taken_by) = self.issued.get(&(at, seqno))
        {
            return Err(format!(
                "seqno {seqno} of timeline '{timeline}' is fence '{taken_by}' already: \
                 expected a seqno that is not taken"
            ));
        }
        let handle = &self.declared[at].1;
        let signaler = match seqno {
            None => handle.issue(),
            Some(seqno) => handle.issue_at(seqno),
        }
        .map_err(|error| match error {
            SeqnoError::OutOfRange(seqno) => format!(
                "seqno {seqno} is out of range: expected a number from 1 to {} (2^64-2)",
                Timeline::MAX_SEQNO
            ),
            SeqnoError::Exhausted => format!(
                "timeline '{timeline}' has used its greatest seqno: \
                 expected a lower seqno that is not taken, or another timeline"
            ),
            other => format!("timeline '{timeline}': {other}"),
        })?;
        let fence = signaler.fence().clone();
        self.issued.insert((at, fence.seqno()), name.clone());
        let job = Job {
            fence,
            signaler: Some(signaler),
        };
        self.fences.insert(name.clone(), job);
        Ok(())
    }

    fn signal(&mut self, name: &Name, error: bool) -> Result<(), String> {
        let Some(job) = self.fences.get_mut(name) else {
            return Err(self.missing(name, "fence"));
        };
        let signaler = job.signaler.take().ok_or_else(|| {
            format!("fence '{name}' has signalled already: expected a fence that is pending")
        })?;
        if error {
            signaler.signal_error(FenceError::IO);
        } else {
            signaler.signal();
        }
        Ok(())
    }

    fn timeline(&self, name: &Name) -> Result<usize, String> {
        let found = self.timelines.get(name).copied();
        found.ok_or_else(|| self.missing(name, "timeline"))
    }

    fn job(&self, name: &Name) -> Result<&Job, String> {
        let found = self.fences.get(name);
        found.ok_or_else(|| self.missing(name, "fence"))
    }

    fn object(&self, name: &Name) -> Result<&dyn Reservation, String> {
        let found = self.objects.get(name).map(Box::as_ref);
        found.ok_or_else(|| self.missing(name, "object"))
    }

    /// What to say of a `kind` that `name` is not, though it may be something else.
    fn missing(&self, name: &Name, kind: &'static str) -> String {
        let is = [
            ("a timeline", self.timelines.contains_key(name)),
            ("a fence", self.fences.contains_key(name)),
            ("an object", self.objects.contains_key(name)),
        ];
        let is: Vec<&str> = is.iter().filter(|(_, is)| *is).map(|(w, _)| *w).collect();
        let hint = match is.as_slice() {
            [] => String::new(),
            is => format!(" (it is {})", is.join(" and ")),
        };
        format!(
            "{kind} '{name}' is not declared{hint}: expected a name from an earlier '{}' line",
            keyword(kind)
        )
    }

    /// The entries in the order of answers.
    fn listed(&self, mut entries: Vec<Entry>) -> Vec<Listed> {
        let rank = |entry: &Entry| -> (usize, TimelineId, u64, Usage) {
            let key = entry.key();
            let at = self.order.get(&key.timeline).copied();
            (at.unwrap_or(usize::MAX), key.timeline, key.seqno, key.usage)
        };
        entries.sort_by_cached_key(rank);
        entries
            .iter()
            .filter_map(|entry| {
                // A fence of a timeline that no statement declared can only come from an object
                // that the factory did not make empty; it has no name here.
                let at = *self.order.get(&entry.fence.timeline_id())?;
                Some(Listed {
                    fence: FenceLabel {
                        timeline: self.declared[at].0.clone(),
                        seqno: entry.fence.seqno(),
                    },
                    usage: entry.usage,
                })
            })
            .collect()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("timelines", &self.declared.len())
            .field("fences", &self.fences.len())
            .field("objects", &self.objects.len())
            .finish()
    }
}

/// The statement that declares a `kind`.
fn keyword(kind: &str) -> &str {
    if kind == "object" { "resv" } else { kind }
}

fn unused<T>(names: &HashMap<Name, T>, name: &Name, kind: &str) -> Result<(), String> {
    if names.contains_key(name) {
        return Err(format!(
            "{kind} '{name}' is declared already: expected a name that no earlier '{}' line has",
            keyword(kind)
        ));
    }
    Ok(())
}

fn no_memory(error: ReserveError) -> String {
    format!("{error}: expected enough memory for the statement")
}
