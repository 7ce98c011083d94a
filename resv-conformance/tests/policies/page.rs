//! What `docs/policies.md` shows: its scenarios are told what it says, its commands run, and what it claims
//! of a comparison is what the prover finds.

use resv_api::{BackendKind, SemanticsKind};
use resv_conformance::scenario::{Runner, Scenario};
use resv_policy::Member;
use resv_policy::prover::{Answer, Class, Options, compare};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policies.md");
    std::fs::read_to_string(path).expect("the page")
}

#[test]
fn the_scenarios_of_the_page_are_told_what_it_says() {
    let page = page();
    let blocks = page.split("```text\n").skip(1);
    let scenarios: Vec<&str> = blocks.filter_map(|b| b.split("```").next()).collect();
    let mut told = 0;
    for text in &scenarios {
        let says: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("# -> "))
            .map(|(_, says)| says.split("  ").next().unwrap_or(says).trim())
            .collect();
        let script = Scenario::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for backend in BackendKind::ALL {
            let mut runner = match text.contains("\nera ") {
                true => Runner::of_any_era(backend),
                false => Runner::new(SemanticsKind::UsageLevels, backend),
            }
            .expect("it is compiled in");
            let answers = runner
                .run(&script)
                .unwrap_or_else(|e| panic!("{e}\n{text}"));
            let answers: Vec<String> = answers.iter().map(|a| a.value.to_string()).collect();
            assert_eq!(answers, says, "{text}");
            told += answers.len();
        }
    }
    assert!(
        scenarios.len() >= 6 && told > 60,
        "{} {told}",
        scenarios.len()
    );
}

/// The comparison of a command, with two timelines.
fn run(command: &str) -> Answer {
    let mut words = command.split_whitespace().skip(2);
    let mut member = || -> Member {
        let word = words.next().expect("two members");
        word.parse().unwrap_or_else(|e| panic!("{e}: {command}"))
    };
    let (expected, actual) = (member(), member());
    let mut options = Options {
        timelines: 2,
        ..Options::default()
    };
    while let Some(option) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{command}"));
        match option {
            "--ops" => options.ops = Some(value.parse().expect("operations")),
            "--duty" => options.duty = Some(value.parse().expect("a semantics")),
            "--access" => {
                let queries = value.split(',').map(|word| word.parse().expect("a query"));
                options.queries = queries.collect();
            }
            _ => panic!("{option}: {command}"),
        }
    }
    compare(&expected, &actual, &options)
}

/// Every comparison that the page names outside the tables that `resv explain` prints, and the worst class
/// that it says there.
#[test]
fn the_comparisons_of_the_page_run_and_come_to_what_it_says() {
    let page = page();
    let written = page.split("## The tables").next().expect("a beginning");
    let mut claims = 0;
    for (at, _) in written.match_indices("`resv compare ") {
        let (command, rest) = written[at + 1..].split_once('`').expect("a closing mark");
        if command.contains("--help") {
            continue;
        }
        let answer = run(command);
        let worst = answer.accesses.iter().map(|a| a.class).max();
        let said = rest.split(['|', '\n']).next().unwrap_or_default();
        let Some(said) = said.trim_start().strip_prefix(':') else {
            continue;
        };
        let classes = [Class::Unsound, Class::Over, Class::Exact];
        // What is said after a semicolon is about another command.
        let said = said.split(';').next().unwrap_or_default();
        let says = classes
            .into_iter()
            .find(|class| said.contains(class.name()));
        assert_eq!(worst, says, "{command}: {said}");
        claims += 1;
    }
    assert!(claims >= 11, "{claims}");
}
