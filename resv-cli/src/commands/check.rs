//! `resv check`: the evidence of the conformance suite, gathered by a user.
//!
//! One line for each pair of semantics and back end that holds. The first failure ends the run, as a
//! scenario with what was seen as comments; every other line is a comment, too, so that the output is
//! a file for `resv script`.

use crate::failure::Failure;
use crate::options::CheckOptions;
use crate::output::Output;
use indicatif::{ProgressBar, ProgressStyle};
use resv_api::{BackendKind, NotCompiledIn};
use resv_conformance::Subject;
use resv_conformance::check::{self, Options, Report, check_with};
use resv_conformance::kernel;
use resv_core::SemanticsKind;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

type Checked = Result<Report, Box<check::Failure>>;
type Told<'t> = &'t mut dyn FnMut(&Report);

/// Runs the command. The exit code is 1 when something does not hold.
///
/// # Errors
///
/// When the output cannot be written, or a back end is not compiled in.
pub fn run(options: &CheckOptions) -> Result<ExitCode, Failure> {
    let output = Output::open(options.output.as_deref())?;
    if options.against.is_some() {
        return against_kernel(options, output);
    }
    // A property says by a panic what does not hold; it is caught, and told in our words.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = run_with(options, output, check_kinds);
    std::panic::set_hook(hook);
    result
}

