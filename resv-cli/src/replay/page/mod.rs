//! The report as one page for a web browser: lanes of jobs and waits to zoom into, and tables that can be read without a script.
//!
//! The page needs nothing but itself: style, script and data stand in it, and its policy forbids it to fetch anything. The
//! script draws on a canvas what is in view, so a recording of 10^5 jobs stays smooth.

mod data;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::document::{LanePart, RunPart};
use super::play::Run;
use super::recorded::FenceRef;
use super::report::Report;
use super::summary::trust;
use super::table::{counted, ms, percent, signed_ms};
use super::times::Times;
use super::workload::Workload;

/// How many rows a table of the page has at most.
const ROWS: usize = 500;
/// Scripts only from the page itself, and nothing from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page. `runs` are the reference runs, one for each semantics.
///
/// # Errors
/// Never in practice: all of the data has a JSON form.
pub fn page(
    report: &Report,
    workload: &Workload,
    times: &Times,
    runs: &[Run],
) -> Result<String, serde_json::Error> {
    let data = data::Data::of(workload, times, runs);
    // In a script element only this character could end it.
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let semantics = report.by_semantics();
    let recording = &report.recording;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "resv: " (recording.name) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                h1 { (recording.name) }
                p {
                    (counted(recording.events, "event")) " in " (ms(recording.span_ns)) ", "
                    @if recording.fences_played > 0 { (counted(recording.fences_played, "fence")) " and no jobs" }
                    @else { (counted(recording.jobs, "job")) }
                    " on " (counted(recording.job_timelines, "timeline")) " and "
                    (counted(report.times.rings.len() as u64, "ring")) ", "
                    (counted(recording.waits, "wait")) " of tasks"
                }
                p.soft {
                    (recording.jobs_cut_start) " begun before it, " (recording.jobs_cut_end) " not ended in it, "
                    (recording.jobs_out_of_order) " out of order, " (recording.lost_events) " events lost, "
                    (recording.lines_skipped) " lines skipped"
                }
                (lanes(&semantics, data.left_out))
                (semantics_part(report, &semantics))
                (lane_table("Rings", &report.times.rings, recording.span_ns))
                (jobs_table(workload, times))
                (waits_table(workload))
                (lane_table("Timelines", &report.times.timelines, recording.span_ns))
                script #data type="application/json" { (PreEscaped(json)) }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    Ok(markup.into_string())
}

fn lanes(semantics: &[&RunPart], left_out: u64) -> Markup {
    html! {
        h2 { "Lanes" }
        noscript { p { "Without scripts there are no lanes; the tables below say the same." } }
        @if left_out > 0 { p.soft { (left_out) " edges are left out of the picture." } }
        div #tools .bar hidden {
            button type="button" value="+" { "Zoom in" }
            button type="button" value="-" { "Zoom out" }
            button type="button" value="0" { "All" }
            button type="button" value="p" { "Previous job" }
            button type="button" value="n" { "Next job" }
            label { "Assumed edges of " select #semantics {
                @for (place, run) in semantics.iter().enumerate() {
                    option value=(place) selected[place + 1 == semantics.len()] { (run.semantics) }
                }
            } }
            span.key style="--c: var(--queue)" { "queued" }
            span.key style="--c: var(--run)" { "on the hardware" }
            span.key style="--c: var(--ran)" { "handed over" }
            span.key style="--c: var(--wait)" { "a task waits" }
            span.key style="--c: var(--recorded)" { "recorded" }
            span.key style="--c: var(--assumed)" { "assumed" }
        }
        div #lanes hidden {
            canvas tabindex="0" role="application"
                aria-label="Lanes of jobs: plus and minus zoom, left and right move, 0 shows all, n and p select jobs" {}
        }
        div #tip hidden {}
        section #selected aria-live="polite" {}
    }
}

