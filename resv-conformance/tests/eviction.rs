//! Eviction fences under random events, on every semantics and every back end; the ways to get it wrong,
//! each of which is found; and what has to be told apart when a generation ends (B7 to B16).

use proptest::prelude::*;
use resv_api::{
    Access, BackendKind, Edit, Fence, Reservation, SemanticsKind, Timeline, Usage, Waited,
    new_reservation,
};
use resv_conformance::eviction::{Event, Flaw, GRACE, Kind, RESTORE, STOP, World, trial};
use resv_policy::objects::{begin_to_wait, compute_fences, wait_set};
use resv_policy::{Asker, Era, Mode, Owner, Tag};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BUFFERS: usize = 3;

fn object(semantics: SemanticsKind, backend: BackendKind) -> Box<dyn Reservation> {
    new_reservation(semantics, backend).expect("it is compiled in")
}

fn world(semantics: SemanticsKind, backend: BackendKind, kind: Kind, flaw: Option<Flaw>) -> World {
    let buffers = (0..BUFFERS).map(|_| object(semantics, backend));
    World::new(kind, buffers.collect(), flaw)
}

fn levels(kind: Kind, flaw: Option<Flaw>) -> World {
    world(SemanticsKind::UsageLevels, BackendKind::Locked, kind, flaw)
}

fn event() -> impl Strategy<Value = Event> {
    let buffer = 0..BUFFERS;
    let access = proptest::sample::select(Access::ALL.to_vec());
    prop_oneof![
        4 => buffer.clone().prop_map(Event::Map),
        2 => buffer.clone().prop_map(Event::Unmap),
        4 => (buffer, access).prop_map(|(buffer, access)| Event::Begin(buffer, access)),
        2 => (1u64..200).prop_map(Event::Job),
        2 => Just(Event::Queue),
        1 => any::<bool>().prop_map(|keeps| Event::Suspend { keeps }),
        2 => Just(Event::Resume),
        3 => (1u64..120).prop_map(Event::Pass),
        1 => Just(Event::Pass(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]

    /// V1 to V7. Where writers are shown an eviction fence, as under the oldest semantics, nobody writes; where
    /// readers are, too, there are no such fences.
    #[test]
    fn no_events_break_the_life_cycle(
        events in proptest::collection::vec(event(), 1..40),
        kind in proptest::sample::select(Kind::ALL.to_vec()),
        ends in any::<bool>(),
    ) {
        for semantics in SemanticsKind::ALL {
            let eviction = semantics.class(Usage::Bookkeep);
            let is_shown = |access| semantics.waits_for(access).contains(eviction);
            if is_shown(Access::Read) {
                continue;
            }
            for backend in BackendKind::ALL {
                let mut world = world(semantics, backend, kind, None);
                let last = ends.then_some(Event::End);
                for event in events.iter().copied().chain(last).chain([Event::Pass(400)]) {
                    let event = match event {
                        Event::Begin(buffer, Access::Write) if is_shown(Access::Write) => {
                            Event::Begin(buffer, Access::Read)
                        }
                        _ => event,
                    };
                    let step = world.step(event);
                    prop_assert!(step.is_ok(), "{step:?} at {event:?} in {events:?}");
                }
                prop_assert_eq!(world.waiting(), 0, "a move does not end");
            }
        }
    }
}

#[test]
fn each_flaw_is_found() {
    let found = |kind, flaw| {
        let buffer = || object(SemanticsKind::UsageLevels, BackendKind::Locked);
        trial(kind, flaw, [buffer(), buffer()])
    };
    for kind in Kind::ALL {
        assert_eq!(found(kind, None), None, "{kind:?}");
    }
    for (flaw, says) in Flaw::ALL.into_iter().zip([
        "to begin to read asked for an eviction",
        "the move of buffer 0 does not end",
        "queues are on and buffer 0 has no fence",
        "queues are on and buffer 0 has no fence",
        "the move of an unmapped buffer asked for an eviction",
        "queues are on and buffer 0 has no fence",
        "the move of buffer 0 does not end",
        "a queue runs under the last fence when another has the next",
    ]) {
        let found = found(flaw.kind(), Some(flaw));
        assert_eq!(found.as_deref(), Some(says), "{flaw:?}");
    }
}

/// The oldest semantics has no category for eviction fences: a writer asks for an eviction, and an
/// exclusive fence takes the eviction fence out of the object while the queues run.
#[test]
fn the_oldest_semantics_cannot_keep_an_eviction_fence() {
    let old = || object(SemanticsKind::ExclusiveShared, BackendKind::Locked);
    let mut world = World::new(Kind::Compute, vec![old()], None);
    assert!(world.step(Event::Map(0)).is_ok());
    let told = world.step(Event::Begin(0, Access::Write));
    assert_eq!(
        told,
        Err("to begin to write asked for an eviction".to_owned())
    );

    let object = old();
    let (compute, gfx) = (Timeline::new("compute"), Timeline::new("gfx"));
    let (evict, job) = (compute.issue().expect("new"), gfx.issue().expect("new"));
    for (signaler, usage) in [(&evict, Usage::Bookkeep), (&job, Usage::Write)] {
        add(&*object, signaler.fence(), usage);
    }
    let waits = object.waits_for(Access::Move).expect("there is memory");
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].fence, *job.fence());
}

