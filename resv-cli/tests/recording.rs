//! The reader of recordings on whole files: a real recording, the project's own sample, and files that are not what they
//! should be. The sample is also held to what it claims: that it is possible, and that it tells the semantics apart.

#[path = "../examples/desktop/mod.rs"]
mod desktop;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use resv_cli::recording::{
    DependencyKind, Event, EventKind, JobKey, ReadError, Reader, Waiter, open, open_stream,
};
use resv_cli::sidecar::{Sidecar, SidecarAccess, SidecarUsage, Touch};

type Key = (u64, u64);

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn all<R: BufRead>(reader: &mut Reader<R>) -> Vec<Event> {
    let events: Result<Vec<Event>, ReadError> = reader.collect();
    events.unwrap_or_else(|error| panic!("{error}"))
}

fn sample() -> Vec<Event> {
    let mut reader = open(&here("../samples/desktop.report")).unwrap();
    all(&mut reader)
}

fn sidecar() -> Sidecar {
    Sidecar::load(&here("../samples/desktop.buffers")).unwrap()
}

fn key(job: JobKey) -> Key {
    match job {
        JobKey::Point { context, seqno } => (context, seqno),
        JobKey::Pointer(_) => panic!("the sample names jobs by context and seqno"),
    }
}

#[test]
fn the_real_recording_is_read_whole() {
    let path = here("../../shared/recordings/amdgpu-steamvr.ftrace.txt.gz");
    if !path.exists() {
        println!("skipped: recording absent");
        return;
    }
    let mut reader = open(&path).unwrap();
    let events = all(&mut reader);
    let stats = reader.finish().unwrap();
    assert_eq!((stats.submits, stats.runs, stats.signals), (755, 693, 1976));
    assert_eq!(stats.skipped.total, 0, "{:?}", stats.skipped);
    assert_eq!(stats.other.get("drm_vblank_event"), Some(&247));
    assert_eq!(stats.other.get("amdgpu_vm_flush"), Some(&1));
    let moves = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Move(_)));
    assert_eq!(moves.count(), 2);
    assert_eq!(stats.events, events.len() as u64);
    assert_eq!(reader.bytes_total(), Some(reader.bytes_read()));
}

#[test]
fn the_sample_is_what_its_generator_makes() {
    let made = desktop::generate();
    for (name, text) in [
        ("desktop.report", made.report),
        ("desktop.buffers", made.buffers),
    ] {
        let committed = std::fs::read_to_string(here("../samples").join(name)).unwrap();
        let remedy = "run: cargo run -p resv-cli --example make_desktop_sample -- samples";
        assert!(
            committed == text,
            "samples/{name} is not what the generator makes; {remedy}"
        );
    }
}

#[test]
fn the_sample_is_read_whole() {
    let mut reader = open(&here("../samples/desktop.report")).unwrap();
    let events = all(&mut reader);
    let stats = reader.finish().unwrap();
    assert!((1_000..=1_500).contains(&stats.lines), "{}", stats.lines);
    assert_eq!(stats.skipped.total, 0, "{:?}", stats.skipped);
    assert_eq!(stats.backwards, 0);
    assert_eq!(stats.lines, stats.headers + events.len() as u64);
    assert_eq!(stats.other.keys().collect::<Vec<_>>(), ["drm_vblank_event"]);

    let (mut submitted, mut run, mut done) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in &events {
        match &event.kind {
            EventKind::Submit(job) => assert!(submitted.insert(key(job.key))),
            EventKind::Run(job) => assert!(run.insert(key(job.key))),
            EventKind::Done { job } => assert!(done.insert(key(*job))),
            _ => {}
        }
    }
    assert!(
        done.difference(&submitted).count() >= 1,
        "none begun before"
    );
    assert!(submitted.difference(&done).count() >= 2, "none unfinished");

    let sidecar = sidecar();
    for &(context, seqno) in submitted.iter().chain(&run).chain(&done) {
        assert!(
            sidecar.buffers_of(context, seqno).is_some(),
            "{context}:{seqno}"
        );
    }
    for event in &events {
        if let EventKind::Move(moved) = &event.kind {
            assert!(sidecar.buffer_of_move(moved.bo).is_some());
        }
    }
}

