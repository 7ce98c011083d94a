//! The report as text: what was read, what rests on what, and then one answer to each question.

use std::io::{self, Write};

use super::document::{RecordingPart, RunPart, WaitPart};
use super::report::Report;
use super::summary::{job_note, trust, who_waited};
use super::table::{Table, counted, ms, percent, rate};

/// How many kinds of other events are named.
const OTHERS_NAMED: usize = 8;
/// How many rings and timelines get a row of their own in the times.
const LANES_NAMED: usize = 32;
/// How many timelines get a row of their own.
const TIMELINES_NAMED: usize = 16;
/// How many lost fences are shown.
const LOST_SHOWN: usize = 3;

impl Report {
    /// Writes the report for people.
    ///
    /// # Errors
    /// As the writer.
    pub fn to_text(&self, out: &mut impl Write) -> io::Result<()> {
        recording(&self.recording, out)?;
        self.buffers(out)?;
        let semantics = self.by_semantics();
        if semantics.is_empty() {
            return Ok(());
        }
        self.times(out)?;
        writeln!(out, "\nTRUST  {}", trust(&semantics))?;
        edges(&semantics, out)?;
        stalls(&semantics, out)?;
        contradicted(&semantics, out)?;
        waits(&semantics, out)?;
        lost(&semantics, out)?;
        for difference in &self.differences {
            writeln!(out)?;
            difference.to_text(out)?;
        }
        self.backends(out)
    }

    fn buffers(&self, out: &mut impl Write) -> io::Result<()> {
        let part = &self.buffers;
        writeln!(out, "\nBUFFERS  rule: {}", part.rule)?;
        writeln!(out, "  {}.", part.description)?;
        if let Some(why) = &part.why {
            writeln!(out, "  Chosen, as nothing was said: {why}.")?;
        }
        let edges = if part.rule == "recorded" {
            "Edges that the objects give are ASSUMED: under the semantics recorded they were real. Recorded ones are counted apart."
        } else {
            "No event names a buffer: edges that rest on this rule are ASSUMED. Recorded ones are counted apart."
        };
        writeln!(out, "  {edges}")?;
        writeln!(
            out,
            "  {}, {} by {}; {} without a buffer",
            counted(part.buffers, "buffer"),
            counted(part.touches, "use"),
            counted(part.jobs, "job"),
            counted(part.jobs_without, "job"),
        )?;
        let mut notes = Vec::new();
        if part.jobs_ended_first > 0 {
            let jobs = counted(part.jobs_ended_first, "job");
            notes.push(format!("{jobs} left out (nothing seen before the end)"));
        }
        if part.moves_used + part.moves_unused > 0 {
            let (used, unused) = (part.moves_used, part.moves_unused);
            notes.push(format!("moves: {used} used, {unused} not"));
        }
        if part.lines_unused > 0 {
            let lines = counted(part.lines_unused, "line");
            notes.push(format!("{lines} of the file for no job here"));
        }
        if notes.is_empty() {
            return Ok(());
        }
        writeln!(out, "  {}", notes.join("; "))
    }

    /// Where the time went, in full.
    fn times(&self, out: &mut impl Write) -> io::Result<()> {
        let times = &self.times;
        for (title, lanes) in [("RINGS", &times.rings), ("TIMELINES", &times.timelines)] {
            writeln!(
                out,
                "\n{title}  busy: at least one job ran; hardware, longest: on the hardware"
            )?;
            let mut table = Table::new(2, 1);
            table.left_last();
            table.row(
                ["", "jobs", "busy", "of all", "hardware, sum", "longest", ""].map(str::to_owned),
            );
            for lane in lanes.iter().take(LANES_NAMED) {
                table.row([
                    lane.name.clone(),
                    lane.jobs.to_string(),
                    ms(lane.busy_ns),
                    percent(lane.busy_ns, self.recording.span_ns),
                    ms(lane.hw_ns),
                    lane.longest_ns.map_or_else(|| "-".to_owned(), ms),
                    lane.longest_job.clone().unwrap_or_default(),
                ]);
            }
            table.write(out)?;
            match lanes.len().saturating_sub(LANES_NAMED) {
                0 => {}
                more => writeln!(out, "  and {more} more")?,
            }
        }
        if !times.longest_jobs.is_empty() {
            writeln!(out, "\nLONGEST JOBS  from submission to end")?;
        }
        for job in &times.longest_jobs {
            writeln!(
                out,
                "  {:>12}  {}{}",
                ms(job.total_ns),
                job.job,
                job_note(job)
            )?;
        }
        for (watchdog, jobs) in &times.watchdogs {
            writeln!(out, "  {} ended by {watchdog}", counted(*jobs, "job"))?;
        }
        who_waited(times, usize::MAX, usize::MAX, out)
    }

