//! Policies on top of objects: the worked examples of the owner rule in every era ([`examples`]), where
//! it parts from plain implicit sync ([`cases`]), its laws ([`laws`]), what the documentation shows of it
//! ([`page`]), lazy fences, and counterexamples of the prover. All on every back end.
//!
//! X and Y are clients of device 0, with the timelines A and B, and C. M is memory management, V the page
//! tables of X, E an eviction fence of compute, Z a driver that follows the plain rule, D a client of
//! another device.

mod cases;
mod examples;
mod laws;
mod page;

use resv_api::BackendKind;
use resv_conformance::scenario::{Runner, Scenario};

const DECLARED: &str = "timeline a owner client:1 device 0\ntimeline b owner client:1 device 0\n\
    timeline c owner client:2 device 0\ntimeline m device 0\ntimeline v owner page-tables device 0\n\
    timeline e owner compute\ntimeline z\ntimeline d owner client:3 device 1\nfence a1 a\nfence b1 b\n\
    fence c1 c\nfence m1 m\nfence v1 v\nlazy e1 e\nfence z1 z\nfence d1 d\n";

/// What the last query of a script is told, on every back end.
fn told(script: &str) -> String {
    let script = Scenario::parse(script).unwrap_or_else(|e| panic!("{e}\n{script}"));
    let mut told: Vec<String> = BackendKind::ALL
        .into_iter()
        .map(|backend| {
            let mut runner = Runner::of_any_era(backend).expect("it is compiled in");
            let answers = runner
                .run(&script)
                .unwrap_or_else(|e| panic!("{e}\n{script}"));
            answers.last().expect("a query").value.to_string()
        })
        .collect();
    let first = told.remove(0);
    assert!(
        told.iter().all(|other| *other == first),
        "{told:?}\n{script}"
    );
    first
}

const LAZY: &str = "timeline a\ntimeline e owner compute\nfence a1 a\nlazy e1 e\nresv fb\n";

/// How often `e1` is asked after `before`, under a semantics.
fn asked(semantics: &str, before: &str) -> String {
    let era = match semantics {
        "exclusive-shared" => "era p0\n",
        _ => "",
    };
    told(&format!("{era}{LAZY}{before}\nasked e1\n"))
}

#[test]
fn no_implicit_or_explicit_access_asks_a_bookkeep_fence() {
    let before = "add fb e1 bookkeep\nwait fb read\nwait fb write\nwait fb explicit\nidle fb move";
    assert_eq!(asked("usage-levels", before), "0");
    assert_eq!(
        asked("usage-levels", &format!("{before}\nwait fb move")),
        "1"
    );
    // The oldest semantics cannot say so: a writer evicts for nothing.
    assert_eq!(
        asked("exclusive-shared", "add fb e1 bookkeep\nwait fb write"),
        "1"
    );
    assert_eq!(
        asked("exclusive-shared", "add fb e1 bookkeep\nwait fb read"),
        "0"
    );
}

#[test]
fn three_movers_ask_once() {
    let movers = "add fb e1 bookkeep\nwait fb move\nwait fb move\nwait fb move";
    assert_eq!(asked("usage-levels", movers), "1");
}

#[test]
fn an_exclusive_fence_drops_the_eviction_fence_and_the_move_does_not_evict() {
    let before = "add fb e1 read\nadd fb a1 write\nwait fb move";
    assert_eq!(asked("exclusive-shared", before), "0");
    assert_eq!(asked("usage-levels", before), "1");
}

#[test]
fn what_is_taken_off_one_buffer_evicts_by_the_other_only() {
    let before = "resv b2\nfence gone a\nsignal a1\nsignal gone\nadd fb e1 bookkeep\nadd b2 e1 bookkeep\n\
        replace fb e gone bookkeep\nwait fb move";
    assert_eq!(asked("usage-levels", before), "0");
    assert_eq!(
        asked("usage-levels", &format!("{before}\nwait b2 move")),
        "1"
    );
}

