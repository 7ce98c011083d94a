//! The tables of `docs/defects.md`.
//!
//! Everything in them but the times comes out the same each time. Properties that race or draw may miss a
//! defect in one run, so the tables of properties count them as no replacement for others, and say of them only
//! what holds in every run: nothing in the tables depends on what these have found. The others are asked a second
//! time where they reject, so that what a busy machine made fail once does not count
//! ([`Fixture::steady_rejections`]).

use crate::fixture::{Fixture, Shown};
use crate::run::Rejection;
use crate::{ELSEWHERE, fixtures};
use resv_conformance::PROPERTIES;
use resv_core::Semantics;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Where the suite's fixtures are tested.
pub const TEST: &str = "resv-fixtures/tests/rejected.rs";

/// What was measured: for each fixture by name, which properties reject it.
pub type Matrix = BTreeMap<&'static str, Vec<(&'static str, Rejection)>>;

/// Whether a property may miss a defect in one run and find it in the next.
pub fn is_lucky(property: &str) -> bool {
    RACES.contains(&property) || property.starts_with("random::")
}

/// Properties with two threads that run freely.
const RACES: [&str; 9] = [
    "contract::b1_a_read_is_of_one_instant",
    "contract::b2_idle_was_true",
    "contract::b2_a_visit_that_shows_nothing_was_true",
    "contract::b2_a_racing_snapshot_holds_fences_of_the_object",
    "contract::b9_two_writers_lose_nothing",
    "fences::f_05_what_a_job_did_is_seen_by_a_reader_that_finds_the_object_idle",
    "locks::l_01_one_holder_at_a_time_in_all_mixes",
    "two_steps::b4_a_commit_is_of_one_instant",
    "waits::a_wait_that_follows_covers_what_comes_later",
];

/// Every property of the suite.
pub fn properties() -> Vec<&'static str> {
    PROPERTIES.iter().map(|property| property.name).collect()
}

/// The fixtures that nothing rejects if `property` is gone from the suite: of a certain property
/// those that no other certain one rejects, of a lucky one those that name it alone and that no
/// certain one rejects.
pub fn let_through(property: &str, matrix: &Matrix) -> Vec<&'static str> {
    let needs = |fixture: &&Fixture| {
        let mut rejected = rejecting(fixture.name, matrix);
        if is_lucky(property) {
            fixture.caught_by == [property] && rejected.all(is_lucky)
        } else {
            let certain: Vec<_> = rejected.filter(|name| !is_lucky(name)).collect();
            certain == [property]
        }
    };
    fixtures()
        .filter(needs)
        .map(|fixture| fixture.name)
        .collect()
}

fn rejecting(fixture: &str, matrix: &Matrix) -> impl Iterator<Item = &'static str> {
    let rejected = matrix.get(fixture).map_or(&[][..], Vec::as_slice);
    rejected.iter().map(|(name, _)| *name)
}

