//! The recording as Chrome trace JSON, which Perfetto and `chrome://tracing` open.
//!
//! | process | threads | slices |
//! |---|---|---|
//! | `jobs` | one for each timeline, a second where jobs overlap | from the run of a job (the end before it on its ring, if that is later) to its end; beside them, asynchronous, from submission to run |
//! | `tasks` | one for each task that waited | its waits |
//! | `fences without a job` | one for each timeline's name | from the beginning to the signal |
//! | `buffers` | | a counter for each: how many fences are pending in it |
//!
//! Arrows lead from the end of a dependency to the run of the job that waited for it (recorded dependencies only), and from the
//! end of a job to the end of a task's wait for it. Times are microseconds of the recording's clock.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::fences::readable;
use super::recorded::{FenceRef, JobId, Recorded};
use super::times::Times;
use super::workload::Workload;

const JOBS: u32 = 1;
const TASKS: u32 = 2;
const FENCES: u32 = 3;
const BUFFERS: u32 = 4;
/// At most so many tracks for what overlaps in one lane; what is beyond goes to the last one.
const TRACKS: usize = 32;

/// Writes the trace.
///
/// # Errors
/// As the writer.
pub fn trace(workload: &Workload, times: &Times, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer {
        out,
        is_first: true,
    };
    writer
        .out
        .write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
    let recorded = workload.recorded();
    for (pid, name) in [
        (JOBS, "jobs"),
        (TASKS, "tasks"),
        (FENCES, "fences without a job"),
        (BUFFERS, "buffers"),
    ] {
        writer.event(json!({"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}))?;
    }
    let tracks = jobs(recorded, times, &mut writer)?;
    dependencies(recorded, times, &tracks, &mut writer)?;
    waits(recorded, &tracks, &mut writer)?;
    if !recorded.plays_fences() {
        fences(recorded, &mut writer)?;
    }
    pending(workload, &mut writer)?;
    writer.out.write_all(b"\n]}\n")
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    is_first: bool,
}

impl Writer<'_> {
    fn event(&mut self, event: Value) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",\n")?;
        }
        write!(self.out, "{event}")
    }

    fn thread(&mut self, pid: u32, tid: u32, name: &str) -> io::Result<()> {
        self.event(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}))?;
        self.event(json!({"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": tid}}))
    }
}

/// Microseconds, to the nanosecond as far as a double goes.
fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// Tracks for spans that may overlap: slices of one track must not.
#[derive(Default)]
struct Tracks {
    /// For each lane its tracks: the number, and until when it is taken.
    lanes: HashMap<u32, Vec<(u32, u64)>>,
    next: u32,
}

impl Tracks {
    /// A track of `lane` that is free from `from` to `to`, and whether it is new. Spans come in order of `from`.
    fn place(&mut self, lane: u32, from: u64, to: u64) -> (u32, bool) {
        let tracks = self.lanes.entry(lane).or_default();
        if let Some(track) = tracks.iter_mut().find(|(_, until)| *until <= from) {
            track.1 = to;
            return (track.0, false);
        }
        if tracks.len() >= TRACKS
            && let Some(track) = tracks.last_mut()
        {
            track.1 = track.1.max(to);
            return (track.0, false);
        }
        self.next += 1;
        tracks.push((self.next, to));
        (self.next, true)
    }
}

/// The slices of jobs; the track of each job that has one.
fn jobs(
    recorded: &Recorded,
    times: &Times,
    writer: &mut Writer<'_>,
) -> io::Result<HashMap<JobId, u32>> {
    let mut spans: Vec<(u64, u64, JobId)> = Vec::new();
    for (id, job) in (0..).zip(recorded.jobs()) {
        if let (Some(submit), Some(run), false) =
            (job.submit_ns, job.run_ns, recorded.plays_fences())
        {
            let name = recorded.job_name(id);
            for (phase, at) in [("b", submit), ("e", run.max(submit))] {
                writer.event(json!({"ph": phase, "cat": "queued", "id": id, "name": format!("queued {name}"), "pid": JOBS, "tid": 0, "ts": us(at)}))?;
            }
        }
        if let (Some(hw), Some(done)) = (times.jobs[id as usize].hw_ns, job.done_ns) {
            spans.push((done - hw, done, id));
        }
    }
    spans.sort_unstable();
    let mut tracks = Tracks::default();
    let mut track_of = HashMap::with_capacity(spans.len());
    for (from, to, id) in spans {
        let job = &recorded.jobs()[id as usize];
        let (track, is_new) = tracks.place(job.timeline, from, to);
        if is_new {
            writer.thread(JOBS, track, &recorded.timeline_name(job.timeline))?;
        }
        track_of.insert(id, track);
        let time = times.jobs[id as usize];
        writer.event(json!({
            "ph": "X", "cat": "job", "name": recorded.job_name(id), "pid": JOBS, "tid": track,
            "ts": us(from), "dur": us(to - from),
            "args": {
                "ring": recorded.rings()[job.ring as usize].name,
                "queued_ns": time.queued_ns, "ran_ns": time.ran_ns, "hw_ns": time.hw_ns,
                "end_brought_by": job.watchdog,
            },
        }))?;
    }
    Ok(track_of)
}