/// Random scripts on the kernel's own objects and on ours.
fn against_kernel(options: &CheckOptions, mut output: Output) -> Result<ExitCode, Failure> {
    let all = options.semantics.0.len() == SemanticsKind::ALL.len();
    let linux = [SemanticsKind::UsageLevels];
    let semantics = if all {
        &linux
    } else {
        options.semantics.0.as_slice()
    };
    let pairs = (semantics.len() * options.backend.0.len()) as u32;
    let time = Duration::from_secs(options.seconds.into()) / pairs;
    let seed = options.seed.unwrap_or(Options::default().seed);
    output.line(format_args!("# seed {seed}"))?;
    for &semantics in semantics {
        for &backend in &options.backend.0 {
            let differs = match kernel::check(semantics, backend, seed, time, options.ops) {
                Ok(report) => {
                    output.line(format_args!(
                        "# {semantics} on {backend} against the kernel: {report}"
                    ))?;
                    output.flush()?;
                    continue;
                }
                Err(kernel::Failure::Differs(differs)) => differs,
                Err(failure) => return Err(Failure::new(failure)),
            };
            output.line(format_args!(
                "# FAILED: {semantics} on {backend} against the kernel"
            ))?;
            output.line(format_args!("# the kernel: {}", differs.kernel))?;
            output.line(format_args!("# resv: {}", differs.ours))?;
            let kinds = format!("--semantics {semantics} --backend {backend}");
            output.line(format_args!(
                "# again: resv check --against kernel {kinds} --seed {}",
                differs.seed
            ))?;
            output.line(format_args!("# run this file: resv script FILE {kinds}"))?;
            for line in differs.scenario.lines() {
                output.line(line)?;
            }
            output.flush()?;
            return Ok(ExitCode::from(1));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_with(
    options: &CheckOptions,
    mut output: Output,
    check: impl Fn(SemanticsKind, BackendKind, &Options, Told<'_>) -> Result<Checked, NotCompiledIn>,
) -> Result<ExitCode, Failure> {
    let (semantics, backends) = (&options.semantics.0, &options.backend.0);
    let pairs = semantics
        .iter()
        .flat_map(|&s| backends.iter().map(move |&b| (s, b)));
    let count = (semantics.len() * backends.len()) as u32;
    let defaults = Options::default();
    let each = Options {
        time: Duration::from_secs(options.seconds.into()) / count,
        operations: options.ops,
        threads: options.threads.into(),
        seed: options.seed.unwrap_or(defaults.seed),
    };
    output.line(format_args!("# seed {}", each.seed))?;
    output.flush()?;
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {prefix}: {msg}") {
        bar.set_style(style);
    }
    for (number, (semantics, backend)) in (1..).zip(pairs) {
        bar.set_prefix(format!("{number} of {count}, {semantics} on {backend}"));
        let mut told = |report: &Report| bar.set_message(report.to_string());
        let checked = check(semantics, backend, &each, &mut told).map_err(Failure::new)?;
        let told = bar.suspend(|| {
            match &checked {
                Ok(report) => output.line(format_args!("# {semantics} on {backend}: {report}")),
                Err(failure) => tell(&mut output, failure, semantics, backend, each.threads),
            }?;
            output.flush()
        });
        told?;
        if checked.is_err() {
            bar.finish_and_clear();
            return Ok(ExitCode::from(1));
        }
    }
    bar.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

/// A failure as a scenario: everything but its statements is a comment.
fn tell(
    output: &mut Output,
    failure: &check::Failure,
    semantics: SemanticsKind,
    backend: BackendKind,
    threads: usize,
) -> Result<(), Failure> {
    let check::Failure {
        on,
        part,
        what,
        seed,
        scenario,
    } = failure;
    output.line(format_args!("# FAILED: {on}: {part}"))?;
    for line in what.lines() {
        output.line(format_args!("# {line}"))?;
    }
    let kinds = format!("--semantics {semantics} --backend {backend}");
    if let Some(seed) = seed {
        output.line(format_args!(
            "# again: resv check {kinds} --threads {threads} --seed {seed}"
        ))?;
    }
    if let Some(scenario) = scenario {
        output.line(format_args!("# run this file: resv script FILE {kinds}"))?;
        for line in scenario.lines() {
            output.line(line)?;
        }
    }
    Ok(())
}

fn check_kinds(
    semantics: SemanticsKind,
    backend: BackendKind,
    options: &Options,
    told: Told<'_>,
) -> Result<Checked, NotCompiledIn> {
    let subject = Subject::of_kinds(semantics, backend)?;
    Ok(check_with(subject, options, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Command, Options as CommandLine};
    use clap::Parser;
    use resv_conformance::scenario::{Runner, Scenario};

    /// A failure ends the run with status 1 and is a scenario that runs as it stands.
    #[test]
    fn a_failure_is_printed_as_a_scenario() {
        let path = std::env::temp_dir().join(format!("resv-check-{}", std::process::id()));
        let arguments = [
            "resv",
            "check",
            "--semantics",
            "usage-levels",
            "--seed",
            "7",
        ];
        let Command::Check(options) = CommandLine::parse_from(arguments).command else {
            panic!("another command");
        };
        let output = Output::open(Some(&path)).expect("a file can be made");
        let code = run_with(&options, output, |_, backend, options, _| {
            assert_eq!((options.seed, options.threads), (7, 8));
            if backend != BackendKind::RcuArray {
                return Ok(Ok(Report::default()));
            }
            Ok(Err(Box::new(check::Failure {
                on: "usage-levels on rcu-array".to_owned(),
                part: "random script".to_owned(),
                what: "the list is -,\nexpected t0:1=write".to_owned(),
                seed: Some(9),
                scenario: Some("timeline t\nresv r\nlist r\n".to_owned()),
            })))
        });
        let text = std::fs::read_to_string(&path).expect("it was written");
        let _ = std::fs::remove_file(&path);
        assert_eq!(code.expect("no other failure"), ExitCode::from(1));
        assert!(text.contains("# seed 7\n"), "{text}");
        assert!(
            text.contains("# FAILED: usage-levels on rcu-array"),
            "{text}"
        );
        assert!(
            text.contains("--backend rcu-array --threads 8 --seed 9\n"),
            "{text}"
        );
        assert!(
            !text.contains("on locked"),
            "goes on after a failure: {text}"
        );
        let script = Scenario::parse(&text).expect("it is a scenario");
        let runner = Runner::new(SemanticsKind::UsageLevels, BackendKind::Locked);
        let answers = runner.expect("it is there").run(&script);
        assert_eq!(answers.expect("it is valid").len(), 1);
    }
}
