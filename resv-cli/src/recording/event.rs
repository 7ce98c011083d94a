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

use resv_api::{Access, Usage};
use std::fmt;

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
    /// Its signal was asked for.
    EnableSignal,
    /// It signalled.
    Signaled,
    /// It was freed.
    Destroy,
    /// A wait for it began.
    WaitStart,
    /// A wait for it ended.
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
