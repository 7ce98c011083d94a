//! Random operations on every back end under every semantics, against the pure model.
//!
//! One set of timelines and fences is shared by all: each operation is done to the objects of every
//! (semantics, back end) pair and to the model of each semantics, then every question is asked of
//! all of them.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use resv_api::{
    Access, BackendKind, Edit, Fence, FenceError, Reservation, SemanticsKind, Signaler, Timeline,
    Usage, new_reservation,
};
use resv_conformance::model::{At, Item, Model, Rules};
use std::collections::BTreeSet;

const TIMELINES: usize = 4;
const OBJECTS: usize = 2;
/// Long inputs find nothing that short ones do not, and every step asks every question.
const MOST_STEPS: usize = 64;

#[derive(Arbitrary, Debug)]
enum Step {
    /// The next fence of a timeline, or one that leaves a gap.
    Fence {
        timeline: u8,
        gap: bool,
    },
    /// A transaction of one to four adds.
    Add {
        object: u8,
        first: (u8, u8),
        more: [Option<(u8, u8)>; 3],
    },
    Replace {
        object: u8,
        timeline: u8,
        fence: u8,
        usage: u8,
    },
    Copy {
        dst: u8,
        src: u8,
    },
    Signal {
        fence: u8,
        error: bool,
    },
}

struct World {
    timelines: Vec<Timeline>,
    fences: Vec<(At, Fence, Option<Signaler>)>,
    models: Vec<Model>,
    /// For each semantics, the objects of each back end.
    objects: Vec<Vec<Vec<Box<dyn Reservation>>>>,
}

impl World {
    fn new() -> World {
        let object = |s, b| new_reservation(s, b).expect("every back end is compiled in");
        let of_backend = |s, b| (0..OBJECTS).map(|_| object(s, b)).collect();
        World {
            timelines: (0..TIMELINES).map(|_| Timeline::new("t")).collect(),
            fences: Vec::new(),
            models: SemanticsKind::ALL
                .map(|s| Model::new(Rules::of(s), OBJECTS))
                .into(),
            objects: SemanticsKind::ALL
                .map(|s| BackendKind::ALL.map(|b| of_backend(s, b)).into())
                .into(),
        }
    }

    fn pick(&self, number: u8) -> Option<&(At, Fence, Option<Signaler>)> {
        let at = usize::from(number).checked_rem(self.fences.len())?;
        self.fences.get(at)
    }

    fn transact(&self, object: usize, edits: &[Edit]) {
        for objects in self.objects.iter().flatten() {
            objects[object].transact(edits).expect("memory");
        }
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        let object = |number: &u8| usize::from(*number) % OBJECTS;
        let timeline = |number: &u8| usize::from(*number) % TIMELINES;
        let usage = |number: u8| Usage::from_bits(number);
        match step {
            Step::Fence { timeline: t, gap } => {
                let t = timeline(t);
                let seqno = self.timelines[t].last_seqno() + 1 + u64::from(*gap);
                let job = self.timelines[t].issue_at(seqno).expect("in range");
                let at = At { timeline: t, seqno };
                self.fences.push((at, job.fence().clone(), Some(job)));
            }
            Step::Add {
                object: o,
                first,
                more,
            } => {
                let mut edits = Vec::new();
                for &(pick, number) in std::iter::once(first).chain(more.iter().flatten()) {
                    let (at, fence, _) = self.pick(pick)?;
                    let (at, fence, usage) = (*at, fence.clone(), usage(number));
                    edits.push(Edit::Add { fence, usage });
                    for model in &mut self.models {
                        model.add(object(o), at, usage);
                    }
                }
                self.transact(object(o), &edits);
            }
            Step::Replace {
                object: o,
                timeline: t,
                fence,
                usage: number,
            } => {
                let (at, fence, _) = self.pick(*fence)?;
                let (at, fence, usage) = (*at, fence.clone(), usage(*number));
                for model in &mut self.models {
                    model.replace(object(o), timeline(t), at, usage);
                }
                let timeline = self.timelines[timeline(t)].id();
                self.transact(
                    object(o),
                    &[Edit::Replace {
                        timeline,
                        fence,
                        usage,
                    }],
                );
            }
            Step::Copy { dst, src } => {
                let (dst, src) = (object(dst), object(src));
                for model in &mut self.models {
                    model.copy(dst, src);
                }
                for objects in self.objects.iter().flatten() {
                    objects[dst].copy_from(&*objects[src]).expect("memory");
                }
            }
            Step::Signal { fence, error } => {
                let index = usize::from(*fence).checked_rem(self.fences.len())?;
                let (at, _, job) = &mut self.fences[index];
                let job = job.take()?;
                if *error {
                    job.signal_error(FenceError::IO);
                } else {
                    job.signal();
                }
                for model in &mut self.models {
                    model.signal(*at);
                }
            }
        }
        Some(())
    }

    fn item(&self, entry: &resv_api::Entry) -> Item {
        let ours = |t: &Timeline| t.id() == entry.fence.timeline_id();
        let timeline = self.timelines.iter().position(ours).expect("one of ours");
        let seqno = entry.fence.seqno();
        Item {
            at: At { timeline, seqno },
            usage: entry.usage,
        }
    }

    fn check(&self) {
        for (model, backends) in self.models.iter().zip(&self.objects) {
            for (backend, objects) in BackendKind::ALL.iter().zip(backends) {
                for (o, object) in objects.iter().enumerate() {
                    let entries = object.entries().expect("memory");
                    let list: BTreeSet<Item> = entries.iter().map(|e| self.item(e)).collect();
                    assert_eq!(list.len(), entries.len(), "{backend}: a double");
                    assert_eq!(list, model.list(o), "{backend}");
                    for access in Access::ALL {
                        let waits = object.waits_for(access).expect("memory");
                        let waits: BTreeSet<Item> = waits.iter().map(|e| self.item(e)).collect();
                        assert_eq!(waits, model.waits(o, access), "{backend} {access}");
                        let idle = model.is_idle(o, access);
                        assert_eq!(object.is_idle(access), idle, "{backend} {access}");
                    }
                }
            }
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    for step in steps.iter().take(MOST_STEPS) {
        world.step(step);
        world.check();
    }
});
