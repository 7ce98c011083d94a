//! The event source in a real calloop, used as a compositor would.
#![cfg(feature = "calloop")]

use calloop::EventLoop;
use resv_api::*;
use std::thread;
use std::time::Duration;

const WATCHDOG: Duration = Duration::from_secs(60);

type Fired = Vec<(&'static str, Waited)>;

fn job(name: &str) -> Signaler {
    Timeline::new(name).issue().unwrap()
}

fn source(what: &impl Waitable) -> FenceSource {
    match what.readiness().unwrap() {
        Readiness::Fd(fd) => FenceSource::from(fd),
        Readiness::Already(waited) => panic!("was ready: {waited:?}"),
    }
}

fn insert(
    events: &EventLoop<'static, Fired>,
    name: &'static str,
    what: &impl Waitable,
) -> calloop::RegistrationToken {
    events
        .handle()
        .insert_source(source(what), move |waited, (), fired| {
            fired.push((name, waited));
        })
        .unwrap()
}

#[test]
fn fires_once_when_everything_has_signalled() {
    let mut events: EventLoop<Fired> = EventLoop::try_new().unwrap();
    let mut fired = Fired::new();
    let (a, b) = (job("a"), job("b"));
    insert(&events, "both", &[a.fence(), b.fence()]);
    a.signal();
    events.dispatch(Duration::ZERO, &mut fired).unwrap();
    assert_eq!(fired, []);
    thread::scope(|scope| {
        scope.spawn(|| b.signal());
        while fired.is_empty() {
            events.dispatch(WATCHDOG, &mut fired).unwrap();
        }
    });
    events.dispatch(Duration::ZERO, &mut fired).unwrap();
    assert_eq!(fired, [("both", Waited::Signaled)]);
}

#[test]
fn surfaces_are_independent_and_errors_are_told() {
    let mut events: EventLoop<Fired> = EventLoop::try_new().unwrap();
    let mut fired = Fired::new();
    let (slow, dying) = (job("slow"), job("dying"));
    insert(&events, "slow", slow.fence());
    insert(&events, "dying", dying.fence());
    drop(dying);
    events.dispatch(WATCHDOG, &mut fired).unwrap();
    assert_eq!(fired, [("dying", Waited::Failed(FenceError::CANCELED))]);
    slow.signal();
    events.dispatch(WATCHDOG, &mut fired).unwrap();
    assert_eq!(fired[1..], [("slow", Waited::Signaled)]);
}

#[test]
fn a_removed_source_does_not_fire() {
    let mut events: EventLoop<Fired> = EventLoop::try_new().unwrap();
    let mut fired = Fired::new();
    let job = job("a");
    let token = insert(&events, "a", job.fence());
    events.handle().remove(token);
    job.signal();
    events.dispatch(Duration::ZERO, &mut fired).unwrap();
    assert_eq!(fired, []);
}

#[test]
fn it_can_be_disabled_for_a_while() {
    let mut events: EventLoop<Fired> = EventLoop::try_new().unwrap();
    let mut fired = Fired::new();
    let job = job("a");
    let token = insert(&events, "a", job.fence());
    events.handle().disable(&token).unwrap();
    job.signal();
    events.dispatch(Duration::ZERO, &mut fired).unwrap();
    assert_eq!(fired, []);
    events.handle().enable(&token).unwrap();
    events.dispatch(WATCHDOG, &mut fired).unwrap();
    assert_eq!(fired, [("a", Waited::Signaled)]);
}

/// A source with a deadline fires once: with the time, or with the fences if they are first.
#[test]
fn a_deadline_fires_once_and_only_if_the_fences_do_not() {
    let mut events: EventLoop<Fired> = EventLoop::try_new().unwrap();
    let mut fired = Fired::new();
    let (late, early) = (job("late"), job("early"));
    for (name, job, time) in [
        ("late", &late, Duration::from_millis(1)),
        ("early", &early, WATCHDOG),
    ] {
        let source = source(job.fence()).until(time);
        let handle = events.handle();
        let inserted = handle.insert_source(source, move |waited, (), fired: &mut Fired| {
            fired.push((name, waited));
        });
        inserted.unwrap();
    }
    while fired.is_empty() {
        events.dispatch(WATCHDOG, &mut fired).unwrap();
    }
    assert_eq!(fired, [("late", Waited::TimedOut)]);
    late.signal();
    early.signal_error(FenceError::IO);
    while fired.len() < 2 {
        events.dispatch(WATCHDOG, &mut fired).unwrap();
    }
    events.dispatch(Duration::ZERO, &mut fired).unwrap();
    assert_eq!(fired[1..], [("early", Waited::Failed(FenceError::IO))]);
}
