//! What the suite is run on: a semantics, and how a back end is made.

use crate::model::Generation;
use resv_api::{AnyBackend, AnySemantics, Backend, BackendKind, NotCompiledIn, Resv};
use resv_core::{Semantics, SemanticsKind};
use std::fmt;

/// An object of any semantics on any back end: the one type that the suite is compiled for.
pub type Object = Resv<AnySemantics, AnyBackend>;

/// One semantics and one back end, as a value: what a property is a property of.
///
/// ```
/// use resv_conformance::Subject;
/// use resv_core::{Locked, UsageLevels};
///
/// let subject = Subject::of::<UsageLevels, Locked>();
/// assert_eq!(subject.to_string(), "usage-levels on locked");
/// let object = subject.object();
/// assert!(object.lock().entries().is_empty());
/// ```
#[derive(Clone, Copy)]
pub struct Subject {
    semantics: AnySemantics,
    backend: fn() -> AnyBackend,
}

impl Subject {
    /// The subject of two types.
    ///
    /// A semantics that has a size is kept for good: make a few subjects, and not one for each object.
    pub fn of<S: Semantics + Default, B: Backend + Default>() -> Subject {
        Subject::under::<S>(|| AnyBackend::new(B::default()))
    }

    /// The subject of a semantics and a back end that `backend` makes.
    ///
    /// A semantics that has a size is kept for good, as by [`of`](Subject::of).
    pub fn under<S: Semantics + Default>(backend: fn() -> AnyBackend) -> Subject {
        // A semantics of size zero takes no memory there.
        let semantics = Box::leak(Box::new(S::default()));
        Subject::new(AnySemantics::new(semantics), backend)
    }

    /// The subject of two values; `backend` makes the storage of a new object.
    pub const fn new(semantics: AnySemantics, backend: fn() -> AnyBackend) -> Subject {
        Subject { semantics, backend }
    }

    /// The subject of two members of this project.
    ///
    /// # Errors
    ///
    /// When the back end is not compiled in.
    pub fn of_kinds(
        semantics: SemanticsKind,
        backend: BackendKind,
    ) -> Result<Subject, NotCompiledIn> {
        Ok(Subject::new(semantics.any(), backend.maker()?))
    }

    /// The semantics.
    pub fn semantics(&self) -> AnySemantics {
        self.semantics
    }

    /// Which of the restated semantics this one claims to be, by its name.
    pub fn generation(&self) -> Option<Generation> {
        Generation::named(self.semantics.name())
    }

    /// The storage of a new object.
    pub fn backend(&self) -> AnyBackend {
        (self.backend)()
    }

    /// A new, empty object.
    pub fn object(&self) -> Object {
        Resv::with(self.semantics, self.backend())
    }

    /// So many new, empty objects.
    pub fn objects(&self, count: usize) -> Vec<Object> {
        (0..count).map(|_| self.object()).collect()
    }
}

/// `SEMANTICS on BACK END`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.semantics.name(), self.backend().name())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({self})")
    }
}
