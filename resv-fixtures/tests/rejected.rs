//! The suite rejects every fixture, by the properties that are about it, and holds for what is sound.

mod printed_script;

use resv_api::{BackendKind, new_reservation};
use resv_conformance::PROPERTIES;
use resv_conformance::eviction::{Flaw, Kind, trial};
use resv_core::SemanticsKind;
use resv_fixtures::run::Rejection;
use resv_fixtures::{ELSEWHERE, Fixture, Shown, fixtures, report};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
            if fixture.tried(property).is_none() {
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

/// What properties that take luck have found is not in `docs/defects.md`: with none of it and with all of it the
/// document is the same, whether the others reject all fixtures or only those that they are about.
#[test]
fn the_document_does_not_depend_on_luck() {
    for others_reject_all in [false, true] {
        let document = |luck| {
            let rejects = |fixture: &Fixture, name: &&str| match report::is_lucky(name) {
                true => luck,
                false => others_reject_all || fixture.caught_by.contains(name),
            };
            let row = |fixture: &'static Fixture| {
                let names = report::properties().into_iter();
                let rejection = Rejection {
                    said: String::new(),
                    after: Duration::from_millis(1),
                };
                let names = names.filter(|name| rejects(fixture, name));
                let row = names.map(|name| (name, rejection.clone())).collect();
                (fixture.name, row)
            };
            report::without_times(&report::document(&fixtures().map(row).collect()))
        };
        assert_eq!(document(false), document(true));
    }
}

/// The report has to know of each property that races two threads.
#[test]
fn a_property_that_races_is_known_to_take_luck() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resv-conformance/src/properties");
    let mut found = 0;
    for file in rust_files(&folder) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let functions: Vec<_> = text
            .split("\nfn ")
            .flat_map(|text| text.split("\npub fn "))
            .collect();
        let name = |function: &str| {
            function
                .split(['(', '<'])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let calls = |function: &str, name: &str| {
            let body = function.split_once('{').map_or("", |(_, body)| body);
            body.contains(&format!(" {name}("))
        };
        // Those that race, and those that call one that does.
        let mut races = vec!["race".to_owned()];
        for _ in 0..3 {
            let more = functions
                .iter()
                .filter(|function| races.iter().any(|race| calls(function, race)));
            let more: Vec<_> = more.map(|function| name(function)).collect();
            races.extend(more);
        }
        for property in PROPERTIES {
            let (_, own) = property.name.split_once("::").expect("a module and a name");
            if races.iter().any(|race| race == own) {
                found += 1;
                assert!(report::is_lucky(property.name), "{}", property.name);
            }
        }
    }
    assert!(found >= 5, "{found} properties that race");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let deeper = folders.iter().flat_map(|folder| rust_files(folder));
    files.into_iter().chain(deeper).collect()
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
