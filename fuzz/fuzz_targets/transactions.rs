//! Random transactions over many objects, on every back end under every semantics, with back-offs at
//! random points, against the pure model: a transaction that ends well has added everything, and
//! one that fails, or gives a reservation back, has changed nothing.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use resv_api::lock::inject_backoffs;
use resv_api::{
    Backend, EntryRef, ExclusiveShared, ExecError, Fence, Resv, Semantics, SemanticsKind, Signaler,
    Timeline, Usage, UsageLevels, WritersReadersOthers, exec, lock_all,
};
use resv_conformance::model::{At, Item, Model, Rules};
use std::collections::BTreeSet;

const TIMELINES: usize = 4;
const OBJECTS: usize = 6;
const MOST_STEPS: usize = 24;
const MOST_ADDS: usize = 12;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum End {
    Commit,
    /// Published after each add.
    CommitEach,
    /// Through guards that are locked in one go.
    Batch,
    /// An error before anything is reserved.
    FailLocked,
    /// An error with everything reserved.
    FailReserved,
}

/// Not a statement of the scenario language, where a transaction is of one object and does not fail.
#[derive(Arbitrary, Debug)]
enum Step {
    Fence {
        timeline: u8,
    },
    Signal {
        fence: u8,
    },
    Transaction {
        /// Object, fence, usage; in this order, with any repetitions.
        adds: Vec<(u8, u8, u8)>,
        spare: u8,
        end: End,
    },
}

struct Add {
    object: usize,
    at: At,
    fence: Fence,
    usage: Usage,
}

/// What is to be done to the objects of one semantics on one back end.
trait World {
    fn transact(&self, adds: &[Add], spare: usize, end: End);
    fn check(&self, timelines: &[Timeline], models: &[Model]);
}

struct Objects<S: Semantics + Default, B: Backend + Default>(Vec<Resv<S, B>>);

impl<S: Semantics + Default, B: Backend + Default> Objects<S, B> {
    fn boxed() -> Box<dyn World> {
        Box::new(Objects::<S, B>(
            (0..OBJECTS).map(|_| Resv::default()).collect(),
        ))
    }

    fn exec(&self, adds: &[Add], spare: usize, end: End) {
        let result = exec::<_, &str>(|tx| {
            let mut receipts = Vec::new();
            for add in adds {
                receipts.push(tx.lock(&self.0[add.object])?);
            }
            let distinct: BTreeSet<usize> = adds.iter().map(|add| add.object).collect();
            assert_eq!(tx.held(), distinct.len());
            if matches!(end, End::FailLocked) {
                return Err(ExecError::Failed("asked for"));
            }
            let mut reserved = Vec::new();
            for receipt in &receipts {
                let reservation = receipt.reserve(1 + spare);
                reserved.push(reservation.map_err(|_| ExecError::Failed("no memory"))?);
            }
            if matches!(end, End::FailReserved) {
                return Err(ExecError::Failed("asked for"));
            }
            for (mut slots, add) in reserved.into_iter().zip(adds) {
                slots.add(&add.fence, add.usage);
                if matches!(end, End::CommitEach) {
                    slots.publish();
                }
            }
            Ok(())
        });
        match end {
            End::FailLocked | End::FailReserved => assert_eq!(result, Err("asked for")),
            End::Commit | End::CommitEach | End::Batch => assert_eq!(result, Ok(())),
        }
    }

    fn batch(&self, adds: &[Add]) {
        let wanted: Vec<_> = adds.iter().map(|add| &self.0[add.object]).collect();
        let mut guards = lock_all(&wanted);
        for (index, add) in adds.iter().enumerate() {
            let mut slots = guards[index].reserve(1).expect("memory");
            slots.add(&add.fence, add.usage);
        }
    }
}

impl<S: Semantics + Default, B: Backend + Default> World for Objects<S, B> {
    fn transact(&self, adds: &[Add], spare: usize, end: End) {
        if matches!(end, End::Batch) {
            self.batch(adds);
        } else {
            self.exec(adds, spare, end);
        }
    }

    fn check(&self, timelines: &[Timeline], models: &[Model]) {
        let kind = SemanticsKind::ALL
            .iter()
            .position(|kind| kind.name() == S::default().name())
            .expect("one of ours");
        for (index, object) in self.0.iter().enumerate() {
            let list: BTreeSet<Item> = object
                .snapshot()
                .iter()
                .map(|entry| item(timelines, entry))
                .collect();
            assert_eq!(
                list,
                models[kind].list(index),
                "{} on {}",
                S::default().name(),
                B::default().name()
            );
            assert!(object.try_lock().is_some(), "still locked");
        }
    }
}

fn item(timelines: &[Timeline], entry: EntryRef<'_>) -> Item {
    let ours = |t: &Timeline| t.id() == entry.fence.timeline_id();
    let timeline = timelines.iter().position(ours).expect("one of ours");
    let seqno = entry.fence.seqno();
    Item {
        at: At { timeline, seqno },
        usage: entry.usage,
    }
}

fn of_semantics<S: Semantics + Default>() -> Vec<Box<dyn World>> {
    macro_rules! each {
        (() $(
            $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
        )*) => {
            vec![$(Objects::<S, $type>::boxed()),*]
        };
    }
    resv_api::for_each_backend!(each!())
}

fuzz_target!(|input: (u64, Vec<Step>)| {
    let (seed, steps) = input;
    inject_backoffs(Some(seed));
    let timelines: Vec<Timeline> = (0..TIMELINES).map(|_| Timeline::new("t")).collect();
    let mut fences: Vec<(At, Fence, Option<Signaler>)> = Vec::new();
    let mut models: Vec<Model> = SemanticsKind::ALL
        .map(|s| Model::new(Rules::of(s), OBJECTS))
        .into();
    let mut worlds = of_semantics::<ExclusiveShared>();
    worlds.extend(of_semantics::<WritersReadersOthers>());
    worlds.extend(of_semantics::<UsageLevels>());
    for step in steps.iter().take(MOST_STEPS) {
        match step {
            Step::Fence { timeline } => {
                let timeline = usize::from(*timeline) % TIMELINES;
                let job = timelines[timeline].issue().expect("seqnos are left");
                let seqno = job.fence().seqno();
                fences.push((At { timeline, seqno }, job.fence().clone(), Some(job)));
            }
            Step::Signal { fence } => {
                let Some(index) = usize::from(*fence).checked_rem(fences.len()) else {
                    continue;
                };
                let (at, _, job) = &mut fences[index];
                if let Some(job) = job.take() {
                    job.signal();
                    models.iter_mut().for_each(|model| model.signal(*at));
                }
            }
            Step::Transaction { adds, spare, end } => {
                let mut wanted = Vec::new();
                for (object, fence, usage) in adds.iter().take(MOST_ADDS) {
                    let Some(index) = usize::from(*fence).checked_rem(fences.len()) else {
                        continue;
                    };
                    let (at, fence, _) = &fences[index];
                    wanted.push(Add {
                        object: usize::from(*object) % OBJECTS,
                        at: *at,
                        fence: fence.clone(),
                        usage: Usage::from_bits(*usage),
                    });
                }
                for world in &worlds {
                    world.transact(&wanted, usize::from(*spare % 4), *end);
                }
                if !matches!(end, End::FailLocked | End::FailReserved) {
                    for add in &wanted {
                        for model in &mut models {
                            model.add(add.object, add.at, add.usage);
                        }
                    }
                }
            }
        }
        for world in &worlds {
            world.check(&timelines, &models);
        }
    }
});
