//! Broken semantics and back ends: the defects of history, and some that nobody has had yet. The
//! conformance suite must reject every one. No program depends on this crate.
//!
//! # The concept
//!
//! A test that cannot fail shows nothing. So for each defect that `docs/hazards.md` names and that the suite
//! can show there is a [`Fixture`]: a semantics with one wrong rule ([`semantics`]), or the reference back end
//! with one wrong step ([`Fault`], [`faults`]), together with where the defect comes from and the properties
//! that are about it. `tests/rejected.rs` runs each of those properties on the fixture and asserts that it
//! fails.
//!
//! The other way round, each property has to be needed: `scripts/defects` runs the whole suite on
//! every fixture and writes down which fixtures only one property rejects. The result is
//! `docs/defects.md`.
//!
//! # Races without luck
//!
//! Where history had two reads that should have been one, the fault puts a gap between them in which
//! it waits for the suite's writer. A reader of a reused array sees a cell that has become
//! another entry, never wild memory: as in the fence pool of `resv-core`, reuse is of things that
//! stay what they are.
//!
//! Defects of orderings and of single steps of a lock or of a fence cannot be had in this way. They
//! are variants of the real code that loom must reject; [`ELSEWHERE`] lists them, and the defects
//! that cannot be expressed, with the reason.
//!
//! # Adding one
//!
//! Add a row to a `FIXTURES` list. Where one step is wrong, a closure in the row takes its place:
//! `edit`, `reserve`, `is_idle` and the others of `step`. Where several are, or they share state, the row
//! names a type that implements [`Fault`]. Then run `scripts/defects`.

#![forbid(unsafe_code)]

pub mod elsewhere;
pub mod fault;
pub mod faults;
pub mod fixture;
pub mod report;
pub mod run;
pub mod semantics;
mod step;

pub use elsewhere::ELSEWHERE;
pub use fault::{Fault, Faulty};
pub use fixture::{Elsewhere, Fixture, Shown};

/// Every fixture, in the order of the table.
pub fn fixtures() -> impl Iterator<Item = &'static Fixture> {
    [
        faults::exclusive_shared::FIXTURES,
        faults::containers::FIXTURES,
        semantics::FIXTURES,
        faults::usage_levels::FIXTURES,
        faults::readers::FIXTURES,
        faults::writers::FIXTURES,
        faults::transactions::FIXTURES,
        faults::composed::FIXTURES,
        faults::failures::FIXTURES,
        faults::corners::selftests::FIXTURES,
        faults::corners::contract::FIXTURES,
    ]
    .into_iter()
    .flatten()
}
