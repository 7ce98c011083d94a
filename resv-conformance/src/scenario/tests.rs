//! The runner's answers and errors, on the reference back end.

use super::*;
use proptest::prelude::*;
use resv_api::{BackendKind, Locked, Resv, SemanticsKind, Usage, UsageLevels};

fn runner() -> Runner {
    Runner::new(SemanticsKind::UsageLevels, BackendKind::Locked).unwrap()
}

fn answers(text: &str) -> Vec<String> {
    let script = Scenario::parse(text).unwrap();
    let answers = runner().run(&script).unwrap();
    answers.iter().map(Answer::to_string).collect()
}

fn error(text: &str) -> String {
    let script = Scenario::parse(text).unwrap();
    runner().run(&script).unwrap_err().to_string()
}

const DECLARED: &str = "timeline gfx\ntimeline dma\nfence g gfx\nfence d dma 4\nresv fb\n";

#[test]
fn answers_have_the_documented_form() {
    let script = "add fb d write g write\nwaits fb write\nwaits fb explicit\nidle fb read\n\
        list fb\nstatus g\nsignal g\nsignal d error\nstatus g\nstatus d\nlist fb\nidle fb move";
    assert_eq!(
        answers(&format!("{DECLARED}{script}")),
        [
            "waits fb write: gfx:1 dma:4",
            "waits fb explicit: -",
            "idle fb read: false",
            "list fb: gfx:1=write dma:4=write",
            "status g: pending",
            "status g: ok",
            "status d: error",
            "list fb: -",
            "idle fb move: true",
        ]
    );
}

#[test]
fn fences_come_in_order_of_declared_timelines_then_seqno_then_usage() {
    let script = "timeline a\ntimeline b\nfence b2 b 2\nfence a9 a 9\nfence a3 a 3\nresv r\n\
        add r b2 write a9 read a3 read\nadd r b2 read\nlist r\nwaits r move";
    assert_eq!(
        answers(script),
        [
            "list r: a:3=read a:9=read b:2=write b:2=read",
            "waits r move: a:3 a:9 b:2",
        ]
    );
}

#[test]
fn the_next_seqno_is_one_more_than_the_greatest() {
    let script = "timeline t\nfence a t\nfence b t 10\nfence c t 5\nfence d t\nresv r\n\
        add r a read\nadd r d kernel c write\nlist r";
    assert_eq!(answers(script), ["list r: t:5=write t:11=kernel"]);
}

#[test]
fn kinds_of_names_do_not_collide() {
    assert_eq!(
        answers("timeline x\nfence x x\nresv x\nadd x x write\nlist x\nstatus x"),
        ["list x: x:1=write", "status x: pending"]
    );
}

#[test]
fn copy_and_replace() {
    let script = "resv other\nadd fb g write d read\ncopy other fb\nreplace other dma g bookkeep\n\
        list other\nlist fb\nsignal g\nreplace fb dma g read\nlist fb\ncopy fb fb\nidle fb move";
    assert_eq!(
        answers(&format!("{DECLARED}{script}")),
        [
            "list other: gfx:1=write gfx:1=bookkeep",
            "list fb: gfx:1=write dma:4=read",
            "list fb: -",
            "idle fb move: true",
        ]
    );
}

/// The same answers under each semantics that knows reads and on each back end, whether the fence that failed is still stored
/// or was looked at and dropped.
#[test]
fn failures_are_told_alike_by_all() {
    const SCRIPT: &str = "timeline gfx\ntimeline dma\nresv fb\nfence a gfx\nfence b dma\nadd fb a write\n\
        failure fb read\nsignal a error\nfailure fb read\nfailure fb explicit\nadd fb b read\nlist fb\n\
        failure fb read\nsignal b error\nfailure fb write\nfence c gfx\nadd fb c write\nfailure fb move\n";
    let script = Scenario::parse(SCRIPT).unwrap();
    // One that keeps a read as a write answers as it must after a write.
    let knows_reads = |semantics: &SemanticsKind| semantics.class(Usage::Read) == Usage::Read;
    for semantics in SemanticsKind::ALL.into_iter().filter(knows_reads) {
        for backend in BackendKind::ALL {
            let Ok(mut runner) = Runner::new(semantics, backend) else {
                continue;
            };
            let answers = runner.run(&script).unwrap();
            let answers: Vec<_> = answers.iter().map(Answer::to_string).collect();
            assert_eq!(
                answers,
                [
                    "failure fb read: -",
                    "failure fb read: errno 5",
                    "failure fb explicit: -",
                    "list fb: dma:1=read",
                    "failure fb read: errno 5",
                    "failure fb write: errno 5",
                    "failure fb move: -",
                ],
                "{semantics} on {backend}"
            );
        }
    }
}

#[test]
fn an_answer_is_structured() {
    let script = Scenario::parse(&format!("{DECLARED}add fb d read\nlist fb")).unwrap();
    let answer = runner().run(&script).unwrap().remove(0);
    assert_eq!(answer.line, 7);
    assert!(answer.statement.is_query());
    let Value::List(entries) = answer.value else {
        panic!("list is told a list");
    };
    assert_eq!(entries[0].fence.to_string(), "dma:4");
    assert_eq!(entries[0].usage.name(), "read");
}

