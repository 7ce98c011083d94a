//! What comes out: rows, and three ways to show them.

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod plots;
mod row;

pub(crate) use row::{Head, Row, rows};
