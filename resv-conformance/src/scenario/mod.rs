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
//! | `timeline NAME [owner OWNER] [device N]` | declares a timeline (fence context), of nobody in particular unless said |
//! | `fence NAME TIMELINE [SEQNO]` | issues a fence: the next on its timeline, or the one with this seqno (1 to 2^64-2, not taken) |
//! | `lazy NAME TIMELINE` | issues the next fence, one that is asked for its work when the first wait for it begins |
//! | `point NAME TIMELINE SEQNO` | a fence for a place of the timeline, which need not have been issued; it signals with the timeline |
//! | `era ERA` | objects declared from here on are filled and asked as the driver of this era does, and have its semantics |
//! | `resv NAME` | declares an empty object |
//! | `add RESV FENCE USAGE [FENCE USAGE ...]` | adds fences in one transaction: lock, reserve, add, unlock |
//! | `replace RESV TIMELINE FENCE USAGE` | every pending fence of the timeline in the object becomes this one |
//! | `copy DST SRC` | DST holds exactly what is pending in SRC now |
//! | `file RESV PRODUCER FENCE [attached] [explicit]` | adds a fence as the driver of the object's era does |
//! | `attach RESV` | another driver attaches to the buffer |
//! | `signal FENCE [error]` | the job is done, or has failed; once for each fence, in any order |
//! | `waits RESV ACCESS` | asks which pending fences the access must wait for |
//! | `wait RESV ACCESS` | begins to wait, so that lazy fences are asked for their work, and is told for what |
//! | `ask RESV OWNER device N\|- MODE` | asks what the rule of the object's era makes this owner wait for |
//! | `asked FENCE` | asks how often a lazy fence was asked for its work |
//! | `idle RESV ACCESS` | asks whether there are none |
//! | `failure RESV ACCESS` | asks whether the content is broken: which [failure](resv_core::failure) counts for the access |
//! | `list RESV` | asks for all pending entries, with the usage under which the semantics keeps each |
//! | `status FENCE` | asks whether a fence is `pending`, `ok` or `error` |
//!
//! Usages are `kernel`, `write`, `read`, `bookkeep` ([`Usage`](resv_core::Usage)); accesses are
//! `explicit`, `read`, `write`, `move` ([`Access`](resv_core::Access)).
//!
//! Owners are `undefined`, `page-tables`, `compute`, `client:N` ([`Owner`](resv_core::Owner)); eras are `p0` to
//! `p7`, with `p6a` and `p6b` ([`Era`](resv_policy::Era)); modes are `always`, `not-equal`, `equal`,
//! `explicit` ([`Mode`](resv_policy::Mode)); producers are `submission`, `page-tables`, `compute`,
//! `move`, `vacate`, `gang-member`, `user-queue`, `user-queue-eviction`
//! ([`Producer`](resv_policy::Producer)). A chain in the exclusive slot is told as the fences that it
//! covers.
//!
//! A query is told one line, `STATEMENT: ANSWER`, with fences as `TIMELINE:SEQNO` in order of the
//! declaration of timelines, then seqno; `-` stands for none:
//!
//! ```text
//! waits fb write: gfx:1 dma:4
//! idle fb read: true
//! failure fb read: errno 5
//! list fb: gfx:1=write dma:4=read
//! status f1: pending
//! ask fb client:1 device 0 not-equal: gfx:3 dma:1
//! asked e1: 1
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
pub(crate) mod draw;
mod error;
mod object;
mod parse;
mod run;
#[cfg(test)]
mod tests;

pub use answer::{Answer, FenceLabel, Listed, Value, status_word};
pub use ast::{InvalidName, Name, Scenario, Statement};
pub use error::ScenarioError;
pub use parse::{grammar, parse_line};
pub use run::Runner;