/// The semantics side by side; what differs from one to the next is highlighted.
fn semantics_part(report: &Report, runs: &[&RunPart]) -> Markup {
    type Row = (&'static str, fn(&RunPart) -> u64, bool);
    const TABLE: [Row; 10] = [
        ("edges", |r| r.counts.edges, false),
        ("recorded", |r| r.counts.edges_recorded, false),
        ("assumed", |r| r.counts.edges_assumed, false),
        ("contradicted", |r| r.contradicted, false),
        ("stall, sum over jobs", |r| r.stall_ns, true),
        ("jobs that stall", |r| r.stalled_jobs, false),
        (
            "fences superseded while pending",
            |r| r.counts.superseded,
            false,
        ),
        ("fences lost", |r| r.counts.lost, false),
        ("conflicts missed", |r| r.counts.missed, false),
        ("needless edges", |r| r.counts.needless, false),
    ];
    let trusted = trust(runs);
    html! {
        h2 { "Semantics side by side" }
        p { "Buffers by rule " strong { (report.buffers.rule) } ": " (report.buffers.description) "." }
        @if let Some(why) = &report.buffers.why { p.soft { "Chosen, as nothing was said: " (why) "." } }
        p.doubt[trusted.starts_with("DO NOT")] { (trusted) }
        div.scroll { table {
            thead { tr { th scope="col" {} @for run in runs { th.n scope="col" { (run.semantics) } } } }
            tbody { @for (name, value, is_time) in TABLE {
                @let values: Vec<u64> = runs.iter().map(|run| value(run)).collect();
                @let differ = values.windows(2).any(|pair| pair[0] != pair[1]);
                tr { th scope="row" { (name) } @for value in &values {
                    td.n.diff[differ] { @if is_time { (ms(*value)) } @else { (value) } }
                } }
            } }
        } }
        div.three {
            @for difference in &report.differences { div {
                h3 { (difference.a.semantics) " → " (difference.b.semantics) }
                p { "stall, sum " (signed_ms(difference.stall_change_ns)) ", " (difference.common) " edges in both" }
                @for side in [&difference.a, &difference.b] { @for group in &side.groups {
                    p { strong { (counted(group.edges, "edge")) " only in " (side.semantics) } ": " (group.reason) }
                    ul { @for example in &group.examples { li { (example) } } }
                } }
                @if difference.a.only_here + difference.b.only_here == 0 { p.soft { "every edge is the same" } }
            } }
            div {
                h3 { "Back ends" }
                @for run in &report.runs {
                    p.doubt[!run.identical_to_reference] {
                        (run.semantics) " on " (run.backend) ": " (counted(run.answers, "answer"))
                        @if run.identical_to_reference { ", all the same as those of locked" } @else { ", DIFFERENT from those of locked" }
                    }
                }
            }
        }
    }
}

fn lane_table(title: &str, lanes: &[LanePart], span_ns: u64) -> Markup {
    html! {
        h2 { (title) }
        div.scroll { table.sort {
            thead { tr {
                th scope="col" { "name" } th.n scope="col" { "jobs" } th.n scope="col" { "busy" } th.n scope="col" { "of all" }
                th.n scope="col" { "hardware, sum" } th.n scope="col" { "longest" } th scope="col" { "longest job" }
            } }
            tbody { @for lane in lanes.iter().take(ROWS) { tr {
                th scope="row" { (lane.name) }
                td.n data-v=(lane.jobs) { (lane.jobs) }
                td.n data-v=(lane.busy_ns) { (ms(lane.busy_ns)) }
                td.n data-v=(lane.busy_ns) { (percent(lane.busy_ns, span_ns)) }
                td.n data-v=(lane.hw_ns) { (ms(lane.hw_ns)) }
                (time(lane.longest_ns))
                td { @if let Some(job) = &lane.longest_job { (job) } }
            } } }
        } }
        (more(lanes.len()))
    }
}

/// A cell with a time, or with a dash.
fn time(ns: Option<u64>) -> Markup {
    html! {
        @match ns {
            Some(ns) => td.n data-v=(ns) { (ms(ns)) },
            None => td.n data-v="-1" { "-" },
        }
    }
}

fn more(count: usize) -> Markup {
    html! { @if count > ROWS { p.soft { "The first " (ROWS) " of " (count) "." } } }
}

fn jobs_table(workload: &Workload, times: &Times) -> Markup {
    let recorded = workload.recorded();
    let jobs = recorded.jobs();
    let total = |at: usize| {
        let job = &jobs[at];
        let begin = job.submit_ns.or(job.run_ns);
        begin
            .zip(job.done_ns)
            .map_or(0, |(begin, done)| done.saturating_sub(begin))
    };
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(total(at)));
    html! {
        h2 { "Jobs that took longest" }
        div.scroll { table.sort {
            thead { tr {
                th scope="col" { "job" } th scope="col" { "ring" } th.n scope="col" { "at" } th.n scope="col" { "in all" }
                th.n scope="col" { "queued" } th.n scope="col" { "ran" } th.n scope="col" { "hardware" } th scope="col" { "end brought by" }
            } }
            tbody { @for &at in order.iter().take(ROWS) {
                @let (job, time_of) = (&jobs[at], times.jobs[at]);
                tr {
                    th scope="row" { a href="#lanes" data-job=(at) { (recorded.job_name(at as u32)) } }
                    td { (recorded.rings()[job.ring as usize].name) }
                    (time(Some(recorded.since_start(job.begin_ns))))
                    (time(Some(total(at))))
                    (time(time_of.queued_ns)) (time(time_of.ran_ns)) (time(time_of.hw_ns))
                    td { (job.watchdog.unwrap_or("")) }
                }
            } }
        } }
        (more(jobs.len()))
    }
}

fn waits_table(workload: &Workload) -> Markup {
    let recorded = workload.recorded();
    let mut waits: Vec<_> = recorded.waits().iter().collect();
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.waited_ns));
    html! {
        h2 { "Waits of tasks" }
        @if waits.is_empty() { p.soft { "None is recorded." } } @else {
            div.scroll { table.sort {
                thead { tr {
                    th scope="col" { "task" } th scope="col" { "waits for" } th.n scope="col" { "at" }
                    th.n scope="col" { "waited" } th scope="col" { "ended" }
                } }
                tbody { @for wait in waits.iter().take(ROWS) { tr {
                    th scope="row" { (recorded.task_name(wait)) "-" (wait.pid) }
                    td { @if let FenceRef::Job(job) = wait.on {
                        a href="#lanes" data-job=(job) { (recorded.fence_name(wait.on)) }
                    } @else { (recorded.fence_name(wait.on)) } }
                    (time(Some(recorded.since_start(wait.begin_ns))))
                    (time(Some(wait.waited_ns)))
                    td { (wait.ended.name()) }
                } } }
            } }
            (more(waits.len()))
        }
    }
}
