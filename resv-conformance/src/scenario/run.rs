//! Playing a script on real objects.

use super::answer::{Answer, FenceLabel, Listed, Value};
use super::ast::{Name, Scenario, Statement};
use super::error::ScenarioError;
use super::object::Object;
use resv_api::{
    BackendKind, Edit, Entry, Fence, FenceError, NotCompiledIn, Reservation, ReserveError,
    SemanticsKind, SeqnoError, Signaler, Timeline, TimelineId, Usage, new_reservation,
};
use resv_core::Tag;
use resv_policy::objects::{self, MemberObject, begin_to_wait, pending_leaves};
use resv_policy::{Asker, Era, Member, Mode};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// The back end of objects that belong to an era; none if the objects come from elsewhere.
    backend: Option<BackendKind>,
    /// The semantics that was asked for; an era that implies another is an error.
    semantics: Option<SemanticsKind>,
    /// The era of the objects that are declared from here on.
    era: Option<Era>,
    timelines: HashMap<Name, usize>,
    /// The timelines in order of declaration.
    declared: Vec<(Name, Timeline)>,
    /// Where in `declared` a timeline is.
    order: HashMap<TimelineId, usize>,
    fences: HashMap<Name, Job>,
    /// Which fence has a position, by place in `declared` and seqno.
    issued: HashMap<(usize, u64), Name>,
    objects: HashMap<Name, Object>,
}

type Factory = Box<dyn Fn() -> Result<Object, NotCompiledIn> + Send + Sync>;

/// A fence, and how it is signalled.
struct Job {
    fence: Fence,
    signals: Signals,
    /// How often it was asked for its work.
    asked: Arc<AtomicUsize>,
}

enum Signals {
    /// By this signaler.
    By(Signaler),
    /// It has signalled.
    Done,
    /// With its timeline: it is a point.
    WithTimeline,
}

impl Runner {
    /// A runner whose objects have this semantics and this back end.
    ///
    /// # Errors
    ///
    /// When the back end is not compiled in.
    pub fn new(semantics: SemanticsKind, backend: BackendKind) -> Result<Runner, NotCompiledIn> {
        let mut runner = Runner::of_any_era(backend)?;
        runner.semantics = Some(semantics);
        runner.factory = Box::new(move || new_reservation(semantics, backend).map(Object::Plain));
        Ok(runner)
    }

    /// A runner whose objects have this back end, and the default semantics unless an `era` line says
    /// otherwise.
    ///
    /// # Errors
    ///
    /// When the back end is not compiled in.
    pub fn of_any_era(backend: BackendKind) -> Result<Runner, NotCompiledIn> {
        new_reservation(SemanticsKind::default(), backend)?;
        let mut runner = Runner::from_factory(Box::new(move || {
            new_reservation(SemanticsKind::default(), backend).map(Object::Plain)
        }));
        runner.backend = Some(backend);
        Ok(runner)
    }

    /// A runner whose objects are a member of a comparison: what a counterexample of `resv compare` is
    /// run on.
    pub fn of_member(member: &Member) -> Runner {
        let member = member.clone();
        Runner::from_factory(Box::new(move || {
            let object = MemberObject::new(member.clone());
            Ok(Object::Member(Box::new(object)))
        }))
    }

    /// A runner whose objects are made by `factory`: for semantics and back ends from elsewhere.
    ///
    /// The factory makes empty objects, all of one semantics.
    pub fn with_factory(
        factory: impl Fn() -> Box<dyn Reservation> + Send + Sync + 'static,
    ) -> Runner {
        Runner::from_factory(Box::new(move || Ok(Object::Plain(factory()))))
    }