    fn backends(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\nBACK ENDS  same = every answer (fences to wait for, idle tests, entries) is that of `locked`"
        )?;
        let mut table = Table::new(2, 3);
        let head = [
            "semantics",
            "back end",
            "same",
            "answers",
            "edges digest",
            "ops/s",
            "retries",
            "fallbacks",
            "peak garbage",
        ];
        table.row(head.map(str::to_owned));
        for run in &self.runs {
            table.row([
                run.semantics.clone(),
                run.backend.clone(),
                if run.identical_to_reference {
                    "yes"
                } else {
                    "NO"
                }
                .to_owned(),
                run.answers.to_string(),
                run.edges_digest.clone(),
                rate(run.ops_per_second),
                run.retries.to_string(),
                run.fallbacks.to_string(),
                run.peak_garbage.to_string(),
            ]);
        }
        table.write(out)
    }
}

fn recording(part: &RecordingPart, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "RECORDING  {}", part.name)?;
    let mut table = Table::new(2, 3);
    let mut row = |name: &str, number: u64, note: String| {
        table.row([name.to_owned(), format!("{number:>9}"), note]);
    };
    row(
        "lines",
        part.lines,
        format!(
            "{} events, {} headers, {} empty, {} stack frames, {} loss reports, {} skipped",
            part.events,
            part.headers,
            part.blank,
            part.call_chain,
            part.loss_reports,
            part.lines_skipped
        ),
    );
    row(
        "events",
        part.events,
        format!(
            "over {}; {} earlier than the line above (sorted by time)",
            ms(part.span_ns),
            part.backwards
        ),
    );
    row("submits", part.submits, "jobs queued".to_owned());
    row("runs", part.runs, "jobs handed to the hardware".to_owned());
    row(
        "signals",
        part.signals,
        format!(
            "{} of jobs, {} of fences that belong to no job (scheduled fences, hardware rings)",
            part.job_signals, part.fences
        ),
    );
    if part.dones > 0 {
        row("dones", part.dones, "jobs done".to_owned());
    }
    row("jobs", part.jobs, jobs_note(part));
    if part.fences_without_jobs > 0 {
        let mut note = "of no job".to_owned();
        if part.fences_played > 0 {
            note.push_str(", played like jobs: all counts of jobs below are of them");
        }
        if part.fences_unnumbered > 0 {
            let more = part.fences_unnumbered;
            note.push_str(&format!("; {more} more whose number is not known"));
        }
        row("fences", part.fences_without_jobs, note);
    }
    row(
        "cut",
        part.jobs_cut,
        format!(
            "jobs: {} without a submission, {} without an end; {} ended by a later signal of their timeline, {} of them out of order",
            part.jobs_cut_start, part.jobs_cut_end, part.implied, part.jobs_out_of_order
        ),
    );
    row(
        "timelines",
        part.timelines,
        format!("{} of them with jobs", part.job_timelines),
    );
    row(
        "dependencies",
        part.dependency_events,
        format!(
            "recorded: {} between jobs; {} within a timeline, {} on scheduled fences, {} on or of unknown fences",
            counted(part.dependencies, "pair"),
            part.dependencies_same_timeline,
            part.dependencies_scheduled,
            part.dependencies_unknown
        ),
    );
    if part.waits + part.waits_cut > 0 {
        let cut = part.waits_cut;
        let note = format!("for a fence, begun by tasks; {cut} ended that have no beginning");
        row("waits", part.waits, note);
    }
    if part.adds > 0 {
        let late = part.adds_late;
        let note = format!("fences added to reservation objects; {late} later than played");
        row("adds", part.adds, note);
    }
    row("moves", part.moves, "buffers moved".to_owned());
    let others = part.other_events.values().sum();
    row("other events", others, others_note(part));
    row(
        "lost events",
        part.lost_events,
        "by the tracer, as it says itself".to_owned(),
    );
    table.write(out)?;
    let known = part
        .known_events
        .iter()
        .map(|(name, count)| format!("{name} {count}"));
    writeln!(
        out,
        "  events used: {}",
        known.collect::<Vec<_>>().join(", ")
    )?;
    for foreign in &part.foreign {
        writeln!(
            out,
            "  {} of {} are not used ({} and others): record {}",
            counted(foreign.events, "event"),
            foreign.driver,
            foreign.example,
            foreign.instead
        )?;
    }
    for skipped in &part.skipped {
        let lines: Vec<String> = skipped.first.iter().map(u64::to_string).collect();
        let more = if skipped.lines > skipped.first.len() as u64 {
            ", ..."
        } else {
            ""
        };
        writeln!(
            out,
            "  skipped {}: {} (line {}{more})",
            counted(skipped.lines, "line"),
            skipped.reason,
            lines.join(", ")
        )?;
    }
    Ok(())
}

