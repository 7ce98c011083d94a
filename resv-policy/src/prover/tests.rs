//! What the documents claim, proved again.

use super::*;
use crate::maps::{Map, MapKind};
use crate::table::{Relation, Table};
use resv_core::{Access, Usage};

fn member(name: &str) -> Member {
    name.parse().expect("a member")
}

fn options(timelines: usize, ops: &str) -> Options {
    Options {
        timelines,
        ops: Some(ops.parse().expect("operations")),
        ..Options::default()
    }
}

fn answer(expected: &str, actual: &str, options: &Options) -> Answer {
    compare(&member(expected), &member(actual), options)
}

/// The classes for explicit, read, write, move, by their first letters.
fn classes(answer: &Answer) -> String {
    let classes = answer.accesses.iter();
    classes.map(|a| &a.class.name()[..1]).collect()
}

const PAIRS: [(&str, &str, &str); 9] = [
    ("exclusive-shared", "exclusive-shared", "eeee"),
    ("exclusive-shared", "writers-readers-others", "eouo"),
    ("exclusive-shared", "usage-levels", "oouo"),
    ("writers-readers-others", "exclusive-shared", "euuu"),
    ("writers-readers-others", "writers-readers-others", "eeee"),
    ("writers-readers-others", "usage-levels", "oooo"),
    ("usage-levels", "exclusive-shared", "uuuu"),
    ("usage-levels", "writers-readers-others", "uuuu"),
    ("usage-levels", "usage-levels", "eeee"),
];

#[test]
fn pairs_of_semantics_with_two_timelines_and_with_three() {
    for timelines in [2, 3] {
        for (expected, actual, says) in PAIRS {
            let options = Options {
                timelines,
                ..Options::default()
            };
            let answer = answer(expected, actual, &options);
            assert_eq!(
                (classes(&answer).as_str(), answer.complete),
                (says, true),
                "{expected} against {actual}, {timelines} timelines"
            );
        }
    }
}

/// With its duty kept, the oldest semantics is as good as the newest for readers and movers. Replacing
/// breaks that: what takes the place of an exclusive fence need not wait for what that one dropped.
#[test]
fn the_duty_makes_the_oldest_semantics_right_until_something_is_replaced() {
    let mut options = options(3, "add,copy,signal");
    options.duty = Some(SemanticsKind::ExclusiveShared);
    let kept = answer("usage-levels", "exclusive-shared", &options);
    assert_eq!(classes(&kept), "ueoe");
    options.ops = None;
    let replaced = answer("usage-levels", "exclusive-shared", &options);
    assert_eq!(classes(&replaced), "uuuu");
    let scenario = replaced.accesses[3].scenario.as_ref().expect("unsound");
    assert_eq!(scenario.matches("add fb").count(), 2, "{scenario}");
    assert_eq!(scenario.matches("replace fb").count(), 1, "{scenario}");
    options.ops = Some("add,copy,signal".parse().expect("operations"));
    options.duty = None;
    let none = answer("usage-levels", "exclusive-shared", &options);
    assert_eq!(classes(&none), "uuuu");
}

/// "Others on shared" loses a move's fences even where every job keeps the writer's duty of the
/// proposal: that duty leaves the others out, and an exclusive fence drops them.
#[test]
fn the_proposals_duty_does_not_help_its_others_in_the_oldest_objects() {
    let mut options = options(2, "add,signal");
    options.duty = Some(SemanticsKind::WritersReadersOthers);
    let found = answer("writers-readers-others", "exclusive-shared", &options);
    assert_eq!(found.accesses[3].class, Class::Unsound);
}

