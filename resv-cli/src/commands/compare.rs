//! `resv compare`: whether one meaning may take the place of another, decided and not sampled.

use crate::failure::Failure;
use crate::options::CompareOptions;
use crate::output::Output;
use resv_policy::prover::{Answer, Options, compare};
use serde_json::{Map, Value as Json, json};

/// Runs the command.
///
/// # Errors
///
/// When the options contradict each other, or the output cannot be written.
pub fn run(options: &CompareOptions) -> Result<(), Failure> {
    let CompareOptions {
        expected, actual, ..
    } = options;
    let both_policies = expected.needs_tags() && actual.needs_tags();
    if let Some(ops) = options.ops
        && (ops.file || ops.attach)
        && !both_policies
    {
        return Err(Failure::new(format_args!(
            "--ops: {expected} and {actual} cannot both file or be attached to, expected two policies \
             (policy:p0 to policy:p7), or the operations add, replace, replace-across, copy, signal, out-of-order, older"
        )));
    }
    if let Some(query) = options.access.iter().find(|query| {
        let is_access = matches!(query, resv_policy::Query::Access(_));
        !is_access && !both_policies
    }) {
        return Err(Failure::new(format_args!(
            "--access: only policies tell '{query}' from an access, expected explicit, read, write or move"
        )));
    }
    let mut output = Output::open(options.output.output.as_deref())?;
    let answer = compare(
        expected,
        actual,
        &Options {
            timelines: options.timelines.into(),
            ops: options.ops,
            queries: options.access.clone(),
            duty: options.duty,
            exhaustive: options.exhaustive,
            ..Options::default()
        },
    );
    match options.output.json {
        true => output.line(to_json(&answer))?,
        false => tell(&mut output, &answer, options.duty.map(|d| d.name()))?,
    }
    output.flush()
}

/// For people: the classes first, then a scenario for each that is not exact.
fn tell(output: &mut Output, answer: &Answer, duty: Option<&str>) -> Result<(), Failure> {
    let Answer {
        expected,
        actual,
        timelines,
        ops,
        states,
        ..
    } = answer;
    output.line(format_args!("# expected {expected}, actual {actual}"))?;
    for access in &answer.accesses {
        let width = 8;
        output.line(format_args!("# {:width$} {}", access.query, access.class))?;
    }
    let duty = duty.map_or("no duty is kept".to_owned(), |duty| {
        format!("the duty of {duty} is kept")
    });
    output.line(format_args!(
        "# {states} states of {timelines} timeline{}; operations {ops}; {duty}",
        if *timelines == 1 { "" } else { "s" }
    ))?;
    output.line(match answer.complete {
        true => format!("# complete for {timelines} timelines"),
        false => "# not complete: a class may be worse without the bound".to_owned(),
    })?;
    for note in answer.bound.iter().chain(&answer.proof) {
        output.line(format_args!("# {note}"))?;
    }
    for access in &answer.accesses {
        if let Some(scenario) = &access.scenario {
            output.line(format_args!("\n# {}: {}", access.query, access.class))?;
            output.with(|out| out.write_all(scenario.as_bytes()))?;
        }
    }
    Ok(())
}

fn to_json(answer: &Answer) -> Json {
    let accesses: Map<String, Json> = answer
        .accesses
        .iter()
        .map(|access| {
            let said = json!({ "class": access.class.name(), "scenario": access.scenario });
            (access.query.name().to_owned(), said)
        })
        .collect();
    let mut said = json!({
        "expected": answer.expected,
        "actual": answer.actual,
        "timelines": answer.timelines,
        "states": answer.states,
        "complete": answer.complete,
        "accesses": accesses,
    });
    for (name, note) in [("bound", &answer.bound), ("proof", &answer.proof)] {
        if let Some(note) = note {
            said[name] = json!(note);
        }
    }
    said
}
