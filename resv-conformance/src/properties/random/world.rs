//! Real objects and their model, played side by side.

use crate::model::{At, Item, Model, Rules};
use crate::scenario::draw::{Numbers, OBJECTS, TIMELINES};
use crate::scenario::{Name, Statement};
use crate::support::{at_of, visited};
use crate::{Object, Subject};
use resv_api::{
    Access, EntryRef, Fence, FenceError, Key, Semantics, Signaler, Timeline, Usage, Visibility,
};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::time::Duration;

/// An answer that differs from the model's: the question in the scenario language, and both.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) question: String,
    pub(super) what: String,
}

/// Real objects, and the model of them.
pub(super) struct World {
    on: Subject,
    pub(super) objects: [Object; OBJECTS],
    timelines: [Timeline; TIMELINES],
    fences: HashMap<At, (Fence, Option<Signaler>)>,
    pub(super) numbers: Numbers,
    model: Model,
}

impl World {
    pub(super) fn new(on: Subject) -> Self {
        World {
            on,
            objects: std::array::from_fn(|_| on.object()),
            timelines: ["t0", "t1", "t2", "t3"].map(Timeline::new),
            fences: HashMap::new(),
            numbers: Numbers::new(),
            model: Model::new(Rules::for_semantics(on.semantics()), OBJECTS),
        }
    }

    fn fence(&self, at: At) -> &Fence {
        &self.fences[&at].0
    }

    pub(super) fn play(&mut self, statement: &Statement) -> Result<(), Difference> {
        match statement {
            Statement::Fence {
                name,
                timeline,
                seqno,
            } => {
                let seqno = seqno.expect("a drawn fence says which it is");
                let at = self.numbers.declare(name, timeline, seqno);
                let signaler = self.timelines[at.timeline].issue_at(seqno);
                let signaler = signaler.expect("a script stays in range");
                let fence = signaler.fence().clone();
                self.fences.insert(at, (fence, Some(signaler)));
            }
            Statement::Add { resv, edits } => return self.add(self.numbers.of(resv), edits),
            Statement::Replace {
                resv,
                timeline,
                fence,
                usage,
            } => {
                let (o, timeline) = (self.numbers.of(resv), self.numbers.of(timeline));
                let at = self.numbers.at(fence);
                let mut guard = self.objects[o].lock();
                let mut slots = guard.reserve(1).expect("memory for one slot");
                let id = self.timelines[timeline].id();
                let found = slots.replace(id, self.fence(at), *usage);
                let expected = self.model.replace(o, timeline, at, *usage);
                if found != expected {
                    return Err(Difference {
                        question: format!("list r{o}"),
                        what: format!("replace says {found}, expected {expected}"),
                    });
                }
            }
            Statement::Copy { dst, src } => {
                let (dst, src) = (self.numbers.of(dst), self.numbers.of(src));
                let mut guard = self.objects[dst].lock();
                guard.copy_from(&self.objects[src]).expect("memory");
                self.model.copy(dst, src);
            }
            Statement::Signal { fence, error } => {
                let at = self.numbers.at(fence);
                let job = self.fences.get_mut(&at).expect("a script signals its own");
                let Some(signaler) = job.1.take() else {
                    return Ok(());
                };
                if *error {
                    // Not always the same, so that it matters which one is told.
                    let errno = [5, 19, 125][at.seqno as usize % 3];
                    let error = FenceError::from_errno(errno).expect("an errno");
                    signaler.signal_error(error);
                    self.model.fail(at, error);
                } else {
                    signaler.signal();
                    self.model.signal(at);
                }
            }
            other => unreachable!("'{other}' is not drawn"),
        }
        Ok(())
    }

