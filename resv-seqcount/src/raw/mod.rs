//! All `unsafe` of this crate: tables in one allocation, a box that is made once, a vector that is made or
//! not. What it shares with others is in `resv_sync`.

#![allow(unsafe_code, reason = "this is the module for it")]

mod holder;
mod once;
mod table;
mod vector;

pub(crate) use holder::WriterCell;
pub(crate) use table::{NewTable, Table, Tables};
pub(crate) use vector::{Picked, try_with_capacity};
