//! The suite rejects every fixture, by the properties that are about it, and holds for what is sound.

mod printed_script;

use resv_api::{BackendKind, new_reservation};
use resv_conformance::PROPERTIES;
use resv_conformance::eviction::{Flaw, Kind, trial};
use resv_core::SemanticsKind;
use resv_fixtures::{ELSEWHERE, Fixture, Shown, fixtures, report};
use std::collections::BTreeSet;
use std::path::Path;

/// How often a property that takes luck is tried.
const TRIES: usize = 5;

#[test]
fn every_fixture_is_rejected_by_the_properties_that_are_about_it() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        for &name in fixture.caught_by {
            let named = PROPERTIES.iter().find(|property| property.name == name);
            let Some(property) = named else {
                wrong.push(format!("{}: there is no property {name}", fixture.name));
                continue;
            };
            let tries = if report::is_lucky(name) { TRIES } else { 1 };
            if !(0..tries).any(|_| fixture.run(property).is_some()) {
                wrong.push(format!("{}: {name} does not reject it", fixture.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The layer that the faults share is sound where nothing is overridden.
#[test]
fn control_without_a_fault_every_property_holds() {
    for control in Fixture::controls() {
        let rejected = control.rejections();
        assert!(rejected.is_empty(), "{}: {rejected:#?}", control.subject());
    }
}

#[test]
fn names_are_unique_and_every_fixture_names_a_property() {
    let names: BTreeSet<_> = fixtures().map(|fixture| fixture.name).collect();
    assert_eq!(names.len(), fixtures().count());
    assert!(fixtures().all(|fixture| !fixture.caught_by.is_empty()));
}

/// Every hazard and every derived defect of `docs/hazards.md` is in one of the two tables.
#[test]
fn every_hazard_has_a_row() {
    let rows: String = fixtures()
        .map(|fixture| fixture.defects)
        .chain(ELSEWHERE.iter().map(|row| row.defects))
        .collect::<Vec<_>>()
        .join(", ");
    let hazards = (1..=35).map(|n| format!("H-{n:02}"));
    let derived = (1..=7).map(|n| format!("D-{n}"));
    let missing: Vec<_> = hazards
        .chain(derived)
        .filter(|id| !rows.contains(id))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The tests that the second table points to exist, and loom runs a variant that it must reject.
#[test]
fn what_is_shown_elsewhere_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for row in ELSEWHERE {
        let (file, test) = match row.shown {
            Shown::Loom { file, test } | Shown::Test { file, test, .. } => (file, test),
            Shown::Driver(_) | Shown::Inexpressible(_) => continue,
        };
        let text = std::fs::read_to_string(root.join(file)).expect(file);
        // A test of its own, or a row of a list that a macro makes tests of.
        let own = text.find(&format!("fn {test}()"));
        let listed = text.find(&format!("\n    {test}, \""));
        let at = own.or_else(|| text[..listed?].rfind("fn $test()"));
        let at = at.unwrap_or_else(|| panic!("{file} has no test {test}"));
        let before = if own.is_some() { "\n\n" } else { "=> {" };
        let attributes = &text[..at][text[..at].rfind(before).unwrap_or(0)..];
        assert!(attributes.contains("#[test]"), "{file}: {test}");
        if matches!(row.shown, Shown::Loom { .. }) && test != "known_bad_deadlocks_are_found" {
            assert!(
                attributes.contains("#[should_panic"),
                "{file}: {test} must reject"
            );
        }
    }
}

/// Each way to get eviction wrong has a row, and is found on objects of every back end; a driver that does
/// it right is not.
#[test]
fn drivers_that_evict_wrongly_are_rejected() {
    for backend in BackendKind::ALL {
        let found = |kind, flaw| {
            let buffer = || new_reservation(SemanticsKind::UsageLevels, backend);
            let buffer = || buffer().expect("it is compiled in");
            trial(kind, flaw, [buffer(), buffer()])
        };
        for kind in Kind::ALL {
            assert_eq!(found(kind, None), None, "{kind:?} on {backend}");
        }
        for flaw in Flaw::ALL {
            let is_its = |row: &&resv_fixtures::Elsewhere| matches!(row.shown, Shown::Driver(of) if of == flaw);
            assert_eq!(ELSEWHERE.iter().filter(is_its).count(), 1, "{flaw:?}");
            assert!(
                found(flaw.kind(), Some(flaw)).is_some(),
                "{flaw:?} on {backend}"
            );
        }
    }
}