/// Why a property that no fixture needs is in the suite all the same.
fn why_kept(property: &str, matrix: &Matrix) -> String {
    if let Some((_, why)) = WHY_KEPT
        .iter()
        .find(|(begins, _)| property.starts_with(begins))
    {
        return (*why).to_owned();
    }
    if is_lucky(property) {
        return "races two threads: what it rejects is not the same in every run".to_owned();
    }
    let rejects = |name: &str| -> Vec<&str> {
        let by = |fixture: &&Fixture| rejecting(fixture.name, matrix).any(|have| have == name);
        fixtures().filter(by).map(|fixture| fixture.name).collect()
    };
    let mine = rejects(property);
    if mine.is_empty() {
        return "rejects no fixture".to_owned();
    }
    let covers = |other: &&&str| {
        let theirs = rejects(other);
        **other != property && !is_lucky(other) && mine.iter().all(|name| theirs.contains(name))
    };
    match properties().iter().find(covers) {
        Some(other) => format!("whatever it rejects, `{other}` rejects, too"),
        None => "whatever it rejects, one of several others rejects, too".to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A time as the power of ten above it: all that is worth telling of one run.
fn class(time: Duration) -> &'static str {
    match time.as_micros() {
        0..1_000 => "< 1 ms",
        1_000..10_000 => "< 10 ms",
        10_000..100_000 => "< 100 ms",
        100_000..1_000_000 => "< 1 s",
        1_000_000..10_000_000 => "< 10 s",
        _ => "longer",
    }
}

fn code(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The whole file.
pub fn document(matrix: &Matrix) -> String {
    let mut out = String::from(HEAD);
    let n = fixtures().count();
    let _ = writeln!(out, "{n} fixtures, each run by `{TEST}`.\n");
    out.push_str("| fixture | defect | origin | what goes wrong | semantics | rejected by | time to catch |\n");
    out.push_str("|---|---|---|---|---|---|---|\n");
    for fixture in fixtures() {
        let times = matrix.get(fixture.name).map_or(&[][..], Vec::as_slice);
        let fastest = times
            .iter()
            .filter(|(name, _)| fixture.caught_by.contains(name))
            .map(|(_, rejection)| rejection.after)
            .min();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            fixture.name,
            fixture.defects,
            cell(fixture.origin),
            cell(fixture.what),
            fixture.subject().semantics().name(),
            code(fixture.caught_by),
            fastest.map_or("-", class),
        );
    }
    out.push_str(ELSEWHERE_HEAD);
    for row in ELSEWHERE {
        let shown = match row.shown {
            Shown::Loom { file, test } => format!("loom: `{test}` in `{file}`"),
            Shown::Test { file, test, why } => {
                format!("no fixture: {why}. The product's test is `{test}` in `{file}`")
            }
            Shown::Driver(flaw) => {
                format!("a driver: `{flaw:?}` in `resv-conformance/src/eviction`")
            }
            Shown::Inexpressible(why) => format!("cannot be expressed: {why}"),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            row.defects,
            cell(row.origin),
            cell(row.what),
            cell(&shown)
        );
    }
    out.push_str(PROPERTIES_HEAD);
    let mut idle = Vec::new();
    for property in properties() {
        let through = let_through(property, matrix);
        if through.is_empty() {
            idle.push(property);
        } else {
            let _ = writeln!(out, "| `{property}` | {} |", code(&through));
        }
    }
    if !idle.is_empty() {
        out.push_str(IDLE_HEAD);
        for property in idle {
            let _ = writeln!(out, "| `{property}` | {} |", why_kept(property, matrix));
        }
    }
    out
}

/// Reasons that no run can tell, by how the names of the properties begin.
const WHY_KEPT: &[(&str, &str)] = &[
    (
        "selftests::wait_",
        "is about waiting in `resv-api`, which no semantics or back end can break alone",
    ),
    (
        "waits::",
        "is about waiting in `resv-api`; of it a back end can spoil the set alone, which others are about",
    ),
    (
        "tasks::",
        "is about tasks and callbacks in `resv-api`, which no semantics or back end can break alone",
    ),
    (
        "locks::l_",
        "is about the lock of `resv-core`, of which a back end can spoil no more than that it is one \
         lock; broken locks, which loom and its own tests reject: `docs/correctness.md`, The lock",
    ),
    (
        "composed::f_",
        "is about composing what an object holds, in `resv-core`; loom: \
         `h_12_known_bad_watching_unmarked`",
    ),
    (
        "composed::h_18",
        "is about taking compositions apart in `resv-api`, which no semantics or back end can break \
         alone",
    ),
    (
        "selftests::the_object_safe_form",
        "is about a form of the interface, which no semantics or back end can break alone",
    ),
    (
        "fences::f_05",
        "is about an ordering, which no safe code can leave out; loom: \
         `f05_idle_shows_what_was_before_the_signal`",
    ),
    (
        "examples::",
        "a worked example: states the answer, as the rules do elsewhere",
    ),
    (
        "random::",
        "draws what has not been thought of; a fixture has been",
    ),
];

/// `document` without what may differ from run to run.
pub fn without_times(document: &str) -> String {
    let is_time = |cell: &str| {
        ["<", "longer", "-"]
            .iter()
            .any(|time| cell.starts_with(time))
    };
    let mut out = String::new();
    for line in document.lines() {
        match line.rsplit_once(" | ") {
            Some((rest, last)) if is_time(last) => {
                out.push_str(rest);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

const HEAD: &str = "\
# Defects, and what catches them

Generated by `scripts/defects`; `scripts/defects --check` says whether it is up to date. Codes such as
H-16 and D-1 are those of [hazards.md](hazards.md); B1 to B10 are the promises of `resv_core::backend`.

## Defects that the conformance suite rejects

Each is a broken semantics or back end in `resv-fixtures`. The properties named are those that are about
the defect; others may reject it, too. The time is that of the fastest of them, in powers of ten, on the
machine that wrote this file. ";

const ELSEWHERE_HEAD: &str = "
## Defects that take a schedule, or cannot be expressed

A loom row is a variant of the product's own code with the defect, which the model must reject; `scripts/loom`
runs them all. A driver goes wrong above objects that do not: the test of the table plays it, and it is rejected.

| defect | origin | what goes wrong | shown by |
|---|---|---|---|
";

const PROPERTIES_HEAD: &str = "
## What gets through if a property is removed

Fixtures that nothing rejects any more if the property is taken out of the suite. Properties that race two
threads, or draw scripts at random, find a defect in most runs and not in all; they do not count as a
replacement of one that finds it always. For such a property itself the fixtures are listed that are made for
it alone and that no property finds always.

| without | gets through |
|---|---|
";

const IDLE_HEAD: &str = "
## Properties that no fixture needs

Each of the fixtures that they reject is rejected by another property as well: these are the candidates for
merging, or for a fixture of their own.

| property | why it is there, or what stands in for it |
|---|---|
";