#[test]
fn dominance_is_the_slot_rule_since_6_0_and_that_of_5_19_in_order() {
    for rule in ["linux-6.0", "linux-6.7"] {
        for (a, b) in [(rule, "usage-levels"), ("usage-levels", rule)] {
            let found = answer(a, b, &options(2, "add,copy,signal"));
            assert_eq!((classes(&found).as_str(), found.complete), ("eeee", true));
            // Adds of older fences are bounded in number; the induction holds for any.
            let found = answer(a, b, &options(1, "add,copy,signal,older"));
            assert_eq!(classes(&found), "eeee");
        }
    }
    let in_order = answer("usage-levels", "linux-5.19", &options(2, "add,copy,signal"));
    assert_eq!(
        (classes(&in_order).as_str(), in_order.complete),
        ("eeee", true)
    );
    let older = answer(
        "usage-levels",
        "linux-5.19",
        &options(1, "add,signal,older"),
    );
    assert_eq!(classes(&older), "uuuu");
}

/// A slot that has signalled is replaced, too, and is pending then.
#[test]
fn a_replacement_revives_what_a_slot_rule_has_left_over() {
    let found = answer(
        "usage-levels",
        "linux-6.7",
        &options(1, "add,replace,signal"),
    );
    assert_eq!(classes(&found), "oooo");
    let scenario = found.accesses[3].scenario.as_ref().expect("over");
    assert!(scenario.contains("signal a1\n"), "{scenario}");
}

/// The explored arrays give the answer of the induction.
#[test]
fn the_induction_agrees_with_the_exploration() {
    for (rule, ops, says) in [
        ("linux-6.7", "add,copy,signal,older", "eeee"),
        ("linux-6.0", "add,copy,signal,older", "eeee"),
        ("linux-5.19", "add,copy,signal", "eeee"),
        ("linux-5.19", "add,copy,signal,older", "uuuu"),
    ] {
        let options = options(1, ops);
        let machines = [
            Machine::new(member("usage-levels")),
            Machine::new(member(rule)),
        ];
        let ops = options.ops.expect("given");
        let options = Options {
            slots: 3,
            ..options
        };
        let found = explore::explore(&machines, &ops, &Query::ACCESSES, &options, None);
        let classes: String = found.classes.iter().map(|c| &c.class.name()[..1]).collect();
        assert_eq!(classes, says, "{rule} {ops}");
    }
}

#[test]
fn each_line_of_a_map_has_the_class_that_its_table_states() {
    for map in MapKind::ALL {
        for row in map.rows() {
            let worst = row.claims.iter().map(|claim| claim.class).max();
            assert!(worst >= Some(row.class), "{}: {}", map.name(), row.call);
            for claim in row.claims {
                let mut options = options(2, claim.ops);
                options.queries = vec![claim.query.parse().expect("an access")];
                options.duty = claim.duty.map(|duty| duty.parse().expect("a semantics"));
                let found = answer(claim.expected, claim.actual, &options);
                let access = &found.accesses[0];
                assert_eq!(access.class, claim.class, "{}", claim.command());
                assert_eq!(access.scenario.is_some(), access.class != Class::Exact);
            }
        }
    }
}

/// Each answer of each table is turned round. What the prover says of it is what can be seen of it: a
/// change is exact only where the two answers cannot be told apart.
#[test]
fn an_error_in_a_table_is_found_with_a_minimal_scenario() {
    let levels = member("usage-levels");
    let plain = options(1, "add,signal");
    for access in Access::ALL {
        for usage in Usage::ALL {
            let mut table = Table::of(SemanticsKind::UsageLevels);
            table.flip_waits(access, usage);
            let found = compare(&levels, &Member::Table(Box::new(table)), &plain);
            let answer = &found.accesses[access as usize];
            assert_ne!(answer.class, Class::Exact, "{access} {usage}");
            let scenario = answer.scenario.as_ref().expect("not exact");
            assert_eq!(scenario.matches("add fb").count(), 1, "{scenario}");
        }
    }
    for new in Usage::ALL {
        for old in Usage::ALL {
            for relation in Relation::ALL {
                let mut table = Table::of(SemanticsKind::UsageLevels);
                table.flip_supersedes(new, old, relation);
                let mut options = match relation {
                    Relation::Other => options(2, "add,signal"),
                    _ => options(1, "add,signal,older"),
                };
                // A table that supersedes too little lets objects grow without bound.
                options.states = 2000;
                let found = compare(&levels, &Member::Table(Box::new(table)), &options);
                // To keep what is dominated is not seen as long as fences signal in order.
                let is_dominated = old >= new && relation as u8 <= Relation::Same as u8;
                let loses = found.accesses.iter().any(|a| a.class == Class::Unsound);
                let expected = !is_dominated;
                assert_eq!(
                    loses,
                    expected,
                    "{new} {old} {relation:?}: {}",
                    classes(&found)
                );
                for access in found.accesses.iter().filter(|a| a.class == Class::Unsound) {
                    let scenario = access.scenario.as_ref().expect("not exact");
                    assert!(scenario.matches("add fb").count() <= 2, "{scenario}");
                }
            }
        }
    }
}

