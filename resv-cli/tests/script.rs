//! `resv script`, `diff`, `explain` and `compare` as a user runs them.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs the program with `input` on standard input; its standard output, if it succeeds.
fn resv(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_resv"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

const E2: &str = "
timeline a
timeline b
fence a1 a
fence b1 b
resv fb
add fb a1 write    # a writes
add fb b1 write    # b writes, and does not depend on a
waits fb read
list fb
signal b1 error
status b1
idle fb read
waits fb move
";

#[test]
fn answers_are_as_the_language_says() {
    let text = resv(&["script", "-"], E2);
    assert_eq!(
        text,
        "waits fb read: a:1 b:1\nlist fb: a:1=write b:1=write\nstatus b1: error\n\
         idle fb read: false\nwaits fb move: a:1\n"
    );
    let text = resv(&["script", "-", "--semantics", "exclusive-shared"], E2);
    assert_eq!(
        text,
        "waits fb read: b:1\nlist fb: b:1=write\nstatus b1: error\n\
         idle fb read: true\nwaits fb move: -\n"
    );
}

#[test]
fn every_back_end_gives_the_same_answers() {
    let expected = resv(&["script", "-"], E2);
    for backend in ["seqcount", "rcu-array", "rcu-array/arc-swap", "locked"] {
        assert_eq!(resv(&["script", "-", "--backend", backend], E2), expected);
    }
}

#[test]
fn json_is_one_object_a_line() {
    let text = resv(&["script", "--json", "-"], E2);
    let answers: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let expected = serde_json::json!([
        {"line": 9, "statement": "waits fb read", "answer": ["a:1", "b:1"]},
        {"line": 10, "statement": "list fb", "answer": [
            {"fence": "a:1", "usage": "write"}, {"fence": "b:1", "usage": "write"}]},
        {"line": 12, "statement": "status b1", "answer": "error"},
        {"line": 13, "statement": "idle fb read", "answer": false},
        {"line": 14, "statement": "waits fb move", "answer": ["a:1"]},
    ]);
    assert_eq!(serde_json::Value::from(answers), expected);
}

#[test]
fn diff_of_a_scenario_shows_what_the_meaning_changes() {
    let semantics = "exclusive-shared,usage-levels";
    let text = resv(&["diff", "-", "--semantics", semantics], E2);
    assert!(text.contains("line 9: waits fb read"), "{text}");
    assert!(text.contains("a:1 b:1"), "{text}");
    assert!(text.contains("5 answers, 4 differ"), "{text}");
}

#[test]
fn diff_of_a_scenario_proves_that_the_back_end_changes_nothing() {
    let text = resv(&["diff", "-", "--backend", "seqcount,rcu-array"], E2);
    assert!(text.contains("5 answers, none differs"), "{text}");
}

#[test]
fn explain_prints_the_tables_of_each_semantics() {
    let text = resv(&["explain"], "");
    for name in ["exclusive-shared", "writers-readers-others", "usage-levels"] {
        assert!(text.contains(&format!("## {name}")), "{text}");
    }
    let one = resv(&["explain", "--semantics", "usage-levels"], "");
    assert!(text.contains(one.trim()));
}

#[test]
fn the_help_has_the_grammar() {
    let help = resv(&["script", "--help"], "");
    for form in [
        "ask RESV OWNER device N|- MODE",
        "point NAME TIMELINE SEQNO",
        "kernel, write, read or bookkeep",
    ] {
        assert!(help.contains(form), "{form} is not in:\n{help}");
    }
}

#[test]
fn a_graph_has_a_node_for_each_fence_and_an_edge_for_each_wait() {
    let graph = resv(&["script", "--dot", "-"], E2);
    assert!(graph.starts_with("digraph"), "{graph}");
    assert!(graph.trim_end().ends_with('}'), "{graph}");
    assert!(graph.contains("a:1") && graph.contains("b:1"), "{graph}");
    assert!(graph.contains("->"), "{graph}");
}

fn compare(arguments: &[&str]) -> serde_json::Value {
    let text = resv(&[&["compare", "--json"], arguments].concat(), "");
    serde_json::from_str(&text).expect("one document")
}

#[test]
fn a_meaning_may_take_its_own_place() {
    let answer = compare(&["usage-levels", "usage-levels", "--timelines", "2"]);
    assert_eq!(answer["complete"], true);
    for access in ["explicit", "read", "write", "move"] {
        assert_eq!(answer["accesses"][access]["class"], "exact", "{access}");
    }
}

/// The scenario that is printed shows what it says, on both sides, when it is run.
#[test]
fn what_separates_two_meanings_is_a_scenario_that_runs() {
    let sides = ["usage-levels", "exclusive-shared"];
    let answer = compare(&[sides[0], sides[1], "--timelines", "2"]);
    assert_eq!(
        (&answer["expected"], &answer["actual"]),
        (&sides[0].into(), &sides[1].into())
    );
    assert_eq!(answer["timelines"], 2);
    for access in ["explicit", "read", "write", "move"] {
        assert_eq!(answer["accesses"][access]["class"], "unsound", "{access}");
        let scenario = answer["accesses"][access]["scenario"]
            .as_str()
            .expect("text");
        for (role, semantics) in ["expected", "actual"].into_iter().zip(sides) {
            let told = scenario
                .lines()
                .find_map(|line| line.strip_prefix(&format!("# {role}, --semantics {semantics}: ")))
                .expect("each side's answer is told");
            let ran = resv(&["script", "-", "--semantics", semantics], scenario);
            assert!(
                ran.trim_end().ends_with(&format!(" {access}: {told}")),
                "{scenario}\n{ran}"
            );
        }
    }
}

#[test]
fn an_impossible_comparison_is_one_error() {
    for arguments in [
        &["compare", "usage-levels", "usage-lvels"][..],
        &[
            "compare",
            "usage-levels",
            "usage-levels",
            "--timelines",
            "0",
        ],
        &[
            "compare",
            "usage-levels",
            "usage-levels",
            "--ops",
            "add,sing",
        ],
        &["compare", "usage-levels", "policy:p6b", "--duty", "p6b"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_resv"))
            .args(arguments)
            .output()
            .expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(
            error.starts_with("error: ") && output.stdout.is_empty(),
            "{error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
}