#[test]
fn the_next_generation_takes_the_place_of_the_last() {
    let before =
        "add fb e1 bookkeep\nwait fb move\nsignal e1\nlazy e2 e\nadd fb e2 bookkeep\nwait fb move";
    assert_eq!(told(&format!("{LAZY}{before}\nasked e2\n")), "1");
    assert_eq!(told(&format!("{LAZY}{before}\nlist fb\n")), "e:2=bookkeep");
}

/// A replacement strands the waiters for a generation that is pending: they wait for a fence that no
/// object shows any more.
#[test]
fn a_pending_generation_that_is_replaced_is_in_no_object() {
    let before = "add fb e1 bookkeep\nwait fb move\nlazy e2 e\nreplace fb e e2 bookkeep";
    assert_eq!(told(&format!("{LAZY}{before}\nlist fb\n")), "e:2=bookkeep");
    assert_eq!(told(&format!("{LAZY}{before}\nstatus e1\n")), "pending");
}

/// A buffer that dies hands its fences to an object of its own. What is taken out of the shared one
/// stays in the copy, and the last wait evicts.
#[test]
fn b9_what_is_removed_from_the_shared_object_stays_in_the_copy() {
    let dies =
        "resv ghost\nfence gone a\nsignal a1\nsignal gone\nadd fb e1 bookkeep\ncopy ghost fb\n";
    for (removed, asks) in [("fb", "1"), ("ghost", "0")] {
        let before = format!("{dies}replace {removed} e gone bookkeep\nwait ghost move");
        for semantics in ["usage-levels", "exclusive-shared"] {
            assert_eq!(asked(semantics, &before), asks, "{semantics}, {removed}");
        }
    }
}

/// A page table is freed that shares the object of the root directory. To wait for that object is to
/// evict; the table gets a copy without the eviction fence instead, and the root keeps it.
#[test]
fn b10_freeing_a_page_table_evicts_nobody() {
    let shared = "fence gone a\nsignal a1\nsignal gone\nadd fb e1 bookkeep\n";
    let frees = "resv table\ncopy table fb\nreplace table e gone bookkeep\nwait table move";
    for semantics in ["usage-levels", "exclusive-shared"] {
        assert_eq!(asked(semantics, &format!("{shared}wait fb move")), "1");
        assert_eq!(asked(semantics, &format!("{shared}{frees}")), "0");
    }
    let script = format!("{LAZY}{shared}{frees}\nwaits fb move\n");
    assert_eq!(told(&script), "e:1");
}

/// "Forget all" of an object of before 5.19 has no counterpart: each timeline is replaced, or the last wait
/// evicts.
#[test]
fn b14_forgetting_all_fences_becomes_a_replacement_of_each_timeline() {
    let torn_down = "fence gone a\nsignal a1\nsignal gone\nadd fb e1 bookkeep\n";
    let forgets = format!("{torn_down}replace fb e gone bookkeep\nwait fb move");
    assert_eq!(asked("usage-levels", &forgets), "0");
    assert_eq!(
        asked("usage-levels", &format!("{torn_down}wait fb move")),
        "1"
    );
}

#[test]
fn a_point_exists_before_its_fence() {
    let script = "timeline gfx\nresv fb\npoint p gfx 7\nadd fb p write\n";
    assert_eq!(told(&format!("{script}waits fb read\n")), "gfx:7");
    let issued = format!("{script}fence f gfx 7\nsignal f\n");
    assert_eq!(told(&format!("{issued}status p\n")), "ok");
    assert_eq!(told(&format!("{issued}idle fb read\n")), "true");
}