/// A ring runs one job at a time and none before what it depends on; a timeline runs in order.
#[test]
fn the_sample_is_possible() {
    let (mut on_ring, mut waits) = (BTreeMap::new(), BTreeMap::<Key, Vec<Key>>::new());
    let (mut ring_of, mut done, mut last) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    let (mut submitted, mut blocked, mut begun_before) = (BTreeSet::new(), 0, 0);
    for event in sample() {
        match event.kind {
            EventKind::Submit(job) => drop(submitted.insert(key(job.key))),
            EventKind::Depends(dependency) => {
                let Waiter::Job(waiter) = dependency.waiter else {
                    panic!("line {}", event.line);
                };
                let on = (dependency.context, dependency.seqno);
                assert!(!done.contains(&on), "line {}: already done", event.line);
                if dependency.kind == DependencyKind::Added {
                    waits.entry(key(waiter)).or_default().push(on);
                } else {
                    assert!(waits[&key(waiter)].contains(&on), "line {}", event.line);
                    blocked += 1;
                }
            }
            EventKind::Run(job) => {
                let ring = job.lane().to_owned();
                let job = key(job.key);
                begun_before += usize::from(!submitted.contains(&job));
                let before = on_ring.insert(ring.clone(), job);
                assert!(
                    before.is_none_or(|before| done.contains(&before)),
                    "line {}",
                    event.line
                );
                let before = last.insert(job.0, job.1);
                assert!(
                    before.is_none_or(|before| before < job.1),
                    "line {}",
                    event.line
                );
                let mut waits = waits.get(&job).into_iter().flatten();
                assert!(waits.all(|on| done.contains(on)), "line {}", event.line);
                ring_of.insert(job, ring);
            }
            EventKind::Done { job } => drop(done.insert(key(job))),
            _ => {}
        }
    }
    assert!(ring_of.values().collect::<BTreeSet<_>>().len() == 6);
    assert!(blocked > 10, "{blocked}");
    assert!(begun_before <= 2, "{begun_before}");
}

/// The pending fences of each buffer, and what is done with them as jobs are submitted.
#[derive(Default)]
struct Buffers(BTreeMap<usize, Vec<(Key, SidecarUsage)>>);

impl Buffers {
    fn done(&mut self, job: Key) {
        for fences in self.0.values_mut() {
            fences.retain(|&(fence, _)| fence != job);
        }
    }

    /// Pending fences of other timelines on the buffer that `which` holds for.
    fn pending(&self, job: Key, touch: &Touch, which: impl Fn(SidecarUsage) -> bool) -> Vec<Key> {
        let fences = self.0.get(&touch.buffer).into_iter().flatten();
        let due = fences.filter(|&&(fence, usage)| fence.0 != job.0 && which(usage));
        due.map(|&(fence, _)| fence).collect()
    }

    fn add(&mut self, job: Key, touch: &Touch) {
        self.0
            .entry(touch.buffer)
            .or_default()
            .push((job, touch.usage));
    }
}

/// Only the latest fence of each timeline.
fn latest(fences: impl IntoIterator<Item = Key>) -> BTreeSet<Key> {
    let mut by_context = BTreeMap::new();
    for (context, seqno) in fences {
        let latest = by_context.entry(context).or_insert(seqno);
        *latest = seqno.max(*latest);
    }
    by_context.into_iter().collect()
}

/// Linux since 5.19: kernel < write < read < bookkeep, and an access waits for all up to a level.
fn levels(access: SidecarAccess) -> impl Fn(SidecarUsage) -> bool {
    let weakest = match access {
        SidecarAccess::Explicit => SidecarUsage::Kernel,
        SidecarAccess::Read => SidecarUsage::Write,
        SidecarAccess::Write => SidecarUsage::Read,
        SidecarAccess::Move => SidecarUsage::Bookkeep,
    };
    move |usage| usage <= weakest
}