#[test]
fn errors_name_the_thing_and_what_was_expected() {
    for (script, says) in [
        (
            "list nope",
            "6: object 'nope' is not declared: expected a name from an earlier 'resv' line",
        ),
        (
            "list gfx",
            "object 'gfx' is not declared (it is a timeline): expected",
        ),
        (
            "status nope",
            "fence 'nope' is not declared: expected a name from an earlier 'fence' line",
        ),
        (
            "signal fb",
            "fence 'fb' is not declared (it is an object): expected",
        ),
        ("fence x nope", "timeline 'nope' is not declared"),
        ("add fb nope write", "fence 'nope' is not declared"),
        ("copy fb nope", "object 'nope' is not declared"),
        ("replace fb nope g read", "timeline 'nope' is not declared"),
        (
            "timeline gfx",
            "timeline 'gfx' is declared already: expected a name that no earlier 'timeline' line has",
        ),
        ("fence g dma", "fence 'g' is declared already"),
        (
            "resv fb",
            "object 'fb' is declared already: expected a name that no earlier 'resv' line has",
        ),
        (
            "fence x gfx 0",
            "seqno 0 is out of range: expected a number from 1 to 18446744073709551614",
        ),
        (
            "fence x gfx 18446744073709551615",
            "seqno 18446744073709551615 is out of range",
        ),
        (
            "fence x gfx 1",
            "seqno 1 of timeline 'gfx' is fence 'g' already: expected a seqno that is not taken",
        ),
        (
            "fence x gfx 18446744073709551614\nfence y gfx",
            "7: timeline 'gfx' has used its greatest seqno",
        ),
        (
            "signal g\nsignal g",
            "fence 'g' has signalled already: expected a fence that is pending",
        ),
    ] {
        let error = error(&format!("{DECLARED}{script}"));
        assert!(error.contains(says), "{script}: {error}");
    }
}

#[test]
fn a_wrong_statement_changes_nothing() {
    let mut runner = runner();
    runner.run(&Scenario::parse(DECLARED).unwrap()).unwrap();
    for wrong in [
        "add fb g write nope read",
        "replace fb gfx nope read",
        "fence g2 gfx 1",
    ] {
        let statement = parse_line(1, wrong).unwrap().unwrap();
        assert!(runner.step(1, &statement).is_err());
    }
    let rest = Scenario::parse("list fb\nfence g2 gfx\nadd fb g2 read\nlist fb").unwrap();
    let answers = runner.run(&rest).unwrap();
    assert_eq!(answers[0].to_string(), "list fb: -");
    assert_eq!(answers[1].to_string(), "list fb: gfx:2=read");
}

#[test]
fn a_factory_brings_its_own_objects() {
    let mut runner = Runner::with_factory(|| Box::new(Resv::<UsageLevels, Locked>::default()));
    let script = Scenario::parse(&format!("{DECLARED}add fb g kernel\nwaits fb explicit")).unwrap();
    let answers = runner.run(&script).unwrap();
    assert_eq!(answers[0].to_string(), "waits fb explicit: gfx:1");
}

#[test]
fn a_script_of_fifty_thousand_lines_is_played_in_a_moment() {
    let mut text = String::from("timeline t\nresv r\n");
    for i in 0..16_000 {
        text.push_str(&format!("fence f{i} t\nadd r f{i} read\nwaits r write\n"));
    }
    let answers = answers(&text);
    assert_eq!(answers.len(), 16_000);
    assert_eq!(answers.last().unwrap(), "waits r write: t:16000");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Statements that are well formed and often nonsense.
    #[test]
    fn any_statements_are_played_or_refused(
        lines in proptest::collection::vec(
            (0usize..11, proptest::collection::vec(0usize..6, 4)),
            0..60,
        )
    ) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let mut runner = runner();
        for (form, picks) in lines {
            let n: Vec<&str> = picks.iter().map(|&i| NAMES[i]).collect();
            let usage = ["kernel", "write", "read", "bookkeep"][picks[3] % 4];
            let access = ["explicit", "read", "write", "move"][picks[3] % 4];
            let seqno = ["", "0", "1", "7", "18446744073709551614", "18446744073709551615"][picks[2]];
            let text = match form {
                0 => format!("timeline {}", n[0]),
                1 => format!("fence {} {} {seqno}", n[0], n[1]),
                2 => format!("resv {}", n[0]),
                3 => format!("add {} {} {usage} {} {usage}", n[0], n[1], n[2]),
                4 => format!("replace {} {} {} {usage}", n[0], n[1], n[2]),
                5 => format!("copy {} {}", n[0], n[1]),
                6 => format!("signal {} error", n[0]),
                7 => format!("waits {} {access}", n[0]),
                8 => format!("idle {} {access}", n[0]),
                9 => format!("list {}", n[0]),
                _ => format!("status {}", n[0]),
            };
            let statement = parse_line(1, &text).unwrap().unwrap();
            let answer = runner.step(1, &statement);
            prop_assert!(!matches!(answer, Ok(None)) || !statement.is_query());
        }
    }
}
