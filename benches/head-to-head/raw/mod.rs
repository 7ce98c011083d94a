//! What cannot be written without `unsafe`: the plain crossbeam-epoch peer and the counting allocator.

#![allow(unsafe_code)]

pub(crate) mod counting;
pub(crate) mod epoch_vec;
