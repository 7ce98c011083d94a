//! The scenario language: how a person writes a case down.
//!
//! # The concept
//!
//! A script declares timelines, fences and objects, adds fences to objects, signals them, and asks.
//! What it is told depends on the semantics alone, never on the back end: so one script shows what
//! a semantics means, compares back ends, and is what a failing random test prints.
//!
//! # The language
//!
//! A line is a statement. Words stand apart by spaces or tabs, `#` starts a comment, blank lines
//! are allowed. A name is a word without `#`, `:`, `=`; timelines, fences and objects have a name
//! space each, and are declared before use.
//!
//! | statement | effect |
//! |---|---|
//! | `timeline NAME` | declares a timeline (fence context) |
//! | `fence NAME TIMELINE [SEQNO]` | issues a fence: the next on its timeline, or the one with this seqno (1 to 2^64-2, not taken) |
//! | `resv NAME` | declares an empty object |
//! | `add RESV FENCE USAGE [FENCE USAGE ...]` | adds fences in one transaction: lock, reserve, add, unlock |
//! | `replace RESV TIMELINE FENCE USAGE` | every pending fence of the timeline in the object becomes this one |
//! | `copy DST SRC` | DST holds exactly what is pending in SRC now |
//! | `signal FENCE [error]` | the job is done, or has failed; once for each fence, in any order |
//! | `waits RESV ACCESS` | asks which pending fences the access must wait for |
//! | `idle RESV ACCESS` | asks whether there are none |
//! | `list RESV` | asks for all pending entries, with the usage under which the semantics keeps each |
//! | `status FENCE` | asks whether a fence is `pending`, `ok` or `error` |
//!
//! Usages are `kernel`, `write`, `read`, `bookkeep` ([`Usage`](resv_core::Usage)); accesses are
//! `explicit`, `read`, `write`, `move` ([`Access`](resv_core::Access)).
//!
//! A query is told one line, `STATEMENT: ANSWER`, with fences as `TIMELINE:SEQNO` in order of the
//! declaration of timelines, then seqno; `-` stands for none:
//!
//! ```text
//! waits fb write: gfx:1 dma:4
//! idle fb read: true
//! list fb: gfx:1=write dma:4=read
//! status f1: pending
//! ```
//!
//! # Using it
//!
//! [`parse_line`] makes a [`Statement`] of a line, [`Runner::step`] plays it and may return an
//! [`Answer`]; both report a [`ScenarioError`] with the line number. So a program answers as it
//! reads, and what it told before a wrong line stands. Nothing here reads or writes files, and no
//! input makes it panic.

mod answer;
mod ast;
mod error;
mod parse;
mod run;
#[cfg(test)]
mod tests;

pub use answer::{Answer, FenceLabel, Listed, Value, status_word};
pub use ast::{InvalidName, Name, Scenario, Statement};
pub use error::ScenarioError;
pub use parse::parse_line;
pub use run::Runner;
