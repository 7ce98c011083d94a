//! The first screen of a report: at most 40 lines that a driver developer would read aloud.

use std::io::{self, Write};

use super::details::{fence_parts, job_parts, wait_parts};
use super::document::{LongJobPart, RunPart, TimesPart};
use super::recorded::Recorded;
use super::report::Report;
use super::table::{Table, counted, ms, percent};
use super::times::Times;

/// How many rings, jobs, waits... are named: together with everything else, no more than 40 lines.
const RINGS: usize = 4;
const JOBS: usize = 3;
const WAITS: usize = 4;
const BLOCKED: usize = 2;
const OTHERS: usize = 5;

impl Report {
    /// Writes the first screen.
    ///
    /// # Errors
    /// As the writer.
    pub fn to_summary(&self, out: &mut impl Write) -> io::Result<()> {
        self.what(out)?;
        self.where_time_went(out)?;
        who_waited(&self.times, WAITS, BLOCKED, out)?;
        self.what_if(out)?;
        self.same_answers(out)
    }

    fn what(&self, out: &mut impl Write) -> io::Result<()> {
        let part = &self.recording;
        let work = match part.fences_played {
            0 => counted(part.jobs, "job"),
            fences => format!("no jobs, {}", counted(fences, "fence")),
        };
        writeln!(out, "RECORDING  {}", part.name)?;
        writeln!(
            out,
            "  {} in {}: {work} on {} and {}, {} of tasks",
            counted(part.events, "event"),
            ms(part.span_ns),
            counted(part.job_timelines, "timeline"),
            counted(self.times.rings.len() as u64, "ring"),
            counted(part.waits, "wait"),
        )?;
        let mut notes = Vec::new();
        let mut note = |count: u64, text: &str| {
            if count > 0 {
                notes.push(format!("{count} {text}"));
            }
        };
        note(part.jobs_cut_start, "begun before it");
        note(part.jobs_cut_end, "not ended in it");
        note(part.jobs_out_of_order, "out of order");
        note(part.lost_events, "events lost by the tracer");
        note(part.lines_skipped, "lines skipped");
        if !notes.is_empty() {
            writeln!(out, "  {}", notes.join(", "))?;
        }
        self.not_used(out)
    }

    /// Events that were read and not used; and what to record instead, where too little was.
    fn not_used(&self, out: &mut impl Write) -> io::Result<()> {
        let part = &self.recording;
        if part.other_events.is_empty() {
            return Ok(());
        }
        let mut others: Vec<(&String, &u64)> = part.other_events.iter().collect();
        others.sort_by_key(|&(name, count)| (std::cmp::Reverse(*count), name));
        let named = others
            .iter()
            .take(OTHERS)
            .map(|(name, count)| format!("{name} {count}"));
        let mut named: Vec<String> = named.collect();
        let further = others.len().saturating_sub(OTHERS);
        if further > 0 {
            named.push(format!("{further} other names"));
        }
        writeln!(out, "  not used: {}", named.join(", "))?;
        let used = part.events - part.other_events.values().sum::<u64>();
        let found = part
            .foreign
            .first()
            .filter(|found| part.jobs == 0 || found.events > used);
        match found {
            Some(found) => writeln!(
                out,
                "  {} of {} say nothing here: record {}",
                counted(found.events, "event"),
                found.driver,
                found.instead
            ),
            None => Ok(()),
        }
    }

    fn where_time_went(&self, out: &mut impl Write) -> io::Result<()> {
        let (times, span) = (&self.times, self.recording.span_ns);
        let busy: Vec<_> = times.rings.iter().filter(|ring| ring.busy_ns > 0).collect();
        writeln!(out, "\nWHERE THE TIME WENT")?;
        if busy.is_empty() {
            let noun = self.noun();
            match times.rings.is_empty() {
                true => writeln!(out, "  nothing was submitted")?,
                false => writeln!(
                    out,
                    "  no {noun} has both its beginning and its end in the recording"
                )?,
            }
        } else {
            let mut table = Table::new(2, 1);
            table.left_last();
            for ring in busy.iter().take(RINGS) {
                table.row([
                    ring.name.clone(),
                    format!("busy {}", percent(ring.busy_ns, span)),
                    ms(ring.busy_ns),
                    counted(ring.jobs, self.noun()),
                    match (&ring.longest_job, ring.longest_ns) {
                        (Some(job), Some(ns)) => format!("longest {} {job}", ms(ns)),
                        _ => String::new(),
                    },
                ]);
            }
            table.write(out)?;
            more(busy.len(), RINGS, "ring", out)?;
        }
        for job in times.longest_jobs.iter().take(JOBS) {
            writeln!(
                out,
                "  {:>12}  {}{}",
                ms(job.total_ns),
                job.job,
                job_note(job)
            )?;
        }
        for (watchdog, jobs) in times.watchdogs.iter().take(1) {
            writeln!(out, "  {} ended by {watchdog}", counted(*jobs, self.noun()))?;
        }
        Ok(())
    }

