//! The laws of the owner rule, on real objects filled at random as the driver of each era does.

use proptest::collection::vec;
use proptest::prelude::*;
use resv_api::{
    Access, BackendKind, Entry, Fence, Reservation, Signaler, Timeline, Usage, new_reservation,
};
use resv_policy::objects::{attach, file, pending_leaves, wait_set};
use resv_policy::{Asker, Era, Mode, Owner, Place, Producer, Tag, decide};

const CLIENT: Asker = asker(Owner::Client(1), Some(0));
const ASKERS: [Asker; 6] = [
    CLIENT,
    asker(Owner::Client(2), Some(0)),
    asker(Owner::PageTables, Some(0)),
    asker(Owner::Compute, Some(0)),
    asker(Owner::Compute, None),
    asker(Owner::Undefined, None),
];

const fn asker(owner: Owner, device: Option<u32>) -> Asker {
    Asker { owner, device }
}

/// Timelines, and what the drivers file from them.
fn lines() -> Vec<(Timeline, Vec<Producer>)> {
    use Producer::{
        Compute, GangMember, Move, PageTables, Submission, UserQueue, UserQueueEviction, Vacate,
    };
    let line = |owner, device: Option<u32>, producers: &[Producer]| {
        let tag = Tag::new(owner);
        let tag = device.map_or(tag, |device| tag.on_device(device));
        (Timeline::tagged("line", tag), producers.to_vec())
    };
    vec![
        line(Owner::Client(1), Some(0), &[Submission, GangMember]),
        line(Owner::Client(1), Some(0), &[Submission, GangMember]),
        line(Owner::Client(2), Some(0), &[Submission, GangMember]),
        line(Owner::Client(3), Some(1), &[Submission]),
        line(Owner::PageTables, Some(0), &[PageTables]),
        line(Owner::Compute, None, &[Compute]),
        line(Owner::Undefined, Some(0), &[Move, Vacate]),
        line(Owner::Undefined, None, &[UserQueue, UserQueueEviction]),
    ]
}

/// A fence of a timeline is filed: attached or not, flagged explicit or not; then one signals, perhaps.
#[derive(Clone, Copy, Debug)]
struct Step {
    line: usize,
    producer: usize,
    attached: bool,
    explicit: bool,
    signals: Option<usize>,
}

fn step() -> impl Strategy<Value = Step> {
    let signals = proptest::option::weighted(0.2, 0..8usize);
    (0..8usize, 0..2usize, any::<bool>(), any::<bool>(), signals).prop_map(
        |(line, producer, attached, explicit, signals)| Step {
            line,
            producer,
            attached,
            explicit,
            signals,
        },
    )
}

/// What a history leaves: an object for each of the given eras, and all fences in order.
struct Played {
    objects: Vec<Box<dyn Reservation>>,
    /// By step: the fence.
    fences: Vec<Fence>,
    /// A signaler that is dropped signals.
    _pending: Vec<Signaler>,
}

/// Plays the same fences on objects of several eras. A private buffer unless `attaches`.
fn play(eras: &[Era], steps: &[Step], backend: BackendKind, attaches: Option<usize>) -> Played {
    let object = |era: &Era| new_reservation(era.semantics(), backend).expect("it is compiled in");
    let objects: Vec<_> = eras.iter().map(object).collect();
    let (mut fences, mut pending) = (Vec::new(), Vec::new());
    let lines = lines();
    for (at, step) in steps.iter().enumerate() {
        let (timeline, producers) = &lines[step.line];
        let producer = producers[step.producer % producers.len()];
        let signaler = timeline.issue().expect("the timeline has seqnos left");
        let attached = step.attached && attaches.is_some();
        for (object, era) in objects.iter().zip(eras) {
            let explicit = step.explicit && attached;
            file(
                &**object,
                *era,
                signaler.fence(),
                producer,
                attached,
                explicit,
            )
            .expect("there is memory");
            if attaches == Some(at) {
                attach(&**object, *era).expect("there is memory");
            }
        }
        fences.push(signaler.fence().clone());
        pending.push((step.line, signaler));
        if let Some(line) = step.signals
            && let Some(earliest) = pending.iter().position(|(of, _)| *of == line)
        {
            pending.remove(earliest).1.signal();
        }
    }
    let pending = pending.into_iter().map(|(_, signaler)| signaler);
    Played {
        objects,
        fences,
        _pending: pending.collect(),
    }
}

fn ask(object: &dyn Reservation, era: Era, asker: Asker, mode: Mode) -> Vec<Fence> {
    wait_set(object, era, asker, mode).expect("there is memory")
}

fn leaves(entries: &[Entry]) -> Vec<Fence> {
    let leaves = entries.iter().flat_map(|e| pending_leaves(&e.fence));
    let mut once: Vec<Fence> = Vec::new();
    leaves.for_each(|leaf| {
        if !once.contains(&leaf) {
            once.push(leaf);
        }
    });
    once
}

