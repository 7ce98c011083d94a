//! The events that this program understands, and their fields.
//!
//! | event line | becomes |
//! |---|---|
//! | `dma_fence_init`, `_emit`, `_enable_signal`, `_signaled`, `_destroy`, `_wait_start`, `_wait_end` | [`EventKind::Fence`] |
//! | `amdgpu_cs_ioctl`, `drm_sched_job`, `drm_sched_job_queue` | [`EventKind::Submit`] |
//! | `amdgpu_sched_run_job`, `drm_run_job`, `drm_sched_job_run` | [`EventKind::Run`] |
//! | `drm_sched_process_job`, `drm_sched_job_done` | [`EventKind::Done`] |
//! | `drm_sched_job_add_dep`, `drm_sched_job_unschedulable`, `drm_sched_job_wait_dep` | [`EventKind::Depends`] |
//! | `amdgpu_ttm_bo_move`, `amdgpu_bo_move` | [`EventKind::Move`] |
//! | `resv_add_fence` | [`EventKind::Add`] |
//! | `resv_waits_for` | [`EventKind::Ask`] |
//! | `resv_unlock` | [`EventKind::Unlock`] |
//! | any other | [`EventKind::Other`] |
//!
//! The `resv_*` events are not Linux': this project's library records them of itself (`resv_api::trace`, which says what they
//! mean).
//!
//! Kernels changed the fields over time: a job was named by the address of its fence before Linux 6.17 and by context and
//! seqno since, `amdgpu_cs_ioctl` has had four spellings. A field is therefore found by its name wherever it stands, written
//! `name=value` or `name:value`, ended by a comma or white space.

use resv_api::{Access, Usage};
use std::fmt;
use std::str::FromStr;

use super::stats::FieldFault;

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

/// Which tracer event told of a job. A recording may hold both for the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobSource {
    /// `amdgpu_*`.
    Amdgpu,
    /// The common GPU scheduler.
    DrmSched,
}

/// A job that was queued or handed to the hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// Who tells.
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
    /// Who waits.
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

/// Gives the event `name` its type.
pub(super) fn parse(name: &str, text: &str) -> Result<EventKind, FieldFault> {
    let fields = |event| Fields { event, text };
    let fence = |event, step| fence(&fields(event), step).map(EventKind::Fence);
    Ok(match name {
        "dma_fence_init" => fence("dma_fence_init", FenceStep::Init)?,
        "dma_fence_emit" => fence("dma_fence_emit", FenceStep::Emit)?,
        "dma_fence_enable_signal" => fence("dma_fence_enable_signal", FenceStep::EnableSignal)?,
        "dma_fence_signaled" => fence("dma_fence_signaled", FenceStep::Signaled)?,
        "dma_fence_destroy" => fence("dma_fence_destroy", FenceStep::Destroy)?,
        "dma_fence_wait_start" => fence("dma_fence_wait_start", FenceStep::WaitStart)?,
        "dma_fence_wait_end" => fence("dma_fence_wait_end", FenceStep::WaitEnd)?,
        "amdgpu_cs_ioctl" => EventKind::Submit(amdgpu_job(&fields("amdgpu_cs_ioctl"))?),
        "amdgpu_sched_run_job" => EventKind::Run(amdgpu_job(&fields("amdgpu_sched_run_job"))?),
        "drm_sched_job" => EventKind::Submit(scheduler_job(&fields("drm_sched_job"))?),
        "drm_sched_job_queue" => EventKind::Submit(scheduler_job(&fields("drm_sched_job_queue"))?),
        "drm_run_job" => EventKind::Run(scheduler_job(&fields("drm_run_job"))?),
        "drm_sched_job_run" => EventKind::Run(scheduler_job(&fields("drm_sched_job_run"))?),
        "drm_sched_process_job" => EventKind::Done {
            job: fields("drm_sched_process_job").job("fence")?,
        },
        "drm_sched_job_done" => EventKind::Done {
            job: fields("drm_sched_job_done").job("fence")?,
        },
        "drm_sched_job_add_dep" => EventKind::Depends(dependency(
            &fields("drm_sched_job_add_dep"),
            DependencyKind::Added,
        )?),
        "drm_sched_job_unschedulable" => EventKind::Depends(dependency(
            &fields("drm_sched_job_unschedulable"),
            DependencyKind::Blocked,
        )?),
        "drm_sched_job_wait_dep" => {
            EventKind::Depends(blocked_on_ring(&fields("drm_sched_job_wait_dep"))?)
        }
        "amdgpu_ttm_bo_move" => EventKind::Move(buffer_move(&fields("amdgpu_ttm_bo_move"))?),
        "amdgpu_bo_move" => EventKind::Move(buffer_move(&fields("amdgpu_bo_move"))?),
        "resv_add_fence" => EventKind::Add(add(&fields("resv_add_fence"))?),
        "resv_waits_for" => {
            let fields = fields("resv_waits_for");
            EventKind::Ask {
                resv: fields.number("resv")?,
                access: fields.word("access")?,
            }
        }
        "resv_unlock" => EventKind::Unlock {
            resv: fields("resv_unlock").number("resv")?,
        },
        other => EventKind::Other {
            name: other.to_owned(),
        },
    })
}

