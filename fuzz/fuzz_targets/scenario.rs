//! Any text as a script: no panic, an error that names a line, the same answers on every back end,
//! and a statement that is written out is read as the same statement.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resv_api::{BackendKind, SemanticsKind};
use resv_conformance::scenario::{Runner, Scenario, parse_line};

const MOST_LINES: usize = 128;

fuzz_target!(|text: &str| {
    let mut whole = true;
    let mut statements = Vec::new();
    for (line, text) in (1..).zip(text.lines()).take(MOST_LINES) {
        match parse_line(line, text) {
            Ok(None) => {}
            Ok(Some(statement)) => {
                let written = statement.to_string();
                let again = parse_line(line, &written).expect("what was written can be read");
                assert_eq!(again.as_ref(), Some(&statement), "{written}");
                statements.push((line, statement));
            }
            Err(error) => {
                assert_eq!(error.line(), line);
                assert!(!error.message().is_empty());
                whole = false;
                break;
            }
        }
    }
    if whole && text.lines().count() <= MOST_LINES {
        let scenario = Scenario::parse(text).expect("each line can be read");
        assert_eq!(scenario.statements().count(), statements.len());
    }
    for semantics in SemanticsKind::ALL {
        let told = BackendKind::ALL.map(|backend| {
            let mut runner = Runner::new(semantics, backend).expect("it is compiled in");
            let mut told = Vec::new();
            for (line, statement) in &statements {
                match runner.step(*line, statement) {
                    Ok(answer) => told.extend(answer.map(|answer| answer.to_string())),
                    Err(error) => {
                        assert_eq!(error.line(), *line);
                        told.push(error.to_string());
                        break;
                    }
                }
            }
            told
        });
        assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
    }
});
