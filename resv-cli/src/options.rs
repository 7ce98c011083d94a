//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use resv_api::BackendKind;
use resv_conformance::check::{LEAST_THREADS, MOST_THREADS};
use resv_core::SemanticsKind;
use resv_policy::prover::{MOST_TIMELINES, Ops};
use resv_policy::{Member, Query};
use std::path::PathBuf;

/// Plays scenarios and GPU recordings through reservation objects, and compares what they mean and
/// how they are made.
#[derive(Debug, Parser)]
#[command(name = "resv", version, arg_required_else_help = true)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a scenario and prints an answer for each query
    #[command(after_long_help = resv_conformance::scenario::grammar())]
    Script(ScriptOptions),
    /// Plays a recording of GPU work through reservation objects and reports which job waits for which
    Replay(ReplayOptions),
    /// Reads a dump of /sys/kernel/debug/dma_buf/bufinfo, and says what each access to each buffer waits for
    Inspect(InspectOptions),
    /// Shows what changes if only the semantics changes, or proves that nothing does if only the
    /// back end does
    Diff(DiffOptions),
    /// Prints the tables of a semantics, made by evaluating the code
    Explain(ExplainOptions),
    /// Decides whether one meaning may take the place of another: explores every state that a history
    /// can lead to
    Compare(CompareOptions),
    /// Checks semantics on back ends: the properties of the conformance suite, random scripts against a
    /// naive model, concurrent histories
    Check(CheckOptions),
}

/// Where the output goes and in which form.
#[derive(Debug, Args)]
pub struct OutputOptions {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `resv script`.
#[derive(Debug, Args)]
pub struct ScriptOptions {
    /// The scenario; - for standard input
    pub file: PathBuf,
    /// exclusive-shared, writers-readers-others or usage-levels; usage-levels, or what an era line
    /// implies, unless given. Also any other member of `resv compare`, which has no back end
    #[arg(long, value_name = "NAME")]
    pub semantics: Option<Member>,
    /// The back end that the objects are on.
    #[arg(long, default_value_t = BackendKind::RcuArray, value_name = "NAME", help = one_of(&BackendKind::ALL))]
    pub backend: BackendKind,
    /// Print a graph of which fences wait for which, in the language of Graphviz, instead of answers
    #[arg(long, conflicts_with = "json")]
    pub dot: bool,
    /// Where and in which form; JSON is one object a line
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Options of `resv replay`.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The recording, plain or gzip; - for standard input
    pub file: PathBuf,
    /// Semantics, separated by commas, or all
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = parse_semantics)]
    pub semantics: Choice<SemanticsKind>,
    /// The back ends to play on.
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = parse_backends, help = some_of(&implementations()))]
    pub backend: Choice<BackendKind>,
    /// Which buffers a job touches: handoff, private, single, recorded, or a sidecar file. Without it,
    /// the recording's name with the ending .buffers if there is such a file; else recorded, where the
    /// recording says it (one of a program that uses resv); else handoff, unless the recording
    /// contradicts more than one in ten of its edges; else recorded, which then assumes nothing
    #[arg(long, value_name = "RULE|FILE")]
    pub buffers: Option<String>,
    /// Print everything, not the first screen
    #[arg(long)]
    pub full: bool,
    /// Also print the times of every job, fence without a job and wait of a task
    #[arg(long)]
    pub times: bool,
    /// Also write a page for a web browser: lanes, dependencies, tables
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also write Chrome trace JSON, which Perfetto and chrome://tracing open
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Also play the timelines in parallel on this many threads, as a stress
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Where and in which form; JSON is one document
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Options of `resv inspect`.
#[derive(Debug, Args)]
pub struct InspectOptions {
    /// The dump, as it is or with the report around it that it was pasted into; - for standard input
    pub file: PathBuf,
    /// Where and in which form; JSON is one document
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Options of `resv diff`.
#[derive(Debug, Args)]
pub struct DiffOptions {
    /// A scenario or a recording; - for standard input
    pub file: PathBuf,
    /// Two semantics A,B to compare; or one, under which two back ends are compared
    #[arg(long, value_name = "A,B", value_parser = parse_semantics)]
    pub semantics: Option<Choice<SemanticsKind>>,
    /// Two back ends A,B to compare; or one, on which two semantics are compared
    #[arg(long, value_name = "A,B", value_parser = parse_backends)]
    pub backend: Option<Choice<BackendKind>>,
    /// What the file is, where its first line does not tell
    #[arg(long = "as", value_enum, value_name = "KIND")]
    pub kind: Option<FileKind>,
    /// As for `resv replay`
    #[arg(long, value_name = "RULE|FILE")]
    pub buffers: Option<String>,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// Statements of the scenario language.
    Scenario,
    /// Trace events.
    Recording,
}

/// Options of `resv explain`.
#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// Print the tables of the owner rule instead: whose fences a job waits for in each era, and how each
    /// adds its fences
    #[arg(long, conflicts_with_all = ["semantics", "maps"])]
    pub policy: bool,
    /// Print the tables of the maps between generations instead
    #[arg(long, conflicts_with = "semantics")]
    pub maps: bool,
    /// Semantics, separated by commas, or all
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = parse_semantics)]
    pub semantics: Choice<SemanticsKind>,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `resv compare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Members: exclusive-shared, writers-readers-others, usage-levels; \
    linux-5.19, linux-6.0, linux-6.7 (the rule of the first matching slot); hybrid; \
    map:conversion, map:amdkcl, map:port-5.15, map:nvidia, map:backward; \
    policy:p0 to policy:p7, with policy:p6a and policy:p6b.\n\n\
    Every line of the output but a scenario's begins with #. A scenario runs on both sides: \
    resv script FILE --semantics EXPECTED, and --semantics ACTUAL."
)]
pub struct CompareOptions {
    /// What is expected
    pub expected: Member,
    /// What is compared with it
    pub actual: Member,
    /// How many timelines a history has
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=MOST_TIMELINES as i64))]
    pub timelines: u8,
    /// What a history is made of, separated by commas: add (or add-kernel, add-write, add-read,
    /// add-bookkeep), replace, replace-signaled, replace-across, copy, signal, out-of-order, older; between policies
    /// file and attach. Without it add,replace,copy,signal, and between policies file,attach,signal
    #[arg(long, value_name = "LIST")]
    pub ops: Option<Ops>,
    /// What is asked, separated by commas: explicit, read, write, move; between policies also unmap,
    /// compute, compute-no-device. Without it all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub access: Vec<Query>,
    /// Jobs keep the duty that this semantics lays on them: a fence signals only after everything that
    /// it superseded
    #[arg(long, value_name = "SEMANTICS")]
    pub duty: Option<SemanticsKind>,
    /// Explore every state, also where a proof says that no other one can change the answer
    #[arg(long)]
    pub exhaustive: bool,
    /// Where and in which form; JSON is one document
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Options of `resv check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every line of the output but a scenario's begins with #. \
    So the output of a run that has found something is a file for `resv script`."
)]
pub struct CheckOptions {
    /// Semantics, separated by commas, or all
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = parse_semantics)]
    pub semantics: Choice<SemanticsKind>,
    /// The back ends to check.
    #[arg(long, default_value = "all", value_name = "NAMES", value_parser = parse_every_backend, help = some_of(&BackendKind::ALL))]
    pub backend: Choice<BackendKind>,
    /// How long to go on, shared out among all pairs of semantics and back end; the properties are run
    /// through in any case
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Play this many operations of random scripts for each pair instead, however long that takes
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    pub ops: Option<u64>,
    /// Threads of a history, half of them writers; more than there are processors stops writers in the
    /// midst of an update
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(LEAST_THREADS as i64..=MOST_THREADS as i64))]
    pub threads: u16,
    /// Decides scripts and histories; a new one unless given
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Compare with the reservation objects of the kernel that this runs on, in place of the model: random
    /// scripts on both. Only `kernel`, and only on one that scripts/kernel/build has built; of semantics
    /// usage-levels is meant unless others are named, which have to differ
    #[arg(long, value_name = "WHAT", value_parser = ["kernel"])]
    pub against: Option<String>,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// One or more members of a kind, each once, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T>(pub Vec<T>);

