//! The stress program: `resv_conformance::stress` for all semantics and back ends in turn.
//!
//! Exit status: 0, or 1 when something was found not to be true, or 2 when the program could not do
//! what it was asked.

use clap::Parser;
use resv_api::lock::Algorithm;
use resv_api::{BackendKind, SemanticsKind};
use resv_conformance::Subject;
use resv_conformance::stress::{self, Config, Failure, Tally, leftovers};
use resv_core::{Backend, Semantics};
use std::ffi::OsString;
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Locks, edits, signals and waits with many threads at once, and checks that nothing hangs, is lost
/// or left over.
#[derive(Debug, Parser)]
#[command(name = "stress")]
struct Options {
    /// How long in all; each phase does at least one round
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// How many threads contend
    #[arg(long, default_value_t = 4, value_name = "M", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// How many objects there are
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    objects: u16,
    /// How many objects a transaction locks
    #[arg(long, default_value_t = 4, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    locks: u16,
    /// What the threads' choices follow from; at random unless given, and always printed
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Back ends, separated by commas, or all; a wrong name is told which there are
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = backends)]
    backend: Choice<BackendKind>,
    /// Semantics, separated by commas, or all; a wrong name is told which there are
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = semantics)]
    semantics: Choice<SemanticsKind>,
    /// wound-wait, wait-die or both
    #[arg(long, default_value = "both", value_name = "NAME", value_parser = algorithms)]
    algorithm: Choice<Algorithm>,
    /// For how many seconds a thread may make no progress at all before that is a hang
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
}

/// Members of a kind.
#[derive(Clone, Debug)]
struct Choice<T>(Vec<T>);

fn choice<T: Copy + FromStr<Err: Display>>(words: &str, all: &[T]) -> Result<Choice<T>, String> {
    if words == "all" {
        return Ok(Choice(all.to_vec()));
    }
    let parse = |word: &str| {
        word.parse()
            .map_err(|error: T::Err| format!("{error}, or all"))
    };
    words
        .split(',')
        .map(parse)
        .collect::<Result<_, _>>()
        .map(Choice)
}

fn backends(words: &str) -> Result<Choice<BackendKind>, String> {
    choice(words, &BackendKind::ALL)
}

fn semantics(words: &str) -> Result<Choice<SemanticsKind>, String> {
    choice(words, &SemanticsKind::ALL)
}

fn algorithms(word: &str) -> Result<Choice<Algorithm>, String> {
    let chosen = Algorithm::ALL.into_iter();
    let chosen: Vec<_> = chosen
        .filter(|it| word == "both" || word == it.name())
        .collect();
    if chosen.is_empty() {
        return Err("expected wound-wait, wait-die or both".to_owned());
    }
    Ok(Choice(chosen))
}

/// Whether a subject is chosen; one that has a name of its own always is.
fn is_wanted(subject: &Subject, options: &Options) -> bool {
    let (semantics, backend) = (
        subject.semantics().name().parse(),
        subject.backend().name().parse(),
    );
    backend.map_or(true, |it| options.backend.0.contains(&it))
        && semantics.map_or(true, |it| options.semantics.0.contains(&it))
}

/// Why a run has ended before its end.
enum End {
    Failed(Failure),
    CannotPrint(io::Error),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failed(failure)
    }
}

/// Runs the chosen ones of `subjects`; answers the exit status.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>, subjects: &[Subject]) -> u8 {
    let options = Options::parse_from(args);
    if options.locks > options.objects {
        let (locks, objects) = (options.locks, options.objects);
        return end(
            2,
            format_args!(
                "--locks {locks} is more than --objects {objects}: a transaction locks different \
                 objects, so ask for fewer locks or more objects"
            ),
        );
    }
    match run(&options, subjects) {
        Ok(()) => 0,
        Err(End::Failed(failure)) => end(1, format_args!("FAILED: {failure}")),
        Err(End::CannotPrint(error)) => end(
            2,
            format_args!("standard output: cannot write: {error}; nothing was found up to here"),
        ),
    }
}

fn end(status: u8, message: impl Display) -> u8 {
    // A closed standard error leaves nothing to be done but to end.
    let _ = writeln!(io::stderr(), "stress: {message}");
    status
}

fn say(line: impl Display) -> Result<(), End> {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{line}").and_then(|()| out.flush());
    said.map_err(End::CannotPrint)
}

fn run(options: &Options, subjects: &[Subject]) -> Result<(), End> {
    let seed = options
        .seed
        .unwrap_or_else(|| RandomState::new().hash_one(0));
    let config = Config {
        threads: options.threads.into(),
        objects: options.objects.into(),
        locks: options.locks.into(),
        seed,
        algorithms: options.algorithm.0.clone(),
        patience: Duration::from_secs(options.patience),
        on_hang: stress::exit_on_hang,
    };
    let Config {
        threads,
        objects,
        locks,
        ..
    } = config;
    say(format_args!(
        "stress: {threads} threads lock {locks} of {objects} objects, for {} s, seed {seed}",
        options.seconds
    ))?;
    let start = Instant::now();
    let wanted: Vec<_> = subjects
        .iter()
        .filter(|subject| is_wanted(subject, options))
        .collect();
    let end = start + Duration::from_secs(options.seconds);
    let mut total = Tally::default();
    for (nth, &subject) in wanted.iter().enumerate() {
        // What the ones before took too long is taken from the ones to come.
        let left = end.saturating_duration_since(Instant::now());
        let tally = stress::run(*subject, &config, left / (wanted.len() - nth) as u32)?;
        say(format_args!("{subject}: {}", told(&tally)))?;
        total += tally;
    }
    let seconds = start.elapsed().as_secs_f64();
    let told = told(&total);
    say(format_args!(
        "stress: ok, {seconds:.0} s, {told}, {}, seed {seed}",
        leftovers()
    ))
}

fn told(tally: &Tally) -> String {
    let Tally {
        transactions,
        backoffs,
        waits,
        cycles,
    } = tally;
    format!("{transactions} transactions, {backoffs} back-offs, {waits} waits, {cycles} cycles")
}
