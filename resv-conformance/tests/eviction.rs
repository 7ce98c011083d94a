//! Eviction fences under random events, on every semantics that has a category for them and every back
//! end; and the ways to get it wrong, each of which is found.

use proptest::prelude::*;
use resv_api::{Access, BackendKind, Edit, SemanticsKind, Timeline, Usage, new_reservation};
use resv_conformance::eviction::{Event, Flaw, World};

const BUFFERS: usize = 3;

fn world(semantics: SemanticsKind, backend: BackendKind, flaw: Option<Flaw>) -> World {
    let buffer = || new_reservation(semantics, backend).expect("it is compiled in");
    World::new((0..BUFFERS).map(|_| buffer()).collect(), flaw)
}

fn event() -> impl Strategy<Value = Event> {
    let buffer = 0..BUFFERS;
    let access = proptest::sample::select(Access::ALL.to_vec());
    prop_oneof![
        4 => buffer.clone().prop_map(Event::Map),
        2 => buffer.clone().prop_map(Event::Unmap),
        4 => (buffer, access).prop_map(|(buffer, access)| Event::Begin(buffer, access)),
        3 => (1u64..120).prop_map(Event::Pass),
        1 => Just(Event::Pass(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn no_events_break_the_life_cycle(
        events in proptest::collection::vec(event(), 1..40),
        ends in any::<bool>(),
    ) {
        for semantics in [SemanticsKind::WritersReadersOthers, SemanticsKind::UsageLevels] {
            for backend in BackendKind::ALL {
                let mut world = world(semantics, backend, None);
                let last = ends.then_some(Event::End);
                for event in events.iter().copied().chain(last).chain([Event::Pass(300)]) {
                    let step = world.step(event);
                    prop_assert!(step.is_ok(), "{step:?} at {event:?} in {events:?}");
                }
            }
        }
    }
}

/// Plays events that are right without a flaw, and says what is found with one.
fn found(flaw: Option<Flaw>) -> Option<String> {
    let events = [
        Event::Map(0),
        Event::Begin(0, Access::Read),
        Event::Begin(0, Access::Move),
        Event::Map(1),
        Event::Pass(300),
        Event::Unmap(1),
        Event::Begin(1, Access::Move),
        Event::Pass(300),
    ];
    let mut world = world(SemanticsKind::UsageLevels, BackendKind::Locked, flaw);
    events.into_iter().find_map(|event| world.step(event).err())
}

#[test]
fn each_flaw_is_found() {
    assert_eq!(found(None), None);
    for (flaw, says) in Flaw::ALL.into_iter().zip([
        "to begin to read asked for an eviction",
        "the move of buffer 0 does not end",
        "queues are on and buffer 0 has no fence",
        "queues are on and buffer 0 has no fence",
        "the move of an unmapped buffer asked for an eviction",
    ]) {
        assert_eq!(found(Some(flaw)).as_deref(), Some(says), "{flaw:?}");
    }
}

/// The oldest semantics has no category for eviction fences: a writer asks for an eviction, and an
/// exclusive fence takes the eviction fence out of the object while the queues run.
#[test]
fn the_oldest_semantics_cannot_keep_an_eviction_fence() {
    let old = || new_reservation(SemanticsKind::ExclusiveShared, BackendKind::Locked);
    let mut world = World::new(vec![old().expect("always there")], None);
    assert!(world.step(Event::Map(0)).is_ok());
    let told = world.step(Event::Begin(0, Access::Write));
    assert_eq!(
        told,
        Err("to begin to write asked for an eviction".to_owned())
    );

    let object = old().expect("always there");
    let (compute, gfx) = (Timeline::new("compute"), Timeline::new("gfx"));
    let (evict, job) = (compute.issue().expect("new"), gfx.issue().expect("new"));
    for (signaler, usage) in [(&evict, Usage::Bookkeep), (&job, Usage::Write)] {
        let fence = signaler.fence().clone();
        object
            .transact(&[Edit::Add { fence, usage }])
            .expect("there is memory");
    }
    let waits = object.waits_for(Access::Move).expect("there is memory");
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].fence, *job.fence());
}
