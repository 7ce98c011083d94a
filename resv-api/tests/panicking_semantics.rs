//! A semantics of a user panics: whatever it was asked for, the lock is released, and no fence is lost or kept.

use resv_api::fence::pool_stats;
use resv_api::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// How often it is asked before it panics.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn count_down() {
    let left = LEFT.get();
    assert!(left > 0, "on purpose");
    LEFT.set(left.saturating_sub(usize::from(left < usize::MAX)));
}

/// [`UsageLevels`], until it panics.
#[derive(Clone, Copy, Debug, Default)]
struct Panics;

impl Semantics for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn visibility(&self) -> Visibility {
        UsageLevels.visibility()
    }

    fn class(&self, usage: Usage) -> Usage {
        count_down();
        UsageLevels.class(usage)
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        UsageLevels.waits_for(access)
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        count_down();
        UsageLevels.supersedes(new, old)
    }
}

/// Adds to an object with `count` fences, of which every other one is superseded; panics at question `at`. Whether it did.
fn add_and_panic<B: Backend + Default>(count: usize, at: usize, submits: bool) -> bool {
    let case = format!("{count} {at} {submits}");
    let object = Resv::<Panics, B>::default();
    let (line, lines): (_, Vec<_>) = (
        Timeline::new("t"),
        (0..count).map(|_| Timeline::new("other")).collect(),
    );
    let mut jobs = Vec::new();
    for other in &lines {
        for (line, usage) in [(&line, Usage::Bookkeep), (other, Usage::Read)] {
            let job = line.issue().unwrap();
            object.add(job.fence(), usage).unwrap();
            jobs.push(job);
        }
    }
    let seen = || {
        let held = object
            .try_lock()
            .unwrap_or_else(|| panic!("{case}: the lock is held"));
        held.entries().len()
    };
    let before = seen();
    let new = line.issue().unwrap();
    LEFT.set(at);
    let ended = catch_unwind(AssertUnwindSafe(|| match submits {
        true => submit(new.fence(), &[(&object, Usage::Write)]).map(drop),
        false => object.add(new.fence(), Usage::Write),
    }));
    LEFT.set(usize::MAX);
    if ended.is_err() {
        assert_eq!(seen(), before, "{case}");
        let shown = object.visit(Access::Move, 0, |count, _| count + 1);
        assert_eq!(shown, before, "{case}");
        let next = Timeline::new("next").issue().unwrap();
        object.add(next.fence(), Usage::Read).unwrap();
        assert_eq!(seen(), before + 1, "{case}");
    }
    ended.is_err()
}

fn sweep<B: Backend + Default>() {
    let _alone = super::alone();
    for submits in [false, true] {
        // With more than 64 entries other code looks at them.
        for count in (0..28).chain([70]) {
            for at in 0.. {
                let live = pool_stats().live;
                let panicked = add_and_panic::<B>(count, at, submits);
                assert_eq!(
                    pool_stats().live,
                    live,
                    "{count} {at} {submits}: a fence is kept"
                );
                if !panicked {
                    break;
                }
            }
        }
    }
}

#[test]
fn b9_a_semantics_that_panics_loses_nothing_on_the_default_back_end() {
    sweep::<DefaultBackend>();
}

#[test]
fn b9_a_semantics_that_panics_loses_nothing_on_the_reference() {
    sweep::<Locked>();
}

#[cfg(feature = "seqcount")]
#[test]
fn b9_a_semantics_that_panics_loses_nothing_on_the_counter() {
    sweep::<resv_api::seqcount::Seqcount>();
}
