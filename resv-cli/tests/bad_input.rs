//! Bad input and output: one clear error each that names place, cause and remedy, exit status 2, no
//! panic, and what was answered before is kept.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn resv() -> Command {
    Command::new(env!("CARGO_BIN_EXE_resv"))
}

/// A directory of this test's own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("resv-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Folder(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the temporary directory can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(command: &str, file: &Path) -> Output {
    let output = resv().arg(command).arg(file).output();
    output.expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Status 2, one line on standard error that starts with `place` and says `what`.
fn assert_refused(output: &Output, place: &str, what: &str) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with(place), "no place '{place}': {error}");
    assert!(error.contains(what), "does not say '{what}': {error}");
    assert_eq!(error.lines().count(), 1, "more than one line: {error}");
    assert!(!error.contains("panicked"), "{error}");
}

const PREFIX: &str = "timeline gfx\nfence f1 gfx\nresv fb\nadd fb f1 write\nwaits fb read\n";

/// Each is a line that is wrong after [`PREFIX`], and what the error must say.
const WRONG_LINES: &[(&str, &str)] = &[
    ("frobnicate fb", "frobnicate"),
    ("add fb f1", "expected"),
    ("add fb f9 write", "f9"),
    ("add nowhere f1 write", "nowhere"),
    ("add fb f1 weite", "weite"),
    ("waits fb", "expected"),
    ("waits fb write now", "expected"),
    ("fence f2 vcn", "vcn"),
    ("fence f2 gfx 0", "out of range"),
    ("fence f2 gfx 18446744073709551615", "out of range"),
    ("fence f2 gfx 99999999999999999999999", "seqno"),
    ("fence f2 gfx -1", "-1"),
    ("fence f1 gfx", "f1"),
    ("fence f2 gfx 1", "f1"),
    ("timeline gfx", "gfx"),
    ("resv fb", "fb"),
    ("signal f1 perhaps", "perhaps"),
    ("copy fb", "expected"),
    ("status fb", "fb"),
    ("fence a:b gfx", "a:b"),
];

#[test]
fn a_wrong_line_ends_the_run_and_keeps_the_answers_before_it() {
    let folder = Folder::new("wrong-line");
    for (line, what) in WRONG_LINES {
        let file = folder.file("case.resv", format!("{PREFIX}{line}\nstatus f1\n"));
        let output = run("script", &file);
        assert_refused(&output, &format!("{}:6: ", file.display()), what);
        assert_eq!(stdout(&output), "waits fb read: gfx:1\n", "{line}");
    }
}

#[test]
fn the_greatest_seqno_is_the_last_one() {
    let folder = Folder::new("seqno");
    let text = "timeline t\nfence f t 18446744073709551614\nstatus f\nfence g t\n";
    let file = folder.file("case.resv", text);
    let output = run("script", &file);
    assert_refused(&output, &format!("{}:4: ", file.display()), "seqno");
    assert_eq!(stdout(&output), "status f: pending\n");
}

