//! What the library records of itself, replayed: jobs, uses and edges must be those of the run.

use resv_api::trace::FtraceWriter;
use resv_api::{
    Access, BackendKind, Edit, Fence, Reservation, SemanticsKind, Signaler, Timeline, Usage,
    new_reservation,
};
use resv_cli::options::implementations;
use resv_cli::recording;
use resv_cli::replay::{BufferRule, JobId, Recorded, Report, Workload, load, play};
use std::collections::{BTreeSet, VecDeque};
use std::io::Cursor;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tracing::subscriber::with_default;

const OBJECTS: usize = 4;
const CLIENTS: usize = 2;
/// Each client has two, so that some answers name its other one.
const TIMELINES: usize = 2 * CLIENTS;
const JOBS: usize = 120;
/// Pending at most.
const IN_FLIGHT: usize = 6;

type Point = (u64, u64);

/// What a run did, as seen by its clients.
#[derive(Debug, Default, PartialEq, Eq)]
struct Truth {
    jobs: BTreeSet<Point>,
    /// Which job was told to wait for which, where the timelines differ.
    edges: BTreeSet<(Point, Point)>,
    uses: u64,
    signals: u64,
    waits: u64,
}

fn point(fence: &Fence) -> Point {
    (fence.timeline_id().as_raw(), fence.seqno())
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }
}

/// One job: the objects it uses, and what it asks each before, if anything.
fn draw(dice: &mut Dice) -> Vec<(usize, Usage, Option<Access>)> {
    let first = dice.roll(OBJECTS);
    let count = 1 + dice.roll(2);
    let uses = (0..count).map(|at| {
        let usage = [Usage::Kernel, Usage::Write, Usage::Read, Usage::Bookkeep][dice.roll(4)];
        let access = [
            None,
            Some(Access::Read),
            Some(Access::Write),
            Some(Access::Move),
            Some(Access::Explicit),
        ][dice.roll(5)];
        ((first + at) % OBJECTS, usage, access)
    });
    uses.collect()
}

/// Asks, then adds; the edges that follow from the answers.
fn submit(
    objects: &[Box<dyn Reservation>],
    timeline: &Timeline,
    uses: &[(usize, Usage, Option<Access>)],
) -> (Signaler, BTreeSet<Point>) {
    let mut waits = BTreeSet::new();
    for &(object, _, access) in uses {
        if let Some(access) = access {
            let answer = objects[object].waits_for(access).unwrap();
            waits.extend(answer.iter().map(|entry| point(&entry.fence)));
        }
    }
    waits.retain(|&(context, _)| context != timeline.id().as_raw());
    let job = timeline.issue().unwrap();
    for &(object, usage, _) in uses {
        let fence = job.fence().clone();
        objects[object]
            .transact(&[Edit::Add { fence, usage }])
            .unwrap();
    }
    (job, waits)
}

type Turn = Box<dyn FnOnce() + Send>;