/// The dependencies that the sample records are those that its sidecar implies on Linux, and the game's explicit ones.
#[test]
fn the_sample_records_what_its_sidecar_implies() {
    let (events, sidecar) = (sample(), sidecar());
    let mut recorded: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
    let (mut submitted, mut begun_before) = (BTreeSet::new(), BTreeSet::new());
    for event in &events {
        match &event.kind {
            EventKind::Depends(dependency) => {
                if let (Waiter::Job(job), DependencyKind::Added) =
                    (&dependency.waiter, dependency.kind)
                {
                    let on = (dependency.context, dependency.seqno);
                    recorded.entry(key(*job)).or_default().insert(on);
                }
            }
            EventKind::Submit(job) => drop(submitted.insert(key(job.key))),
            EventKind::Done { job } if !submitted.contains(&key(*job)) => {
                begun_before.insert(key(*job));
            }
            _ => {}
        }
    }
    // What was begun before the recording hangs on its buffers from the start.
    let mut buffers = Buffers::default();
    for &job in &begun_before {
        for touch in sidecar.buffers_of(job.0, job.1).unwrap() {
            buffers.add(job, touch);
        }
    }
    let mut dependencies = 0;
    for event in &events {
        match &event.kind {
            EventKind::Submit(job) => {
                let job = key(job.key);
                let touches = sidecar.buffers_of(job.0, job.1).unwrap();
                let implied = touches
                    .iter()
                    .flat_map(|touch| buffers.pending(job, touch, levels(touch.access)));
                let implied = latest(implied);
                let mut found = recorded.remove(&job).unwrap_or_default();
                dependencies += found.len();
                if job.0 == 57 || job.0 == 59 {
                    // The game waits explicitly for the compositor to release the image.
                    found.retain(|on| on.0 != 41);
                }
                assert_eq!(found, implied, "line {}", event.line);
                for touch in touches {
                    buffers.add(job, touch);
                }
            }
            EventKind::Done { job } => buffers.done(key(*job)),
            _ => {}
        }
    }
    assert!(dependencies > 50, "{dependencies}");
}