#[test]
fn a_second_signal_is_refused() {
    let folder = Folder::new("second-signal");
    let file = folder.file("case.resv", format!("{PREFIX}signal f1\nsignal f1\n"));
    assert_refused(
        &run("script", &file),
        &format!("{}:7: ", file.display()),
        "f1",
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new("unreadable");
    let missing = folder.0.join("missing");
    for command in ["script", "replay"] {
        let place = missing.display().to_string();
        assert_refused(&run(command, &missing), &place, "cannot open");
        let place = folder.0.display().to_string();
        assert_refused(&run(command, &folder.0), &place, "directory");
        let empty = folder.file("empty", "");
        let place = empty.display().to_string();
        assert_refused(&run(command, &empty), &place, "expected");
    }
    let output = resv()
        .args(["diff", "--semantics", "usage-levels,exclusive-shared"])
        .arg(&missing)
        .output()
        .expect("the program starts");
    assert_refused(&output, &missing.display().to_string(), "cannot open");
}

#[test]
fn files_that_are_no_text() {
    let folder = Folder::new("binary");
    let noise: Vec<u8> = (0..100_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let noise = folder.file("noise", noise);
    for command in ["script", "replay"] {
        let output = run(command, &noise);
        assert_refused(&output, &noise.display().to_string(), "");
    }
    let nul = folder.file("nul.resv", format!("{PREFIX}status f\0\n"));
    let output = run("script", &nul);
    assert_refused(&output, &format!("{}:6: ", nul.display()), "NUL");
    assert_eq!(stdout(&output), "waits fb read: gfx:1\n");
    let gzip = folder.file("case.resv.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]);
    assert_refused(
        &run("script", &gzip),
        &format!("{}:1: ", gzip.display()),
        "gzip",
    );
}

#[test]
fn a_hundred_megabytes_on_one_line() {
    let folder = Folder::new("long-line");
    let file = folder.file("long", vec![b'x'; 100_000_000]);
    let output = run("script", &file);
    assert_refused(&output, &format!("{}:1: ", file.display()), "longer than");
    let output = run("replay", &file);
    assert_refused(&output, &file.display().to_string(), "no GPU event");
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/desktop.report")
}

#[test]
fn a_recording_that_ends_in_the_middle_of_a_line() {
    let folder = Folder::new("cut-line");
    let text = fs::read(sample()).expect("the sample is part of the project");
    let cut = folder.file("cut.report", &text[..text.len() / 2 - 20]);
    let output = run("replay", &cut);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_gzip_stream_that_is_cut_off_keeps_what_came_before() {
    let folder = Folder::new("cut-gzip");
    let text = fs::read(sample()).expect("the sample is part of the project");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&text).expect("memory");
    let bytes = gzip.finish().expect("memory");
    let whole = folder.file("whole.report.gz", &bytes);
    assert_eq!(run("replay", &whole).status.code(), Some(0));
    let cut = folder.file("cut.report.gz", &bytes[..bytes.len() / 2]);
    let output = run("replay", &cut);
    assert_refused(&output, &format!("{}:", cut.display()), "cut off");
    assert!(
        stdout(&output).contains("SEMANTICS"),
        "the report is missing"
    );
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::new("output");
    let file = folder.file("case.resv", PREFIX);
    let nowhere = folder.0.join("no/such/folder");
    let output = resv()
        .args(["script", "--output"])
        .arg(&nowhere)
        .arg(&file)
        .output()
        .expect("the program starts");
    assert_refused(&output, &nowhere.display().to_string(), "cannot write");

    // A device that is always full.
    for command in ["script", "explain"] {
        let mut resv = resv();
        resv.arg(command);
        if command == "script" {
            resv.arg(&file);
        }
        let output = resv
            .args(["--output", "/dev/full"])
            .output()
            .expect("the program starts");
        assert_refused(&output, "/dev/full: ", "No space left");
    }
}

#[test]
fn a_closed_pipe_ends_the_run_with_one_error() {
    let folder = Folder::new("pipe");
    let mut text = PREFIX.to_owned();
    text.push_str(&"waits fb write\n".repeat(100_000));
    let file = folder.file("long.resv", text);
    let mut child = resv()
        .arg("script")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdout.take().expect("it was asked for");
    let mut first = [0; 20];
    pipe.read_exact(&mut first).expect("there are answers");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert_refused(&output, "standard output: ", "Broken pipe");
}

#[test]
fn options_that_make_no_sense() {
    for arguments in [
        &["script"][..],
        &["replay", "x", "--semantics", "nonsense"],
        &["replay", "x", "--backend", "rcu-array,rcu-array"],
        &["replay", "x", "--threads", "0"],
        &["explain", "--semantics", ""],
        &["frobnicate"],
    ] {
        let output = resv().args(arguments).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!stderr(&output).contains("panicked"));
    }
}