fn add(object: &dyn Reservation, fence: &Fence, usage: Usage) {
    let fence = fence.clone();
    let edit = Edit::Add { fence, usage };
    object.transact(&[edit]).expect("there is memory");
}

/// The steps of a world that does nothing wrong.
fn play(world: &mut World, events: &[Event]) {
    for event in events {
        let step = world.step(*event);
        assert_eq!(step, Ok(()), "{event:?}");
    }
}

#[test]
fn the_next_generation_is_not_evicted_before_its_time() {
    let mut world = levels(Kind::Compute, None);
    let evicts = [
        Event::Map(0),
        Event::Pass(GRACE),
        Event::Begin(0, Access::Move),
        Event::Pass(1),
    ];
    play(&mut world, &evicts);
    // The move that waited for the first generation has been told; the second comes with the restore.
    assert_eq!(
        (world.waiting(), world.runs(), world.asked()),
        (0, false, 1)
    );
    play(&mut world, &[Event::Pass(RESTORE - 1)]);
    assert_eq!((world.runs(), world.generations()), (true, 2));
    play(
        &mut world,
        &[Event::Begin(0, Access::Move), Event::Pass(GRACE - 2)],
    );
    assert_eq!((world.asked(), world.waiting(), world.runs()), (2, 1, true));
    play(&mut world, &[Event::Pass(2)]);
    assert_eq!((world.waiting(), world.runs()), (0, false));
}

#[test]
fn one_queue_that_is_asked_stops_all_and_all_get_new_fences() {
    let mut world = levels(Kind::OneForAll, None);
    play(&mut world, &[Event::Queue, Event::Map(0), Event::Map(1)]);
    assert_eq!((world.generations(), world.asked()), (2, 0));
    play(&mut world, &[Event::Begin(0, Access::Move)]);
    assert_eq!(
        (world.asked(), world.waiting(), world.runs()),
        (2, 0, false)
    );
    play(&mut world, &[Event::Pass(1)]);
    assert_eq!((world.generations(), world.runs()), (4, true));
    // A queue that comes later is under the same rule.
    play(&mut world, &[Event::Queue, Event::Begin(1, Access::Move)]);
    assert_eq!((world.asked(), world.runs()), (5, false));
}

/// V7 for queues that do not stop by themselves.
#[test]
fn user_queues_are_given_time_for_their_last_job_and_no_more() {
    for (job, takes) in [(30, 30), (500, STOP)] {
        let mut world = levels(Kind::UserQueues, None);
        play(
            &mut world,
            &[
                Event::Map(0),
                Event::Job(job),
                Event::Begin(0, Access::Move),
            ],
        );
        play(&mut world, &[Event::Pass(takes - 1)]);
        assert_eq!((world.waiting(), world.runs()), (1, true), "{job} ms");
        play(&mut world, &[Event::Pass(1)]);
        assert_eq!(world.waiting(), 0, "{job} ms");
    }
}

#[test]
fn a_suspend_asks_nobody_whether_or_not_it_keeps_the_fences() {
    for kind in Kind::ALL {
        for (keeps, generations) in [(true, 1), (false, 2)] {
            let mut world = levels(kind, None);
            play(&mut world, &[Event::Map(0), Event::Suspend { keeps }]);
            assert!(!world.runs());
            // What is mapped meanwhile gets its fence before the queues run.
            play(
                &mut world,
                &[
                    Event::Map(1),
                    Event::Pass(200),
                    Event::Resume,
                    Event::Pass(200),
                ],
            );
            assert!(world.runs());
            assert_eq!((world.asked(), world.generations()), (0, generations));
        }
    }
}

#[test]
fn a_second_eviction_right_after_the_restore_is_one_more() {
    let mut world = levels(Kind::Compute, None);
    let moves = [Event::Begin(0, Access::Move); 3];
    play(&mut world, &[Event::Map(0), Event::Pass(GRACE)]);
    play(&mut world, &moves);
    assert_eq!((world.asked(), world.runs()), (1, false));
    // At the instant of the restore, and again before the grace is over.
    play(&mut world, &[Event::Pass(RESTORE)]);
    play(&mut world, &moves);
    play(&mut world, &[Event::Pass(1)]);
    play(&mut world, &moves);
    assert_eq!((world.asked(), world.generations()), (2, 2));
    // Duplicates do not bring the restore forward, nor do they restore twice.
    play(&mut world, &[Event::Pass(GRACE + RESTORE)]);
    assert_eq!(
        (world.generations(), world.runs(), world.waiting()),
        (3, true, 0)
    );
}

/// A lazy fence that counts how often it is asked.
struct Lazy {
    signaler: Arc<Mutex<Option<resv_api::Signaler>>>,
    fence: Fence,
    asked: Arc<AtomicUsize>,
}