    fn what_if(&self, out: &mut impl Write) -> io::Result<()> {
        let runs = self.by_semantics();
        if runs.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nSEMANTICS  buffers by rule: {}", self.buffers.rule)?;
        if let Some(why) = &self.buffers.why {
            writeln!(out, "  {why}")?;
        }
        writeln!(out, "  {}", trust(&runs))?;
        if runs.iter().all(|run| run.counts.edges == 0) {
            return Ok(());
        }
        let mut table = Table::new(2, 1);
        let heads = [
            "",
            "edges",
            "recorded",
            "assumed",
            "stall, sum",
            "lost",
            "missed",
            "needless",
        ];
        table.row(heads.map(str::to_owned));
        for run in &runs {
            let counts = &run.counts;
            table.row([
                run.semantics.clone(),
                counts.edges.to_string(),
                counts.edges_recorded.to_string(),
                counts.edges_assumed.to_string(),
                ms(run.stall_ns),
                counts.lost.to_string(),
                counts.missed.to_string(),
                counts.needless.to_string(),
            ]);
        }
        table.write(out)?;
        if runs.iter().any(|run| run.counts.task_asks > 0) {
            let times: Vec<String> = runs.iter().map(|run| ms(run.counts.task_wait_ns)).collect();
            let asks = counted(runs[0].counts.task_asks, "time");
            writeln!(
                out,
                "  tasks asked {asks} for themselves; told to wait, sum: {}",
                times.join(", ")
            )?;
        }
        // The longest wait that is not recorded as such: it rests on the rule.
        let longest = runs
            .iter()
            .flat_map(|run| run.longest_waits.first())
            .max_by_key(|w| w.stall_ns);
        match longest {
            Some(wait) => writeln!(
                out,
                "  longest stall {}: {} for {}{}",
                ms(wait.stall_ns),
                wait.job,
                wait.dependency,
                if wait.recorded {
                    ", recorded"
                } else {
                    ", ASSUMED"
                }
            ),
            None => Ok(()),
        }
    }

    fn same_answers(&self, out: &mut impl Write) -> io::Result<()> {
        let mut backends: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !backends.contains(&run.backend.as_str()) {
                backends.push(&run.backend);
            }
        }
        let different: Vec<String> = self
            .runs
            .iter()
            .filter(|run| !run.identical_to_reference)
            .map(|run| format!("{} under {}", run.backend, run.semantics))
            .collect();
        let answers: u64 = self.by_semantics().iter().map(|run| run.answers).sum();
        let verdict = match (different.is_empty(), answers) {
            (true, 0) => "no object was asked anything".to_owned(),
            (true, _) => format!("{answers} answers each, all the same as those of locked"),
            (false, _) => format!("DIFFERENT from locked: {}", different.join(", ")),
        };
        writeln!(out, "\nBACK ENDS  {}: {verdict}", backends.join(", "))?;
        writeln!(
            out,
            "--full prints everything; --html FILE and --trace FILE draw it"
        )
    }

    /// What is played: jobs, or fences where the recording has no job.
    fn noun(&self) -> &'static str {
        match self.recording.fences_played {
            0 => "job",
            _ => "fence",
        }
    }
}

/// What waited for what: at most so many waits of tasks, and of jobs in the scheduler's queue.
pub(super) fn who_waited(
    times: &TimesPart,
    tasks: usize,
    jobs: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let waits = &times.waits;
    if waits.count == 0 && times.blocked.is_empty() && times.polls.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nWHO WAITED FOR WHOM")?;
    // Tasks first: a wait of theirs is what a person sees.
    for wait in waits.longest.iter().take(tasks) {
        let ended = match wait.ended {
            "signaled" => String::new(),
            ended => format!(" ({ended})"),
        };
        let (task, pid, fence) = (&wait.task, wait.pid, &wait.fence);
        let start = wait
            .start_of
            .as_ref()
            .map(|job| format!(", the start of {job}"));
        let start = start.unwrap_or_default();
        writeln!(
            out,
            "  {:>12}  {task}-{pid} for {fence}{start}{ended}",
            ms(wait.waited_ns)
        )?;
    }
    if waits.count > 0 {
        writeln!(
            out,
            "  {:>12}  in {} of tasks together: {} signaled, {} timed out, {} open",
            ms(waits.waited_ns),
            counted(waits.count, "wait"),
            waits.signaled,
            waits.timed_out,
            waits.open
        )?;
    }
    for blocked in times.blocked.iter().take(jobs) {
        let (job, on) = (&blocked.job, &blocked.on);
        writeln!(
            out,
            "  {:>12}  {job} in the scheduler's queue, for {on}",
            ms(blocked.waited_ns)
        )?;
    }
    for poll in times.polls.iter().take(jobs) {
        writeln!(
            out,
            "  {:>12}  {}-{} found {} busy for {} and went on, {}",
            ms(poll.busy_ns),
            poll.task,
            poll.pid,
            poll.buffer,
            poll.access,
            counted(poll.skipped, "time")
        )?;
    }
    Ok(())
}