/// The back ends that `all` stands for in a replay: one of each implementation. What is another flavour of
/// one has a name with a slash.
pub fn implementations() -> Vec<BackendKind> {
    let kinds = BackendKind::ALL.into_iter();
    kinds.filter(|kind| !kind.name().contains('/')).collect()
}

/// The help of an option that takes one of these.
fn one_of(kinds: &[BackendKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let (last, others) = names.split_last().expect("there is a reference back end");
    format!("{} or {last}", others.join(", "))
}

/// The help of an option that takes some of these.
fn some_of(kinds: &[BackendKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    format!(
        "Back ends, separated by commas, or all ({})",
        names.join(", ")
    )
}

fn parse_semantics(words: &str) -> Result<Choice<SemanticsKind>, String> {
    parse_choice(words, &SemanticsKind::ALL)
}

fn parse_backends(words: &str) -> Result<Choice<BackendKind>, String> {
    parse_choice(words, &implementations())
}

fn parse_every_backend(words: &str) -> Result<Choice<BackendKind>, String> {
    parse_choice(words, &BackendKind::ALL)
}

fn parse_choice<T>(words: &str, all: &[T]) -> Result<Choice<T>, String>
where
    T: Copy + PartialEq + std::str::FromStr<Err = resv_core::ParseWordError>,
{
    if words == "all" {
        return Ok(Choice(all.to_vec()));
    }
    let mut chosen = Vec::new();
    for word in words.split(',') {
        let one = word.parse().map_err(|error| format!("{error}, or all"))?;
        if chosen.contains(&one) {
            return Err(format!("'{word}' is named twice"));
        }
        chosen.push(one);
    }
    Ok(Choice(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_choice_is_a_list_without_doubles() {
        use SemanticsKind::{ExclusiveShared, UsageLevels};
        let both = parse_semantics("usage-levels,exclusive-shared");
        assert_eq!(both, Ok(Choice(vec![UsageLevels, ExclusiveShared])));
        assert_eq!(
            parse_semantics("all"),
            Ok(Choice(SemanticsKind::ALL.to_vec()))
        );
        assert!(parse_semantics("usage-levels,usage-levels").is_err());
        assert!(parse_backends("seqcount,").is_err());
        assert!(parse_backends("").is_err());
    }
}
