//! `resv check` as a user runs it.

use std::process::{Command, Output, Stdio};

fn check(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resv"));
    let output = command.arg("check").args(arguments).output();
    output.expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_pair_that_is_asked_for_is_checked() {
    let output = check(&[
        "--semantics=usage-levels,exclusive-shared",
        "--backend=locked",
        "--ops=100",
        "--threads=2",
        "--seed=5",
    ]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(lines[0], "# seed 5");
    for (line, pair) in lines[1..].iter().zip([
        "# usage-levels on locked: ",
        "# exclusive-shared on locked: ",
    ]) {
        assert!(line.starts_with(pair), "{said}");
        assert!(
            !line.contains(" 0 "),
            "nothing of something was done: {said}"
        );
    }
    assert_eq!(text(&output.stderr), "", "progress without a terminal");
}

#[test]
fn bad_arguments_are_refused_with_one_error() {
    for (arguments, what) in [
        (&["--semantics", "nonsense"][..], "nonsense"),
        (&["--backend", "locked,locked"], "named twice"),
        (&["--backend", ""], "back ends"),
        (&["--seconds", "0"], "seconds"),
        (&["--seconds", "5000000000"], "seconds"),
        (&["--ops", "0"], "ops"),
        (&["--ops", "5", "--seconds", "5"], "cannot be used with"),
        (&["--threads", "1"], "2..=64"),
        (&["--threads", "65"], "2..=64"),
        (&["--seed", "-1"], "unexpected argument"),
        (&["--seed", "x"], "seed"),
        (&["file"], "unexpected argument"),
    ] {
        let output = check(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(what), "{arguments:?}: {error}");
        assert_eq!(error.matches("error:").count(), 1, "{error}");
        assert!(!error.contains("panicked"), "{error}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let output = check(&["--output", "/nowhere/at/all"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.starts_with("/nowhere/at/all: cannot write: "),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_closed_pipe_ends_the_run_with_one_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_resv"))
        .args(["check", "--backend=locked", "--ops=1", "--threads=2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.starts_with("standard output: cannot write: "),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// The kernel that tests mostly run on has no module that plays scenarios: one clear error.
#[test]
fn against_a_kernel_without_the_module_says_what_to_do() {
    if std::path::Path::new(resv_conformance::kernel::PATH).exists() {
        return; // scripts/kernel/test compares
    }
    let output = check(&["--against=kernel", "--backend=locked", "--seed=5"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("scripts/kernel/build") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(check(&["--against=windows"]).status.code(), Some(2));
}
