//! The conformance suite: every property of a reservation object, as a function of a semantics and a
//! back end.
//!
//! # The concept
//!
//! What an object *means* (a [`Semantics`](resv_core::Semantics)) and how it is *stored* (a
//! [`Backend`](resv_core::Backend)) are independent. That is a claim about every combination, so it
//! is tested on every combination: one property is one function of a [`Subject`], which makes
//! objects of one pair, and a macro makes tests of all of them. Objects are of one type, [`Object`],
//! with the semantics and the back end behind pointers, so that the suite is compiled once for all. A back
//! end of your own is tested with one line:
//!
//! ```
//! # mod example {
//! # use resv_core::Locked as MyBackend;
//! resv_conformance::suite_for_backend!(my_backend, MyBackend);
//! # }
//! ```
//!
//! and a semantics of your own with [`suite!`]. A semantics that bears the name of one of the three
//! is held to that one's answers; one with a name of its own is believed where the answers are a
//! matter of its tables, and held to everything else.
//!
//! # The pieces
//!
//! | module | what it holds |
//! |---|---|
//! | [`properties`] | the properties, a module for each subject: tables, contract, two steps, failures, answers, fences, composed fences, leaves, waits, tasks, locks, transactions, hazards, examples, Linux' self-tests, random scripts |
//! | [`history`] | concurrent histories: what writers published and readers saw, judged against B1, B2, B4, B9 |
//! | [`check`] | all of it for as long as one likes, as a function: what `resv check` runs |
//! | [`model`] | naive models that the random scripts are compared with |
//! | [`eviction`] | the life of an eviction fence on a virtual clock, and ways to get it wrong |
//! | [`scenario`] | the scenario language: how a person writes a case down, and how a failing script is printed |
//! | [`notation`] | the short notation of the worked examples, `W A1, R B1` |
//! | [`kernel`] | random scripts on the objects of a running Linux beside ours: `resv check --against kernel` |
//! | [`stress`] | many threads at once, for minutes; the program is `scripts/stress` |
//! | [`suite!`], [`suite_for_backend!`], [`PROPERTIES`] | the list of all properties, as tests or as values |
//!
//! The suite is itself tested: the crate `resv-fixtures` has semantics and back ends with the defects
//! of history, and asserts that each is caught by the properties that are about it.

#![forbid(unsafe_code)]

mod at_death;
pub mod check;
pub mod eviction;
pub mod history;
pub mod kernel;
pub mod model;
pub mod notation;
pub mod properties;
pub mod scenario;
pub mod stress;
mod subject;
mod suite;
mod support;

pub use subject::{Object, Subject};
pub use suite::{PROPERTIES, Property, property};

#[doc(hidden)]
pub use resv_core::for_each_semantics as __for_each_semantics;