#[test]
fn errors_of_eras_name_what_was_expected() {
    let error = |runner: Runner, script: &str| {
        let mut runner = runner;
        let script = Scenario::parse(script).expect("well formed");
        runner.run(&script).expect_err("wrong").to_string()
    };
    let any = || Runner::of_any_era(BackendKind::Locked).expect("always there");
    let levels = || {
        let semantics = resv_api::SemanticsKind::UsageLevels;
        Runner::new(semantics, BackendKind::Locked).expect("always there")
    };
    for (runner, script, says) in [
        (levels(), "era p3", "1: era p3 implies exclusive-shared"),
        (
            any(),
            "timeline t\nfence f t\nresv r\nfile r move f",
            "4: object 'r' has no era",
        ),
        (any(), "resv r\nattach r", "2: object 'r' has no era"),
        (
            any(),
            "resv r\nask r undefined device - always",
            "2: object 'r' has no era",
        ),
        (
            any(),
            "timeline t\npoint p t 0",
            "2: seqno 0 is out of range",
        ),
        (
            any(),
            "timeline t\npoint p t 1\nsignal p",
            "3: 'p' is a point, which signals with its timeline",
        ),
    ] {
        let error = error(runner, script);
        assert!(error.starts_with(says), "{script}: {error}");
    }
    assert!(
        levels()
            .run(&Scenario::parse("era p5\nresv r").expect("well formed"))
            .is_ok()
    );
    for (line, says) in [
        ("era p6", "'p6' is not one of the eras p0, p1"),
        (
            "timeline t owner me",
            "'me' is not one of the owners undefined",
        ),
        (
            "timeline t device x",
            "'x' is not a device: expected a number from 0",
        ),
        ("timeline t owner", "'timeline' has 2 words after it"),
        (
            "timeline t owner compute owner compute",
            "'timeline' has 5 words after it",
        ),
        (
            "file fb job f",
            "'job' is not one of the producers submission",
        ),
        (
            "file fb move f later",
            "'later' says nothing about how a fence is filed",
        ),
        (
            "file fb move f attached attached",
            "'attached' stands twice",
        ),
        (
            "ask fb client:1 device 0 never",
            "'never' is not one of the modes always",
        ),
        (
            "ask fb client:1 device",
            "'ask' has 3 words after it: expected 'ask RESV OWNER device N|- MODE'",
        ),
    ] {
        let error = Scenario::parse(line).expect_err("wrong").to_string();
        assert!(error.contains(says), "{line}: {error}");
    }
}

/// A counterexample is told, by objects of either side, what the prover says.
#[test]
fn counterexamples_run_on_both_sides() {
    use resv_policy::Member;
    use resv_policy::prover::{Options, compare};
    let pairs = [
        ("usage-levels", "exclusive-shared"),
        ("exclusive-shared", "usage-levels"),
        ("writers-readers-others", "usage-levels"),
        ("usage-levels", "linux-6.7"),
        ("usage-levels", "hybrid"),
        ("usage-levels", "map:amdkcl"),
        ("usage-levels", "map:port-5.15"),
        ("exclusive-shared", "map:conversion"),
        ("policy:p3", "policy:p4"),
        ("policy:p6b", "policy:p7"),
        ("usage-levels", "policy:p6b"),
    ];
    let mut played = 0;
    for (expected, actual) in pairs {
        let member = |name: &str| -> Member { name.parse().expect("a member") };
        let options = Options {
            timelines: 2,
            states: 20_000,
            ..Options::default()
        };
        let answer = compare(&member(expected), &member(actual), &options);
        for scenario in answer.accesses.iter().filter_map(|a| a.scenario.as_ref()) {
            let script = Scenario::parse(scenario).expect("a scenario");
            for (side, name) in [("expected", expected), ("actual", actual)] {
                let (_, says) = scenario
                    .split_once(&format!("# {side}, --semantics {name}: "))
                    .unwrap_or_else(|| panic!("{scenario}"));
                let says = says.lines().next().expect("a line");
                let mut runners = vec![Runner::of_member(&member(name))];
                if let Member::Semantics(kind) = member(name) {
                    let locked = Runner::new(kind, BackendKind::Locked);
                    runners.push(locked.expect("always there"));
                }
                for mut runner in runners {
                    let answers = runner
                        .run(&script)
                        .unwrap_or_else(|e| panic!("{e}\n{scenario}"));
                    let told = answers.last().expect("a query").value.to_string();
                    // Of several fences of a timeline the latest counts; the prover names them all.
                    assert_eq!(told, says, "{name}\n{scenario}");
                    played += 1;
                }
            }
        }
    }
    assert!(played > 60, "{played}");
}