fn more(count: usize, shown: usize, noun: &str, out: &mut impl Write) -> io::Result<()> {
    match count.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(
            out,
            "  and {}",
            counted(more as u64, &format!("further {noun}"))
        ),
    }
}

/// `: queued 0.100 ms, waited 0.700 ms for gfx#1234:567, hardware 5.000 ms`
pub(super) fn job_note(job: &LongJobPart) -> String {
    let mut parts = Vec::new();
    if let Some(queued) = job.queued_ns {
        let own = queued.saturating_sub(job.blocked_ns);
        parts.push(format!("queued {}", ms(own)));
    }
    if let (1.., Some(on)) = (job.blocked_ns, &job.blocked_on) {
        parts.push(format!("waited {} for {on}", ms(job.blocked_ns)));
    }
    match (job.hw_ns, job.ran_ns) {
        (Some(hw), Some(ran)) if hw != ran => {
            parts.push(format!("ran {}, hardware {}", ms(ran), ms(hw)));
        }
        (Some(hw), _) => parts.push(format!("hardware {}", ms(hw))),
        _ => {}
    }
    if let Some(watchdog) = &job.watchdog {
        parts.push(format!("end brought by {watchdog}"));
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!(": {}", parts.join(", ")),
    }
}

/// How far the edges can be trusted.
pub(super) fn trust(runs: &[&RunPart]) -> String {
    let Some(run) = runs.iter().max_by_key(|run| run.counts.edges_assumed) else {
        return String::new();
    };
    let (assumed, judged, contradicted) = (run.counts.edges_assumed, run.judged, run.contradicted);
    let semantics = &run.semantics;
    // The recording was made under one semantics: where the edges of any one hold, the rule is not in doubt.
    let is_doubtful = |run: &&RunPart| run.judged > 0 && run.contradicted * 10 > run.judged;
    let in_doubt = runs.iter().all(is_doubtful);
    if assumed == 0 {
        return match run.counts.edges_recorded {
            0 => "no edge between timelines is recorded; name a rule with --buffers to assume some"
                .to_owned(),
            _ => "every edge is recorded, none is assumed".to_owned(),
        };
    }
    match judged {
        0 => format!("{assumed} edges are ASSUMED, and the recording cannot judge one of them"),
        _ if in_doubt => format!(
            "DO NOT TRUST the assumed edges: the recording contradicts {contradicted} of the {judged} that it can judge"
        ),
        _ => format!(
            "{assumed} edges are ASSUMED under {semantics}; the recording contradicts {contradicted} of the {judged} that it can judge"
        ),
    }
}

/// Writes the times of every job, fence without a job and wait.
///
/// # Errors
/// As the writer.
pub fn times_to_text(recorded: &Recorded, times: &Times, out: &mut impl Write) -> io::Result<()> {
    let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), ms);
    writeln!(out, "\nJOBS")?;
    let mut table = Table::new(2, 2);
    table.row(["job", "ring", "queued", "ran", "hardware"].map(str::to_owned));
    for job in job_parts(recorded, times) {
        let [queued, ran, hw] = [job.queued_ns, job.ran_ns, job.hw_ns].map(time);
        table.row([job.job, job.ring, queued, ran, hw]);
    }
    table.write(out)?;
    writeln!(out, "\nFENCES OF NO JOB")?;
    let mut table = Table::new(2, 1);
    table.row(["fence", "busy"].map(str::to_owned));
    for fence in fence_parts(recorded) {
        table.row([fence.fence, time(fence.busy_ns)]);
    }
    table.write(out)?;
    writeln!(out, "\nWAITS OF TASKS")?;
    let mut table = Table::new(2, 2);
    table.row(["task", "for", "waited", "ended"].map(str::to_owned));
    for wait in wait_parts(recorded) {
        let task = format!("{}-{}", wait.task, wait.pid);
        table.row([task, wait.fence, ms(wait.waited_ns), wait.ended.to_owned()]);
    }
    table.write(out)
}
