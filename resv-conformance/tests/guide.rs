//! The table of worked examples in the guide of `resv-api`, read and compared with what the code
//! answers: what is printed for people cannot drift from what is true.

use resv_api::BackendKind;
use resv_conformance::Subject;
use resv_conformance::model::Generation;
use resv_conformance::notation::{check, examples};
use resv_core::SemanticsKind;

const GUIDE: &str = resv_api::guide::TEXT;

fn cells(line: &'static str) -> Vec<&'static str> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    let cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
    cells.collect()
}

#[test]
fn the_table_of_examples_has_the_semantics_as_columns_and_lessons() {
    let mut rows = GUIDE.lines().map(cells).skip_while(|cells| cells[0] != "#");
    let head = rows.next().expect("a table that begins with '#'");
    assert_eq!(head[1], "sequence");
    let names = Generation::ALL.map(Generation::name);
    assert_eq!(head[2..5], names, "the columns are the semantics");
    let rows: Vec<_> = rows
        .skip(1)
        .take_while(|cells| cells[0].starts_with('E'))
        .collect();
    assert_eq!(rows.len(), examples().count());
    assert!(
        rows.iter().all(|cells| !cells[5].is_empty()),
        "each has a lesson"
    );
}

#[test]
fn every_semantics_on_every_back_end_answers_as_printed() {
    for (at, semantics) in Generation::ALL
        .map(Generation::kind)
        .into_iter()
        .enumerate()
    {
        for backend in BackendKind::ALL {
            let on = Subject::of_kinds(semantics, backend).expect("every back end is compiled in");
            for example in examples() {
                let told = check(on, example.sequence, example.answers[at]);
                assert_eq!(told, Ok(()), "{}", example.name);
            }
        }
    }
}

#[test]
fn every_example_has_a_row_and_a_reason() {
    let names: Vec<&str> = examples().map(|example| example.name).collect();
    let reasons = GUIDE.split("\n# Why\n").nth(1).expect("a section 'Why'");
    for n in 1..=17 {
        let name = format!("E{n}");
        assert!(names.contains(&name.as_str()), "{name} has no row");
        let word = |c: char| !c.is_ascii_alphanumeric();
        let explained = reasons
            .split("**")
            .skip(1)
            .step_by(2)
            .any(|title| title.split(word).any(|w| w == name));
        assert!(explained, "{name} is not explained");
    }
}

/// The two tables of rules before the examples.
#[test]
fn the_tables_of_rules_are_printed_as_they_are() {
    use resv_core::Access;
    let waits = |kind: SemanticsKind, access: Access| -> String {
        let usages = kind.waits_for(access);
        let words = |names: [&str; 4]| -> Vec<String> {
            let named = usages.iter().map(|u| names[u as usize].to_owned());
            named.collect()
        };
        let and = |words: Vec<String>| match words.as_slice() {
            [] => "nothing".to_owned(),
            [a, b] => format!("{a} and {b}"),
            words => words.join(", "),
        };
        match kind {
            SemanticsKind::ExclusiveShared => and(words(["", "exclusive", "shared", ""])),
            SemanticsKind::WritersReadersOthers => and(words(["", "writers", "readers", "others"])),
            SemanticsKind::UsageLevels if access == Access::Move => "everything".to_owned(),
            _ => words(["kernel", "write", "read", "bookkeep"]).join(", "),
        }
    };
    for access in Access::ALL {
        let row = GUIDE
            .lines()
            .map(cells)
            .find(|cells| cells[0] == access.name() && !cells[1].starts_with("as `"))
            .unwrap_or_else(|| panic!("no row for {access}"));
        let expected = Generation::ALL.map(|it| waits(it.kind(), access));
        assert_eq!(row[1..], expected, "{access}");
    }
    for usage in resv_core::Usage::ALL {
        let row = GUIDE
            .lines()
            .map(cells)
            .find(|cells| cells[0] == usage.name() && cells[1].starts_with("as `"))
            .unwrap_or_else(|| panic!("no row for {usage}"));
        for (cell, kind) in row[1..].iter().zip(Generation::ALL.map(Generation::kind)) {
            let kept = format!("as `{}`", kind.class(usage));
            assert!(cell.starts_with(&kept), "{usage} under {kind}: {cell}");
        }
    }
}
