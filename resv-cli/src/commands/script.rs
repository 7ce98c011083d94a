//! `resv script`: runs a scenario and prints an answer for each query.
//!
//! Lines are played as they are read. A wrong line ends the run, and the answers before it have
//! been printed.

mod dot;

use crate::failure::Failure;
use crate::options::ScriptOptions;
use crate::output::Output;
use crate::text::{self, Lines};
use resv_conformance::scenario::{Answer, Runner, Value, parse_line, status_word};
use resv_core::FenceError;
use resv_policy::Member;
use serde_json::{Value as Json, json};
use std::io::BufRead;

/// Runs the command.
///
/// # Errors
///
/// On a wrong line, or input or output that cannot be read or written.
pub fn run(options: &ScriptOptions) -> Result<(), Failure> {
    let name = text::display_name(&options.file);
    let source = text::open(&options.file)?;
    let mut output = Output::open(options.output.output.as_deref())?;
    let mut runner = match &options.semantics {
        None => Runner::of_any_era(options.backend).map_err(Failure::new)?,
        Some(Member::Semantics(kind)) => {
            Runner::new(*kind, options.backend).map_err(Failure::new)?
        }
        Some(member) => Runner::of_member(member),
    };
    if options.dot {
        let drawn = dot::draw(&name, source, &mut runner)?;
        output.with(|out| out.write_all(drawn.as_bytes()))?;
        return output.flush();
    }
    let played = play(&name, source, &mut runner, |answer| {
        if options.output.json {
            output.line(to_json(&answer))
        } else {
            output.line(&answer)
        }
    });
    // The answers before a wrong line come first, whatever becomes of the run.
    output.flush()?;
    played
}

/// Plays the scenario in `source` line by line; `answered` is given each answer.
pub(super) fn play(
    name: &str,
    source: impl BufRead,
    runner: &mut Runner,
    mut answered: impl FnMut(Answer) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut lines = Lines::new(name, source);
    let mut statements = 0;
    while let Some((number, line)) = lines.next_line()? {
        let wrong = |error: resv_conformance::scenario::ScenarioError| {
            Failure::at(format_args!("{name}:{number}"), error.message())
        };
        let Some(statement) = parse_line(number, line).map_err(wrong)? else {
            continue;
        };
        statements += 1;
        if let Some(answer) = runner.step(number, &statement).map_err(wrong)? {
            answered(answer)?;
        }
    }
    if statements == 0 {
        return Err(Failure::at(
            name,
            "no statement found, expected a scenario: for example 'timeline gfx' on a line",
        ));
    }
    Ok(())
}

/// One answer as a JSON object.
fn to_json(answer: &Answer) -> Json {
    let value = match &answer.value {
        Value::Waits(fences) => fences.iter().map(ToString::to_string).collect(),
        Value::Asked(count) => json!(count),
        Value::Idle(idle) => json!(idle),
        Value::Failure(error) => json!(error.map(FenceError::errno)),
        Value::List(entries) => entries
            .iter()
            .map(|e| json!({ "fence": e.fence.to_string(), "usage": e.usage.name() }))
            .collect(),
        Value::Status(status) => json!(status_word(*status)),
    };
    json!({
        "line": answer.line,
        "statement": answer.statement.to_string(),
        "answer": value,
    })
}