#[test]
fn what_each_change_of_era_did() {
    let classes = |expected: &str, actual: &str| {
        let options = Options {
            timelines: 2,
            ..Options::default()
        };
        let found = answer(expected, actual, &options);
        assert!(found.complete, "{expected} {actual}: {:?}", found.bound);
        let said = found.accesses.iter();
        said.map(|a| format!("{}:{}", a.query, &a.class.name()[..1]))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        classes("policy:p6a", "policy:p6b"),
        "explicit:e read:e write:e move:e unmap:e compute:o compute-no-device:o"
    );
    assert_eq!(
        classes("policy:p6b", "policy:p7"),
        "explicit:u read:u write:u move:e unmap:u compute:u compute-no-device:u"
    );
    assert_eq!(
        classes("policy:p7", "policy:p6b"),
        "explicit:o read:o write:o move:e unmap:o compute:o compute-no-device:o"
    );
}

#[test]
fn a_scenario_does_not_depend_on_the_number_of_timelines() {
    let of = |timelines| {
        let options = Options {
            timelines,
            ..Options::default()
        };
        answer("usage-levels", "exclusive-shared", &options)
            .accesses
            .remove(1)
            .scenario
    };
    assert_eq!(of(2), of(3));
}

const SEMANTICS: [&str; 3] = ["exclusive-shared", "writers-readers-others", "usage-levels"];

/// With three timelines, each pair of semantics under each duty has the classes that it has with two,
/// where all states are gone through.
#[test]
fn pairs_of_semantics_with_each_duty_kept() {
    for duty in SEMANTICS {
        for expected in SEMANTICS {
            for actual in SEMANTICS {
                let options = |timelines, exhaustive| Options {
                    timelines,
                    exhaustive,
                    duty: duty.parse().ok(),
                    ..Options::default()
                };
                let all = answer(expected, actual, &options(2, true));
                let two = answer(expected, actual, &options(2, false));
                let three = answer(expected, actual, &options(3, false));
                assert!(all.complete && two.complete && three.complete);
                let says = classes(&all);
                assert_eq!(classes(&two), says, "{expected} {actual}, duty of {duty}");
                assert_eq!(classes(&three), says, "{expected} {actual}, duty of {duty}");
                let proof = three.proof.as_deref().unwrap_or_default();
                let for_any = proof.contains("any number of timelines") || expected == actual;
                assert!(for_any, "{expected} {actual}, duty of {duty}: {proof}");
            }
        }
    }
}

/// The kinds of timelines that a policy tells apart make many more states with a duty; one fence is
/// followed among them as well.
#[test]
fn policies_are_decided_with_a_duty_kept() {
    for (expected, actual) in [
        ("writers-readers-others", "policy:p5"),
        ("usage-levels", "policy:p7"),
        ("policy:p6b", "linux-6.7"),
    ] {
        for duty in SEMANTICS {
            let options = Options {
                timelines: 2,
                duty: duty.parse().ok(),
                states: 100_000,
                ..Options::default()
            };
            let found = answer(expected, actual, &options);
            assert!(found.complete && found.proof.is_some(), "{found:?}");
        }
    }
}

