//! Concurrent histories: the back ends pass, and known-bad ones do not.

use crate::fixtures::{Flaw, Flawed};
use resv_api::BackendKind;
use resv_conformance::Subject;
use resv_conformance::history::{Plan, Violation, run};
use resv_conformance::scenario::{Runner, Scenario};
use resv_core::{
    Backend, ExclusiveShared, Semantics, SemanticsKind, UsageLevels, WritersReadersOthers,
};

/// More threads than there are processors, so that writers are stopped in the midst of an update.
fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        writers: 4,
        readers: 4,
        transactions: 100,
    }
}

fn passes(on: Subject) {
    for seed in 0..2 {
        match run(on, plan(seed)) {
            Ok(tally) => assert_eq!(tally.transactions, 400),
            Err(violation) => panic!("{violation}"),
        }
    }
}

#[test]
fn every_semantics_on_every_back_end_passes() {
    for semantics in SemanticsKind::ALL {
        for backend in BackendKind::ALL {
            passes(Subject::of_kinds(semantics, backend).expect("every back end is compiled in"));
        }
    }
}

#[test]
fn the_wrapper_without_a_defect_passes() {
    type Control = Flawed<{ Flaw::NONE }>;
    passes(Subject::of::<ExclusiveShared, Control>());
    passes(Subject::of::<WritersReadersOthers, Control>());
    passes(Subject::of::<UsageLevels, Control>());
}

/// The first violation; seeds have the parity of `seed`, so all histories are of one kind.
#[track_caller]
fn rejected<S: Semantics + Default, B: Backend + Default>(seed: u64) -> Violation {
    // A few are enough; on a machine that does a lot else, threads hardly meet for a while.
    const HISTORIES: u64 = 5000;
    let on = Subject::of::<S, B>();
    let mut seeds = (0..HISTORIES).map(|n| seed + 2 * n);
    let found = seeds.find_map(|seed| run(on, plan(seed)).err());
    let violation = *found.expect("no history catches the defect");
    let text = violation.to_string();
    assert!(
        text.contains(&format!("seed {}", violation.plan().seed)),
        "{text}"
    );
    violation
}

const ALWAYS_PENDING: u64 = 0;
const ANYTHING: u64 = 1;

#[test]
fn b1_torn_categories_are_rejected() {
    rejected::<UsageLevels, Flawed<{ Flaw::TORN }>>(ANYTHING);
}

#[test]
fn h_02_torn_categories_are_rejected_while_something_is_always_pending() {
    rejected::<UsageLevels, Flawed<{ Flaw::TORN }>>(ALWAYS_PENDING);
}

#[test]
fn h_25_idle_that_is_not_revalidated_is_rejected() {
    type Bad = Flawed<{ Flaw::IDLE_NOT_REVALIDATED }>;
    let violation = rejected::<UsageLevels, Bad>(ALWAYS_PENDING);
    assert!(violation.what().contains("idle r "), "{violation}");
    rejected::<ExclusiveShared, Bad>(ALWAYS_PENDING);
}

#[test]
fn b4_half_a_transaction_is_rejected() {
    rejected::<WritersReadersOthers, Flawed<{ Flaw::PUBLISHES_EARLY }>>(ANYTHING);
}

#[test]
fn b9_a_lost_entry_is_rejected() {
    let violation = rejected::<UsageLevels, Flawed<{ Flaw::LOSES_ON_GROWTH }>>(ANYTHING);
    assert!(!violation.objections().is_empty(), "{violation}");
}

#[test]
fn h_26_an_unpublished_category_is_rejected() {
    rejected::<WritersReadersOthers, Flawed<{ Flaw::OTHERS_UNPUBLISHED }>>(ANYTHING);
}

#[test]
fn a_stale_snapshot_is_rejected() {
    rejected::<UsageLevels, Flawed<{ Flaw::STALE_SNAPSHOT }>>(ANYTHING);
}

/// What a violation shows as a script can be run; the script's answers are the right ones, and what
/// the reader was given is none of them.
#[test]
fn a_violation_is_printed_in_the_scenario_language() {
    let violation = rejected::<WritersReadersOthers, Flawed<{ Flaw::OTHERS_UNPUBLISHED }>>(1);
    let text = violation.scenario().expect("there are states");
    let script = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let locked = BackendKind::Locked;
    let mut runner = Runner::new(SemanticsKind::WritersReadersOthers, locked).expect("it is there");
    let answers = runner.run(&script).expect("it is valid");
    assert!(!answers.is_empty(), "{text}");
    let (_, seen) = text
        .trim_end()
        .rsplit_once("the reader saw: ")
        .expect("it is told");
    assert!(
        answers
            .iter()
            .all(|answer| answer.value.to_string() != seen),
        "{text}"
    );
}