/// Runs the workload with each client on a thread of its own, one at a time. The recording, and what
/// really happened.
fn record(semantics: SemanticsKind, backend: BackendKind) -> (String, Truth) {
    let recorder = FtraceWriter::new(Vec::new());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let recorder = recorder.clone();
        let (turns, mine) = mpsc::channel::<Turn>();
        let named = std::thread::Builder::new().name(format!("client {number}"));
        let run = move || with_default(recorder, || mine.into_iter().for_each(|turn| turn()));
        clients.push((turns, named.spawn(run).unwrap()));
    }
    let objects: Arc<Vec<_>> = {
        let make = |_| new_reservation(semantics, backend).unwrap();
        Arc::new((0..OBJECTS).map(make).collect())
    };
    let names = ["gfx", "comp 1.0", "vcn", "sdma context=9 seqno=1"];
    let timelines: Vec<_> = names.map(Timeline::new).into();
    assert_eq!(timelines.len(), TIMELINES);

    let mut truth = Truth::default();
    let mut pending: VecDeque<Signaler> = VecDeque::new();
    let mut dice = Dice(29);
    let turn = |client: usize, job: Turn| {
        let (done, is_done) = mpsc::channel();
        let turn = move || {
            job();
            done.send(()).unwrap();
        };
        clients[client].0.send(Box::new(turn)).unwrap();
        is_done.recv().unwrap();
    };
    for _ in 0..JOBS {
        let timeline = timelines[dice.roll(TIMELINES)].clone();
        let client = dice.roll(CLIENTS);
        let uses = draw(&mut dice);
        truth.uses += uses.len() as u64;
        // A program that does not ask is taken to be in explicit sync, which waits for the kernel all the same.
        // This thread is not recorded.
        let unasked: Vec<Point> = uses
            .iter()
            .filter(|(.., access)| access.is_none())
            .flat_map(|&(object, ..)| objects[object].waits_for(Access::Explicit).unwrap())
            .map(|entry| point(&entry.fence))
            .filter(|&(context, _)| context != timeline.id().as_raw())
            .collect();
        let (answer, answered) = mpsc::channel();
        let shared = Arc::clone(&objects);
        turn(
            client,
            Box::new(move || answer.send(submit(&shared, &timeline, &uses)).unwrap()),
        );
        let (job, waits) = answered.recv().unwrap();
        let name = point(job.fence());
        truth.jobs.insert(name);
        let waits = waits.into_iter().chain(unasked);
        truth.edges.extend(waits.map(|on| (name, on)));
        pending.push_back(job);
        if dice.roll(3) == 0 {
            let fence = pending[0].fence().clone();
            truth.waits += 1;
            turn(
                client,
                Box::new(move || {
                    let waited = fence.wait(Some(Duration::from_micros(1)));
                    assert!(!waited.is_signaled());
                }),
            );
        }
        while pending.len() > dice.roll(IN_FLIGHT) {
            let Some(job) = pending.pop_front() else {
                break;
            };
            truth.signals += 1;
            turn(dice.roll(CLIENTS), Box::new(move || job.signal()));
        }
    }
    for job in pending {
        truth.signals += 1;
        turn(0, Box::new(move || job.signal()));
    }
    for (turns, thread) in clients {
        drop(turns);
        thread.join().unwrap();
    }
    (
        String::from_utf8(recorder.finish().unwrap()).unwrap(),
        truth,
    )
}

fn read(text: &str) -> Recorded {
    let source = Cursor::new(text.to_owned());
    let mut reader = recording::open_stream("self", source, None).unwrap();
    let (recorded, fault) = load(&mut reader, |_| {});
    assert!(fault.is_none());
    reader.finish().unwrap();
    recorded
}

fn name(recorded: &Recorded, job: JobId) -> Point {
    let job = &recorded.jobs()[job as usize];
    (
        recorded.timelines()[job.timeline as usize].context,
        job.seqno,
    )
}

#[test]
fn a_replay_finds_the_jobs_uses_waits_and_edges_that_really_were() {
    let mut edges_by_semantics = Vec::new();
    for semantics in SemanticsKind::ALL {
        for backend in implementations() {
            let what = format!("{semantics} on {backend}");
            let (text, truth) = record(semantics, backend);
            let recorded = read(&text);
            assert_eq!(recorded.stats().skipped.total, 0, "{what}: {text}");
            assert!(recorded.stats().other.is_empty(), "{what}");
            assert_eq!(recorded.stats().waits, truth.waits, "{what}");
            let counts = *recorded.counts();
            assert_eq!(counts.adds, truth.uses, "{what}");
            assert_eq!((counts.cut, counts.adds_late), (0, 0), "{what}");
            assert_eq!(
                (counts.job_signals, counts.fences),
                (truth.signals, 0),
                "{what}"
            );
            let jobs: BTreeSet<_> = (0..recorded.jobs().len())
                .map(|job| name(&recorded, job as JobId))
                .collect();
            assert_eq!(jobs, truth.jobs, "{what}");

            assert!(recorded.names_buffers());
            let workload = Workload::new(recorded, &BufferRule::Recorded);
            assert_eq!(workload.buffers().len(), OBJECTS, "{what}");
            assert_eq!(workload.account().touches, truth.uses, "{what}");
            let mut edges = BTreeSet::new();
            for player in implementations() {
                let run = play(&workload, semantics, player).unwrap();
                let name = |job| name(workload.recorded(), job);
                edges = run
                    .edge_list()
                    .iter()
                    .map(|edge| (name(edge.job), name(edge.dependency)))
                    .collect();
                assert_eq!(edges, truth.edges, "{what}, played on {player}");
                assert_eq!(run.counts.edges_assumed, truth.edges.len() as u64);
            }
            // The numbers of timelines differ from run to run; how many edges there are may not.
            edges_by_semantics.push((semantics, edges.len()));
        }
    }
    for three in edges_by_semantics.chunks(3) {
        assert!(three.iter().all(|run| *run == three[0]), "{three:?}");
        assert!(three[0].1 > 20, "edges, or this shows nothing: {three:?}");
    }
    let different: BTreeSet<_> = edges_by_semantics.iter().map(|run| run.1).collect();
    assert!(different.len() > 1, "the semantics matter: {different:?}");
}

