//! The reference back end with one wrong step, as a closure: `edit(|object, removes, add| ...)`.
//!
//! State of the fault is what the closure captures. A fault of several steps is a type that
//! implements [`Fault`].

use crate::fault::{Fault, Faulty, Gap, Inner, Removes};
use resv_core::{AnyBackend, Budget, Entry, Key, LockProof, Locked, ReserveError, UsageSet};

/// `$name(f)` is the reference back end in which `f` takes the place of that step.
macro_rules! steps {
    ($($name:ident($($argument:ident: $of:ty),*) $(-> $returns:ty)?;)*) => {$(
        pub(crate) fn $name(
            f: impl Fn($($of),*) $(-> $returns)? + Send + Sync + 'static,
        ) -> AnyBackend {
            struct Step<F>(F);
            impl<F: Fn($($of),*) $(-> $returns)? + Send + Sync> Fault for Step<F> {
                fn $name(&self, $($argument: $of),*) $(-> $returns)? {
                    (self.0)($($argument),*)
                }
            }
            AnyBackend::new(Faulty::new(Step(f)))
        }
    )*};
}

steps! {
    reserve(object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError>;
    edit(object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>);
    publish(object: &mut Inner<'_, '_>);
    held(object: &Locked, held: &LockProof<'_>) -> Vec<Entry>;
    snapshot(object: &Locked) -> Result<Vec<Entry>, ReserveError>;
    visit(object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key));
    is_idle(object: &Locked, usages: UsageSet) -> bool;
}

/// A test with a gap between two reads that should have been one.
pub(crate) fn is_idle_with_gap(f: fn(&Gap, &Locked, UsageSet) -> bool) -> AnyBackend {
    struct Racing {
        gap: Gap,
        f: fn(&Gap, &Locked, UsageSet) -> bool,
    }
    impl Fault for Racing {
        fn published(&self, _: &Locked) {
            self.gap.note_publish();
        }

        fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
            (self.f)(&self.gap, object, usages)
        }
    }
    let gap = Gap::default();
    AnyBackend::new(Faulty::new(Racing { gap, f }))
}

/// An edit is published by itself, if `is_published` says so of what it adds.
pub(crate) fn publishes_at_once(is_published: fn(Option<&Entry>) -> bool) -> AnyBackend {
    struct AtOnce(fn(Option<&Entry>) -> bool);
    impl Fault for AtOnce {
        fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
            object.reserve_more(room, room.adds.saturating_add(1))
        }

        fn edit(&self, object: &mut Inner<'_, '_>, removes: Removes<'_>, add: Option<Entry>) {
            let is_published = (self.0)(add.as_ref());
            object.edit(removes, add);
            if is_published {
                object.publish();
            }
        }
    }
    AnyBackend::new(Faulty::new(AtOnce(is_published)))
}
