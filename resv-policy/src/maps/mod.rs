//! Maps: a driver that was written for one generation of objects, on those of another.
//!
//! # The concept
//!
//! Drivers that are built outside the kernel's tree run on many kernels. The driver calls the
//! functions of one generation, and a layer of small replacements turns each call into calls of the
//! generation that is there. Each replacement is a line, each line compiles, and some of them lose
//! fences. A [`Map`] is such a layer: one method for each kind of call. It is compared with the
//! semantics that the driver was written for, by the [prover](crate::prover), and each line of its
//! table ([`Row`]) states a class that a test holds against the prover's answer.
//!
//! | class | the wait set on the target |
//! |---|---|
//! | exact | is the one that the driver expects, in every reachable state |
//! | over | covers it, and has more |
//! | unsound | misses a fence that the driver relies on |
//!
//! Sets are compared by the latest pending fence of each timeline.
//!
//! # What the calls are
//!
//! A driver of the older generation has two calls that add. Which of them it makes, and why, is told
//! by the usage here: `kernel` is an exclusive fence of memory management, `write` an exclusive fence
//! of a submission, `read` a shared fence of a job that reads, `bookkeep` any other shared fence.
//! `wait(all = false)` is the access read, `wait(all = true)` is write, or move if memory management
//! calls it.
//!
//! A driver of the newer generation asks with a usage. The question up to kernel is the access
//! explicit, up to write is read, up to read is write, up to bookkeep is move.
//!
//! # Numbers and booleans
//!
//! In C a boolean, a usage and an access are integers, and a call that is left as it was compiles. Here
//! the usage of a fence and the access that asks are types of their own, and nothing becomes either:
//!
//! ```compile_fail,E0308
//! use resv_core::{SemanticsKind, Usage};
//! // The usage of the new job taken for the question: it would miss readers.
//! SemanticsKind::UsageLevels.waits_for(Usage::Write);
//! ```
//!
//! ```compile_fail,E0308
//! use resv_core::SemanticsKind;
//! // `all` of before 5.19: as a number it would ask up to write, or up to kernel.
//! SemanticsKind::UsageLevels.waits_for(true);
//! ```
//!
//! ```compile_fail,E0277
//! use resv_core::Usage;
//! let write: Usage = true.into();
//! ```

mod amdkcl;
mod backward;
mod conversion;
mod exclusive;
mod hybrid;
mod nvidia;
mod port_5_15;
mod rows;

pub use amdkcl::Amdkcl;
pub use backward::Backward;
pub use conversion::Conversion;
pub use hybrid::Hybrid;
pub use nvidia::Nvidia;
pub use port_5_15::Port515;
pub use rows::{Claim, Row, tables};

use crate::store::{FenceRef, Store};
use resv_core::{Access, SemanticsKind, Usage};

/// A layer of replacements, one method for each kind of call.
///
/// A store holds pending fences only when a method is called.
pub trait Map {
    /// For which semantics the driver was written.
    fn source(&self) -> SemanticsKind;

    /// The lines of the map's table.
    fn rows(&self) -> &'static [Row];

    /// Adds `fence`.
    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage);

    /// Makes the fences of `timeline` into `fence`.
    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, usage: Usage);

    /// Calls `visit` with each fence that `access` waits for: the line for waiting, testing and
    /// iterating.
    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    );
}

/// A map, or a variant of one, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKind {
    /// See [`Conversion`].
    Conversion(Conversion),
    /// See [`Amdkcl`].
    Amdkcl(Amdkcl),
    /// See [`Port515`].
    Port515(Port515),
    /// See [`Nvidia`].
    Nvidia(Nvidia),
    /// See [`Hybrid`].
    Hybrid(Hybrid),
    /// See [`Backward`].
    Backward(Backward),
}

macro_rules! each {
    ($kind:expr, $map:ident => $body:expr) => {
        match $kind {
            MapKind::Conversion($map) => $body,
            MapKind::Amdkcl($map) => $body,
            MapKind::Port515($map) => $body,
            MapKind::Nvidia($map) => $body,
            MapKind::Hybrid($map) => $body,
            MapKind::Backward($map) => $body,
        }
    };
}

impl MapKind {
    /// The published maps, the hybrid, and the best known backward map.
    pub const ALL: [MapKind; 6] = [
        MapKind::Hybrid(Hybrid),
        MapKind::Conversion(Conversion::Linux),
        MapKind::Amdkcl(Amdkcl::Published),
        MapKind::Port515(Port515::Published),
        MapKind::Nvidia(Nvidia),
        MapKind::Backward(Backward),
    ];

    /// Variants with one line of a map changed, by which the class of that line is shown.
    pub fn variants() -> impl Iterator<Item = MapKind> {
        let conversions = Conversion::ALL.into_iter().map(MapKind::Conversion);
        let ports = Port515::ALL.into_iter().map(MapKind::Port515);
        let amdkcl = Amdkcl::ALL.into_iter().map(MapKind::Amdkcl);
        conversions.chain(ports).chain(amdkcl)
    }

    /// The name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            MapKind::Conversion(map) => map.name(),
            MapKind::Amdkcl(map) => map.name(),
            MapKind::Port515(map) => map.name(),
            MapKind::Nvidia(_) => "map:nvidia",
            MapKind::Hybrid(_) => "hybrid",
            MapKind::Backward(_) => "map:backward",
        }
    }
}

impl Map for MapKind {
    fn source(&self) -> SemanticsKind {
        each!(self, map => map.source())
    }

    fn rows(&self) -> &'static [Row] {
        each!(self, map => map.rows())
    }

    fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        each!(self, map => map.add(store, fence, usage));
    }

    fn replace<F: FenceRef>(&self, store: &mut Store<F>, timeline: u64, fence: F, usage: Usage) {
        each!(self, map => map.replace(store, timeline, fence, usage));
    }

    fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        access: Access,
        visit: &mut impl FnMut(&'s F),
    ) {
        each!(self, map => map.visit(store, access, visit));
    }
}
