//! All `unsafe` of this crate: turning the pointers in atomics back into references, and reaching
//! what only the holder of the object's lock may touch.

#![allow(unsafe_code, reason = "this is the module for it")]

mod holder;
mod slot;
mod table;

pub(crate) use holder::HolderCell;
pub(crate) use slot::Content;
pub(crate) use table::{NewTable, Table, Tables};
