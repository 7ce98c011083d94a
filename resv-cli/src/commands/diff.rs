//! `resv diff`: what changes if only the semantics changes, and that nothing does if only the back
//! end changes.
//!
//! The file is a scenario or a recording; its first line that says anything tells which.

use super::comparison::{Comparison, exit_code};
use super::{replay, script};
use crate::failure::Failure;
use crate::options::{DiffOptions, FileKind};
use crate::output::Output;
use crate::text;
use resv_conformance::scenario::{Answer, Runner};
use std::io::{BufRead, Cursor, Read};
use std::process::ExitCode;

/// Runs the command. The exit code is 1 when two back ends differ.
///
/// # Errors
///
/// On bad input or output.
pub fn run(options: &DiffOptions) -> Result<ExitCode, Failure> {
    let comparison = Comparison::of(options)?;
    let name = text::display_name(&options.file);
    let mut source = text::open(&options.file)?;
    let head = read_head(&name, &mut source)?;
    let kind = options.kind.unwrap_or_else(|| kind_of(&head));
    let total = text::size(&options.file);
    let whole = Cursor::new(head).chain(source);
    match kind {
        FileKind::Scenario => {
            let mut output = Output::open(options.output.as_deref())?;
            diff_scenario(&name, whole, comparison, &mut output)
        }
        FileKind::Recording => replay::diff_recording(&name, whole, total, options, comparison),
    }
}

/// How much is looked at to tell what a file is.
const HEAD: u64 = 64 * 1024;

fn read_head(name: &str, source: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    source
        .take(HEAD)
        .read_to_end(&mut head)
        .map_err(|error| Failure::at(name, format_args!("cannot read: {error}")))?;
    Ok(head)
}

/// A scenario if the first line that says anything begins like a statement, else a recording.
fn kind_of(head: &[u8]) -> FileKind {
    let first_word = head
        .split(|&byte| byte == b'\n')
        .filter_map(|line| str::from_utf8(line).ok())
        .map(|line| line.split('#').next().unwrap_or_default())
        .find_map(|line| line.split_whitespace().next());
    // Whatever the parser knows as a verb it complains about otherwise than about a stranger.
    match first_word {
        Some(word) if VERBS.contains(&word) => FileKind::Scenario,
        _ => FileKind::Recording,
    }
}

/// The verbs of the scenario language.
const VERBS: [&str; 11] = [
    "timeline", "fence", "resv", "add", "replace", "copy", "signal", "waits", "idle", "list",
    "status",
];

fn diff_scenario(
    name: &str,
    mut source: impl BufRead,
    comparison: Comparison,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let mut bytes = Vec::new();
    source
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::at(name, format_args!("cannot read: {error}")))?;
    let mut answers: [Vec<Answer>; 2] = [Vec::new(), Vec::new()];
    for ((_, semantics, backend), answers) in comparison.sides().into_iter().zip(&mut answers) {
        let mut runner = Runner::new(semantics, backend).map_err(Failure::new)?;
        script::play(name, &bytes[..], &mut runner, |answer| {
            answers.push(answer);
            Ok(())
        })?;
    }
    let width = comparison.sides().map(|(side, ..)| side.len());
    let width = width[0].max(width[1]) + 1;
    let [left, right] = &answers;
    let mut differ = 0;
    for (a, b) in left.iter().zip(right).filter(|(a, b)| a.value != b.value) {
        differ += 1;
        output.line(format_args!("line {}: {}", a.line, a.statement))?;
        for ((side, ..), answer) in comparison.sides().iter().zip([a, b]) {
            let text = answer.to_string();
            let told = text.split_once(": ").map_or(&*text, |(_, told)| told);
            output.line(format_args!("  {:width$} {told}", format!("{side}:")))?;
        }
    }
    let differ_text = match differ {
        0 => "none differs".to_owned(),
        n => format!("{n} differ"),
    };
    output.line(format_args!("{} answers, {differ_text}", left.len()))?;
    output.flush()?;
    Ok(exit_code(comparison, differ == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_conformance::scenario::parse_line;

    #[test]
    fn the_first_word_tells_what_a_file_is() {
        for text in ["timeline gfx", "# a case\n\n  resv fb # x"] {
            assert_eq!(kind_of(text.as_bytes()), FileKind::Scenario, "{text}");
        }
        for text in ["cpus=4", "# tracer: nop", "", "\u{1f}\u{8b}", "resvx fb"] {
            assert_eq!(kind_of(text.as_bytes()), FileKind::Recording, "{text}");
        }
    }

    #[test]
    fn the_verbs_are_those_of_the_language() {
        let is_verb = |word: &str| {
            let error = parse_line(1, word).expect_err("a verb alone is no statement");
            error.message().to_owned()
        };
        let stranger = is_verb("frobnicate").replace("frobnicate", "");
        for verb in VERBS {
            assert_ne!(is_verb(verb).replace(verb, ""), stranger, "{verb}");
        }
    }
}
