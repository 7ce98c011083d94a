//! Defects that show with fences made of fences, and with lazy ones.

use crate::fault::{Fault, Inner, Removes, lock, now};
use crate::fixture::{Fixture, fault, faulty};
use crate::step::{edit, snapshot};
use resv_core::{
    Backend, Entry, ExclusiveShared, Fence, FenceStatus, Key, Locked, UsageLevels, UsageSet,
};
use std::sync::Mutex;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "adding_enables_signalling",
        "lazy fences",
        "derived: a callback on every fence of an object, to learn when it is idle",
        "an add asks a lazy fence for its work, so an eviction fence evicts the process that it protects",
        &["composed::lazy_a_look_never_asks"],
        || {
            edit(|object, removes, add| {
                if let Some(entry) = &add {
                    enable(&entry.fence);
                }
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "a_test_enables_signalling",
        "lazy fences, H-12",
        "dma_fence_is_signaled asks nobody; the poll of a dma-buf enables the first fence it finds",
        "a test of an object asks the fences that it finds pending for their work",
        &["composed::lazy_a_look_never_asks"],
        faulty::<LookingEnables>,
    ),
    fault::<UsageLevels>(
        "a_snapshot_enables_signalling",
        "lazy fences",
        "derived: an export that attaches its callbacks at once",
        "a snapshot asks its fences for their work, whether or not anybody waits",
        &[
            "composed::lazy_a_look_never_asks",
            "composed::deadlines_reach_what_an_object_holds",
        ],
        || {
            snapshot(|object| {
                let all = object.snapshot()?;
                all.iter().for_each(|entry| enable(&entry.fence));
                Ok(all)
            })
        },
    ),
    fault::<ExclusiveShared>(
        "composition_is_its_first_leaf",
        "H-18, B9",
        "derived: header documentation of 5.19, containers are not to be added",
        "of a composed fence in the exclusive place the first leaf is kept",
        &["composed::leaves_never_supersede_each_other"],
        || {
            edit(|object, removes, add| {
                let add = add.map(|Entry { fence, usage }| {
                    let fence = fence.leaves().next().unwrap_or_else(|| fence.clone());
                    Entry { fence, usage }
                });
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "any_is_not_kept",
        "B9",
        "mutant",
        "a fence that no job signals by itself is taken for signalled, and not kept",
        &["composed::any_is_added_as_it_is"],
        || {
            edit(|object, removes, add| {
                let add = add.map(|entry| match &*entry.fence.timeline_name() {
                    "any" => Entry {
                        fence: Fence::signaled(),
                        usage: entry.usage,
                    },
                    _ => entry,
                });
                object.edit(removes, add);
            })
        },
    ),
    fault::<UsageLevels>(
        "errors_keep_an_object_busy",
        "F-04",
        "mutant",
        "a fence that failed is not taken for signalled by a test",
        &["composed::the_first_error_of_a_composition_is_told"],
        faulty::<ErrorsStay>,
    ),
];

/// Asks for the work of a lazy fence, as registering a callback does.
fn enable(fence: &Fence) {
    if let Ok(id) = fence.on_signal(|_| {}) {
        fence.cancel(id);
    }
}

/// See its fixture.
#[derive(Default)]
pub struct LookingEnables;

impl Fault for LookingEnables {
    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        for entry in now(object) {
            enable(&entry.fence);
        }
        object.is_idle(usages)
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        self.is_idle(object, usages);
        object.visit(usages, (), |(), key| show(key));
    }
}

/// See its fixture.
#[derive(Default)]
pub struct ErrorsStay {
    added: Mutex<Vec<Fence>>,
}

impl Fault for ErrorsStay {
    fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
        lock(&self.added).extend(add.iter().map(|entry| entry.fence.clone()));
        object.edit(removes, add);
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let failed = |fence: &Fence| matches!(fence.status(), FenceStatus::Error(_));
        object.is_idle(usages) && !lock(&self.added).iter().any(failed)
    }
}