fn jobs_note(part: &RecordingPart) -> String {
    let mut note = format!("{} by the kernel", part.kernel_jobs);
    if part.jobs_by_address > 0 {
        let jobs = part.jobs_by_address;
        note.push_str(&format!(
            "; {jobs} known by address, their names are made up"
        ));
    }
    if part.reversed > 0 {
        let jobs = part.reversed;
        note.push_str(&format!(
            "; {jobs} recorded as ending before their submission"
        ));
    }
    note
}

fn others_note(part: &RecordingPart) -> String {
    let mut others: Vec<(&String, &u64)> = part.other_events.iter().collect();
    others.sort_by_key(|&(name, count)| (std::cmp::Reverse(*count), name));
    let names: Vec<String> = others
        .iter()
        .take(OTHERS_NAMED)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let more = others.len().saturating_sub(OTHERS_NAMED);
    match (names.is_empty(), more) {
        (true, _) => "of no use here".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{}, and {more} other names", names.join(", ")),
    }
}

fn heads(first: &str, runs: &[&RunPart], last: &str) -> Vec<String> {
    let names = runs.iter().map(|run| run.semantics.clone());
    let mut row: Vec<String> = std::iter::once(first.to_owned()).chain(names).collect();
    if !last.is_empty() {
        row.push(last.to_owned());
    }
    row
}

fn edges(runs: &[&RunPart], out: &mut impl Write) -> io::Result<()> {
    type Row = (&'static str, fn(&RunPart) -> String, &'static str);
    let rows: [Row; 18] = [
        (
            "edges",
            |r| r.counts.edges.to_string(),
            "pairs of jobs of different timelines",
        ),
        (
            "  recorded",
            |r| r.counts.edges_recorded.to_string(),
            "the recording has them, in every run",
        ),
        (
            "  ASSUMED",
            |r| r.counts.edges_assumed.to_string(),
            "only the objects have them: they rest on the rule",
        ),
        (
            "from objects",
            |r| r.counts.edges_from_objects.to_string(),
            "edges that the objects give, recorded or not",
        ),
        (
            "same timeline",
            |r| r.counts.same_timeline.to_string(),
            "answers that name it: in order anyway, no edges",
        ),
        (
            "superseded",
            |r| r.counts.superseded.to_string(),
            "pending fences that an add dropped",
        ),
        (
            "  LOST",
            |r| r.counts.lost.to_string(),
            "by a job that does not follow them",
        ),
        (
            "needless",
            |r| r.counts.needless.to_string(),
            "assumed edges between uses that do not conflict",
        ),
        (
            "missed",
            |r| r.counts.missed.to_string(),
            "conflicts that no edge from objects stands for",
        ),
        (
            "  for good",
            |r| r.counts.missed_for_good.to_string(),
            "nor does a recorded one",
        ),
        (
            "contradicted",
            |r| r.contradicted.to_string(),
            "assumed edges, but the waiter ran before: they count for nothing below",
        ),
        (
            "  of judged",
            |r| r.judged.to_string(),
            "assumed edges of which the recording tells",
        ),
        (
            "  recorded",
            |r| r.contradicted_recorded.to_string(),
            "recorded edges, but the waiter ran before",
        ),
        (
            "stall, sum",
            |r| ms(r.stall_ns),
            "over all jobs: submitted, and waiting for other timelines",
        ),
        ("  jobs", |r| r.stalled_jobs.to_string(), "that stall"),
        (
            "tasks asked",
            |r| r.counts.task_asks.to_string(),
            "objects for themselves, not for a job",
        ),
        (
            "  wait, sum",
            |r| ms(r.counts.task_wait_ns),
            "what they were told to wait for",
        ),
        (
            "  unknown",
            |r| r.stall_unknown_jobs.to_string(),
            "jobs that may stall longer: an end is not recorded",
        ),
    ];
    writeln!(out, "\nSEMANTICS")?;
    let mut table = Table::new(2, 1);
    table.row(heads("", runs, ""));
    for (name, value, note) in rows {
        let mut row = vec![name.to_owned()];
        row.extend(runs.iter().map(|run| value(run)));
        row.push(note.to_owned());
        table.row(row);
    }
    // The notes are the last column and read from the left.
    table.left_last();
    table.write(out)
}