    fn from_factory(factory: Factory) -> Runner {
        Runner {
            factory,
            backend: None,
            semantics: None,
            era: None,
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
            Statement::Timeline { name, tag } => self.declare_timeline(name, *tag)?,
            Statement::Lazy { name, timeline } => self.declare_lazy(name, timeline)?,
            Statement::Point {
                name,
                timeline,
                seqno,
            } => self.declare_point(name, timeline, *seqno)?,
            Statement::Era { era } => self.set_era(*era)?,
            Statement::File {
                resv,
                producer,
                fence,
                attached,
                explicit,
            } => {
                let job = &self.job(fence)?.fence;
                match self.object(resv)? {
                    Object::Plain(_) => return Err(no_era(resv)),
                    Object::Era(era, object) => {
                        objects::file(&**object, *era, job, *producer, *attached, *explicit)
                            .map_err(no_memory)?;
                    }
                    Object::Member(object) => object.file(job, *producer, *attached, *explicit),
                }
            }
            Statement::Attach { resv } => match self.object(resv)? {
                Object::Plain(_) => return Err(no_era(resv)),
                Object::Era(era, object) => objects::attach(&**object, *era).map_err(no_memory)?,
                Object::Member(object) => object.attach(),
            },
            Statement::Wait { resv, access } => {
                let entries = self.object(resv)?.waits_for(*access).map_err(no_memory)?;
                let waits = self.labels(entries.clone());
                entries.iter().for_each(|entry| begin_to_wait(&entry.fence));
                return Ok(Some(Value::Waits(waits)));
            }
            Statement::Ask { resv, asker, mode } => {
                return Ok(Some(Value::Waits(self.ask(resv, *asker, *mode)?)));
            }
            Statement::Asked { fence } => {
                let asked = self.job(fence)?.asked.load(Ordering::Relaxed);
                return Ok(Some(Value::Asked(asked)));
            }
            Statement::Fence {
                name,
                timeline,
                seqno,
            } => self.declare_fence(name, timeline, *seqno)?,
            Statement::Resv { name } => {
                unused(&self.objects, name, "object")?;
                let object = match (self.era, self.backend) {
                    (Some(era), Some(backend)) => new_reservation(era.semantics(), backend)
                        .map(|object| Object::Era(era, object)),
                    _ => (self.factory)(),
                };
                let object = object.map_err(|error| error.to_string())?;
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
                return Ok(Some(Value::Waits(self.labels(entries))));
            }
            Statement::Idle { resv, access } => {
                return Ok(Some(Value::Idle(self.object(resv)?.is_idle(*access))));
            }
            Statement::Failure { resv, access } => {
                return Ok(Some(Value::Failure(self.object(resv)?.failure(*access)?)));
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

    fn set_era(&mut self, era: Era) -> Result<(), String> {
        let implied = era.semantics();
        match (self.backend, self.semantics) {
            (None, _) => Err(format!(
                "era {era} is not for objects from elsewhere: expected objects of a semantics and a \
                 back end"
            )),
            (_, Some(semantics)) if semantics != implied => Err(format!(
                "era {era} implies {implied}, and the objects are to be {semantics}: expected an era of \
                 {semantics}, or no other semantics than {implied}"
            )),
            _ => {
                self.era = Some(era);
                Ok(())
            }
        }
    }

    fn ask(&self, resv: &Name, asker: Asker, mode: Mode) -> Result<Vec<FenceLabel>, String> {
        let fences = match self.object(resv)? {
            Object::Plain(_) => return Err(no_era(resv)),
            Object::Era(era, object) => {
                objects::wait_set(&**object, *era, asker, mode).map_err(no_memory)?
            }
            Object::Member(object) => object.wait_set(asker, mode).ok_or_else(|| no_era(resv))?,
        };
        let usage = Usage::Write;
        let entries = fences.into_iter().map(|fence| Entry { fence, usage });
        Ok(self.labels(entries.collect()))
    }

    fn declare_lazy(&mut self, name: &Name, timeline: &Name) -> Result<(), String> {
        unused(&self.fences, name, "fence")?;
        let at = self.timeline(timeline)?;
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let signaler = self.declared[at].1.issue_lazy(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        self.issue(name, timeline, at, signaler, asked)
    }

    /// A point is a fence for a place that need not have been issued, nor ever be.
    fn declare_point(&mut self, name: &Name, timeline: &Name, seqno: u64) -> Result<(), String> {
        unused(&self.fences, name, "fence")?;
        let at = self.timeline(timeline)?;
        if seqno == 0 || seqno > Timeline::MAX_SEQNO {
            return Err(seqno_error(SeqnoError::OutOfRange(seqno), timeline));
        }
        let job = Job {
            fence: self.declared[at].1.point(seqno),
            signals: Signals::WithTimeline,
            asked: Arc::default(),
        };
        self.fences.insert(name.clone(), job);
        Ok(())
    }

    fn declare_timeline(&mut self, name: &Name, tag: Tag) -> Result<(), String> {
        unused(&self.timelines, name, "timeline")?;
        let timeline = Timeline::tagged(name.as_str(), tag);
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
        };
        self.issue(name, timeline, at, signaler, Arc::default())
    }

    fn issue(
        &mut self,
        name: &Name,
        timeline: &Name,
        at: usize,
        issued: Result<Signaler, SeqnoError>,
        asked: Arc<AtomicUsize>,
    ) -> Result<(), String> {
        let signaler = issued.map_err(|error| seqno_error(error, timeline))?;
        let fence = signaler.fence().clone();
        self.issued.insert((at, fence.seqno()), name.clone());
        let job = Job {
            fence,
            signals: Signals::By(signaler),
            asked,
        };
        self.fences.insert(name.clone(), job);
        Ok(())
    }

    fn signal(&mut self, name: &Name, error: bool) -> Result<(), String> {
        let Some(job) = self.fences.get_mut(name) else {
            return Err(self.missing(name, "fence"));
        };
        match std::mem::replace(&mut job.signals, Signals::Done) {
            Signals::By(signaler) if error => signaler.signal_error(FenceError::IO),
            Signals::By(signaler) => signaler.signal(),
            Signals::Done => {
                return Err(format!(
                    "fence '{name}' has signalled already: expected a fence that is pending"
                ));
            }
            Signals::WithTimeline => {
                job.signals = Signals::WithTimeline;
                return Err(format!(
                    "'{name}' is a point, which signals with its timeline: expected a fence from a \
                     'fence' or 'lazy' line"
                ));
            }
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

    fn object(&self, name: &Name) -> Result<&Object, String> {
        let found = self.objects.get(name);
        found.ok_or_else(|| self.missing(name, "object"))
    }

    /// The fences in the order of answers, each once.
    fn labels(&self, entries: Vec<Entry>) -> Vec<FenceLabel> {
        let mut listed = self.listed(entries);
        listed.dedup_by(|a, b| a.fence == b.fence);
        listed.into_iter().map(|listed| listed.fence).collect()
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

    /// The entries in the order of answers; of what is made of several fences, those that are pending.
    fn listed(&self, entries: Vec<Entry>) -> Vec<Listed> {
        let mut entries: Vec<Entry> = entries
            .into_iter()
            .flat_map(|entry| {
                let usage = entry.usage;
                let leaves: Vec<Fence> = match entry.fence.is_composed() {
                    true => pending_leaves(&entry.fence).collect(),
                    false => vec![entry.fence],
                };
                leaves.into_iter().map(move |fence| Entry { fence, usage })
            })
            .collect();
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

fn no_era(resv: &Name) -> String {
    format!("object '{resv}' has no era: expected an 'era' line before its 'resv' line")
}

fn seqno_error(error: SeqnoError, timeline: &Name) -> String {
    match error {
        SeqnoError::OutOfRange(seqno) => format!(
            "seqno {seqno} is out of range: expected a number from 1 to {} (2^64-2)",
            Timeline::MAX_SEQNO
        ),
        SeqnoError::Exhausted => format!(
            "timeline '{timeline}' has used its greatest seqno: \
             expected a lower seqno that is not taken, or another timeline"
        ),
        other => format!("a fence of timeline '{timeline}' cannot be issued: {other}"),
    }
}

fn no_memory(error: ReserveError) -> String {
    format!("{error}: expected enough memory for the statement")
}
