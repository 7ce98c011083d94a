//! One answer, whatever the back end: what is stored beyond the pending fences is in no answer.
//!
//! Two objects go through one history, with the same fences: one on the back end under test, one on the
//! reference. A fence that has signalled is still stored by the one and gone from the other, or the other
//! way round; which, depends on the back end, and on when it was looked at or edited. After each step
//! everything that the public interface can answer is compared: of the object, of its guard and its
//! receipt, of the object-safe form, and of snapshots, futures and descriptors that were made some steps ago
//! and have seen fences come and go. Where the interface states an order, the order is compared, too.

use crate::support::{job, look, sorted, visited};
use crate::{Object, Subject};
use resv_api::{
    Access, AnyBackend, AnySemantics, Edit, EntryRef, Fence, FenceError, Locked, Readiness,
    ReadyFd, Reservation, Resv, Signaler, Snapshot, Timeline, TimelineId, Usage, WaitFuture,
    Waitable, Waited, WaitedAny, exec, submit, wait_all, wait_any,
};
use resv_core::fence::{merge, unwrap};
use std::fmt::{self, Write};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// Histories, and steps of each.
const HISTORIES: u64 = 24;
const STEPS: usize = 40;
const TIMELINES: usize = 3;

const ZERO: Duration = Duration::ZERO;

/// The questions that a set of fences answers, whichever call has made it.
fn answers_of_set<S: Waitable>(
    whose: &str,
    set: &S,
    tell: &mut impl FnMut(fmt::Arguments<'_>, fmt::Arguments<'_>),
) {
    let any = match wait_any(&[set], ZERO) {
        WaitedAny::Signaled(at) => format!("signalled {at}"),
        WaitedAny::Failed(at, error) => format!("failed {at}: {error:?}"),
        WaitedAny::TimedOut => "timed out".to_owned(),
    };
    tell(format_args!("wait_any of {whose}"), format_args!("{any}"));
    let all = wait_all(set, ZERO);
    tell(format_args!("wait_all of {whose}"), format_args!("{all:?}"));
    let future = pin!(set.when_signaled());
    tell(
        format_args!("future of {whose}"),
        format_args!("{:?}", look(future)),
    );
    let ready = readiness(set.readiness());
    tell(
        format_args!("readiness of {whose}"),
        format_args!("{ready:?}"),
    );
}

/// The same of a snapshot, and what only that answers.
fn answers_of_snapshot(
    whose: &str,
    set: &Snapshot<AnySemantics, AnyBackend>,
    tell: &mut impl FnMut(fmt::Arguments<'_>, fmt::Arguments<'_>),
) {
    tell(
        format_args!("{whose}"),
        format_args!("{:?}", sorted(set.iter())),
    );
    tell(
        format_args!("{whose}.is_idle"),
        format_args!("{}", set.is_idle()),
    );
    tell(
        format_args!("{whose}.describe"),
        format_args!("{}", set.describe()),
    );
    answers_of_set(whose, set, tell);
}

/// How a wait has ended that a descriptor stands for; `None` while it is not readable.
fn readiness(answer: std::io::Result<Readiness>) -> Option<Waited> {
    match answer.expect("a descriptor") {
        Readiness::Already(waited) => Some(waited),
        Readiness::Fd(fd) => fd.outcome(),
    }
}

/// Entries as plain data, in the order in which they are told.
fn in_order<'e>(
    entries: impl IntoIterator<Item = impl Into<EntryRef<'e>>>,
) -> Vec<(TimelineId, u64, Usage)> {
    let entries = entries.into_iter().map(Into::into);
    let plain = entries.map(|e| (e.fence.timeline_id(), e.fence.seqno(), e.usage));
    plain.collect()
}

/// Fences as plain data, in order.
fn places<'f>(fences: impl IntoIterator<Item = &'f Fence>) -> Vec<(TimelineId, u64)> {
    let fences = fences.into_iter();
    fences.map(|f| (f.timeline_id(), f.seqno())).collect()
}

/// One more answer.
fn line(told: &mut String, answer: fmt::Arguments<'_>) {
    writeln!(told, "{answer}").expect("a string takes all");
}

