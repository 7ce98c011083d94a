//! `resv replay`: plays a recording of GPU work through reservation objects and reports.

use super::comparison::{Comparison, exit_code};
use crate::failure::Failure;
use crate::options::{DiffOptions, ReplayOptions};
use crate::output::Output;
use crate::recording::{self, ReadError, Reader};
use crate::replay::{
    BufferRule, FencePart, JobPart, Recorded, Report, StressReport, TaskWaitPart, Times, Workload,
    choose, diff_backends, diff_semantics, fence_parts, job_parts, load, page, stress,
    times_to_text, trace, wait_parts,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

/// Runs the command. The exit code is 1 when a back end did not answer as the reference does, or a
/// stress run failed.
///
/// # Errors
///
/// On bad input or output. A recording that breaks off in the middle is reported as far as it goes,
/// and is an error then.
pub fn run(options: &ReplayOptions) -> Result<ExitCode, Failure> {
    let rule = buffer_rule(options.buffers.as_deref(), &options.file)?;
    let mut output = Output::open(options.output.output.as_deref())?;
    let mut reader = recording::open(&options.file).map_err(Failure::new)?;
    let (recorded, broken_off) = read(&mut reader)?;
    let workload = rule.workload(recorded);
    let (semantics, backends) = (&options.semantics.0, &options.backend.0);
    let times = Times::of(workload.recorded());
    let report = Report::with_runs(&workload, &times, semantics, backends);
    let (report, runs) = report.map_err(Failure::new)?;

    let mut stressed = Vec::new();
    if let Some(threads) = options.threads {
        for &semantics in semantics {
            for &backend in backends {
                let run = stress(&workload, semantics, backend, threads.into());
                stressed.push(run.map_err(Failure::new)?);
            }
        }
    }

    let recorded = workload.recorded();
    if options.output.json {
        let document = Document {
            report: &report,
            stress: &stressed,
            jobs: options.times.then(|| job_parts(recorded, &times)),
            fences: options.times.then(|| fence_parts(recorded)),
            waits: options.times.then(|| wait_parts(recorded)),
        };
        let told = |error: serde_json::Error| {
            std::io::Error::new(
                error.io_error_kind().unwrap_or(std::io::ErrorKind::Other),
                error,
            )
        };
        output.with(|out| serde_json::to_writer_pretty(out, &document).map_err(told))?;
        output.line("")?;
    } else {
        output.with(|mut out| match options.full {
            true => report.to_text(&mut out),
            false => report.to_summary(&mut out),
        })?;
        if options.times {
            output.with(|mut out| times_to_text(recorded, &times, &mut out))?;
        }
        for run in &stressed {
            output.with(|mut out| run.to_text(&mut out))?;
        }
    }
    output.flush()?;
    if let Some(path) = &options.html {
        let page = page(&report, &workload, &times, &runs);
        let page = page.map_err(|error| Failure::at("page", error))?;
        let mut file = Output::open(Some(path))?;
        file.with(|out| out.write_all(page.as_bytes()))?;
        file.flush()?;
    }
    if let Some(path) = &options.trace {
        let mut file = Output::open(Some(path))?;
        file.with(|out| trace(&workload, &times, out))?;
        file.flush()?;
    }
    if let Some(error) = broken_off {
        return Err(Failure::new(error));
    }
    let sound = report.is_identical() && stressed.iter().all(StressReport::passed);
    Ok(ExitCode::from(u8::from(!sound)))
}

/// The report as JSON: one document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stress: &'a [StressReport],
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fences: Option<Vec<FencePart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<Vec<TaskWaitPart>>,
}

/// `resv diff` of a recording.
pub(super) fn diff_recording(
    name: &str,
    source: impl Read + Send + 'static,
    total: Option<u64>,
    options: &DiffOptions,
    comparison: Comparison,
) -> Result<ExitCode, Failure> {
    let rule = buffer_rule(options.buffers.as_deref(), &options.file)?;
    let mut output = Output::open(options.output.as_deref())?;
    // By its name a file can be handed to the program that owns its format.
    let reader = match options.file.as_os_str() == "-" {
        true => recording::open_stream(name, source, total),
        false => recording::open(&options.file),
    };
    let (recorded, broken_off) = read(&mut reader.map_err(Failure::new)?)?;
    let workload = rule.workload(recorded);
    let same = match comparison {
        Comparison::Semantics([a, b], backend) => {
            let diff = diff_semantics(&workload, a, b, backend).map_err(Failure::new)?;
            output.with(|mut out| diff.to_text(&mut out))?;
            true
        }
        Comparison::Backends(semantics, [a, b]) => {
            let diff = diff_backends(&workload, semantics, a, b).map_err(Failure::new)?;
            output.with(|mut out| diff.to_text(&mut out))?;
            diff.first_difference.is_none()
        }
    };
    output.flush()?;
    match broken_off {
        Some(error) => Err(Failure::new(error)),
        None => Ok(exit_code(comparison, same)),
    }
}

/// Reads a recording, with a progress bar if it is long and a person is watching. When it breaks off
/// in the middle, what came before is returned with the error.
fn read<R: BufRead>(reader: &mut Reader<R>) -> Result<(Recorded, Option<ReadError>), Failure> {
    let count = reader.byte_count();
    let total = count.as_ref().and_then(recording::ByteCount::total);
    let bar = match total {
        Some(total) if total >= LONG && std::io::stderr().is_terminal() => ProgressBar::new(total),
        _ => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("reading {bar:40} {bytes}/{total_bytes} {eta}")
    {
        bar.set_style(style);
    }
    let (recorded, broken_off) = load(reader, |_events| {
        if let Some(count) = &count {
            bar.set_position(count.read());
        }
    });
    bar.finish_and_clear();
    match broken_off {
        // Nothing was read: there is nothing to report on.
        Some(error) if recorded.stats().known() == 0 => Err(Failure::new(error)),
        Some(error) => Ok((recorded, Some(error))),
        None => {
            reader.finish().map_err(Failure::new)?;
            Ok((recorded, None))
        }
    }
}

/// A recording of this many bytes takes long enough to show how far it is.
const LONG: u64 = 4 << 20;

/// What the command line says about buffers.
enum Buffers {
    /// A rule.
    Rule(BufferRule),
    /// Nothing; there may be a sidecar.
    Choose(Option<BufferRule>),
}

impl Buffers {
    fn workload(&self, recorded: Recorded) -> Workload {
        match self {
            Buffers::Rule(rule) => Workload::new(recorded, rule),
            Buffers::Choose(sidecar) => choose(recorded, sidecar.as_ref()),
        }
    }
}

fn buffer_rule(word: Option<&str>, recording: &Path) -> Result<Buffers, Failure> {
    match word {
        None => BufferRule::for_recording(recording).map(Buffers::Choose),
        Some(word) => match BufferRule::parse(word) {
            Some(rule) => Ok(Buffers::Rule(rule)),
            None => BufferRule::load(Path::new(word)).map(Buffers::Rule),
        },
    }
    .map_err(Failure::new)
}
