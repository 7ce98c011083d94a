//! Every script in `samples/scenarios`, under every semantics, on every back end.
//!
//! A script says beside each query what it is told: `# -> ANSWER` where all semantics agree, else
//! one `# SEMANTICS -> ANSWER` line for each.

use resv_api::{BackendKind, SemanticsKind};
use resv_conformance::model::Generation;
use resv_conformance::scenario::{Runner, Scenario, parse_line};
use std::path::{Path, PathBuf};

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "resv"))
        .collect();
    files.sort();
    files
}

/// The answer that a comment expects, if it expects one of `semantics`.
fn expectation(line: &str, semantics: SemanticsKind) -> Option<&str> {
    let (who, answer) = line.strip_prefix('#')?.split_once("->")?;
    let who = who.trim();
    let known = who.is_empty() || who.parse::<SemanticsKind>().is_ok();
    assert!(known, "'{who}' is not a semantics: {line}");
    (who.is_empty() || who == semantics.name()).then(|| answer.trim())
}

/// Plays a script and compares the answers with its comments; says how many there were.
fn check(path: &Path, semantics: SemanticsKind, backend: BackendKind) -> usize {
    let text = std::fs::read_to_string(path).expect("a readable script");
    let at = |line: usize| format!("{}:{line}: {semantics} on {backend}", path.display());
    let mut runner = Runner::new(semantics, backend).expect("every back end is compiled in");
    let (mut answers, mut open) = (0, None);
    for (line, text) in (1..).zip(text.lines()) {
        let statement = parse_line(line, text).unwrap_or_else(|error| panic!("{error}"));
        if let Some(statement) = statement {
            assert_eq!(open, None, "{}: nothing is expected of a query", at(line));
            let answer = runner.step(line, &statement);
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", at(line)));
            open = answer.map(|answer| answer.to_string());
        } else if let Some(expected) = expectation(text, semantics) {
            assert_eq!(open.take().as_deref(), Some(expected), "{}", at(line));
            answers += 1;
        }
    }
    assert_eq!(
        open,
        None,
        "{}: nothing is expected of the last query",
        path.display()
    );
    answers
}

#[test]
fn every_sample_is_answered_as_it_says() {
    for path in samples() {
        for semantics in Generation::ALL.map(Generation::kind) {
            for backend in BackendKind::ALL {
                assert!(check(&path, semantics, backend) > 0, "{}", path.display());
            }
        }
    }
}

#[test]
fn every_sample_is_a_script_that_prints_and_parses_alike() {
    for path in samples() {
        let text = std::fs::read_to_string(&path).expect("a readable script");
        let script = Scenario::parse(&text).expect("a script");
        let printed = script.to_string();
        let again = Scenario::parse(&printed).expect("what is printed parses");
        assert_eq!(again.to_string(), printed, "{}", path.display());
    }
}

#[test]
fn comments_are_told_apart() {
    let es = SemanticsKind::ExclusiveShared;
    let ul = SemanticsKind::UsageLevels;
    assert_eq!(
        expectation("# -> idle fb read: true", es),
        Some("idle fb read: true")
    );
    assert_eq!(
        expectation("# usage-levels -> list fb: -", ul),
        Some("list fb: -")
    );
    assert_eq!(expectation("# usage-levels -> list fb: -", es), None);
    assert_eq!(expectation("# a remark", es), None);
}
