//! Policies on top of reservation objects, maps between their generations, and a prover that says when
//! a change of meaning is safe.
//!
//! # The concept
//!
//! A [semantics](resv_core::Semantics) says what an object means to everybody. Three things about
//! fences are said elsewhere, and drivers depend on them as much:
//!
//! * a **policy**: which of the jobs that would wait under the semantics really do. Linux' amdgpu
//!   decides by the *owner* of a fence ([`decide`]), and adds its fences accordingly ([`file()`]). It has
//!   done so in nine ways since 2017 ([`Era`]).
//! * a **map**: how a driver that was written for one generation of objects runs on another
//!   ([`maps`]).
//! * a **change**: whether one of these, or a semantics, can be exchanged for another without losing a
//!   fence. [`prover::compare`] explores every state that a history can lead to, for a number of
//!   timelines, and answers *exact*, *over* or *unsound* for each access, with the shortest history
//!   that shows it.
//!
//! All of it is pure: rules over values. Nothing here is stored in an object, and no back end and no
//! semantics knows of it.
//!
//! # Example
//!
//! ```
//! use resv_policy::prover::{Class, Options, compare};
//!
//! // May a driver of the usage levels run on an object of the older generation?
//! let expected = "usage-levels".parse()?;
//! let actual = "exclusive-shared".parse()?;
//! let answer = compare(&expected, &actual, &Options { timelines: 2, ..Options::default() });
//! let read = &answer.accesses[1];
//! assert_eq!((read.query.name(), read.class), ("read", Class::Unsound));
//! println!("{}", read.scenario.as_ref().unwrap()); // two writes; the second drops the first
//! # Ok::<(), resv_core::ParseWordError>(())
//! ```
//!
//! # The pieces
//!
//! | module | what it holds |
//! |---|---|
//! | [`era`], [`rule`], [`filing`] | eras; which fences are waited for; how fences are added |
//! | [`table`] | a semantics as data |
//! | [`store`], [`member`], [`query`] | what can be compared, as rules over slots, and what is asked |
//! | [`maps`] | a driver of one generation on objects of another, a file for each map |
//! | [`prover`] | the exploration |
//! | [`objects`] | policies and members on real objects |

#![forbid(unsafe_code)]

pub mod era;
pub mod filing;
pub mod maps;
pub mod member;
pub mod objects;
pub mod prover;
pub mod query;
pub mod rule;
pub mod store;
pub mod table;

pub use era::Era;
pub use filing::{Filing, OnAttach, Producer, file, on_attach};
pub use member::{Machine, Member};
pub use query::Query;
pub use resv_core::{Owner, Tag};
pub use rule::{Asker, Mode, Place, decide};