fn plain(object: &dyn Reservation, access: Access) -> Vec<Fence> {
    leaves(&object.waits_for(access).expect("there is memory"))
}

fn is_within(some: &[Fence], all: &[Fence]) -> bool {
    some.iter().all(|fence| all.contains(fence))
}

/// The latest of each timeline, in an order of their own.
fn latest(fences: &[Fence]) -> Vec<(u64, u64)> {
    let mut latest = std::collections::BTreeMap::new();
    for fence in fences {
        let at = latest.entry(fence.timeline_id().as_raw()).or_insert(0);
        *at = fence.seqno().max(*at);
    }
    latest.into_iter().collect()
}

fn backend() -> impl Strategy<Value = BackendKind> {
    proptest::sample::select(BackendKind::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..Default::default() })]

    #[test]
    fn q1_the_policy_never_adds(
        steps in vec(step(), 1..12), backend in backend(), attaches in proptest::option::of(0..12usize),
    ) {
        for era in Era::ALL {
            let played = play(&[era], &steps, backend, attaches);
            let object = &played.objects[0];
            let all = plain(&**object, Access::Move);
            for asker in ASKERS {
                for mode in Mode::ALL {
                    prop_assert!(is_within(&ask(&**object, era, asker, mode), &all), "{era} {asker:?} {mode}");
                }
            }
        }
    }

    #[test]
    fn q2_undefined_and_always_is_a_move_until_p6(
        steps in vec(step(), 1..12), backend in backend(), attaches in proptest::option::of(0..12usize),
    ) {
        let undefined = asker(Owner::Undefined, None);
        for era in Era::ALL.into_iter().filter(|era| (Era::P2..=Era::P6b).contains(era)) {
            let played = play(&[era], &steps, backend, attaches);
            let object = &played.objects[0];
            let all = plain(&**object, Access::Move);
            let waits = ask(&**object, era, undefined, Mode::Always);
            prop_assert!(is_within(&all, &waits) && is_within(&waits, &all), "{era}");
        }
    }

    #[test]
    fn q3_fences_without_an_owner_are_never_skipped_from_p2_on(
        steps in vec(step(), 1..12), backend in backend(), attaches in proptest::option::of(0..12usize),
    ) {
        for era in Era::ALL.into_iter().filter(|era| *era >= Era::P2) {
            let played = play(&[era], &steps, backend, attaches);
            let object = &played.objects[0];
            let mut entries = object.entries().expect("there is memory");
            entries.retain(|entry| era < Era::P7 || entry.usage <= Usage::Read);
            let mut ownerless = leaves(&entries);
            ownerless.retain(|fence| fence.tag().owner() == Owner::Undefined);
            for asker in ASKERS {
                for mode in Mode::ALL {
                    prop_assert!(is_within(&ownerless, &ask(&**object, era, asker, mode)), "{era} {asker:?} {mode}");
                }
            }
        }
    }

    /// In a buffer that nobody attaches to: what was collapsed into the exclusive slot is waited for.
    #[test]
    fn q4_an_eviction_fence_is_skipped_unless_the_asker_is_undefined_from_p1_on(
        steps in vec(step(), 1..12), backend in backend(),
    ) {
        for era in Era::ALL.into_iter().filter(|era| *era >= Era::P1) {
            let played = play(&[era], &steps, backend, None);
            let object = &played.objects[0];
            for asker in ASKERS.into_iter().filter(|asker| asker.owner != Owner::Undefined) {
                for mode in Mode::ALL {
                    let waits = ask(&**object, era, asker, mode);
                    let evicts = waits.iter().any(|fence| fence.tag().owner() == Owner::Compute);
                    prop_assert!(!evicts, "{era} {asker:?} {mode}");
                }
            }
        }
    }

    /// For fences that are not in the exclusive slot of a time when it was not filtered.
    #[test]
    fn q5_not_equal_and_equal_are_complements_among_the_clients_of_a_device(
        steps in vec(step(), 1..12), backend in backend(),
    ) {
        for era in Era::ALL.into_iter().filter(|era| *era >= Era::P2) {
            let played = play(&[era], &steps, backend, None);
            let object = &played.objects[0];
            let is_ours = |fence: &Fence| {
                let tag = fence.tag();
                matches!(tag.owner(), Owner::Client(_)) && tag.device() == Some(0)
            };
            let of = |mode| {
                let mut waits = ask(&**object, era, CLIENT, mode);
                waits.retain(is_ours);
                waits
            };
            let (unlike, alike) = (of(Mode::NotEqual), of(Mode::Equal));
            let mut all = plain(&**object, Access::Move);
            all.retain(is_ours);
            prop_assert!(all.iter().all(|fence| unlike.contains(fence) != alike.contains(fence)), "{era}");
        }
    }

    #[test]
    fn q6_explicit_is_within_not_equal_and_within_equal(
        steps in vec(step(), 1..12), backend in backend(), attaches in proptest::option::of(0..12usize),
    ) {
        for era in Era::ALL {
            let played = play(&[era], &steps, backend, attaches);
            let object = &played.objects[0];
            for asker in ASKERS {
                let explicit = ask(&**object, era, asker, Mode::Explicit);
                for mode in [Mode::NotEqual, Mode::Equal] {
                    prop_assert!(is_within(&explicit, &ask(&**object, era, asker, mode)), "{era} {asker:?} {mode}");
                }
            }
        }
    }

    /// For histories that are filed as drivers file; another client's bookkeep fence would be seen by p6
    /// and not by p7.
    #[test]
    fn q7_p6_without_the_ownerless_bookkeep_fences_is_p7_for_clients(
        steps in vec(step(), 1..12), backend in backend(), mode in proptest::sample::select(Mode::ALL.to_vec()),
    ) {
        let played = play(&[Era::P6b, Era::P7], &steps, backend, None);
        let [old, new] = [&played.objects[0], &played.objects[1]];
        let mut was = ask(&**old, Era::P6b, CLIENT, mode);
        let kept = old.entries().expect("there is memory");
        was.retain(|fence| {
            let is_bookkeep = kept.iter().any(|e| e.fence == *fence && e.usage == Usage::Bookkeep);
            !(is_bookkeep && fence.tag().owner() == Owner::Undefined)
        });
        prop_assert_eq!(latest(&was), latest(&ask(&**new, Era::P7, CLIENT, mode)));
    }

    /// An object drops what a later fence of the timeline dominates. The rule over everything that was
    /// ever added, and is pending, says the same.
    #[test]
    fn q8_the_policy_commutes_with_superseding(
        steps in vec(step(), 1..12), backend in backend(), mode in proptest::sample::select(Mode::ALL.to_vec()),
    ) {
        for era in [Era::P5, Era::P6a, Era::P6b, Era::P7] {
            let played = play(&[era], &steps, backend, None);
            let lines = lines();
            let all: Vec<(Fence, Usage)> = steps.iter().zip(&played.fences).filter_map(|(step, fence)| {
                let producers = &lines[step.line].1;
                match resv_policy::file(era, producers[step.producer % producers.len()], false, false) {
                    resv_policy::Filing::Add(usage) if !fence.is_signaled() => Some((fence.clone(), usage)),
                    _ => None,
                }
            }).collect();
            for asker in ASKERS {
                let mut waits = Vec::new();
                let entries = all.iter().map(|(fence, usage)| (fence, *usage));
                resv_policy::member::era::wait_set(era, asker, mode, entries, &mut |fence: &Fence| {
                    waits.push(fence.clone());
                });
                prop_assert_eq!(latest(&waits), latest(&ask(&*played.objects[0], era, asker, mode)), "{} {:?}", era, asker);
            }
        }
    }

    /// Against a plain write the rule of p7 is weaker: it waits for nothing that a write would not.
    #[test]
    fn q9_p7_waits_for_no_more_than_a_plain_write(steps in vec(step(), 1..12), backend in backend()) {
        let played = play(&[Era::P7], &steps, backend, None);
        let object = &played.objects[0];
        let write = plain(&**object, Access::Write);
        prop_assert!(is_within(&ask(&**object, Era::P7, CLIENT, Mode::NotEqual), &write));
    }
}

