//! Files that are not the text of a recording: programs that own a format are run, and everything else is refused with what to do.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A folder of this test's own with programs in it, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("resv-containers-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Folder(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the temporary directory can be written");
        path
    }

    /// A shell script that stands for a program.
    fn program(&self, name: &str, script: &str) {
        let path = self.file(name, format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn replay(&self, file: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resv"));
        command
            .arg("replay")
            .arg(file)
            .env("PATH", format!("{}:/usr/bin:/bin", self.0.display()));
        command
            .env("RESV_CONVERTER_SECONDS", "1")
            .output()
            .expect("the program starts")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One line on standard error that says all of `parts`, and status 2.
fn refused(output: &Output, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "does not say '{part}': {error}");
    }
}

const TRACE_DAT: &[u8] = b"\x17\x08\x44tracing6\0\0\x08";
const PERFETTO: &[u8] = b"\x0a\x06\x58\x01\x52\x02\x08\x01\x0a\x04\x58\x01\x50\x07";
const EVENTS: &str = "\
cpus=2
app-7 [000] 1.000000: drm_sched_job_queue: dev=0, fence=5:1, ring=gfx, job count:0, hw job count:0, client_id:3
app-7 [000] 1.000100: drm_sched_job_run: dev=0, fence=5:1, ring=gfx, job count:0, hw job count:1, client_id:3
irq-9 [001] 1.000400: drm_sched_job_done: fence=5:1 signaled";

#[test]
fn the_program_that_owns_the_format_reads_it_whatever_the_file_is_called() {
    let folder = Folder::new("converts");
    let print = |arguments: &str| {
        format!(
            "[ \"$1 $2\" = \"{arguments}\" ] || [ \"$1\" = \"{arguments}\" ] || exit 3\ncat <<'END'\n{EVENTS}\nEND"
        )
    };
    folder.program("trace-cmd", &print("report -i"));
    folder.program("perf", &print("script -i"));
    folder.program("traceconv", &print("systrace"));
    for (name, content) in [
        ("recording.txt", TRACE_DAT),
        ("-recording", b"PERFILE2\x68\0\0\0"),
        ("recording.gz", PERFETTO),
    ] {
        let output = folder.replay(&folder.file(name, content));
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            told.contains("1 job") && told.contains("hardware 0.300 ms"),
            "{name}: {told}"
        );
    }
}

#[test]
fn a_program_that_is_missing_is_named_with_its_package_and_its_command_line() {
    let folder = Folder::new("missing");
    let file = folder.file("trace.dat", TRACE_DAT);
    let mut command = Command::new(env!("CARGO_BIN_EXE_resv"));
    let output = command
        .arg("replay")
        .arg(&file)
        .env("PATH", &folder.0)
        .output()
        .expect("the program starts");
    let line = format!("trace-cmd report -i {}", file.display());
    refused(
        &output,
        &["trace-cmd is not installed", "package trace-cmd", &line],
    );
    // From a pipe there is no file to hand over.
    let mut command = Command::new("sh");
    let script = format!(
        "{} replay - < {}",
        env!("CARGO_BIN_EXE_resv"),
        file.display()
    );
    let output = command
        .arg("-c")
        .arg(script)
        .output()
        .expect("a shell starts");
    refused(&output, &["standard input", "give the file by its name"]);
}