/// What an object answers, each in a line with the question.
fn answers(object: &Object) -> String {
    let mut told = String::new();
    let zero = ZERO;
    let form: &dyn Reservation = object;
    let snapshot = object.snapshot();
    for access in Access::ALL {
        let mut tell = |question: fmt::Arguments<'_>, answer: fmt::Arguments<'_>| {
            line(&mut told, format_args!("{question} for {access}: {answer}"));
        };
        let (waits, narrowed) = (object.waits_for(access), snapshot.clone().narrow(access));
        tell(
            format_args!("is_idle"),
            format_args!("{}", object.is_idle(access)),
        );
        tell(
            format_args!("is_idle of the holder"),
            format_args!("{}", object.lock().is_idle(access)),
        );
        tell(
            format_args!("is_idle of the form"),
            format_args!("{}", form.is_idle(access)),
        );
        let mut keys = visited(object, access);
        keys.sort_unstable();
        tell(format_args!("visit"), format_args!("{keys:?}"));
        for (whose, set) in [("waits_for", &waits), ("narrow", &narrowed)] {
            answers_of_snapshot(whose, set, &mut tell);
            tell(
                format_args!("{whose}.wait"),
                format_args!("{:?}", set.wait(zero)),
            );
            tell(
                format_args!("{whose}.count"),
                format_args!("{}", set.iter().count()),
            );
            let merged = merge(set.iter().map(|entry| entry.fence));
            tell(
                format_args!("merge of {whose}"),
                format_args!("{:?}", merged.status()),
            );
            let merged = set.merged();
            let leaves = places(&unwrap(&merged)).len();
            tell(
                format_args!("{whose}.merged"),
                format_args!("{:?} of {leaves}", merged.status()),
            );
        }
        let guard_waits = object.lock().waits_for(access).expect("memory");
        tell(
            format_args!("waits_for of the holder"),
            format_args!("{:?}", places(&guard_waits[..])),
        );
        answers_of_set("waits_for of the holder", &guard_waits, &mut tell);
        let of_receipt = exec::<_, std::convert::Infallible>(|tx| {
            let receipt = tx.lock(object)?;
            let waits = receipt.waits_for(access).expect("memory");
            Ok((
                places(&waits[..]),
                receipt.is_idle(access),
                receipt.failure(access),
                in_order(&receipt.entries()),
            ))
        });
        tell(
            format_args!("receipt"),
            format_args!("{:?}", of_receipt.ok()),
        );
        tell(
            format_args!("failure"),
            format_args!("{:?}", object.failure(access)),
        );
        tell(
            format_args!("failure of the form"),
            format_args!("{:?}", form.failure(access)),
        );
        let of_holder = object.lock().failure(access);
        tell(
            format_args!("failure of the holder"),
            format_args!("{of_holder:?}"),
        );
        let ready = readiness(object.readiness(access));
        tell(format_args!("readiness"), format_args!("{ready:?}"));
        tell(
            format_args!("visits"),
            format_args!("{}", object.visit(access, 0, |count, _| count + 1)),
        );
        tell(
            format_args!("wait"),
            format_args!("{:?}", object.wait(access, zero)),
        );
        tell(
            format_args!("wait of the form"),
            format_args!("{:?}", form.wait(access, Some(zero))),
        );
        let until_idle = object.wait_until_idle(access, zero);
        tell(
            format_args!("wait_until_idle"),
            format_args!("{until_idle:?}"),
        );
        let future = pin!(object.wait_async(access));
        tell(
            format_args!("wait_async"),
            format_args!("{:?}", look(future)),
        );
        let entries = form.waits_for(access).expect("memory");
        tell(
            format_args!("waits_for of the form"),
            format_args!("{:?}", in_order(&entries)),
        );
    }
    line(
        &mut told,
        format_args!("snapshot: {:?}", sorted(snapshot.iter())),
    );
    line(
        &mut told,
        format_args!("count: {}", snapshot.iter().count()),
    );
    line(
        &mut told,
        format_args!("holder: {:?}", in_order(&object.lock().entries())),
    );
    let entries = form.entries().expect("memory");
    line(&mut told, format_args!("form: {:?}", in_order(&entries)));
    line(&mut told, format_args!("counters: {:?}", object.counters()));
    line(
        &mut told,
        format_args!("counters of the form: {:?}", form.counters()),
    );
    line(
        &mut told,
        format_args!("describe: {}", object.describe().expect("memory")),
    );
    told
}

/// Numbers that look random and follow from a seed (splitmix64).
pub(super) struct Choices(pub(super) u64);

impl Choices {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// What was asked of an object some steps ago, and answers still.
struct Kept {
    whole: Snapshot<AnySemantics, AnyBackend>,
    waits: Snapshot<AnySemantics, AnyBackend>,
    future: Pin<Box<WaitFuture>>,
    /// How the future has ended.
    ended: Poll<Waited>,
    ready: Result<ReadyFd, Waited>,
    #[cfg(feature = "calloop")]
    looped: Looped,
}

/// A wait in an event loop, and what its source has told.
#[cfg(feature = "calloop")]
struct Looped {
    events: calloop::EventLoop<'static, Option<Waited>>,
    told: Option<Waited>,
}

#[cfg(feature = "calloop")]
impl Looped {
    fn of(object: &Object, access: Access) -> Looped {
        let mut looped = Looped {
            events: calloop::EventLoop::try_new().expect("an event loop"),
            told: None,
        };
        match object.readiness(access).expect("a descriptor") {
            Readiness::Already(waited) => looped.told = Some(waited),
            Readiness::Fd(fd) => {
                let source = resv_api::FenceSource::from(fd);
                let told = |waited, _: &mut (), told: &mut Option<Waited>| *told = Some(waited);
                let inserted = looped.events.handle().insert_source(source, told);
                inserted.expect("a new loop takes a source");
            }
        }
        looped
    }

