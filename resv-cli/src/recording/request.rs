//! The requests of i915: jobs that its own events name by engine, context and seqno.
//!
//! | event | says |
//! |---|---|
//! | `i915_request_queue`, `_add`, `_submit` | the request was queued; the first of them counts |
//! | `i915_request_execute`, `_in` | it was handed to the engine; where both are recorded, `_in` counts |
//! | `i915_request_out` | it left the engine: for good if it says `completed?=1` (or `completed`), else it was preempted |
//! | `i915_request_retire` | it had ended some time before |
//! | `i915_request_wait_begin`, `_wait_end` | a task waited for it |
//!
//! The engine is `engine=CLASS:INSTANCE`, a name, or in older kernels `ring=NUMBER`; context and seqno are those of the
//! request's fence. Kernels before 4.18 say `i915_gem_request_`.

use super::event::{EventKind, FenceEvent, FenceStep, JobEvent, JobKey, JobSource, RequestDone};
use super::fault::FieldFault;
use super::fields::Fields;

fn key(fields: &Fields<'_>) -> Result<JobKey, FieldFault> {
    Ok(JobKey::Point {
        context: fields.number("ctx")?,
        seqno: fields.number("seqno")?,
    })
}

/// `engine=0:1` is `rcs1`; a name is itself; `ring=2` is `ring2`.
fn engine(fields: &Fields<'_>) -> String {
    const CLASSES: [&str; 5] = ["rcs", "bcs", "vcs", "vecs", "ccs"];
    let number = |text: &str| text.parse::<usize>().ok();
    match (fields.value("engine"), fields.value("ring")) {
        (Some(engine), _) => match engine.split_once(':').map(|(c, i)| (number(c), number(i))) {
            Some((Some(class), Some(instance))) => match CLASSES.get(class) {
                Some(name) => format!("{name}{instance}"),
                None => format!("engine{class}.{instance}"),
            },
            _ => engine.to_owned(),
        },
        (None, Some(ring)) if number(ring).is_some() => format!("ring{ring}"),
        (None, ring) => ring.unwrap_or_default().to_owned(),
    }
}

fn job(fields: &Fields<'_>, is_early: bool) -> Result<JobEvent, FieldFault> {
    Ok(JobEvent {
        source: JobSource::I915,
        key: key(fields)?,
        id: None,
        ring: engine(fields),
        timeline: None,
        dev: fields.value("dev").map(str::to_owned),
        entity: None,
        client: None,
        num_ibs: None,
        depends: Vec::new(),
        is_early,
    })
}

pub(super) fn submit(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    job(fields, false).map(EventKind::Submit)
}

pub(super) fn execute(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    job(fields, true).map(EventKind::Run)
}

pub(super) fn run(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    job(fields, false).map(EventKind::Run)
}

fn done(fields: &Fields<'_>, is_retired: bool) -> Result<EventKind, FieldFault> {
    Ok(EventKind::RequestDone(RequestDone {
        job: key(fields)?,
        engine: engine(fields),
        dev: fields.value("dev").map(str::to_owned),
        is_retired,
    }))
}

/// A request that leaves the engine uncompleted was preempted, and runs again.
pub(super) fn out(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    match fields.value("completed?") {
        Some("0") => Ok(EventKind::Other {
            name: fields.event.to_owned(),
        }),
        _ => done(fields, false),
    }
}

pub(super) fn complete(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    done(fields, false)
}

pub(super) fn retire(fields: &Fields<'_>) -> Result<EventKind, FieldFault> {
    done(fields, true)
}

pub(super) fn wait(fields: &Fields<'_>, step: FenceStep) -> Result<EventKind, FieldFault> {
    let JobKey::Point { context, seqno } = key(fields)? else {
        let (event, field) = (fields.event, "ctx");
        return Err(FieldFault::Malformed { event, field });
    };
    Ok(EventKind::Fence(FenceEvent {
        step,
        driver: "i915".to_owned(),
        timeline: engine(fields),
        context,
        seqno,
    }))
}
