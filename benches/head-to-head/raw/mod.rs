//! What cannot be written without `unsafe`: the plain crossbeam-epoch peer, the counting allocator,
//! and the C peers.

#![allow(unsafe_code)]

pub(crate) mod counting;
pub(crate) mod epoch_vec;
#[cfg(feature = "liburcu")]
pub(crate) mod liburcu;
