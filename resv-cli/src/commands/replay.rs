//! `resv replay`: plays a recording of GPU work through reservation objects and reports.

use super::diff::{Comparison, exit_code};
use crate::failure::Failure;
use crate::options::{DiffOptions, ReplayOptions};
use crate::output::Output;
use crate::recording::{self, ReadError, Reader};
use crate::replay::{
    BufferRule, Recorded, Report, StressReport, Workload, diff_backends, diff_semantics, load,
    stress,
};
use indicatif::{ProgressBar, ProgressStyle};
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
    let rule = match options.buffers {
        None => rule.or_recorded(&recorded),
        Some(_) => rule,
    };
    let workload = Workload::new(recorded, &rule);
    let (semantics, backends) = (&options.semantics.0, &options.backend.0);
    let report = Report::new(&workload, semantics, backends).map_err(Failure::new)?;

    let mut stressed = Vec::new();
    if let Some(threads) = options.threads {
        for &semantics in semantics {
            for &backend in backends {
                let run = stress(&workload, semantics, backend, threads.into());
                stressed.push(run.map_err(Failure::new)?);
            }
        }
    }

    if options.output.json {
        output.line(to_json(&report, &stressed)?)?;
    } else {
        output.with(|mut out| report.to_text(&mut out))?;
        for run in &stressed {
            output.with(|mut out| run.to_text(&mut out))?;
        }
    }
    output.flush()?;
    if let Some(error) = broken_off {
        return Err(Failure::new(error));
    }
    let sound = report.is_identical() && stressed.iter().all(StressReport::passed);
    Ok(ExitCode::from(u8::from(!sound)))
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
    let mut reader = recording::open_stream(name, source, total).map_err(Failure::new)?;
    let (recorded, broken_off) = read(&mut reader)?;
    let rule = match options.buffers {
        None => rule.or_recorded(&recorded),
        Some(_) => rule,
    };
    let workload = Workload::new(recorded, &rule);
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

fn buffer_rule(word: Option<&str>, recording: &Path) -> Result<BufferRule, Failure> {
    let rule = match word {
        None => BufferRule::for_recording(recording),
        Some(word) => match BufferRule::parse(word) {
            Some(rule) => Ok(rule),
            None => BufferRule::load(Path::new(word)),
        },
    };
    rule.map_err(Failure::new)
}

fn to_json(report: &Report, stressed: &[StressReport]) -> Result<String, Failure> {
    let error = |error| Failure::at("report", error);
    let mut document = report.to_json().map_err(error)?;
    if !stressed.is_empty() {
        document["stress"] = serde_json::to_value(stressed).map_err(error)?;
    }
    serde_json::to_string_pretty(&document).map_err(error)
}