/// What is said of slot rules with replacements holds for arrays of any length.
#[test]
fn slot_rules_with_replacements_are_decided_against_semantics_and_each_other() {
    for rule in ["linux-5.19", "linux-6.0", "linux-6.7"] {
        for (other, as_actual, as_expected) in [
            ("exclusive-shared", "oouo", "uuuu"),
            ("writers-readers-others", "oooo", "uuuu"),
            ("usage-levels", "oooo", "uuuu"),
            ("linux-6.7", "eeee", "eeee"),
        ] {
            for (expected, actual, says) in [(other, rule, as_actual), (rule, other, as_expected)] {
                let found = answer(expected, actual, &options(2, "add,replace,copy,signal"));
                assert_eq!(
                    (classes(&found).as_str(), found.complete),
                    (says, true),
                    "{expected} against {actual}"
                );
            }
        }
    }
}

/// A fence that takes the place of another timeline's: each semantics answers as itself, and the older
/// ones lose what they lose anyway.
#[test]
fn a_replacement_may_come_from_another_timeline() {
    let ops = "add,replace,replace-across,signal";
    for semantics in SEMANTICS {
        let options = Options {
            exhaustive: true,
            ..options(2, ops)
        };
        let found = answer(semantics, semantics, &options);
        assert_eq!((classes(&found).as_str(), found.complete), ("eeee", true));
    }
    let mut options = options(2, "add-write,replace-across,signal");
    let found = answer("usage-levels", "exclusive-shared", &options);
    assert_eq!(found.accesses[1].class, Class::Unsound);
    // Its scenario says which timeline's fences are replaced, and by which fence.
    options.ops = Some("add-bookkeep,replace-across,signal".parse().expect("ops"));
    let found = answer("usage-levels", "linux-6.7", &options);
    let scenario = found.accesses[3].scenario.as_ref().expect("over");
    assert!(scenario.contains("replace fb a b"), "{scenario}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]

    /// Tables that nobody has had: going through all states and following one fence give the same
    /// classes, and no class is worse than its bound.
    #[test]
    fn following_one_fence_is_a_bound_and_the_answer_is_that_of_all_states(
        flips in proptest::collection::vec((0..2usize, 0..4usize, 0..4usize, 0..3usize), 0..4),
        bases in (0..3usize, 0..3usize),
        duty in proptest::option::of(0..3usize),
        ops in proptest::sample::select(vec!["add,signal", "add,replace,signal", "add,replace-signaled"]),
    ) {
        let kinds = [SemanticsKind::ExclusiveShared, SemanticsKind::WritersReadersOthers, SemanticsKind::UsageLevels];
        let mut tables = [Table::of(kinds[bases.0]), Table::of(kinds[bases.1])];
        for (side, new, old, what) in flips {
            match what {
                0 => tables[side].flip_waits(Access::ALL[new], Usage::ALL[old]),
                // To supersede too little on one timeline would let objects grow without end.
                _ => tables[side].flip_supersedes(Usage::ALL[new], Usage::ALL[old], Relation::Other),
            }
        }
        let [a, b] = tables.map(|table| Member::Table(Box::new(table)));
        let mut options = options(2, ops);
        options.duty = duty.map(|duty| kinds[duty]);
        options.states = 5_000;
        let quick = compare(&a, &b, &options);
        options.exhaustive = true;
        let all = compare(&a, &b, &options);
        if all.complete {
            proptest::prop_assert_eq!(classes(&quick), classes(&all), "{:?}", quick.proof);
        }
        let mut machines = vec![Machine::new(a), Machine::new(b)];
        machines.extend(options.duty.map(|kind| Machine::new(Member::Semantics(kind))));
        let ops = options.ops.expect("given");
        let bound = follow::bound(&machines, &ops, &Query::ACCESSES, 2).expect("tables can be followed");
        for (bound, found) in bound.classes.iter().zip(&all.accesses) {
            proptest::prop_assert!(*bound >= found.class);
            // Where fences signal, it is reached.
            proptest::prop_assert!(!ops.signal || !all.complete || *bound == found.class);
        }
    }
}
