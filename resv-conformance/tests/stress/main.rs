//! Can the stress fail? The program itself on a back end with a flaw, in a process of its own, since
//! what is left over is counted for the whole process and a hang cannot be ended otherwise.
//!
//! A test starts its own executable again, for the test of that name only; there it becomes the
//! program.

use flawed::{FLAW, Flaw, Flawed};
use resv_conformance::Subject;
use resv_core::UsageLevels;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

mod flawed;
#[path = "../../examples/stress/program.rs"]
mod program;

/// What a child is to be: the name of a flaw, and the arguments.
const FLAW_VARIABLE: &str = "RESV_STRESS_FLAW";
const ARGS_VARIABLE: &str = "RESV_STRESS_ARGS";

/// Starts the program with `flaw` and `args`. It begins when its standard input ends.
fn start(test: &str, flaw: Flaw, args: &str) -> Child {
    if let Ok(name) = std::env::var(FLAW_VARIABLE) {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let args = std::env::var(ARGS_VARIABLE).expect("a child is given arguments");
        let named = |flaw: &Flaw| format!("{flaw:?}") == name;
        let flaw = Flaw::ALL.into_iter().find(named);
        let _ = FLAW.set(flaw.expect("the name of a flaw"));
        let args = ["stress"].into_iter().chain(args.split_whitespace());
        let subjects = [Subject::of::<UsageLevels, Flawed>()];
        std::process::exit(program::main(args.map(OsString::from), &subjects).into());
    }
    Command::new(std::env::current_exe().expect("this executable has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(FLAW_VARIABLE, format!("{flaw:?}"))
        .env(ARGS_VARIABLE, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this executable can be started")
}

/// Runs the program to its end: its exit status, and what it said on standard output and error.
fn run(test: &str, flaw: Flaw, args: &str) -> (Option<i32>, String, String) {
    let output = start(test, flaw, args).wait_with_output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("it can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("it says UTF-8");
    (status.code(), text(stdout), text(stderr))
}

const SHORT: &str = "--seconds 1 --threads 3 --objects 4 --locks 3 --seed 42";

/// Asserts that the flaw is found and reported in these words, with phase and seed.
#[track_caller]
fn is_found(test: &str, flaw: Flaw, args: &str, words: &[&str]) {
    let (status, out, err) = run(test, flaw, args);
    assert_eq!(status, Some(1), "{out}{err}");
    assert!(!out.contains("stress: ok"), "{out}");
    let usual = ["stress: FAILED: ", ", usage-levels on flawed, seed 42"];
    for word in usual.iter().chain(words) {
        assert!(err.contains(word), "no '{word}' in: {err}");
    }
}

#[test]
fn control_the_back_end_without_a_flaw_passes() {
    let test = "control_the_back_end_without_a_flaw_passes";
    let (status, out, err) = run(test, Flaw::None, SHORT);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    let last = out.lines().last().unwrap_or_default();
    assert!(last.starts_with("stress: ok, "), "{out}");
    assert!(
        last.ends_with(", fences live 0, waiters 0, seed 42"),
        "{out}"
    );
    let counted = |what: &str| {
        let before = last
            .split(what)
            .next()
            .and_then(|text| text.split_whitespace().last());
        before.and_then(|number| number.parse::<u64>().ok())
    };
    for what in [" transactions", " back-offs", " cycles"] {
        assert!(
            counted(what).is_some_and(|count| count > 0),
            "{what}: {last}"
        );
    }
}

#[test]
fn l_01_two_holders_at_once_are_found() {
    let test = "l_01_two_holders_at_once_are_found";
    is_found(
        test,
        Flaw::TwoLocks,
        SHORT,
        &[", object ", "hold the lock at once"],
    );
}

#[test]
fn b9_a_lost_add_is_found() {
    is_found(
        "b9_a_lost_add_is_found",
        Flaw::DropsAdds,
        SHORT,
        &[", object ", "has lost "],
    );
}

#[test]
fn b9_a_fence_that_should_be_gone_is_found() {
    let test = "b9_a_fence_that_should_be_gone_is_found";
    is_found(
        test,
        Flaw::KeepsSuperseded,
        SHORT,
        &[", object ", "which was superseded"],
    );
}

#[test]
fn b2_an_idle_test_that_is_wrong_is_found() {
    let test = "b2_an_idle_test_that_is_wrong_is_found";
    is_found(test, Flaw::AlwaysIdle, SHORT, &["is_idle for access"]);
}

#[test]
fn h_33_a_leaked_fence_is_found() {
    let test = "h_33_a_leaked_fence_is_found";
    is_found(
        test,
        Flaw::LeaksFences,
        SHORT,
        &["fences are alive, after "],
    );
}

#[test]
fn l_09_a_leaked_callback_is_found() {
    let test = "l_09_a_leaked_callback_is_found";
    is_found(test, Flaw::LeaksCallbacks, SHORT, &["nobody waits, but "]);
}

#[test]
fn a_panic_of_the_back_end_is_a_failure_of_a_thread() {
    let test = "a_panic_of_the_back_end_is_a_failure_of_a_thread";
    // One thread: another one might find the lock of the first released before its panic is told.
    is_found(
        test,
        Flaw::Panics,
        ALONE,
        &[", thread ", "panicked: of the back end"],
    );
}

#[test]
fn a_panic_of_the_back_end_is_a_failure_of_a_check() {
    let test = "a_panic_of_the_back_end_is_a_failure_of_a_check";
    is_found(
        test,
        Flaw::PanicsAtOnce,
        SHORT,
        &["panicked: of the back end"],
    );
}

/// [`SHORT`] with one thread.
const ALONE: &str = "--seconds 1 --threads 1 --objects 4 --locks 3 --seed 42";

/// Longer than a loaded machine stops a thread.
const IMPATIENT: &str = "--seconds 1 --threads 3 --objects 4 --locks 3 --seed 42 --patience 3";

#[test]
fn l_08_a_hang_ends_with_what_is_held_and_what_is_wanted() {
    let test = "l_08_a_hang_ends_with_what_is_held_and_what_is_wanted";
    let words = [
        ", thread ",
        "a hang: no progress for 3s",
        "wants the lock of object ",
        "works; holds ",
        ", locked:",
    ];
    is_found(test, Flaw::Hangs, IMPATIENT, &words);
}

#[test]
fn l_08_a_hang_of_the_checks_ends() {
    let test = "l_08_a_hang_of_the_checks_ends";
    let words = ["a hang of the checks", "no progress for 3s"];
    is_found(test, Flaw::HangsAtOnce, IMPATIENT, &words);
}

#[test]
fn bad_arguments_are_one_clear_error() {
    let test = "bad_arguments_are_one_clear_error";
    let cases = [
        ("--seconds 0", "--seconds"),
        ("--seconds soon", "--seconds"),
        ("--threads 0", "--threads"),
        (
            "--locks 5 --objects 4",
            "--locks 5 is more than --objects 4",
        ),
        ("--backend tape", "tape"),
        ("--semantics usage-levels,", "semantics"),
        ("--algorithm luck", "expected wound-wait, wait-die or both"),
        ("--break it", "--break"),
    ];
    for (args, word) in cases {
        let (status, out, err) = run(test, Flaw::None, args);
        assert_eq!(status, Some(2), "{args}: {out}{err}");
        assert!(
            err.contains(word) && !err.contains("panicked"),
            "{args}: {err}"
        );
        assert!(!out.contains("stress:"), "{args}: {out}");
    }
}

#[test]
fn a_closed_standard_output_is_an_error_and_no_panic() {
    let test = "a_closed_standard_output_is_an_error_and_no_panic";
    let mut child = start(test, Flaw::None, SHORT);
    // What the test harness prints comes first.
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("running 1 test") {
        line.clear();
        let read = out.read_line(&mut line).expect("it says UTF-8");
        assert_ne!(read, 0, "the harness prints how many tests it runs");
    }
    drop(out);
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it can be waited for");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("standard output: cannot write"), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}