    /// One transaction; after each add the holder sees all so far, readers what they may (B4).
    fn add(&mut self, o: usize, edits: &[(Name, Usage)]) -> Result<(), Difference> {
        let before = self.model.list(o);
        let mut staged = self.model.clone();
        {
            let mut guard = self.objects[o].lock();
            for (fence, usage) in edits {
                let (at, usage) = (self.numbers.at(fence), *usage);
                staged.add(o, at, usage);
                guard
                    .reserve(1)
                    .expect("memory for one slot")
                    .add(self.fence(at), usage);
                let own = staged.list(o);
                let seen = match self.on.semantics().visibility() {
                    Visibility::AtOnce => &own,
                    Visibility::AtPublish => &before,
                };
                let holder = self.items(guard.entries().iter());
                let reader = self.items(self.objects[o].snapshot().iter());
                self.same(o, "the holder's list in the transaction", holder, &own)?;
                self.same(o, "a reader's list in the transaction", reader, seen)?;
                for access in Access::ALL {
                    let (told, expected) = (guard.failure(access), staged.failure(o, access));
                    same_failure(o, access, told, expected)?;
                }
            }
        }
        self.model = staged;
        Ok(())
    }

    pub(super) fn items<'e>(
        &self,
        entries: impl Iterator<Item = impl Into<EntryRef<'e>>>,
    ) -> Vec<Item> {
        self.items_of(entries.map(|entry| entry.into().key()))
    }

    fn items_of(&self, keys: impl IntoIterator<Item = Key>) -> Vec<Item> {
        keys.into_iter()
            .map(|key| Item {
                at: at_of(&self.timelines, key.timeline, key.seqno)
                    .expect("an object holds only what a script added"),
                usage: key.usage,
            })
            .collect()
    }

    fn same(
        &self,
        o: usize,
        what: impl Display,
        told: Vec<Item>,
        expected: &BTreeSet<Item>,
    ) -> Result<(), Difference> {
        let mut told = told;
        told.sort_unstable();
        if told.iter().eq(expected) {
            return Ok(());
        }
        let words = |items: &mut dyn Iterator<Item = &Item>| -> String {
            let words: Vec<String> = items
                .map(|i| format!("t{}:{}={}", i.at.timeline, i.at.seqno, i.usage))
                .collect();
            match words.is_empty() {
                true => "-".to_owned(),
                false => words.join(" "),
            }
        };
        Err(Difference {
            question: format!("list r{o}"),
            what: format!(
                "{what} is {}, expected {}",
                words(&mut told.iter()),
                words(&mut expected.iter())
            ),
        })
    }

    /// Asks every question in every way.
    pub(super) fn check(&self) -> Result<(), Difference> {
        for (o, object) in self.objects.iter().enumerate() {
            let list = self.model.list(o);
            let snapshot = object.snapshot();
            let guard = object.lock();
            self.same(o, "the list", self.items(snapshot.iter()), &list)?;
            self.same(
                o,
                "the holder's list",
                self.items(guard.entries().iter()),
                &list,
            )?;
            for access in Access::ALL {
                let told = guard.failure(access);
                same_failure(o, access, told, self.model.failure(o, access))?;
                let waits = self.model.waits(o, access);
                let told = self.items(object.waits_for(access).iter());
                self.same(o, format_args!("what {access} waits for"), told, &waits)?;
                let told = visited(object, access);
                self.same(
                    o,
                    format_args!("a visit for {access}"),
                    self.items_of(told),
                    &waits,
                )?;
                let zero = Some(Duration::ZERO);
                for (way, idle) in [
                    ("is_idle", object.is_idle(access)),
                    ("the holder's is_idle", guard.is_idle(access)),
                    ("wait with no time", object.wait(access, zero).is_signaled()),
                ] {
                    if idle != waits.is_empty() {
                        return Err(Difference {
                            question: format!("idle r{o} {access}"),
                            what: format!("{way} is {idle}, expected {}", !idle),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn same_failure(
    o: usize,
    access: Access,
    told: Option<FenceError>,
    expected: Option<FenceError>,
) -> Result<(), Difference> {
    if told == expected {
        return Ok(());
    }
    Err(Difference {
        question: format!("failure r{o} {access}"),
        what: format!("the failure for {access} is {told:?}, expected {expected:?}"),
    })
}
