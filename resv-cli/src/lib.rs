//! The program `resv`, as a library.
//!
//! # The concept
//!
//! Two things a person has in hand when asking what a reservation object does: a case written down
//! line by line, and a recording of GPU work from a real machine. The program plays either through
//! real reservation objects, under any semantics and on any back end, and says which job waits for which,
//! and why.
//!
//! | command | module | what it does |
//! |---|---|---|
//! | `resv script` | [`commands::script`] | runs a scenario and prints its answers |
//! | `resv replay` | [`commands::replay`] | plays a recording and reports |
//! | `resv inspect` | [`commands::inspect`] | reads a dump of the kernel's buffers, and says what waits for what |
//! | `resv diff` | [`commands::diff`] | what changes if only the semantics, or only the back end, changes |
//! | `resv explain` | [`commands`] | the tables of a semantics ([`explain`]) or of policies, made by evaluating the code |
//! | `resv compare` | [`commands::compare`] | whether one meaning may take the place of another |
//! | `resv check` | [`commands::check`] | checks semantics on back ends, and prints what fails as a scenario |
//!
//! | module | what it holds |
//! |---|---|
//! | [`recording`] | the reader of recordings: lines in, typed events out |
//! | [`sidecar`] | the file that says which job touches which buffer |
//! | [`inspect`] | the reader of dumps, and what they say |
//! | [`replay`] | the engine: a workload played through reservation objects |
//! | [`text`] | the reader of text files line by line, with bounded memory |
//! | [`explain_policy`] | the tables of the owner rule and of the maps |
//! | [`options`] | the command line |
//! | [`output`], [`failure`] | where answers go, and how a run ends that cannot go on |
//!
//! # Example
//!
//! ```
//! use resv_api::SemanticsKind;
//!
//! let tables = resv_cli::explain::tables(SemanticsKind::UsageLevels);
//! assert!(tables.contains("| explicit | yes | - | - | - |"));
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "program")]
pub mod commands;
pub mod explain;
pub mod explain_policy;
pub mod failure;
pub mod inspect;
#[cfg(feature = "program")]
pub mod options;
pub mod output;
pub mod recording;
pub mod replay;
pub mod sidecar;
pub mod text;
