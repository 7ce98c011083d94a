//! From an event's name and text to its type.
//!
//! Kernels changed the fields over time: a job was named by the address of its fence before Linux 6.17 and by context and
//! seqno since (`fence=57:4`; a series posted in June 2024 prints `fence=(context:57, seqno:4)`), `amdgpu_cs_ioctl` has had
//! four spellings. A field is therefore found by its name wherever it stands, written `name=value` or `name:value`, ended by
//! a comma or white space.

use super::event::{
    AddEvent, DependencyEvent, DependencyKind, EventKind, FenceEvent, FenceStep, JobEvent, JobKey,
    JobSource, MoveEvent, Waiter,
};
use super::fault::FieldFault;
use super::fields::{Fields, parse_address};
use super::request;
use super::watchdog;

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
