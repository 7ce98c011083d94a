//! All `unsafe` of this crate: turning the pointers in atomics back into references, tables in one
//! allocation, and reaching what only the holder of the object's lock may touch.

#![allow(unsafe_code, reason = "this is the module for it")]

mod holder;
mod keys;
mod once;
mod slot;
mod table;
mod vector;

pub(crate) use holder::HolderCell;
pub(crate) use keys::Keys;
pub(crate) use once::OnceBox;
pub(crate) use slot::{Content, Slot};
pub(crate) use table::{NewTable, Table, Tables};
pub(crate) use vector::try_with_capacity;