/// The access is the one that was asked for, and not the one that is usual for the usage.
#[test]
fn a_job_that_did_not_ask_is_in_explicit_sync() {
    let uses = [
        (0, Usage::Write, Some(Access::Write)),
        (0, Usage::Write, None),
        (0, Usage::Write, Some(Access::Write)),
    ];
    let recorder = FtraceWriter::new(Vec::new());
    with_default(recorder.clone(), || {
        let objects = [new_reservation(SemanticsKind::UsageLevels, BackendKind::Locked).unwrap()];
        let jobs: Vec<_> = uses
            .iter()
            .map(|one| submit(&objects, &Timeline::new("own"), &[*one]).0)
            .collect();
        jobs.into_iter().for_each(Signaler::signal);
    });
    let recorded = read(&String::from_utf8(recorder.finish().unwrap()).unwrap());
    let workload = Workload::new(recorded, &BufferRule::Recorded);
    let accesses: Vec<_> = (0..3).map(|job| workload.touches(job)[0].access).collect();
    assert_eq!(accesses, [Access::Write, Access::Explicit, Access::Write]);
}

/// A question holds for all that is added in one transaction, and no longer.
#[test]
fn two_jobs_of_one_transaction_share_its_question() {
    let text = "\
 a-7 [000] ..... 1.000001: resv_waits_for: resv=1 access=move
 a-7 [000] ..... 1.000002: resv_unlock: resv=1
 b-8 [000] ..... 1.000003: resv_waits_for: resv=1 access=read
 a-7 [000] ..... 1.000004: resv_add_fence: resv=1 usage=write driver=resv timeline=t context=1 seqno=1
 a-7 [000] ..... 1.000005: resv_add_fence: resv=1 usage=write driver=resv timeline=u context=2 seqno=1
 a-7 [000] ..... 1.000006: resv_unlock: resv=1
 a-7 [000] ..... 1.000007: resv_add_fence: resv=1 usage=write driver=resv timeline=v context=3 seqno=1
";
    let workload = Workload::new(read(text), &BufferRule::Recorded);
    let accesses: Vec<_> = (0..3).map(|job| workload.touches(job)[0].access).collect();
    assert_eq!(accesses, [Access::Move, Access::Move, Access::Explicit]);
}

/// A fence that is handed on later is played with its first add, and the report says so.
#[test]
fn an_add_that_is_played_too_early_is_counted() {
    let text = "\
 a-7 [000] ..... 1.000001: resv_add_fence: resv=1 usage=write driver=resv timeline=t context=1 seqno=1
 a-7 [000] ..... 1.000002: resv_add_fence: resv=2 usage=read driver=resv timeline=t context=1 seqno=1
 b-8 [000] ..... 1.000003: resv_add_fence: resv=3 usage=write driver=resv timeline=u context=2 seqno=1
 a-7 [000] ..... 1.000004: resv_add_fence: resv=3 usage=read driver=resv timeline=t context=1 seqno=1
";
    let recorded = read(text);
    assert_eq!(
        (recorded.counts().adds, recorded.counts().adds_late),
        (4, 1)
    );
}