fn stalls(runs: &[&RunPart], out: &mut impl Write) -> io::Result<()> {
    let Some(first) = runs.first() else {
        return Ok(());
    };
    writeln!(
        out,
        "\nSTALL BY TIMELINE  sums over jobs, at least; from submission to the last recorded end of a dependency"
    )?;
    let mut table = Table::new(2, 1);
    table.row(heads("timeline", runs, "jobs"));
    let stall = |run: &RunPart, at: usize| run.stall_by_timeline.get(at).map_or(0, |s| s.stall_ns);
    let mut places: Vec<usize> = (0..first.stall_by_timeline.len()).collect();
    places.sort_by_key(|&at| {
        let most = runs.iter().map(|run| stall(run, at)).max();
        (std::cmp::Reverse(most), at)
    });
    for &at in places.iter().take(TIMELINES_NAMED) {
        let part = &first.stall_by_timeline[at];
        let mut row = vec![part.timeline.clone()];
        row.extend(runs.iter().map(|run| ms(stall(run, at))));
        row.push(part.jobs.to_string());
        table.row(row);
    }
    table.write(out)?;
    match places.len().saturating_sub(TIMELINES_NAMED) {
        0 => Ok(()),
        more => writeln!(out, "  and {}", counted(more as u64, "further timeline")),
    }
}

fn waits(runs: &[&RunPart], out: &mut impl Write) -> io::Result<()> {
    let key = |run: &RunPart| {
        let waits = run.longest_waits.iter();
        let key = |w: &WaitPart| {
            let names = (w.job.clone(), w.dependency.clone(), w.why.clone());
            (w.stall_ns, names)
        };
        waits.map(key).collect::<Vec<_>>()
    };
    for (at, run) in runs.iter().enumerate() {
        if run.longest_waits.is_empty() {
            continue;
        }
        writeln!(out, "\nLONGEST WAITS  {}", run.semantics)?;
        if let Some(same) = runs[..at].iter().find(|other| key(other) == key(run)) {
            writeln!(out, "  the same as under {}", same.semantics)?;
            continue;
        }
        let mut table = Table::new(2, 5);
        for wait in &run.longest_waits {
            table.row([
                format!("{:>11}", ms(wait.stall_ns)),
                wait.job.clone(),
                format!("for {}", wait.dependency),
                match &wait.buffer {
                    Some(buffer) => format!("on {buffer}"),
                    None => "-".to_owned(),
                },
                wait.why.clone(),
            ]);
        }
        table.write(out)?;
    }
    Ok(())
}

/// The contradicted edges, apart from what counts.
fn contradicted(runs: &[&RunPart], out: &mut impl Write) -> io::Result<()> {
    for run in runs
        .iter()
        .filter(|run| !run.contradicted_examples.is_empty())
    {
        writeln!(
            out,
            "\nCONTRADICTED  {}: {} in which the waiter ran before the other had ended; the earliest:",
            run.semantics,
            counted(run.contradicted + run.contradicted_recorded, "edge")
        )?;
        let mut table = Table::new(2, 4);
        for wait in &run.contradicted_examples {
            table.row([
                format!("{:>11} before", ms(wait.stall_ns)),
                wait.job.clone(),
                format!("for {}", wait.dependency),
                wait.why.clone(),
            ]);
        }
        table.write(out)?;
    }
    Ok(())
}

fn lost(runs: &[&RunPart], out: &mut impl Write) -> io::Result<()> {
    for run in runs.iter().filter(|run| run.counts.lost > 0) {
        writeln!(
            out,
            "\nLOST  {}: {} dropped while pending, by a job that does not follow it",
            run.semantics,
            counted(run.counts.lost, "fence")
        )?;
        let mut table = Table::new(2, 5);
        for lost in run.lost_examples.iter().take(LOST_SHOWN) {
            let mut note = match lost.unguarded {
                0 => "nobody came after it".to_owned(),
                jobs => format!("{} not made to wait for it", counted(jobs, "later job")),
            };
            if let Some(first) = lost.unguarded_jobs.first() {
                note.push_str(&format!(": {first}"));
            }
            if lost.unguarded_recorded > 0 {
                note.push_str(&format!(" [{} recorded to]", lost.unguarded_recorded));
            }
            table.row([
                format!("{:>11}", ms(lost.at_ns)),
                format!("{} ({})", lost.job, lost.usage),
                format!("on {}", lost.buffer),
                format!("dropped by {}", lost.dropped_by),
                note,
            ]);
        }
        table.write(out)?;
        match run.counts.lost.saturating_sub(LOST_SHOWN as u64) {
            0 => {}
            more => writeln!(out, "  and {more} more")?,
        }
    }
    Ok(())
}
