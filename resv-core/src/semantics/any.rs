//! A semantics behind a pointer, for code that is compiled once for every semantics.

use super::{Semantics, Visibility};
use crate::entry::Key;
use crate::usage::{Access, Usage, UsageSet};
use std::fmt;

/// Any semantics, those from elsewhere included. ([`SemanticsKind`](super::SemanticsKind) is one of
/// the three, and knows which.)
///
/// ```
/// use resv_core::{Access, AnySemantics, Semantics, Usage, UsageLevels};
///
/// let semantics = AnySemantics::new(&UsageLevels);
/// assert_eq!(semantics.name(), "usage-levels");
/// assert!(semantics.waits_for(Access::Explicit).contains(Usage::Kernel));
/// ```
#[derive(Clone, Copy)]
pub struct AnySemantics(&'static dyn Table);

/// [`Semantics`] without its supertraits, of which one is not object-safe.
trait Table: Send + Sync {
    fn name(&self) -> &'static str;
    fn visibility(&self) -> Visibility;
    fn class(&self, usage: Usage) -> Usage;
    fn waits_for(&self, access: Access) -> UsageSet;
    fn supersedes(&self, new: Key, old: Key) -> bool;
    fn loses(&self, new: Key, old: Key) -> bool;
}

impl<S: Semantics> Table for S {
    fn name(&self) -> &'static str {
        Semantics::name(self)
    }

    fn visibility(&self) -> Visibility {
        Semantics::visibility(self)
    }

    fn class(&self, usage: Usage) -> Usage {
        Semantics::class(self, usage)
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        Semantics::waits_for(self, access)
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        Semantics::supersedes(self, new, old)
    }

    fn loses(&self, new: Key, old: Key) -> bool {
        Semantics::loses(self, new, old)
    }
}

impl AnySemantics {
    /// `semantics`, behind a pointer. A semantics of size zero is a constant: `&UsageLevels`.
    pub const fn new<S: Semantics>(semantics: &'static S) -> AnySemantics {
        AnySemantics(semantics)
    }
}

impl fmt::Debug for AnySemantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnySemantics").field(&self.0.name()).finish()
    }
}

impl Semantics for AnySemantics {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn visibility(&self) -> Visibility {
        self.0.visibility()
    }

    fn class(&self, usage: Usage) -> Usage {
        self.0.class(usage)
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        self.0.waits_for(access)
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        self.0.supersedes(new, old)
    }

    fn loses(&self, new: Key, old: Key) -> bool {
        self.0.loses(new, old)
    }
}