#[test]
fn a_program_that_fails_is_reported_as_itself_and_what_it_printed_counts() {
    let folder = Folder::new("fails");
    let file = folder.file("trace.dat", TRACE_DAT);
    folder.program("trace-cmd", "echo 'No such page' >&2; exit 7");
    refused(
        &folder.replay(&file),
        &["trace-cmd failed", "7", "No such page", "0 events"],
    );
    folder.program(
        "trace-cmd",
        &format!("cat <<'END'\n{EVENTS}\nEND\necho broken >&2; exit 1"),
    );
    let output = folder.replay(&file);
    refused(&output, &["trace-cmd failed", "broken", "3 events"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("hardware 0.300 ms"));
    folder.program(
        "trace-cmd",
        "yes 'a long complaint of a program' | head -c 10000000 >&2; exit 1",
    );
    let output = folder.replay(&file);
    refused(&output, &["trace-cmd failed"]);
    assert!(output.stderr.len() < 4096);
}

#[test]
fn a_program_that_hangs_is_ended_with_all_it_has_started() {
    let folder = Folder::new("hangs");
    let file = folder.file("trace.dat", TRACE_DAT);
    let pid = folder.0.join("pid");
    folder.program(
        "trace-cmd",
        &format!("echo cpus=1; sleep 600 & echo $! > {}; wait", pid.display()),
    );
    let started = Instant::now();
    refused(&folder.replay(&file), &["has printed nothing for 1 s"]);
    assert!(started.elapsed() < Duration::from_secs(30));
    let child = fs::read_to_string(&pid).expect("it was started");
    // It has been killed; a busy machine may take a moment to let it die.
    let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    let is_gone = |state: &str| state.is_empty() || state.contains(") Z ");
    while !is_gone(&state()) && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(is_gone(&state()), "still there: {}", state());
}

#[test]
fn archives_and_other_formats_are_refused_with_what_to_do() {
    let folder = Folder::new("refused");
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let gzip = |content: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content).expect("memory");
        gzip.finish().expect("memory")
    };
    for (content, parts) in [
        (tar.clone(), ["archive", "tar -xf"]),
        // Its one event used to be read, and the rest swallowed.
        (
            gzip(&[&tar[..], EVENTS.as_bytes()].concat()),
            ["gzip of an archive", "tar -xf"],
        ),
        (
            gzip(TRACE_DAT),
            ["gzip of a binary trace-cmd file", "gzip -d"],
        ),
        (b"PK\x03\x04\x14\0".to_vec(), ["archive", "unzip"]),
        (b"\xfd7zXZ\0\0".to_vec(), ["compressed", "xz -d"]),
        (b"BZh91AY&SY".to_vec(), ["compressed", "bzip2 -d"]),
        (
            b"TRACE:\n\x78\x9c\xed\xbd\x07".to_vec(),
            ["atrace -z", "without"],
        ),
        (
            b"{\"traceEvents\": [{\"ph\": \"X\"}]}".to_vec(),
            ["Chrome trace JSON", "record"],
        ),
        (
            b"/* CTF 1.8 */\n".to_vec(),
            ["Common Trace Format", "record"],
        ),
        (b"\xff\xfea\0".to_vec(), ["UTF-16", "iconv"]),
    ] {
        let file = folder.file("recording.txt", &content);
        refused(&folder.replay(&file), &parts);
    }
}

#[test]
fn a_dump_that_holds_no_buffer_is_refused() {
    let folder = Folder::new("inspect");
    let inspect = |content: &[u8], more: &[&str]| {
        let file = folder.file("bufinfo", content);
        let mut command = Command::new(env!("CARGO_BIN_EXE_resv"));
        command
            .arg("inspect")
            .arg(file)
            .args(more)
            .output()
            .expect("the program starts")
    };
    refused(&inspect(b"", &[]), &["empty", "dma_buf/bufinfo"]);
    refused(
        &inspect(b"hello\nworld\n", &[]),
        &["no buffer found in 2 lines"],
    );
    let dump = b"00008192 00000002 00080007 00000003 amdgpu 00000412 front\n\twrite fence:amdgpu gfx seq 47 unsignalled\n";
    let output = inspect(dump, &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(
        json["buffers"][0]["waits"]["read"],
        serde_json::json!(["gfx:47"])
    );
    assert_eq!(
        json["buffers"][0]["waits"]["explicit"],
        serde_json::json!([])
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(dump).expect("memory");
    let gzip = gzip.finish().expect("memory");
    for content in [&dump[..], &gzip] {
        let told = inspect(content, &[]).stdout;
        assert!(String::from_utf8_lossy(&told).contains("waits write: gfx:47"));
    }
    refused(&inspect(&gzip[..20], &[]), &["cannot read"]);
}
