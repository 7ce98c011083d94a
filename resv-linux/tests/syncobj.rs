//! Sync objects on a real kernel.

use crate::common::{LONG, SHORT, node, timeline};
use resv_api::{FenceStatus, Waited};
use resv_linux::{Point, Syncobj, WaitFor, Waiting};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::time::Instant;

fn is_readable(fd: impl AsFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).unwrap() == 1
}

#[test]
fn a_binary_object_is_signalled_and_reset() {
    let Some(node) = node() else { return };
    assert!(node.has_syncobj());
    let object = Syncobj::new(&node).unwrap();
    assert!(!object.wait(0, Waiting::ALL, SHORT).unwrap());
    object.signal().unwrap();
    assert!(object.wait(0, Waiting::ALL, LONG).unwrap());
    object.reset().unwrap();
    assert!(!object.wait(0, Waiting::ALL, SHORT).unwrap());
    let strict = Waiting {
        what: WaitFor::Signal,
        ..Waiting::ALL
    };
    assert!(object.wait(0, strict, SHORT).is_err(), "it has no fence");
    assert!(
        Syncobj::new_signaled(&node)
            .unwrap()
            .wait(0, strict, LONG)
            .unwrap()
    );
}

#[test]
fn points_are_signalled_and_counted() {
    let Some(node) = node() else { return };
    let object = Syncobj::new(&node).unwrap();
    assert_eq!(
        (object.completed().unwrap(), object.submitted().unwrap()),
        (0, 0)
    );
    object.signal_point(3).unwrap();
    assert_eq!(
        (object.completed().unwrap(), object.submitted().unwrap()),
        (3, 3)
    );
    assert!(
        object.wait(2, Waiting::ALL, LONG).unwrap(),
        "an earlier one with it"
    );
    assert!(!object.wait(4, Waiting::ALL, SHORT).unwrap());
}

/// Pitfall: a point that is not after the last one is taken without complaint.
#[test]
fn signalling_backwards_changes_nothing() {
    let Some(node) = node() else { return };
    let object = Syncobj::new(&node).unwrap();
    object.signal_point(7).unwrap();
    object.signal_point(6).unwrap();
    assert_eq!(object.completed().unwrap(), 7);
}

/// Pitfall (and help): a point that nobody has submitted can be waited for, and asked to be told of.
#[test]
fn a_point_that_nobody_has_submitted_can_be_waited_for() {
    let Some(node) = node() else { return };
    let object = Syncobj::new(&node).unwrap();
    let done = object.eventfd(5, false).unwrap();
    let there = object.eventfd(5, true).unwrap();
    assert!(!is_readable(&done) && !is_readable(&there));
    assert!(!object.wait(5, Waiting::SUBMITTED, SHORT).unwrap());
    let waiter = {
        let object = object.clone();
        std::thread::spawn(move || object.wait(5, Waiting::ALL, LONG).unwrap())
    };
    let Some(timeline) = timeline() else {
        object.signal_point(5).unwrap();
        assert!(waiter.join().unwrap());
        return;
    };
    object.import_sync_file(&timeline.fence(1), 5).unwrap();
    assert!(object.wait(5, Waiting::SUBMITTED, LONG).unwrap());
    assert!(is_readable(&there) && !is_readable(&done));
    assert_eq!(
        (object.completed().unwrap(), object.submitted().unwrap()),
        (0, 5)
    );
    timeline.advance(1);
    assert!(waiter.join().unwrap());
    assert!(is_readable(&done));
    assert_eq!(object.completed().unwrap(), 5);
}

#[test]
fn any_of_several_points() {
    let Some(node) = node() else { return };
    let (a, b) = (Syncobj::new(&node).unwrap(), Syncobj::new(&node).unwrap());
    b.signal_point(2).unwrap();
    let points = [a.at(1), b.at(2)];
    assert_eq!(
        Syncobj::wait_points(&points, Waiting::ANY, LONG).unwrap(),
        Some(1)
    );
    assert_eq!(
        Syncobj::wait_points(&points, Waiting::ALL, SHORT).unwrap(),
        None
    );
    a.signal_point(1).unwrap();
    let hurried = Waiting {
        deadline: Some(Instant::now()),
        ..Waiting::ALL
    };
    assert!(
        Syncobj::wait_points(&points, hurried, LONG)
            .unwrap()
            .is_some()
    );
    assert!(Syncobj::wait_points(&[] as &[Point<'_>], Waiting::ALL, SHORT).is_err());
    let elsewhere = resv_linux::sources::syncobj_node().unwrap();
    let foreign = Syncobj::new(&elsewhere).unwrap();
    let mixed = Syncobj::wait_points(&[a.at(1), foreign.at(1)], Waiting::ALL, SHORT);
    assert_eq!(mixed.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn an_object_is_sent_and_taken() {
    let Some(node) = node() else { return };
    let object = Syncobj::new(&node).unwrap();
    let elsewhere = resv_linux::sources::syncobj_node().unwrap();
    let same = Syncobj::import(&elsewhere, object.export().unwrap()).unwrap();
    object.signal_point(9).unwrap();
    assert_eq!(same.completed().unwrap(), 9);
    assert!(Syncobj::import(&node, std::io::pipe().unwrap().0).is_err());
}

#[test]
fn a_point_goes_to_a_sync_file_and_back() {
    let (Some(node), Some(timeline)) = (node(), timeline()) else {
        return;
    };
    let object = Syncobj::new(&node).unwrap();
    assert!(object.export_sync_file(1).is_err(), "it has no fence");
    object.import_sync_file(&timeline.fence(1), 4).unwrap();
    let exported = object.export_sync_file(4).unwrap();
    assert_eq!(exported.status().unwrap(), FenceStatus::Pending);
    let other = Syncobj::new(&node).unwrap();
    other.transfer_from(object.at(4), 11).unwrap();
    assert_eq!(other.submitted().unwrap(), 11);
    timeline.advance(1);
    assert_eq!(exported.wait(LONG).unwrap(), Waited::Signaled);
    assert!(other.wait(11, Waiting::ALL, LONG).unwrap());
    let binary = Syncobj::new(&node).unwrap();
    binary.import_sync_file(&timeline.fence(2), 0).unwrap();
    assert_eq!(
        binary.export_sync_file(0).unwrap().status().unwrap(),
        FenceStatus::Pending
    );
}