/// An arrow from one slice to another.
fn arrow(
    writer: &mut Writer<'_>,
    name: &str,
    id: &str,
    [from, to]: [(u32, u32, u64); 2],
) -> io::Result<()> {
    for (phase, (pid, tid, at)) in [("s", from), ("f", to)] {
        let mut event = json!({"ph": phase, "cat": name, "name": name, "id": id, "pid": pid, "tid": tid, "ts": us(at)});
        if phase == "f" {
            // Bound to the slice around it, not to the next one.
            event["bp"] = "e".into();
        }
        writer.event(event)?;
    }
    Ok(())
}

fn dependencies(
    recorded: &Recorded,
    times: &Times,
    tracks: &HashMap<JobId, u32>,
    writer: &mut Writer<'_>,
) -> io::Result<()> {
    for (id, job) in (0..).zip(recorded.jobs()) {
        for &on in recorded.recorded_dependencies(id) {
            let (Some(&from), Some(&to)) = (tracks.get(&on), tracks.get(&id)) else {
                continue;
            };
            let end = recorded.jobs()[on as usize].done_ns.unwrap_or(0);
            let hw = times.jobs[id as usize].hw_ns.unwrap_or(0);
            let start = job.done_ns.map_or(0, |done| done - hw);
            // Within the slice: an arrow from its very end belongs to what comes after.
            let from = (JOBS, from, end.saturating_sub(1));
            arrow(
                writer,
                "dependency",
                &format!("d{on}-{id}"),
                [from, (JOBS, to, start)],
            )?;
        }
    }
    Ok(())
}

fn waits(
    recorded: &Recorded,
    tracks: &HashMap<JobId, u32>,
    writer: &mut Writer<'_>,
) -> io::Result<()> {
    let mut lanes: HashMap<u32, u32> = HashMap::new();
    let mut threads = Tracks::default();
    for (number, wait) in recorded.waits().iter().enumerate() {
        let next = lanes.len() as u32;
        let lane = *lanes.entry(wait.pid).or_insert(next);
        let end = wait.begin_ns + wait.waited_ns;
        let (thread, is_new) = threads.place(lane, wait.begin_ns, end);
        if is_new {
            writer.thread(
                TASKS,
                thread,
                &format!("{}-{}", recorded.task_name(wait), wait.pid),
            )?;
        }
        let fence = recorded.fence_name(wait.on);
        writer.event(json!({
            "ph": "X", "cat": "wait", "name": format!("wait for {fence}"), "pid": TASKS, "tid": thread,
            "ts": us(wait.begin_ns), "dur": us(wait.waited_ns), "args": {"ended": wait.ended.name()},
        }))?;
        let job = match wait.on {
            FenceRef::Job(job) => Some(job),
            FenceRef::Fence(place) => recorded.job_of_fence(place),
            FenceRef::Scheduled(_) | FenceRef::Other { .. } => None,
        };
        let Some((job, &track)) = job.and_then(|job| Some((job, tracks.get(&job)?))) else {
            continue;
        };
        if let Some(done) = recorded.jobs()[job as usize]
            .done_ns
            .filter(|&done| done <= end)
        {
            let from = (JOBS, track, done.saturating_sub(1));
            arrow(
                writer,
                "wait",
                &format!("w{number}"),
                [from, (TASKS, thread, end.saturating_sub(1))],
            )?;
        }
    }
    Ok(())
}

fn fences(recorded: &Recorded, writer: &mut Writer<'_>) -> io::Result<()> {
    let mut spans: Vec<(u64, u64, u32)> = Vec::new();
    for (place, info) in (0..).zip(recorded.fences()) {
        if let (Some(begin), Some(end)) = (info.begin_ns, info.signaled_ns) {
            spans.push((begin, end.max(begin), place));
        }
    }
    spans.sort_unstable();
    let mut lanes: HashMap<String, u32> = HashMap::new();
    let mut tracks = Tracks::default();
    for (from, to, place) in spans {
        let info = &recorded.fences()[place as usize];
        let name = recorded.contexts.get(&info.context);
        let name = name.map_or_else(String::new, |name| {
            format!("{} {}", readable(&name.driver), readable(&name.timeline))
        });
        let next = lanes.len() as u32;
        let lane = *lanes.entry(name.clone()).or_insert(next);
        let (track, is_new) = tracks.place(lane, from, to);
        if is_new {
            writer.thread(FENCES, track, &name)?;
        }
        writer.event(json!({
            "ph": "X", "cat": "fence", "name": recorded.fence_name(FenceRef::Fence(place)), "pid": FENCES,
            "tid": track, "ts": us(from), "dur": us(to - from), "args": {"busy_ns": info.busy_ns},
        }))?;
    }
    Ok(())
}

/// How many fences are pending in each buffer, as the rule has it.
fn pending(workload: &Workload, writer: &mut Writer<'_>) -> io::Result<()> {
    let mut pending = vec![0u32; workload.buffers().len()];
    for step in &workload.recorded.steps {
        for touch in workload.touches(step.job) {
            let count = &mut pending[touch.buffer as usize];
            *count = if step.is_end {
                count.saturating_sub(1)
            } else {
                *count + 1
            };
            let name = format!("pending {}", workload.buffers()[touch.buffer as usize]);
            writer.event(json!({
                "ph": "C", "name": name, "pid": BUFFERS, "tid": 0, "ts": us(step.at.time_ns), "args": {"fences": *count},
            }))?;
        }
    }
    Ok(())
}
