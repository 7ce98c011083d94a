//! One answer, whatever the back end: what is stored beyond the pending fences is in no answer.
//!
//! Two objects go through one history, with the same fences: one on the back end under test, one on the
//! reference. A fence that has signalled is still stored by the one and gone from the other, or the other
//! way round; which, depends on the back end, and on when it was looked at or edited. After each step
//! everything that the public interface can answer is compared.

use crate::support::{job, look, sorted, visited};
use crate::{Object, Subject};
use resv_api::{
    Access, AnyBackend, Edit, FenceError, Locked, Reservation, Resv, Signaler, Timeline, Usage,
    Waitable, WaitedAny, wait_all, wait_any,
};
use resv_core::fence::merge;
use std::pin::pin;
use std::time::Duration;

/// Histories, and steps of each.
const HISTORIES: u64 = 24;
const STEPS: usize = 40;
const TIMELINES: usize = 3;

/// What an object answers, each with the question.
fn answers(object: &Object) -> Vec<String> {
    let mut told = Vec::new();
    let zero = Duration::ZERO;
    let form: &dyn Reservation = object;
    let snapshot = object.snapshot();
    for access in Access::ALL {
        let mut tell = |question: &str, answer: String| {
            told.push(format!("{question} for {access}: {answer}"));
        };
        let (waits, narrowed) = (object.waits_for(access), snapshot.clone().narrow(access));
        tell("is_idle", object.is_idle(access).to_string());
        tell(
            "is_idle of the holder",
            object.lock().is_idle(access).to_string(),
        );
        tell("is_idle of the form", form.is_idle(access).to_string());
        let mut keys = visited(object, access);
        keys.sort_unstable();
        tell("visit", format!("{keys:?}"));
        for (whose, set) in [("waits_for", &waits), ("narrow", &narrowed)] {
            tell(whose, format!("{:?}", sorted(set.iter())));
            tell(&format!("{whose}.is_idle"), set.is_idle().to_string());
            tell(&format!("{whose}.wait"), format!("{:?}", set.wait(zero)));
            tell(&format!("{whose}.describe"), set.describe().to_string());
            let any = match wait_any(&[set], zero) {
                WaitedAny::Signaled(at) => format!("signalled {at}"),
                WaitedAny::Failed(at, error) => format!("failed {at}: {error:?}"),
                WaitedAny::TimedOut => "timed out".to_owned(),
            };
            tell(&format!("wait_any of {whose}"), any);
            tell(
                &format!("wait_all of {whose}"),
                format!("{:?}", wait_all(set, zero)),
            );
            let future = pin!(set.when_signaled());
            tell(&format!("future of {whose}"), format!("{:?}", look(future)));
            let merged = merge(set.iter().map(|entry| entry.fence));
            tell(
                &format!("merge of {whose}"),
                format!("{:?}", merged.status()),
            );
        }
        tell("wait", format!("{:?}", object.wait(access, zero)));
        tell(
            "wait of the form",
            format!("{:?}", form.wait(access, Some(zero))),
        );
        let until_idle = object.wait_until_idle(access, zero);
        tell("wait_until_idle", format!("{until_idle:?}"));
        let future = pin!(object.wait_async(access));
        tell("wait_async", format!("{:?}", look(future)));
        let entries = form.waits_for(access).expect("memory");
        tell("waits_for of the form", format!("{:?}", sorted(&entries)));
    }
    told.push(format!("snapshot: {:?}", sorted(snapshot.iter())));
    told.push(format!("count: {}", snapshot.iter().count()));
    told.push(format!("holder: {:?}", sorted(&object.lock().entries())));
    told.push(format!(
        "form: {:?}",
        sorted(&form.entries().expect("memory"))
    ));
    told.push(format!("describe: {}", object.describe().expect("memory")));
    told
}

/// Numbers that look random and follow from a seed (splitmix64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// Adds to both, or replaces in both; whether something was replaced is an answer, too.
fn edit_both(objects: [&Object; 2], edit: &Edit) -> [bool; 2] {
    objects.map(|object| {
        let mut guard = object.lock();
        let mut slots = guard.reserve(1).expect("memory for one");
        match edit {
            Edit::Add { fence, usage } => {
                slots.add(fence, *usage);
                true
            }
            Edit::Replace {
                timeline,
                fence,
                usage,
            } => slots.replace(*timeline, fence, *usage),
        }
    })
}

/// The same history on both; the answers are the same after each step, whether an object has been looked
/// at in between or not.
pub fn what_is_stored_is_in_no_answer(on: Subject) {
    for seed in 0..HISTORIES {
        let mut choices = Choices(seed);
        let (object, reference) = (
            on.object(),
            Resv::with(on.semantics(), AnyBackend::new(Locked::default())),
        );
        let timelines = [(); TIMELINES].map(|()| Timeline::new("same"));
        let mut pending: Vec<Signaler> = Vec::new();
        for step in 0..STEPS {
            let timeline = &timelines[choices.below(TIMELINES)];
            let usage = Usage::ALL[choices.below(Usage::ALL.len())];
            match choices.below(8) {
                0..3 => {
                    let new = job(timeline);
                    let fence = new.fence().clone();
                    edit_both([&object, &reference], &Edit::Add { fence, usage });
                    pending.push(new);
                }
                3 => {
                    let new = job(timeline);
                    let edit = Edit::Replace {
                        timeline: timelines[choices.below(TIMELINES)].id(),
                        fence: new.fence().clone(),
                        usage,
                    };
                    let [ours, theirs] = edit_both([&object, &reference], &edit);
                    assert_eq!(ours, theirs, "seed {seed}, step {step}: replace");
                    pending.push(new);
                }
                4..7 if !pending.is_empty() => {
                    let done = pending.swap_remove(choices.below(pending.len()));
                    match choices.below(3) {
                        0 => done.signal_error(FenceError::IO),
                        1 => drop(done),
                        _ => done.signal(),
                    }
                }
                _ => {
                    // One is looked at, the other is not: a look may drop what has signalled.
                    let _ = object.is_idle(Access::Move);
                }
            }
            // Some steps go by unseen.
            if choices.below(3) == 0 {
                continue;
            }
            for (ours, theirs) in answers(&object).iter().zip(answers(&reference)) {
                assert_eq!(*ours, theirs, "seed {seed}, step {step}");
            }
        }
    }
}
