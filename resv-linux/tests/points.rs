//! A timeline of the kernel's (a sync object) and one of ours, side by side: random points are attached to
//! fences of two rings or signalled by hand, the rings are moved on, and after each step both are asked for
//! every point: whether it has signalled, whether it was submitted, and how far they have come.

use crate::common::{Random, node, sw_sync};
use resv_api::{Fence, Signaler, Timeline};
use resv_linux::sources::SwSync;
use resv_linux::{SyncFile, Syncobj, Waiting};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

struct Ring {
    kernel: SwSync,
    ours: Timeline,
    issued: u32,
    pending: VecDeque<Signaler>,
}

impl Ring {
    fn new(kernel: SwSync) -> Ring {
        Ring {
            kernel,
            ours: Timeline::new("ring"),
            issued: 0,
            pending: VecDeque::new(),
        }
    }

    fn issue(&mut self) -> (SyncFile, Fence) {
        self.issued += 1;
        let job = self.ours.issue().expect("a seqno");
        let fence = job.fence().clone();
        self.pending.push_back(job);
        let file = self.kernel.fence(self.issued).expect("a fence");
        (file, fence)
    }

    fn advance(&mut self) {
        if let Some(job) = self.pending.pop_front() {
            self.kernel.advance(1).expect("it can");
            job.signal();
        }
    }
}

/// How many answers were compared; or what differs.
fn play(seed: u64, planted: bool) -> Option<Result<u64, String>> {
    let node = node()?;
    let object = Syncobj::new(&node).expect("the node has them");
    let line = Timeline::new("points");
    let mut rings = [Ring::new(sw_sync()?), Ring::new(sw_sync()?)];
    let mut random = Random(seed);
    let (mut last, mut compared) = (0u64, 0);
    let mut steps = String::new();
    for _ in 0..30 {
        let which = random.below(2);
        match random.below(5) {
            0 | 1 => {
                let (file, fence) = rings[which].issue();
                last += 1 + random.below(3) as u64;
                object.import_sync_file(&file, last).expect("memory");
                // The planted defect: the later place is taken for one that waits for its fence alone.
                if planted && last > 2 {
                    line.issue_at(last).expect("a place").signal();
                } else {
                    line.attach(last, &fence).expect("a place");
                }
                let _ = writeln!(steps, "attach {last} to a fence of ring {which}");
            }
            2 => {
                last += 1 + random.below(2) as u64;
                object.signal_point(last).expect("memory");
                // As the kernel does it: with a fence that has signalled. Counting up to it would also reach
                // places in between that nobody has submitted, which are a later point's in the kernel.
                line.attach(last, &Fence::signaled()).expect("a place");
                let _ = writeln!(steps, "signal {last}");
            }
            _ => {
                rings[which].advance();
                let _ = writeln!(steps, "advance ring {which}");
            }
        }
        let mut same = |what: String, kernel: u64, ours: u64| {
            compared += 1;
            if kernel == ours {
                return Ok(());
            }
            Err(format!(
                "seed {seed}: {what}: the kernel says {kernel}, resv says {ours}, after\n{steps}"
            ))
        };
        let mut ask = || {
            same(
                "completed".into(),
                object.completed().expect("it can"),
                line.completed_seqno(),
            )?;
            same(
                "submitted".into(),
                object.submitted().expect("it can"),
                line.last_seqno(),
            )?;
            for point in last.saturating_sub(4).max(1)..=last + 1 {
                let wait = |how| object.wait(point, how, Duration::ZERO).expect("it can");
                same(
                    format!("{point} has signalled"),
                    wait(Waiting::ALL).into(),
                    line.point(point).is_signaled().into(),
                )?;
                same(
                    format!("{point} was submitted"),
                    wait(Waiting::SUBMITTED).into(),
                    line.submitted(point).is_signaled().into(),
                )?;
            }
            Ok(())
        };
        if let Err(differs) = ask() {
            return Some(Err(differs));
        }
    }
    Some(Ok(compared))
}

#[test]
fn points_answer_as_those_of_a_sync_object() {
    let mut compared = 0;
    for seed in 0..60 {
        let Some(played) = play(seed, false) else {
            return;
        };
        compared += played.unwrap_or_else(|differs| panic!("{differs}"));
    }
    let note = format!("points: {compared} answers compared, 0 differ\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
}

#[test]
fn a_place_that_does_not_wait_for_the_one_before_is_caught() {
    let mut caught = false;
    for seed in 0..20 {
        let Some(played) = play(seed, true) else {
            return;
        };
        caught |= played.is_err();
    }
    assert!(caught);
}