/// Against a plain read the rule is neither weaker nor stronger, in every era: another client's read is
/// waited for, and the client's own write is not.
#[test]
fn q9_the_rule_does_not_look_at_usages() {
    let tag = |client| Tag::new(Owner::Client(client)).on_device(0);
    for era in Era::ALL {
        assert!(decide(era, Mode::NotEqual, CLIENT, tag(2), Place::Shared));
        assert!(!decide(era, Mode::NotEqual, CLIENT, tag(1), Place::Shared));
    }
    for backend in BackendKind::ALL {
        let object = new_reservation(Era::P7.semantics(), backend).expect("it is compiled in");
        let lines = [1, 2].map(|client| Timeline::tagged("gfx", tag(client)));
        let [own, other] = lines.each_ref().map(|line| line.issue().expect("new"));
        for (job, usage) in [(&own, Usage::Write), (&other, Usage::Read)] {
            let fence = job.fence().clone();
            let edit = resv_api::Edit::Add { fence, usage };
            object.transact(&[edit]).expect("there is memory");
        }
        let waits = ask(&*object, Era::P7, CLIENT, Mode::NotEqual);
        assert_eq!(waits, [other.fence().clone()]);
        assert_eq!(plain(&*object, Access::Read), [own.fence().clone()]);
    }
}