impl Lazy {
    fn new(timeline: &Timeline, signals: bool) -> Lazy {
        let (asked, signaler) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let (counted, of_hook) = (Arc::clone(&asked), Arc::clone(&signaler));
        let issued = timeline.issue_lazy(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let signaler: Option<resv_api::Signaler> = match signals {
                true => of_hook.lock().expect("nobody panics").take(),
                false => None,
            };
            if let Some(signaler) = signaler {
                signaler.signal();
            }
        });
        let issued = issued.expect("the timeline has seqnos left");
        let fence = issued.fence().clone();
        *signaler.lock().expect("nobody panics") = Some(issued);
        Lazy {
            signaler,
            fence,
            asked,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[test]
fn a_submission_of_p6_preempts_a_partner_and_one_of_p7_does_not() {
    let client = Asker {
        owner: Owner::Client(1),
        device: Some(0),
    };
    for backend in BackendKind::ALL {
        for (era, asked) in [(Era::P5, 1), (Era::P6a, 1), (Era::P6b, 1), (Era::P7, 0)] {
            let (object, foreign) = (object(era.semantics(), backend), Timeline::new("foreign"));
            let preempt = Lazy::new(&foreign, false);
            add(&*object, &preempt.fence, Usage::Bookkeep);
            let waits = wait_set(&*object, era, client, Mode::NotEqual).expect("there is memory");
            assert_eq!(preempt.asked(), 0, "to ask is not to wait");
            waits.iter().for_each(begin_to_wait);
            assert_eq!(preempt.asked(), asked, "{era}");
        }
    }
}

/// Kernels differ here: those that make one tick of a zero timeout ask.
#[test]
fn a_poll_asks_nobody_and_a_wait_of_one_tick_does() {
    for backend in BackendKind::ALL {
        let (object, process) = (
            object(SemanticsKind::UsageLevels, backend),
            Timeline::new("p"),
        );
        let evict = Lazy::new(&process, false);
        add(&*object, &evict.fence, Usage::Bookkeep);
        assert_eq!(
            object.wait(Access::Move, Some(Duration::ZERO)),
            Waited::TimedOut
        );
        assert_eq!(evict.asked(), 0);
        assert_eq!(
            object.wait(Access::Move, Some(Duration::from_millis(1))),
            Waited::TimedOut
        );
        assert_eq!(evict.asked(), 1);
    }
}

/// The hook of a process that is gone signals at once.
#[test]
fn where_nobody_is_left_to_evict_the_waiter_goes_on() {
    for semantics in SemanticsKind::ALL {
        for backend in BackendKind::ALL {
            let (object, process) = (object(semantics, backend), Timeline::new("gone"));
            let evict = Lazy::new(&process, true);
            add(&*object, &evict.fence, Usage::Bookkeep);
            assert_eq!(object.wait(Access::Move, None), Waited::Signaled);
            assert_eq!(evict.asked(), 1);
            assert!(evict.signaler.lock().expect("nobody panics").is_none());
        }
    }
}

/// V6: a fence that is made of a lazy one asks when it is waited for, and not before.
#[test]
fn v6_a_fence_around_a_lazy_one_is_lazy() {
    for backend in BackendKind::ALL {
        let (object, process) = (
            object(SemanticsKind::UsageLevels, backend),
            Timeline::new("p"),
        );
        let (evict, job) = (Lazy::new(&process, false), Timeline::new("gfx").issue());
        let job = job.expect("new");
        let both = Fence::all(&[evict.fence.clone(), job.fence().clone()]).expect("two");
        add(&*object, &both, Usage::Bookkeep);
        for access in [Access::Explicit, Access::Read, Access::Write] {
            assert!(
                object
                    .waits_for(access)
                    .expect("there is memory")
                    .is_empty()
            );
        }
        assert!(!object.is_idle(Access::Move) && !both.is_signaled());
        assert_eq!(evict.asked(), 0);
        begin_to_wait(&both);
        assert_eq!(evict.asked(), 1);
    }
}

/// Since p7 the rule looks up to read. What takes a live mapping away collects the fences of compute
/// by a routine of its own, on purpose: compute is evicted before its mapping goes.
#[test]
fn p7_an_unmapping_that_names_the_buffer_takes_the_fences_of_compute_with_it() {
    let client = Asker {
        owner: Owner::Client(1),
        device: Some(0),
    };
    for backend in BackendKind::ALL {
        let buffer = object(Era::P7.semantics(), backend);
        let compute = Timeline::tagged("kfd", Tag::new(Owner::Compute));
        let foreign = Timeline::new("foreign");
        let (evict, preempt) = (Lazy::new(&compute, false), Lazy::new(&foreign, false));
        for fence in [&evict.fence, &preempt.fence] {
            add(&*buffer, fence, Usage::Bookkeep);
        }
        let unmaps = wait_set(&*buffer, Era::P7, client, Mode::Equal).expect("there is memory");
        assert!(unmaps.is_empty());
        let collected = compute_fences(&*buffer).expect("there is memory");
        assert_eq!(collected, std::slice::from_ref(&evict.fence));
        collected.iter().for_each(begin_to_wait);
        assert_eq!((evict.asked(), preempt.asked()), (1, 0));
    }
}
