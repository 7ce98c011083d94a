//! The examples of the guide as scripts: `samples/scenarios/e01.resv` and so on are made from its table.

use resv_conformance::model::Generation;
use resv_conformance::notation::{Example, examples};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Set, the samples are written anew.
const WRITE: &str = "RESV_WRITE_SAMPLES";

/// `A12` of the table is fence `a12`, which is `a:12` in answers.
fn words(name: &str) -> (String, &str) {
    let at = name.find(|c: char| c.is_ascii_digit()).expect("a seqno");
    (name[..at].to_lowercase(), &name[at..])
}

/// An answer of the table in the words of the scenario language.
fn told(answer: &str) -> String {
    let fences = answer.split(' ').map(|fence| {
        let (name, usage) = fence.split_once('=').unwrap_or((fence, ""));
        let (timeline, seqno) = words(name);
        let equals = if usage.is_empty() { "" } else { "=" };
        format!("{timeline}:{seqno}{equals}{usage}")
    });
    match answer {
        "-" => answer.to_owned(),
        _ => fences.collect::<Vec<_>>().join(" "),
    }
}

/// The answer at the last time that is asked, of each semantics.
fn answers<'e>(example: &'e Example, question: &str) -> Vec<&'e str> {
    let of_cell = |cell: &'e str| {
        let mut parts = cell
            .split(';')
            .filter_map(|part| part.trim().split_once(": "));
        let (_, answers) = parts.find(|(asked, _)| *asked == question)?;
        answers.rsplit(" / ").next()
    };
    example.answers.into_iter().filter_map(of_cell).collect()
}

fn script(example: &Example) -> String {
    let (mut declared, mut body) = (String::new(), String::new());
    let (mut known, mut timelines) = (BTreeSet::new(), BTreeSet::new());
    let (mut object, mut locked) = ("buffer", None);
    for step in example.sequence.split(',').map(str::trim) {
        let Some((verb, name)) = step.split_once(' ') else {
            match step {
                "lock" => locked = Some(String::new()),
                "unlock" => {
                    let edits = locked.take().expect("a lock before");
                    writeln!(body, "add {object}{edits}").unwrap();
                }
                "copy" => {
                    writeln!(body, "resv copy\ncopy copy {object}").unwrap();
                    object = "copy";
                }
                _ => assert_eq!(step, "?"),
            }
            continue;
        };
        let (timeline, seqno) = words(name);
        let fence = format!("{timeline}{seqno}");
        if timelines.insert(timeline.clone()) {
            writeln!(declared, "timeline {timeline}").unwrap();
        }
        if known.insert(fence.clone()) {
            writeln!(declared, "fence {fence} {timeline} {seqno}").unwrap();
        }
        let usage = match verb {
            "K" => "kernel",
            "W" => "write",
            "R" => "read",
            "BK" => "bookkeep",
            _ => {
                writeln!(body, "{verb} {fence}").unwrap();
                continue;
            }
        };
        match &mut locked {
            Some(edits) => write!(edits, " {fence} {usage}").unwrap(),
            None => writeln!(body, "add {object} {fence} {usage}").unwrap(),
        }
    }
    let mut text = format!(
        "# {}: {}\n#\n# From the guide of resv-api, which has the reasons.\n",
        example.name, example.lesson
    );
    if example.sequence.contains("?, unlock") {
        text.push_str(
            "# What is asked in the transaction is left out: a statement is a whole one.\n",
        );
    }
    writeln!(text, "\n{declared}resv buffer\n\n{body}").unwrap();
    for question in ["explicit", "read", "write", "move", "list"] {
        let answers = answers(example, question);
        let [first, ..] = answers[..] else { continue };
        assert_eq!(answers.len(), 3, "{}: {question}", example.name);
        let asked = match question {
            "list" => format!("list {object}"),
            access => format!("waits {object} {access}"),
        };
        writeln!(text, "{asked}").unwrap();
        if answers.iter().all(|answer| *answer == first) {
            writeln!(text, "# -> {asked}: {}", told(first)).unwrap();
            continue;
        }
        for (generation, answer) in Generation::ALL.into_iter().zip(answers) {
            writeln!(text, "# {} -> {asked}: {}", generation.name(), told(answer)).unwrap();
        }
    }
    text
}

#[test]
fn there_is_a_sample_for_every_example_and_it_is_made_from_the_guide() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/scenarios");
    for example in examples() {
        let number = example.name.trim_matches(|c: char| c.is_ascii_alphabetic());
        let letter = example
            .name
            .trim_start_matches(|c| c == 'E' || char::is_ascii_digit(&c));
        let path = folder.join(format!("e{number:0>2}{letter}.resv"));
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, script(&example)).expect("a file that can be written");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let place = path.display();
        assert_eq!(
            text,
            script(&example),
            "{place}: set {WRITE}=1 to write it anew"
        );
    }
}