#[test]
fn a_word_that_is_no_usage_or_access_is_a_line_skipped_and_counted() {
    let text = "\
 a-7 [000] ..... 1.000001: resv_add_fence: resv=1 usage=draw driver=resv timeline=t context=1 seqno=1
 a-7 [000] ..... 1.000002: resv_waits_for: resv=1 access=peek
 a-7 [000] ..... 1.000003: resv_unlock: resv=-1
 a-7 [000] ..... 1.000004: dma_fence_init: driver=resv timeline=t context=1 seqno=1
";
    let recorded = read(text);
    let reasons = recorded.stats().skipped.reasons.keys();
    let reasons: BTreeSet<_> = reasons.map(ToString::to_string).collect();
    let expected = [
        "resv_add_fence: field 'usage' is malformed",
        "resv_unlock: field 'resv' is out of range",
        "resv_waits_for: field 'access' is malformed",
    ];
    assert_eq!(reasons, expected.map(str::to_owned).into());
}

#[test]
fn the_program_takes_the_buffers_from_the_recording_unless_told_otherwise() {
    let (text, truth) = record(SemanticsKind::UsageLevels, BackendKind::RcuArray);
    let path = std::env::temp_dir().join(format!("resv-recorded-{}.report", std::process::id()));
    std::fs::write(&path, &text).unwrap();
    let replay = |more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_resv"));
        let output = program
            .args(["replay", "--json"])
            .arg(&path)
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["buffers"].clone()
    };
    let (own, private) = (replay(&[]), replay(&["--buffers", "private"]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        (&own["rule"], &own["touches"]),
        (&"recorded".into(), &truth.uses.into())
    );
    assert_eq!(private["rule"], "private");

    let workload = Workload::new(read(&text), &BufferRule::Recorded);
    let report = Report::new(&workload, &SemanticsKind::ALL, &implementations()).unwrap();
    assert!(report.is_identical());
}

/// A compositor looks, finds a buffer busy and goes on; then it blocks for a moment. All of it is reported, and played.
#[test]
fn a_program_that_polls_shows_what_it_skipped_and_its_waits_are_played() {
    let recorder = FtraceWriter::new(Vec::new());
    with_default(recorder.clone(), || {
        let object = new_reservation(SemanticsKind::UsageLevels, BackendKind::RcuArray).unwrap();
        let (_, job) = {
            let timeline = Timeline::new("gfx");
            let job = timeline.issue().unwrap();
            (timeline, job)
        };
        let (fence, usage) = (job.fence().clone(), Usage::Write);
        object.transact(&[Edit::Add { fence, usage }]).unwrap();
        assert!(!object.is_idle(Access::Read));
        std::thread::sleep(Duration::from_millis(3));
        assert!(!object.is_idle(Access::Read));
        assert!(object.is_idle(Access::Explicit));
        let waited = object.wait(Access::Write, Duration::from_millis(2));
        assert!(!waited.is_signaled());
        // A signal right behind the end of a wait is taken for its reason.
        std::thread::sleep(Duration::from_millis(1));
        job.signal();
        assert!(object.is_idle(Access::Read));
    });
    let recorded = read(&String::from_utf8(recorder.finish().unwrap()).unwrap());
    let polls = recorded.polls();
    assert_eq!((polls.len(), polls[0].skipped), (1, 2), "{polls:?}");
    assert_eq!(polls[0].access, Access::Read);
    assert!(polls[0].busy_ns >= 5_000_000, "{polls:?}");
    assert_eq!(recorded.waits().len(), 1);
    assert_eq!(recorded.waits()[0].ended.name(), "timed-out");
    let workload = Workload::new(recorded, &BufferRule::Recorded);
    for backend in implementations() {
        let run = play(&workload, SemanticsKind::UsageLevels, backend).unwrap();
        assert_eq!(run.counts.task_asks, 3);
        // Two looks of five milliseconds or more, and the wait for what was left then.
        assert!(run.counts.task_wait_ns >= 7_000_000, "{:?}", run.counts);
    }
}