/// One exclusive fence and the shared ones since it, with which the same jobs would lose fences, miss moves, and wait for
/// bookkeeping.
#[test]
fn the_sample_tells_the_semantics_apart() {
    let sidecar = sidecar();
    let (mut modern, mut old) = (Buffers::default(), Buffers::default());
    let (mut lost, mut needless, mut missed_moves) = (0, 0, 0);
    for event in sample() {
        match event.kind {
            EventKind::Submit(job) => {
                let job = key(job.key);
                for touch in sidecar.buffers_of(job.0, job.1).unwrap() {
                    let exclusive =
                        |usage| matches!(usage, SidecarUsage::Kernel | SidecarUsage::Write);
                    let wanted = latest(modern.pending(job, touch, levels(touch.access)));
                    let waits = latest(old.pending(job, touch, |usage| match touch.access {
                        SidecarAccess::Explicit => false,
                        SidecarAccess::Read => exclusive(usage),
                        SidecarAccess::Write | SidecarAccess::Move => true,
                    }));
                    let explicit = touch.access == SidecarAccess::Explicit;
                    let missing = wanted.difference(&waits).count();
                    lost += if explicit { 0 } else { missing };
                    missed_moves += if explicit { missing } else { 0 };
                    needless += waits.difference(&wanted).count();
                    if exclusive(touch.usage) {
                        old.0.remove(&touch.buffer);
                    }
                    modern.add(job, touch);
                    old.add(job, touch);
                }
            }
            EventKind::Done { job } => {
                modern.done(key(job));
                old.done(key(job));
            }
            _ => {}
        }
    }
    println!("lost {lost}, moves missed {missed_moves}, needless {needless}");
    assert!(lost >= 3, "{lost}");
    assert!(missed_moves >= 1, "{missed_moves}");
    assert!(needless >= 5, "{needless}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type AnyReader = Reader<Box<dyn BufRead + Send>>;

fn stream(bytes: Vec<u8>) -> Result<AnyReader, ReadError> {
    let total = bytes.len() as u64;
    open_stream("demo", std::io::Cursor::new(bytes), Some(total))
}

#[test]
fn gzip_is_read_as_its_text() {
    let text = desktop::generate().report.into_bytes();
    let plain = all(&mut stream(text.clone()).unwrap());
    let (first, second) = text.split_at(text.len() / 2);
    let parts = [gzip(first), gzip(b""), gzip(second)].concat();
    for bytes in [gzip(&text), parts] {
        let mut reader = stream(bytes).unwrap();
        assert_eq!(all(&mut reader), plain);
        assert_eq!(reader.bytes_total(), Some(reader.bytes_read()));
    }
}

#[test]
fn a_cut_or_damaged_gzip_file_tells_how_far_it_went() {
    let text = desktop::generate().report.into_bytes();
    let whole = gzip(&text);
    let mut most = 0;
    for length in (2..whole.len())
        .step_by(293)
        .chain(whole.len() - 9..whole.len())
    {
        let error = match stream(whole[..length].to_vec()) {
            Err(error) => error,
            Ok(mut reader) => {
                let error = reader.find_map(Result::err);
                let stats = reader.stats();
                let others = stats.headers + stats.skipped.total;
                assert_eq!(stats.lines, stats.events + others, "{length}");
                assert!(stats.skipped.total <= 1, "{length}");
                error.unwrap_or_else(|| panic!("{length} bytes of {}", whole.len()))
            }
        };
        let ReadError::CutOff { events, line, .. } = error else {
            panic!("{length}: {error}");
        };
        assert!(events < line);
        assert!(error.to_string().starts_with(&format!(
            "demo:{line}: the gzip stream is cut off: {events} events"
        )));
        most = events.max(most);
    }
    assert!(most > 1_000, "{most}");

    // A wrong byte anywhere ends the reading or changes nothing (a few bytes of the header say nothing of the text).
    for at in (2..whole.len()).step_by(397) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        if let Ok(mut reader) = stream(bytes) {
            let failed = reader.any(|item| item.is_err());
            assert!(failed || reader.stats().skipped.total == 0, "byte {at}");
        }
    }
    let mut bytes = whole.clone();
    bytes.extend_from_slice(b"something else");
    let error = stream(bytes)
        .unwrap()
        .find_map(Result::err)
        .unwrap()
        .to_string();
    assert!(error.contains("the gzip stream is damaged ("), "{error}");
}

#[test]
fn files_that_are_no_recording() {
    let dir = std::env::temp_dir().join(format!("resv-recording-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let fault = |name: &str, bytes: Option<&[u8]>| {
        let path = dir.join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let place = path.display().to_string();
        let fault = match open(&path) {
            Err(error) => error.to_string(),
            Ok(mut reader) => {
                assert!(reader.by_ref().all(|item| item.is_ok()));
                reader.finish().map(|_| ()).unwrap_err().to_string()
            }
        };
        fault.replace(&place, "FILE")
    };
    assert_eq!(
        fault("none", None),
        "FILE: cannot open: No such file or directory"
    );
    assert!(fault(".", None).contains(": this is a directory: expected a recording"));
    for (bytes, expected) in [
        (b"".to_vec(), "FILE: empty: expected a recording"),
        (gzip(b""), "FILE: empty: expected a recording"),
        (
            gzip(b"\x17\x08\x44tracing6\0\0\0"),
            "FILE: this is gzip of a binary trace-cmd file (trace.dat): unpack it with 'gzip -d'",
        ),
        (
            b"\x28\xb5\x2f\xfd\x04".to_vec(),
            "FILE: this is compressed, and not by gzip: unpack it with 'zstd -d' and give the text",
        ),
        (
            b"\x1f\x8b".to_vec(),
            "FILE:1: the gzip stream is cut off: 0 events before it were read",
        ),
        (
            b"\n\n".to_vec(),
            "FILE: no GPU event found in 2 lines: record with",
        ),
        (
            vec![0xff; 200_000],
            "FILE: no GPU event found in 1 lines, 1 of them skipped (first at line 1: longer than 64 KiB)",
        ),
        (
            b"\xff\xfe\n\xff\n".to_vec(),
            "FILE: no GPU event found in 2 lines, 2 of them skipped (first at line 1: not UTF-8 text)",
        ),
    ] {
        let found = fault("file", Some(&bytes));
        assert!(found.starts_with(expected), "{found}");
    }
    // The same faults by name.
    assert!(matches!(open(&dir), Err(ReadError::Directory { .. })));
    std::fs::remove_dir_all(&dir).unwrap();
}
