//! What `--html`, `--trace` and `--times` write: complete, self-contained, and well formed. A browser looks at the page in
//! `scripts/browser`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use resv_api::SemanticsKind;
use serde_json::Value;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/desktop.report")
}

/// Runs `resv replay` on the sample; gives what it printed.
fn replay(more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resv"));
    let command = command
        .arg("replay")
        .arg(sample())
        .args(["--backend", "locked"])
        .args(more);
    let output = command.output().expect("the program starts");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// What `resv replay OPTION FILE` writes to the file.
fn written(option: &str) -> String {
    let path = std::env::temp_dir().join(format!("resv-pictures{option}-{}", std::process::id()));
    let told = replay(&[option, path.to_str().expect("a plain path")]);
    assert!(
        told.starts_with("RECORDING"),
        "the report is printed all the same"
    );
    let text = fs::read_to_string(&path).expect("it was written");
    let _ = fs::remove_file(&path);
    text
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = written("--html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for outside in ["http://", "https://", "src=", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    // Tables say it without a script.
    for told in [
        "Semantics side by side",
        "comp_1.1.0#71:946",
        "35.776 ms",
        "screencast-3338",
        "<noscript>",
    ] {
        assert!(page.contains(told), "{told}");
    }
    let data = page
        .split("<script id=\"data\" type=\"application/json\">")
        .nth(1)
        .expect("the data");
    let data: Value =
        serde_json::from_str(data.split("</script>").next().expect("an end")).expect("JSON");
    assert_eq!(data["jobs"]["line"].as_array().map(Vec::len), Some(204));
    assert_eq!(data["recorded"].as_array().map(Vec::len), Some(2 * 73));
    let semantics = data["semantics"].as_array().map(Vec::len);
    assert_eq!(semantics, Some(SemanticsKind::ALL.len()));
    assert_eq!(data["waits"]["task"].as_array().map(Vec::len), Some(20));
}

#[test]
fn names_in_a_recording_cannot_break_out_of_the_page() {
    let path = std::env::temp_dir().join(format!("resv-pictures-hostile-{}", std::process::id()));
    let text = "\
        </script><b>-7 [000] 1.000000: dma_fence_wait_start: driver=d timeline=</script><img/src=x> context=5 seqno=1\n\
        a-8 [000] 1.000100: drm_sched_job_queue: dev=<i>, fence=5:1, ring=</script><b>, job count:0, hw job count:0, client_id:1\n";
    fs::write(&path, text).expect("a file can be made");
    let page = path.with_extension("html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_resv"));
    let output = command
        .arg("replay")
        .arg(&path)
        .arg("--html")
        .arg(&page)
        .output()
        .expect("it starts");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let html = fs::read_to_string(&page).expect("it was written");
    let _ = (fs::remove_file(&path), fs::remove_file(&page));
    assert_eq!(html.matches("</script>").count(), 2);
    assert!(!html.contains("<img") && !html.contains("<b>") && !html.contains("<i>"));
}

#[test]
fn the_trace_has_tracks_slices_arrows_and_counters() {
    let trace: Value = serde_json::from_str(&written("--trace")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let with = |phase: &str| {
        events
            .iter()
            .filter(|event| event["ph"] == phase)
            .collect::<Vec<_>>()
    };
    // Jobs with run and end, and waits; each arrow has two ends; each queued job begins and ends.
    let waits = with("X")
        .iter()
        .filter(|event| event["cat"] == "wait")
        .count();
    assert_eq!(waits, 20);
    let jobs = with("X")
        .iter()
        .filter(|event| event["cat"] == "job")
        .count();
    assert!((190..=204).contains(&jobs), "{jobs}");
    assert_eq!(with("s").len(), with("f").len());
    assert!(with("s").iter().any(|event| event["cat"] == "dependency"));
    assert!(with("s").iter().any(|event| event["cat"] == "wait"));
    assert_eq!(with("b").len(), with("e").len());
    let counters = with("C");
    assert!(
        counters
            .iter()
            .any(|event| event["name"] == "pending game2")
    );
    let names: Vec<_> = with("M")
        .iter()
        .map(|event| event["args"]["name"].clone())
        .collect();
    assert!(names.contains(&"gfx_0.0.0#57".into()) && names.contains(&"screencast-3338".into()));
    // Slices of one track follow each other.
    let mut until: BTreeMap<(u64, u64), f64> = BTreeMap::new();
    let mut slices = with("X");
    slices.sort_by(|a, b| {
        a["ts"]
            .as_f64()
            .partial_cmp(&b["ts"].as_f64())
            .expect("numbers")
    });
    for slice in slices {
        let track = (
            slice["pid"].as_u64().expect("a process"),
            slice["tid"].as_u64().expect("a thread"),
        );
        let (ts, dur) = (
            slice["ts"].as_f64().expect("a time"),
            slice["dur"].as_f64().expect("a length"),
        );
        assert!(
            until.get(&track).is_none_or(|&until| until <= ts + 1e-3),
            "{slice}"
        );
        until.insert(track, ts + dur);
    }
}

fn sorted(mut keys: Vec<&str>) -> Vec<&str> {
    keys.sort_unstable();
    keys
}

#[test]
fn the_lists_of_times_have_exactly_their_keys() {
    let json: Value = serde_json::from_str(&replay(&["--json", "--times"])).expect("JSON");
    let keys = |list: &str| -> Vec<String> {
        let first = json[list][0]
            .as_object()
            .unwrap_or_else(|| panic!("{list} is empty"));
        first.keys().cloned().collect()
    };
    let jobs = [
        "job",
        "timeline",
        "ring",
        "submit_ns",
        "run_ns",
        "done_ns",
        "queued_ns",
        "ran_ns",
        "hw_ns",
    ];
    assert_eq!(
        sorted(keys("jobs").iter().map(String::as_str).collect()),
        sorted(jobs.to_vec())
    );
    let fences = [
        "fence",
        "timeline",
        "init_ns",
        "emit_ns",
        "signaled_ns",
        "busy_ns",
    ];
    assert_eq!(
        sorted(keys("fences").iter().map(String::as_str).collect()),
        sorted(fences.to_vec())
    );
    let waits = ["task", "pid", "fence", "begin_ns", "waited_ns", "ended"];
    assert_eq!(
        sorted(keys("waits").iter().map(String::as_str).collect()),
        sorted(waits.to_vec())
    );
    let json: Value = serde_json::from_str(&replay(&["--json"])).expect("JSON");
    assert!(json.get("jobs").is_none() && json["recording"]["jobs"] == 204);
    assert!(replay(&["--times"]).contains("WAITS OF TASKS"));
    // The first screen fits; everything is more.
    assert!(replay(&[]).lines().count() <= 40);
    assert!(replay(&["--full"]).lines().count() > 100);
}