    fn answer(&mut self) -> String {
        let polled = self.events.dispatch(ZERO, &mut self.told);
        polled.expect("a loop can be polled");
        format!("an event loop some steps later: {:?}", self.told)
    }
}

impl Kept {
    fn of(object: &Object, access: Access) -> Kept {
        Kept {
            whole: object.snapshot(),
            waits: object.waits_for(access),
            future: Box::pin(object.wait_async(access)),
            ended: Poll::Pending,
            ready: match object.readiness(access).expect("a descriptor") {
                Readiness::Already(waited) => Err(waited),
                Readiness::Fd(fd) => Ok(fd),
            },
            #[cfg(feature = "calloop")]
            looped: Looped::of(object, access),
        }
    }

    fn answers(&mut self) -> String {
        if self.ended.is_pending() {
            self.ended = look(self.future.as_mut());
        }
        let mut told = String::new();
        let ended = &self.ended;
        line(
            &mut told,
            format_args!("a future some steps later: {ended:?}"),
        );
        match &self.ready {
            Ok(fd) => line(
                &mut told,
                format_args!("a descriptor some steps later: {:?}", fd.outcome()),
            ),
            Err(waited) => line(&mut told, format_args!("at once: {waited:?}")),
        }
        #[cfg(feature = "calloop")]
        line(&mut told, format_args!("{}", self.looped.answer()));
        for (whose, set) in [("a snapshot", &self.whole), ("a waits_for", &self.waits)] {
            let mut tell = |question: fmt::Arguments<'_>, answer: fmt::Arguments<'_>| {
                line(
                    &mut told,
                    format_args!("{question} some steps later: {answer}"),
                );
            };
            answers_of_snapshot(whose, set, &mut tell);
        }
        told
    }
}

/// Submits a job to both; what it must wait for.
fn submit_to_both(objects: [&Object; 2], fence: &Fence, usage: Usage) -> [String; 2] {
    objects.map(|object| {
        let waits = submit(fence, &[(object, usage)]).expect("memory for one");
        format!("waits of a job: {:?}", places(&waits[..]))
    })
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
        let mut kept: Vec<[Kept; 2]> = Vec::new();
        for step in 0..STEPS {
            let timeline = &timelines[choices.below(TIMELINES)];
            let usage = Usage::ALL[choices.below(Usage::ALL.len())];
            let both = [&object, &reference];
            match choices.below(10) {
                0..2 => {
                    let new = job(timeline);
                    let fence = new.fence().clone();
                    edit_both(both, &Edit::Add { fence, usage });
                    pending.push(new);
                }
                2 => {
                    let new = job(timeline);
                    let [ours, theirs] = submit_to_both(both, new.fence(), usage);
                    assert_eq!(ours, theirs, "seed {seed}, step {step}");
                    pending.push(new);
                }
                3 => {
                    let new = job(timeline);
                    let edit = Edit::Replace {
                        timeline: timelines[choices.below(TIMELINES)].id(),
                        fence: new.fence().clone(),
                        usage,
                    };
                    let [ours, theirs] = edit_both(both, &edit);
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
                7 => {
                    let access = Access::ALL[choices.below(Access::ALL.len())];
                    kept.push(both.map(|object| Kept::of(object, access)));
                }
                8 => {
                    // An object takes over what another has, of which it then has one more reference.
                    let (copy, copied) = (on.object(), reference.semantics());
                    copy.lock().copy_from(&object).expect("memory");
                    let expected = Resv::with(copied, AnyBackend::new(Locked::default()));
                    expected.lock().copy_from(&reference).expect("memory");
                    same(seed, step, &answers(&copy), &answers(&expected));
                }
                _ => {
                    // One is looked at, the other is not: a look may drop what has signalled.
                    let _ = object.is_idle(Access::Move);
                }
            }
            for [ours, theirs] in &mut kept {
                same(seed, step, &ours.answers(), &theirs.answers());
            }
            // Some steps go by unseen.
            if choices.below(3) == 0 {
                continue;
            }
            same(seed, step, &answers(&object), &answers(&reference));
        }
    }
}

#[track_caller]
fn same(seed: u64, step: usize, ours: &str, theirs: &str) {
    if ours != theirs {
        // The first that differs is told alone.
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs, "seed {seed}, step {step}");
        }
        panic!("seed {seed}, step {step}: one has more answers");
    }
}
