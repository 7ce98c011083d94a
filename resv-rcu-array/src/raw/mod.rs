//! All the `unsafe` of this crate.
//!
//! | file | what it gives to safe code | what it leans on |
//! |---|---|---|
//! | [`word`] | what heads and slots say | fences live in memory that is never given back |
//! | [`cell`] | the memory of a set, and when what is read there means something | the same, of cells |
//! | [`pool`] | where cells come from and go back to | |
//! | [`change`] | what an edit takes away, in a word | |
//! | [`near`] | what a short look has found, in a word | |
//! | [`straight`] | the ordinary add | the same as `working` |
//! | [`working`] | appending, dying, giving up, moving | one writer at a time |
//! | [`reference`] | a snapshot | counts |
//! | [`object`] | the head | the cells that heads name are made here |
//! | [`holder`] | what the holder of the lock does | the proof that the lock is held exists once |
//! | [`defect`] | known-bad variants of it, for tests | |
//!
//! The numbers of the `SAFETY` comments are those of `docs/correctness.md`.

#![allow(unsafe_code)]

mod cell;
mod change;
mod defect;
mod holder;
mod near;
mod object;
mod pool;
mod reference;
mod straight;
mod word;
mod working;

pub(crate) use cell::{Life, Published};
pub(crate) use defect::Defect;
#[cfg(test)]
pub(crate) use defect::Seam;
pub(crate) use object::Object;
pub(crate) use reference::CellRef;
pub(crate) use word::{Head, key};
