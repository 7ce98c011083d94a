//! What is known about one defect.

use crate::fault::{Fault, Faulty, Sound};
use resv_conformance::Subject;
use resv_conformance::eviction::Flaw;
use resv_core::{
    AnyBackend, AnySemantics, ExclusiveShared, Locked, Semantics, UsageLevels, WritersReadersOthers,
};

/// A broken semantics or back end, and what is said about it in `docs/defects.md`.
#[derive(Clone, Copy)]
pub struct Fixture {
    /// What it is called; unique.
    pub name: &'static str,
    /// What goes wrong, by its code in `docs/hazards.md`, such as `D-1, H-24`, or the promise that is broken, `B4`.
    pub defects: &'static str,
    /// Where it comes from: a kernel version, a commit, a posted patch; or "derived".
    pub origin: &'static str,
    /// What goes wrong, as a phrase.
    pub what: &'static str,
    /// The properties that are about it: each must reject it.
    pub caught_by: &'static [&'static str],
    semantics: fn() -> AnySemantics,
    backend: fn() -> AnyBackend,
}

impl Fixture {
    /// What the suite is run on.
    pub fn subject(&self) -> Subject {
        Subject::new((self.semantics)(), self.backend)
    }

    /// No defect: what the suite must hold for, under each of the semantics.
    pub fn controls() -> [Fixture; 3] {
        [
            fault::<ExclusiveShared>("control", "", "", "", &[], faulty::<Sound>),
            fault::<WritersReadersOthers>("control", "", "", "", &[], faulty::<Sound>),
            fault::<UsageLevels>("control", "", "", "", &[], faulty::<Sound>),
        ]
    }
}

/// A fixture that is a back end with a fault, under a semantics.
pub(crate) const fn fault<S: Semantics + Default>(
    name: &'static str,
    defects: &'static str,
    origin: &'static str,
    what: &'static str,
    caught_by: &'static [&'static str],
    backend: fn() -> AnyBackend,
) -> Fixture {
    Fixture {
        name,
        defects,
        origin,
        what,
        caught_by,
        // A value of size zero: it takes no memory there.
        semantics: || AnySemantics::new(Box::leak(Box::new(S::default()))),
        backend,
    }
}

/// The reference back end with a fault of type `F`.
pub(crate) fn faulty<F: Fault + Default + 'static>() -> AnyBackend {
    AnyBackend::new(Faulty::new(F::default()))
}

/// The reference back end.
pub(crate) fn sound() -> AnyBackend {
    AnyBackend::new(Locked::default())
}

/// A defect that the suite cannot show by itself.
#[derive(Clone, Copy)]
pub struct Elsewhere {
    /// What goes wrong, by its code in `docs/hazards.md`.
    pub defects: &'static str,
    /// Where they come from.
    pub origin: &'static str,
    /// What goes wrong, as a phrase.
    pub what: &'static str,
    /// What shows it, or why nothing can.
    pub shown: Shown,
}

/// How a defect is shown where the suite does not.
#[derive(Clone, Copy)]
pub enum Shown {
    /// A variant of the real code with the defect, which loom must reject (`scripts/loom`).
    Loom {
        /// The file, from the root of the repository.
        file: &'static str,
        /// The test in it.
        test: &'static str,
    },
    /// An ordinary test of the product; there is no broken variant, for the reason given.
    Test {
        /// The file, from the root of the repository.
        file: &'static str,
        /// The test in it.
        test: &'static str,
        /// Why the defect has no fixture.
        why: &'static str,
    },
    /// A driver that goes wrong above objects that do not; `tests/rejected.rs` plays it.
    Driver(Flaw),
    /// It cannot be expressed, for the reason given.
    Inexpressible(&'static str),
}
