//! The events that this program understands, and their fields.
//!
//! | event line | becomes |
//! |---|---|
//! | `dma_fence_init`, `_emit`, `_enable_signal`, `_signaled`, `_destroy`, `_wait_start`, `_wait_end`; the same without `dma_`, as before Linux 4.10 | [`EventKind::Fence`] |
//! | `amdgpu_cs_ioctl`, `drm_sched_job`, `drm_sched_job_queue`, `i915_request_queue`, `_add`, `_submit` | [`EventKind::Submit`] |
//! | `amdgpu_sched_run_job`, `drm_run_job`, `drm_sched_job_run`, `i915_request_execute`, `_in` | [`EventKind::Run`] |
//! | `drm_sched_process_job`, `drm_sched_job_done`, `i915_request_out`, `_retire` | [`EventKind::Done`] |
//! | `drm_sched_job_add_dep`, `drm_sched_job_unschedulable`, `drm_sched_job_wait_dep` | [`EventKind::Depends`] |
//! | `i915_request_wait_begin`, `_wait_end` | [`EventKind::Fence`], as a wait |
//! | `amdgpu_ttm_bo_move`, `amdgpu_bo_move` | [`EventKind::Move`] |
//! | `resv_add_fence` | [`EventKind::Add`] |
//! | `resv_waits_for` | [`EventKind::Ask`] |
//! | `resv_busy` | [`EventKind::Busy`] |
//! | `resv_unlock` | [`EventKind::Unlock`] |
//! | a timer or a work item that looks for lost interrupts and hung jobs (`amdgpu_fence_fallback`, `drm_sched_job_timedout`, ...) | [`EventKind::Watchdog`] |
//! | any other | [`EventKind::Other`] |
//!
//! The `resv_*` events are not Linux': this project's library records them of itself (`resv_api::trace`, which says what they
//! mean). `i915_request_*` were named `i915_gem_request_*` before Linux 4.18.
//!
//! Kernels changed the fields over time: a job was named by the address of its fence before Linux 6.17 and by context and
//! seqno since (`fence=57:4`; a series posted in June 2024 prints `fence=(context:57, seqno:4)`), `amdgpu_cs_ioctl` has had
//! four spellings. A field is therefore found by its name wherever it stands, written `name=value` or `name:value`, ended by
//! a comma or white space.

use resv_api::{Access, Usage};
use std::fmt;

use super::fault::FieldFault;
use super::fields::Fields;
use super::request;
use super::watchdog;

/// One event of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of the recording's clock.
    pub time_ns: u64,
    /// The CPU it happened on, if the form tells.
    pub cpu: Option<u32>,
    /// The task that ran there, which need not be the one the event is about.
    pub comm: String,
    /// The task's thread id.
    pub pid: Option<u32>,
    /// The line it stands on, from 1.
    pub line: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A fence made a step in its life.
    Fence(FenceEvent),
    /// A job was queued.
    Submit(JobEvent),
    /// A job was handed to the hardware.
    Run(JobEvent),
    /// A job is done.
    Done {
        /// Which.
        job: JobKey,
    },
    /// A job of i915 left the hardware, or was retired.
    RequestDone(RequestDone),
    /// A timer or a work item ran that looks for lost interrupts and hung jobs: what ends next on this CPU, it brought about.
    Watchdog {
        /// The function.
        function: &'static str,
    },
    /// A job has to wait for a fence.
    Depends(DependencyEvent),
    /// A buffer changed its place in memory.
    Move(MoveEvent),
    /// A fence was added to a reservation object.
    Add(AddEvent),
    /// A task was told what an access to a reservation object must wait for.
    Ask {
        /// The number of the object.
        resv: u64,
        /// What it asked for.
        access: Access,
    },
    /// A task tested whether a reservation object is idle for an access, and it was not.
    Busy {
        /// The number of the object.
        resv: u64,
        /// What it asked for.
        access: Access,
    },
    /// A task's transaction on a reservation object ended.
    Unlock {
        /// The number of the object.
        resv: u64,
    },
    /// An event of no use here.
    Other {
        /// The event's name.
        name: String,
    },
}

