//! `check` for a back end from elsewhere that has a defect.

use crate::fixtures::{Flaw, Flawed};
use crate::silence_properties;
use resv_conformance::Subject;
use resv_conformance::check::{Options, check};
use resv_conformance::scenario::{Runner, Scenario};
use resv_core::{Locked, UsageLevels};

/// `check` shrinks a defect to a script that shows it on that back end, and names the seed that has it
/// come first.
#[test]
fn check_prints_a_defect_as_a_script_that_shows_it() {
    type Bad = Flawed<{ Flaw::TWO_ARE_ONE }>;

    silence_properties();
    let failed = |seed| {
        let options = Options {
            operations: Some(1000),
            threads: 2,
            seed,
            ..Options::default()
        };
        check(Subject::of::<UsageLevels, Bad>(), &options).expect_err("an entry is lost")
    };
    let failure = failed(3);
    assert_eq!(failure.part, "random script", "{failure}");
    let seed = failure.seed.expect("scripts have one");
    assert_eq!(failed(seed).scenario, failure.scenario);

    let text = failure.scenario.expect("it was shrunk");
    let script = Scenario::parse(&text).expect("it is in the language");
    let edits = script.statements().filter(|(_, s)| !s.is_query()).count();
    assert!(edits <= 30, "shrunk to {edits} statements:\n{text}");
    fn answers<B: resv_core::Backend + Default>(script: &Scenario) -> Vec<String> {
        let make = || -> Box<dyn resv_api::Reservation> {
            Box::new(resv_api::Resv::<UsageLevels, B>::default())
        };
        let answers = Runner::with_factory(make).run(script).expect("it is valid");
        answers.iter().map(ToString::to_string).collect()
    }
    assert_ne!(
        answers::<Bad>(&script),
        answers::<Locked>(&script),
        "{text}"
    );
}

/// What no single thread can see is found in a history, and the states are told as a script.
#[test]
fn check_finds_a_race_in_a_history() {
    silence_properties();
    let options = Options {
        operations: Some(20_000),
        ..Options::default()
    };
    let failure = check(
        Subject::of::<UsageLevels, Flawed<{ Flaw::IDLE_NOT_REVALIDATED }>>(),
        &options,
    );
    let failure = failure.expect_err("idle is a lie");
    // Or by a property that is after the same.
    assert!(
        failure.part == "history"
            || failure.part.starts_with("contract::b2")
            || failure.part.starts_with("hazards::h_02"),
        "{failure}"
    );
}