/// Names of drivers and timelines are free text, so in the kernel's order each field ends where the next begins, and the
/// numbers are taken from the end. In any other order no field holds spaces.
fn fence(fields: &Fields<'_>, step: FenceStep) -> Result<FenceEvent, FieldFault> {
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
    })
}

/// `fence=A depends on fence=B`: the same field twice, so each half is read alone.
fn dependency(fields: &Fields<'_>, kind: DependencyKind) -> Result<DependencyEvent, FieldFault> {
    let missing = FieldFault::Missing {
        event: fields.event,
        field: "depends on",
    };
    let (waiter, on) = fields.text.split_once("depends on").ok_or(missing)?;
    let half = |text| Fields { text, ..*fields };
    let waiter = Waiter::Job(half(waiter).job("fence")?);
    match half(on).job("fence")? {
        JobKey::Point { context, seqno } => Ok(DependencyEvent {
            kind,
            waiter,
            context,
            seqno,
            pointer: None,
        }),
        JobKey::Pointer(_) => Err(FieldFault::Malformed {
            event: fields.event,
            field: "depends on fence",
        }),
    }
}

fn blocked_on_ring(fields: &Fields<'_>) -> Result<DependencyEvent, FieldFault> {
    Ok(DependencyEvent {
        kind: DependencyKind::Blocked,
        waiter: Waiter::OnRing {
            ring: fields.text("ring")?.to_owned(),
            id: fields.number("id")?,
        },
        context: fields.number("context")?,
        seqno: fields.number(if fields.value("seqno").is_some() {
            "seqno"
        } else {
            "seq"
        })?,
        pointer: fields.value("fence").and_then(parse_address),
    })
}

fn buffer_move(fields: &Fields<'_>) -> Result<MoveEvent, FieldFault> {
    Ok(MoveEvent {
        bo: fields.address("bo")?,
        size: fields.number("bo_size")?,
        new_placement: fields.number("new_placement")?,
        old_placement: fields.number("old_placement")?,
    })
}

/// The fields of an event line, found by name.
#[derive(Clone, Copy)]
struct Fields<'a> {
    event: &'static str,
    text: &'a str,
}

impl<'a> Fields<'a> {
    /// Where `key` begins, followed by `=` or `:` and not part of a longer word.
    fn find(&self, key: &str) -> Option<usize> {
        self.text
            .match_indices(key)
            .map(|(at, _)| at)
            .find(|&at| self.is_key(at, key))
    }

    fn find_last(&self, key: &str) -> Option<usize> {
        self.text
            .rmatch_indices(key)
            .map(|(at, _)| at)
            .find(|&at| self.is_key(at, key))
    }

    /// Where the four fields of a fence begin, if they stand in the kernel's order.
    fn fence_order(&self) -> Option<[usize; 4]> {
        let seqno = self.find_last("seqno")?;
        let text = &self.text[..seqno];
        let context = Fields { text, ..*self }.find_last("context")?;
        let text = &self.text[..context];
        let before = Fields { text, ..*self };
        let (driver, timeline) = (before.find("driver")?, before.find("timeline")?);
        (driver < timeline).then_some([driver, timeline, context, seqno])
    }

    fn is_key(&self, at: usize, key: &str) -> bool {
        let before = self.text[..at].bytes().next_back();
        let inside = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        !inside && self.text[at + key.len()..].starts_with(['=', ':'])
    }

    /// The value of `key`, empty if nothing stands there.
    fn value(&self, key: &str) -> Option<&'a str> {
        let at = self.find(key)?;
        let text = self.text[at + key.len() + 1..].trim_start_matches(' ');
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace());
        Some(&text[..end.unwrap_or(text.len())])
    }

    fn text(&self, field: &'static str) -> Result<&'a str, FieldFault> {
        let event = self.event;
        self.value(field)
            .ok_or(FieldFault::Missing { event, field })
    }

    fn number(&self, field: &'static str) -> Result<u64, FieldFault> {
        self.parse_number(field, self.text(field)?)
    }

    fn word<T: FromStr>(&self, field: &'static str) -> Result<T, FieldFault> {
        let event = self.event;
        let malformed = |_| FieldFault::Malformed { event, field };
        self.text(field)?.parse().map_err(malformed)
    }

    fn optional(&self, field: &'static str) -> Result<Option<u64>, FieldFault> {
        self.value(field)
            .map(|text| self.parse_number(field, text))
            .transpose()
    }

    fn address(&self, field: &'static str) -> Result<u64, FieldFault> {
        let event = self.event;
        parse_address(self.text(field)?).ok_or(FieldFault::Malformed { event, field })
    }

    /// `CONTEXT:SEQNO` or an address.
    fn job(&self, field: &'static str) -> Result<JobKey, FieldFault> {
        let text = self.text(field)?;
        match text.split_once(':') {
            Some((context, seqno)) => Ok(JobKey::Point {
                context: self.parse_number(field, context)?,
                seqno: self.parse_number(field, seqno)?,
            }),
            None => self.address(field).map(JobKey::Pointer),
        }
    }

    fn parse_number(&self, field: &'static str, text: &str) -> Result<u64, FieldFault> {
        let event = self.event;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FieldFault::Malformed { event, field });
        }
        text.parse()
            .map_err(|_| FieldFault::OutOfRange { event, field })
    }
}