/// How a recording names a job: by its *finished* fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKey {
    /// The fence's context and seqno, which are never reused. (`dma_fence_*` events print the low 32 bits of both.)
    Point {
        /// The timeline.
        context: u64,
        /// The place on it.
        seqno: u64,
    },
    /// The fence's address. After the job is done the same address may be another job's.
    Pointer(u64),
}

/// A step in a fence's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceStep {
    /// It was made.
    Init,
    /// The hardware was told to signal it.
    Emit,
    /// Somebody asked for its signal.
    EnableSignal,
    /// It signalled.
    Signaled,
    /// It was freed.
    Destroy,
    /// Somebody began to wait for it.
    WaitStart,
    /// Somebody's wait ended.
    WaitEnd,
}

/// A `dma_fence_*` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceEvent {
    /// What happened to the fence.
    pub step: FenceStep,
    /// The driver's name for itself.
    pub driver: String,
    /// The driver's name for the timeline; may be empty or hold spaces.
    pub timeline: String,
    /// The timeline, modulo 2^32.
    pub context: u64,
    /// The place on it, modulo 2^32.
    pub seqno: u64,
}

/// A fence that was added to a reservation object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddEvent {
    /// The number of the object.
    pub resv: u64,
    /// What the job does with the buffer.
    pub usage: Usage,
    /// The name of the fence's timeline.
    pub timeline: String,
    /// The fence's timeline, whole.
    pub context: u64,
    /// The place on it, whole.
    pub seqno: u64,
}

/// The end of an i915 request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDone {
    /// The job.
    pub job: JobKey,
    /// The engine it ran on.
    pub engine: String,
    /// The device.
    pub dev: Option<String>,
    /// It was retired some time after its end: this counts only where the end itself is not recorded.
    pub is_retired: bool,
}

/// Which tracer event told of a job. A recording may hold both for the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobSource {
    /// `amdgpu_*`.
    Amdgpu,
    /// The common GPU scheduler.
    DrmSched,
    /// `i915_request_*`.
    I915,
}

/// A job that was queued or handed to the hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// The task that tells.
    pub source: JobSource,
    /// The job.
    pub key: JobKey,
    /// The job's number, which newer kernels no longer print.
    pub id: Option<u64>,
    /// The ring as text; the oldest amdgpu events print an address here.
    pub ring: String,
    /// amdgpu's timeline name, the readable name of its ring.
    pub timeline: Option<String>,
    /// The device.
    pub dev: Option<String>,
    /// The address of the submitting queue, in the older scheduler events.
    pub entity: Option<u64>,
    /// The DRM client; 0 is the kernel.
    pub client: Option<u64>,
    /// amdgpu's number of command buffers.
    pub num_ibs: Option<u64>,
    /// Context and seqno of each fence that the job waits for, where the event itself lists them (June 2024).
    pub depends: Vec<(u64, u64)>,
    /// A later event of the same step says more exactly when it was (`i915_request_execute` before `i915_request_in`).
    pub is_early: bool,
}

impl JobEvent {
    /// The readable name of where the job runs.
    pub fn lane(&self) -> &str {
        self.timeline.as_deref().unwrap_or(&self.ring)
    }
}

/// How a job's dependency came to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DependencyKind {
    /// It was attached when the job was queued (`drm_sched_job_add_dep`).
    Added,
    /// The scheduler found it pending and let the job lie (`drm_sched_job_unschedulable`, earlier `drm_sched_job_wait_dep`).
    Blocked,
}

/// The job that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiter {
    /// Named as elsewhere.
    Job(JobKey),
    /// Named by its ring and its number there (`drm_sched_job_wait_dep`).
    OnRing {
        /// The ring.
        ring: String,
        /// [`JobEvent::id`].
        id: u64,
    },
}

/// A job and a fence that it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyEvent {
    /// How it is known.
    pub kind: DependencyKind,
    /// The waiter.
    pub waiter: Waiter,
    /// The fence's timeline.
    pub context: u64,
    /// The fence's place on it.
    pub seqno: u64,
    /// The fence's address, in the older form.
    pub pointer: Option<u64>,
}

/// A buffer that changed its place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveEvent {
    /// The buffer's address, possibly hashed by the kernel; the same for one buffer throughout a recording.
    pub bo: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Where to, as the kernel numbers memory types.
    pub new_placement: u64,
    /// Where from.
    pub old_placement: u64,
}

