//! Many leaves of one composition, which an object takes in one edit: as if one came after the other.
//!
//! Leaves are drawn from a few timelines, with repetitions and in any order; some have signalled or failed
//! before, and the object has fences of the same timelines under every usage.

use super::answers::Choices;
use crate::support::{add_fence, entries, job};
use crate::{Object, Subject};
use resv_api::{
    Access, Fence, FenceError, FenceStatus, Semantics, Signaler, Timeline, TimelineId, Usage,
};

/// Leaves of one composition: more than are added one by one.
const LEAVES: usize = 40;
const HISTORIES: u64 = 12;

/// Jobs of a few timelines, and what is drawn of their fences.
struct Drawn {
    lines: Vec<Timeline>,
    jobs: Vec<Signaler>,
    before: Vec<(Fence, Usage)>,
    leaves: Vec<Fence>,
}

fn draw(choices: &mut Choices) -> Drawn {
    let lines: Vec<_> = (0..5).map(|_| Timeline::new("line")).collect();
    let mut jobs: Vec<_> = (0..30)
        .map(|_| job(&lines[choices.below(lines.len())]))
        .collect();
    let fences: Vec<_> = jobs.iter().map(|job| job.fence().clone()).collect();
    let mut any = || fences[choices.below(fences.len())].clone();
    let leaves = (0..LEAVES).map(|_| any()).collect();
    let before = (0..12).map(|at| (any(), Usage::ALL[at % 4])).collect();
    for _ in 0..6 {
        end(choices, &mut jobs);
    }
    Drawn {
        lines,
        jobs,
        before,
        leaves,
    }
}

/// One of the jobs ends, in some way.
fn end(choices: &mut Choices, jobs: &mut Vec<Signaler>) {
    let done = jobs.swap_remove(choices.below(jobs.len()));
    match choices.below(3) {
        0 => done.signal_error(FenceError::IO),
        1 => drop(done),
        _ => done.signal(),
    }
}

fn failures(object: &Object) -> [Option<FenceError>; 4] {
    Access::ALL.map(|access| object.failure(access))
}

/// An object with the leaves of one composition has what one has to which each leaf was added in turn, and
/// the same failures, whatever fails later. Where adds are writes, those of one composition are one.
pub fn leaves_at_once_are_leaves_one_by_one(on: Subject) {
    for seed in 0..HISTORIES {
        for usage in Usage::ALL {
            if !on.stays(usage, usage) {
                continue;
            }
            let mut choices = Choices(seed);
            let mut drawn = draw(&mut choices);
            let (at_once, in_turn) = (on.object(), on.object());
            for (fence, usage) in &drawn.before {
                add_fence(&at_once, fence, *usage);
                add_fence(&in_turn, fence, *usage);
            }
            {
                let whole = Fence::all(&drawn.leaves).expect("not empty");
                let mut guard = at_once.lock();
                let mut slots = guard.reserve_for(&whole, usage).expect("memory");
                slots.add(&whole, usage);
                assert_eq!(slots.left(), 0);
                drop(guard);
                let mut guard = in_turn.lock();
                let mut slots = guard.reserve(LEAVES).expect("memory");
                drawn.leaves.iter().for_each(|leaf| slots.add(leaf, usage));
            }
            let is_write = on.semantics().class(usage) == on.semantics().class(Usage::Write);
            for _ in 0..8 {
                let (ours, theirs) = (entries(&at_once), entries(&in_turn));
                assert_eq!(ours, theirs, "{usage}, seed {seed}");
                if !is_write {
                    let (ours, theirs) = (failures(&at_once), failures(&in_turn));
                    assert_eq!(ours, theirs, "{usage}, seed {seed}");
                }
                end(&mut choices, &mut drawn.jobs);
            }
        }
    }
}

/// Many leaves in the place of a timeline: all that was there of it is gone, and of other timelines what lies
/// behind a leaf.
pub fn leaves_take_the_place_of_a_timeline(on: Subject) {
    for seed in 0..HISTORIES {
        for usage in Usage::ALL {
            if !on.stays(usage, usage) {
                continue;
            }
            let mut drawn = draw(&mut Choices(seed));
            let object = on.object();
            for (fence, usage) in &drawn.before {
                add_fence(&object, fence, *usage);
            }
            let line = drawn.lines[0].id();
            let mut expected = entries(&object);
            let had = expected.iter().any(|&(timeline, ..)| timeline == line);
            if had {
                expected.retain(|&(timeline, ..)| timeline != line);
                for leaf in &drawn.leaves {
                    replace_in(&mut expected, leaf, on.semantics().class(usage));
                }
            }
            let whole = Fence::all(&drawn.leaves).expect("not empty");
            let mut guard = object.lock();
            let mut slots = guard.reserve(LEAVES).expect("memory");
            assert_eq!(slots.replace(line, &whole, usage), had);
            drop(guard);
            expected.sort_unstable();
            assert_eq!(entries(&object), expected, "{usage}, seed {seed}");
            drawn.jobs.clear();
            assert_eq!(entries(&object), []);
        }
    }
}

/// Puts a fence in the place of what lies behind it on its timeline.
fn replace_in(entries: &mut Vec<(TimelineId, u64, Usage)>, new: &Fence, class: Usage) {
    entries.retain(|&(timeline, seqno, usage)| {
        timeline != new.timeline_id() || seqno > new.seqno() || usage < class
    });
    if new.status() == FenceStatus::Pending {
        entries.push((new.timeline_id(), new.seqno(), class));
    }
}
