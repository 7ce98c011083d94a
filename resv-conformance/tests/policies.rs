//! The owner rule, filing and lazy fences on real objects: the worked examples, in every era and on every
//! back end.
//!
//! X and Y are clients of device 0, with the timelines A and B, and C. M is memory management, V the page
//! tables of X, E an eviction fence of compute, Z a driver that follows the plain rule, D a client of
//! another device.

use resv_api::BackendKind;
use resv_conformance::scenario::{Runner, Scenario};

const DECLARED: &str = "timeline a owner client:1 device 0\ntimeline b owner client:1 device 0\n\
    timeline c owner client:2 device 0\ntimeline m device 0\ntimeline v owner page-tables device 0\n\
    timeline e owner compute\ntimeline z\ntimeline d owner client:3 device 1\nfence a1 a\nfence b1 b\n\
    fence c1 c\nfence m1 m\nfence v1 v\nlazy e1 e\nfence z1 z\nfence d1 d\n";

const ERAS: [&str; 7] = ["p1", "p3", "p4", "p5", "p6a", "p6b", "p7"];

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

/// Statements, and what the last of them is told in each of [`ERAS`].
struct Row(&'static str, &'static str, [&'static str; 7]);

const X: &str = "ask fb client:1 device 0 not-equal";
const X_EXPLICIT: &str = "ask fb client:1 device 0 explicit";
const X_UNMAPS: &str = "ask fb client:1 device 0 equal";
const Y: &str = "ask fb client:2 device 0 not-equal";
const Y_EXPLICIT: &str = "ask fb client:2 device 0 explicit";
const COMPUTE: &str = "ask fb compute device 0 not-equal";
const A1: &str = "file fb submission a1";

#[rustfmt::skip]
const ROWS: &[(&str, Row)] = &[
    ("1", Row(A1, X, ["-"; 7])),
    ("2", Row("file fb submission a1 attached", X, ["a:1", "a:1", "-", "-", "-", "-", "-"])),
    ("3", Row(A1, Y, ["a:1"; 7])),
    ("5", Row("file fb submission a1\nfile fb submission b1", Y, ["a:1 b:1"; 7])),
    ("5z", Row("file fb submission a1\nfile fb submission b1\nattach fb", "waits fb read",
        ["a:1 b:1", "a:1 b:1", "-", "a:1 b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1"])),
    ("5e", Row("file fb submission a1 attached\nfile fb submission b1 attached", "waits fb read",
        ["b:1", "b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1"])),
    ("6", Row("file fb submission a1 attached\nfile fb submission c1 attached", X,
        ["c:1", "c:1", "a:1 c:1", "c:1", "c:1", "c:1", "c:1"])),
    ("7", Row("file fb submission c1 attached\nfile fb submission a1 attached", X,
        ["a:1", "a:1", "c:1", "c:1", "c:1", "c:1", "c:1"])),
    ("8", Row("file fb move m1", X_EXPLICIT, ["m:1"; 7])),
    ("9", Row("file fb vacate m1", X_EXPLICIT, ["-", "m:1", "m:1", "m:1", "m:1", "m:1", "m:1"])),
    ("10", Row("file fb page-tables v1", X, ["-"; 7])),
    ("11", Row("file fb move m1\nfile fb submission a1\nfile fb page-tables v1\nfile fb compute e1", X_UNMAPS,
        ["m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1"])),
    ("11, asked as compute", Row("file fb move m1\nfile fb submission a1\nfile fb page-tables v1\nfile fb compute e1",
        COMPUTE, ["a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1 v:1", "a:1 m:1"])),
    ("12", Row("file fb move m1\nfile fb submission a1\nfile fb submission c1\nfile fb compute e1", X_EXPLICIT,
        ["m:1"; 7])),
    ("14", Row("file fb compute e1", X, ["-"; 7])),
    ("14, how often asked", Row("file fb compute e1\nask fb client:1 device 0 not-equal", "asked e1", ["0"; 7])),
    ("14m", Row("file fb compute e1", "wait fb move", ["e:1"; 7])),
    ("14m, how often asked", Row("file fb compute e1\nwait fb move\nwait fb move", "asked e1", ["1"; 7])),
    ("14w", Row("file fb compute e1", "wait fb write", ["e:1", "e:1", "e:1", "e:1", "-", "-", "-"])),
    ("14w, evicts", Row("file fb compute e1\nwait fb write", "asked e1", ["1", "1", "1", "1", "0", "0", "0"])),
    ("14r", Row("file fb compute e1\nattach fb", "wait fb read", ["e:1", "e:1", "-", "-", "-", "-", "-"])),
    ("14r, evicts", Row("file fb compute e1\nattach fb\nwait fb read", "asked e1", ["1", "1", "0", "0", "0", "0", "0"])),
    ("14r, in an array", Row("file fb compute e1\nfile fb submission a1\nattach fb\nwait fb read", "asked e1",
        ["1", "1", "0", "0", "0", "0", "0"])),
    ("14c", Row("file fb compute e1\nattach fb", X, ["e:1", "e:1", "-", "-", "-", "-", "-"])),
    ("15", Row("add fb z1 bookkeep", X, ["z:1", "z:1", "z:1", "z:1", "z:1", "z:1", "-"])),
    ("16", Row("add fb z1 read", X, ["z:1"; 7])),
    ("16, explicit", Row("add fb z1 read", X_EXPLICIT, ["z:1"; 7])),
    ("17", Row("file fb user-queue-eviction z1", X, ["-", "-", "-", "-", "z:1", "z:1", "-"])),
    ("18, no device", Row("file fb page-tables v1", "ask fb compute device - not-equal",
        ["v:1", "-", "-", "-", "-", "v:1", "-"])),
    ("18", Row("file fb page-tables v1", COMPUTE, ["-", "-", "-", "-", "-", "v:1", "-"])),
    ("19, Z reads", Row("file fb submission a1\nfile fb gang-member b1", "waits fb read",
        ["-", "-", "-", "a:1 b:1", "a:1", "a:1", "a:1"])),
    ("19, Z writes", Row("file fb submission a1\nfile fb gang-member b1", "waits fb write", ["a:1 b:1"; 7])),
    ("20", Row("file fb submission a1 attached explicit", "waits fb read",
        ["a:1", "a:1", "-", "a:1", "a:1", "a:1", "a:1"])),
    ("20y", Row("file fb submission a1 attached explicit", Y_EXPLICIT, ["a:1", "a:1", "-", "-", "-", "-", "-"])),
    ("21", Row("file fb submission d1", X_EXPLICIT, ["d:1", "-", "-", "-", "-", "-", "-"])),
    // Where the rule and the plain one part, and the cure.
    ("memory moves under running compute", Row("file fb compute e1\nfile fb submission a1 attached", "wait fb move",
        ["a:1", "a:1", "a:1 e:1", "a:1 e:1", "a:1 e:1", "a:1 e:1", "a:1 e:1"])),
    ("a gang member outlives its leader", Row("file fb submission a1\nfile fb gang-member b1\nsignal a1", "waits fb read",
        ["-", "-", "-", "b:1", "-", "-", "-"])),
    ("queues of one client wait for each other", Row("file fb submission a1 attached", "ask fb client:1 device 0 not-equal",
        ["a:1", "a:1", "-", "-", "-", "-", "-"])),
];

#[test]
fn the_worked_examples_of_the_owner_rule() {
    for (name, Row(before, query, answers)) in ROWS {
        for (era, says) in ERAS.iter().zip(answers) {
            let script = format!("{DECLARED}era {era}\nresv fb\n{before}\n{query}\n");
            assert_eq!(told(&script), *says, "no. {name}, era {era}");
        }
    }
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