impl fmt::Display for JobKey {
    /// `CONTEXT:SEQNO` or `0x...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobKey::Point { context, seqno } => write!(f, "{context}:{seqno}"),
            JobKey::Pointer(address) => write!(f, "{address:#x}"),
        }
    }
}

/// Reads an address as tracers print it: `0x` and hexadecimal, or bare hexadecimal of full width (8 or 16 digits, with a
/// letter or a leading zero among them), or decimal.
pub fn parse_address(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` alone would take a sign.
        return hex
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u64::from_str_radix(hex, 16).ok())?;
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let full_width = text.len() == 8 || text.len() == 16;
    if full_width && (letter || text.starts_with('0')) {
        u64::from_str_radix(text, 16).ok()
    } else {
        text.parse().ok()
    }
}

/// How the fields of an event are read.
type Parser = fn(&Fields<'_>) -> Result<EventKind, FieldFault>;

/// The events that this program understands, by name.
const EVENTS: &[(&str, Parser)] = &[
    ("amdgpu_bo_move", buffer_move),
    ("amdgpu_cs_ioctl", |f| amdgpu_job(f).map(EventKind::Submit)),
    ("amdgpu_sched_run_job", |f| {
        amdgpu_job(f).map(EventKind::Run)
    }),
    ("amdgpu_ttm_bo_move", buffer_move),
    ("dma_fence_destroy", |f| step(f, FenceStep::Destroy)),
    ("dma_fence_emit", |f| step(f, FenceStep::Emit)),
    ("dma_fence_enable_signal", |f| {
        step(f, FenceStep::EnableSignal)
    }),
    ("dma_fence_init", |f| step(f, FenceStep::Init)),
    ("dma_fence_signaled", |f| step(f, FenceStep::Signaled)),
    ("dma_fence_wait_end", |f| step(f, FenceStep::WaitEnd)),
    ("dma_fence_wait_start", |f| step(f, FenceStep::WaitStart)),
    ("drm_run_job", |f| scheduler_job(f).map(EventKind::Run)),
    ("drm_sched_job", |f| scheduler_job(f).map(EventKind::Submit)),
    ("drm_sched_job_add_dep", |f| {
        dependency(f, DependencyKind::Added)
    }),
    ("drm_sched_job_done", done),
    ("drm_sched_job_queue", |f| {
        scheduler_job(f).map(EventKind::Submit)
    }),
    ("drm_sched_job_run", |f| {
        scheduler_job(f).map(EventKind::Run)
    }),
    ("drm_sched_job_unschedulable", |f| {
        dependency(f, DependencyKind::Blocked)
    }),
    ("drm_sched_job_wait_dep", blocked),
    ("drm_sched_process_job", done),
    ("fence_destroy", |f| step(f, FenceStep::Destroy)),
    ("fence_emit", |f| step(f, FenceStep::Emit)),
    ("fence_enable_signal", |f| step(f, FenceStep::EnableSignal)),
    ("fence_init", |f| step(f, FenceStep::Init)),
    ("fence_signaled", |f| step(f, FenceStep::Signaled)),
    ("fence_wait_end", |f| step(f, FenceStep::WaitEnd)),
    ("fence_wait_start", |f| step(f, FenceStep::WaitStart)),
    ("i915_gem_request_add", request::submit),
    ("i915_gem_request_complete", request::complete),
    ("i915_gem_request_execute", request::execute),
    ("i915_gem_request_in", request::run),
    ("i915_gem_request_out", request::out),
    ("i915_gem_request_queue", request::submit),
    ("i915_gem_request_retire", request::retire),
    ("i915_gem_request_submit", request::submit),
    ("i915_gem_request_wait_begin", |f| {
        request::wait(f, FenceStep::WaitStart)
    }),
    ("i915_gem_request_wait_end", |f| {
        request::wait(f, FenceStep::WaitEnd)
    }),
    ("i915_request_add", request::submit),
    ("i915_request_execute", request::execute),
    ("i915_request_guc_submit", request::submit),
    ("i915_request_in", request::run),
    ("i915_request_out", request::out),
    ("i915_request_queue", request::submit),
    ("i915_request_retire", request::retire),
    ("i915_request_submit", request::submit),
    ("i915_request_wait_begin", |f| {
        request::wait(f, FenceStep::WaitStart)
    }),
    ("i915_request_wait_end", |f| {
        request::wait(f, FenceStep::WaitEnd)
    }),
    ("resv_add_fence", |f| add(f).map(EventKind::Add)),
    ("resv_busy", |f| {
        Ok(EventKind::Busy {
            resv: f.number("resv")?,
            access: f.word("access")?,
        })
    }),
    ("resv_unlock", |f| {
        Ok(EventKind::Unlock {
            resv: f.number("resv")?,
        })
    }),
    ("resv_waits_for", |f| {
        Ok(EventKind::Ask {
            resv: f.number("resv")?,
            access: f.word("access")?,
        })
    }),
];

/// Whether other programs and drivers have used this name for events of their own, with other fields.
fn is_ambiguous(name: &str) -> bool {
    name.starts_with("fence_") || name.starts_with("i915_gem_")
}

/// An event with its fields; and its name, if it is one that this program understands.
pub(super) struct Parsed {
    pub(super) kind: EventKind,
    pub(super) name: Option<&'static str>,
}

/// Gives the event `name` its type.
pub(super) fn parse(name: &str, text: &str) -> Result<Parsed, FieldFault> {
    let other = || Parsed {
        kind: EventKind::Other {
            name: name.to_owned(),
        },
        name: None,
    };
    let Ok(place) = EVENTS.binary_search_by(|(event, _)| (*event).cmp(name)) else {
        return Ok(match watchdog::function(name, text) {
            Some(function) => Parsed {
                kind: EventKind::Watchdog { function },
                name: Some(function),
            },
            None => other(),
        });
    };
    let (event, parser) = EVENTS[place];
    match parser(&Fields { event, text }) {
        Ok(EventKind::Other { .. }) => Ok(other()),
        Ok(kind) => Ok(Parsed {
            kind,
            name: Some(event),
        }),
        Err(_) if is_ambiguous(event) => Ok(other()),
        Err(fault) => Err(fault),
    }
}

fn step(fields: &Fields<'_>, step: FenceStep) -> Result<EventKind, FieldFault> {
    fence(fields, step).map(EventKind::Fence)
}

fn done(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    Ok(EventKind::Done {
        job: fields.job("fence")?,
    })
}

/// Names of drivers and timelines are free text, so in the kernel's order each field ends where the next begins, and the
/// numbers are taken from the end. In any other order no field holds spaces.
fn fence(fields: &Fields<'_>, step: FenceStep) -> Result<FenceEvent, FieldFault> {
    if let Some(event) = plain_fence(fields.text, step) {
        return Ok(event);
    }
    let Some([driver, timeline, context, seqno]) = fields.fence_order() else {
        return Ok(FenceEvent {
            step,
            driver: fields.text("driver")?.to_owned(),
            timeline: fields.text("timeline")?.to_owned(),
            context: fields.number("context")?,
            seqno: fields.number("seqno")?,
        });
    };
    let between = |from: usize, key: &str, to: usize| {
        let value = &fields.text[from + key.len() + 1..to];
        value.trim_ascii().trim_end_matches(',').to_owned()
    };
    let tail = |at: usize| Fields {
        text: &fields.text[at..],
        ..*fields
    };
    Ok(FenceEvent {
        step,
        driver: between(driver, "driver", timeline),
        timeline: between(timeline, "timeline", context),
        context: tail(context).number("context")?,
        seqno: tail(seqno).number("seqno")?,
    })
}

/// The form that nearly every line has: `driver=D timeline=T context=C seqno=N`, and nothing behind it.
fn plain_fence(text: &str, step: FenceStep) -> Option<FenceEvent> {
    let number = |word: &str, key: &str| {
        let digits = word.strip_prefix(key)?.strip_prefix('=')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    };
    let (rest, seqno) = text.strip_prefix("driver=")?.rsplit_once(' ')?;
    let seqno = number(seqno, "seqno")?;
    let (rest, context) = rest.rsplit_once(' ')?;
    let context = number(context, "context")?;
    let (driver, timeline) = rest.split_once(" timeline=")?;
    let is_plain = |name: &str| !name.ends_with([' ', ',']) && !name.starts_with(' ');
    (is_plain(driver) && is_plain(timeline)).then(|| FenceEvent {
        step,
        driver: driver.to_owned(),
        timeline: timeline.to_owned(),
        context,
        seqno,
    })
}

fn add(fields: &Fields<'_>) -> Result<AddEvent, FieldFault> {
    // The object's own fields stand before those of the fence.
    let (resv, usage) = (fields.number("resv")?, fields.word("usage")?);
    let fence = fence(fields, FenceStep::Emit)?;
    Ok(AddEvent {
        resv,
        usage,
        timeline: fence.timeline,
        context: fence.context,
        seqno: fence.seqno,
    })
}

fn amdgpu_job(fields: &Fields<'_>) -> Result<JobEvent, FieldFault> {
    // Early kernels print an address as `fence`, the newest context and seqno.
    let key = match (fields.value("context"), fields.value("fence")) {
        (_, Some(fence)) if fence.starts_with('(') => fields.job("fence")?,
        (None, Some(fence)) if fence.contains(':') => fields.job("fence")?,
        _ => JobKey::Point {
            context: fields.number("context")?,
            seqno: fields.number("seqno")?,
        },
    };
    let id = match fields.optional("sched_job_id")? {
        Some(id) => Some(id),
        None => fields.optional("sched_job")?,
    };
    Ok(JobEvent {
        source: JobSource::Amdgpu,
        key,
        id,
        ring: fields.value("ring_name").unwrap_or_default().to_owned(),
        timeline: fields.value("timeline").map(str::to_owned),
        dev: None,
        entity: None,
        client: None,
        num_ibs: fields.optional("num_ibs")?,
        depends: Vec::new(),
        is_early: false,
    })
}

fn scheduler_job(fields: &Fields<'_>) -> Result<JobEvent, FieldFault> {
    Ok(JobEvent {
        source: JobSource::DrmSched,
        key: fields.job("fence")?,
        id: fields.optional("id")?,
        ring: fields.text("ring")?.to_owned(),
        timeline: None,
        dev: fields.value("dev").map(str::to_owned),
        entity: fields.value("entity").and_then(parse_address),
        client: fields.optional("client_id")?,
        num_ibs: None,
        depends: fields.list("dependencies")?,
        is_early: false,
    })
}

/// `fence=A depends on fence=B`: the same field twice, so each half is read alone.
fn dependency(fields: &Fields<'_>, kind: DependencyKind) -> Result<EventKind, FieldFault> {
    let missing = FieldFault::Missing {
        event: fields.event,
        field: "depends on",
    };
    let (waiter, on) = fields.text.split_once("depends on").ok_or(missing)?;
    let half = |text| Fields { text, ..*fields };
    let waiter = Waiter::Job(half(waiter).job("fence")?);
    match half(on).job("fence")? {
        JobKey::Point { context, seqno } => Ok(EventKind::Depends(DependencyEvent {
            kind,
            waiter,
            context,
            seqno,
            pointer: None,
        })),
        JobKey::Pointer(_) => Err(FieldFault::Malformed {
            event: fields.event,
            field: "depends on fence",
        }),
    }
}

/// `job ring=R, id=N, depends fence=0x..., context=C, seq=N`; in the form of June 2024 both are named by their fences.
fn blocked(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    if fields.text.contains("depends on") {
        return dependency(fields, DependencyKind::Blocked);
    }
    let seqno = match fields.value("seqno") {
        Some(_) => fields.number("seqno")?,
        None => fields.number("seq")?,
    };
    Ok(EventKind::Depends(DependencyEvent {
        kind: DependencyKind::Blocked,
        waiter: Waiter::OnRing {
            ring: fields.text("ring")?.to_owned(),
            id: fields.number("id")?,
        },
        context: fields.number("context")?,
        seqno,
        pointer: fields.value("fence").and_then(parse_address),
    }))
}

fn buffer_move(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    Ok(EventKind::Move(MoveEvent {
        bo: fields.address("bo")?,
        size: fields.number("bo_size")?,
        new_placement: fields.number("new_placement")?,
        old_placement: fields.number("old_placement")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_it_can_be_searched() {
        assert!(EVENTS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
