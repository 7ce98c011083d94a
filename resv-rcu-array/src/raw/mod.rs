//! All the `unsafe` of this crate, one data structure a file.
//!
//! | file | what it gives to safe code | what it leans on |
//! |---|---|---|
//! | [`mod@array`] | a counted, immutable array and the builder that it is made of | the count; uniqueness of the builder |
//! | [`list`] | lists of such arrays that need no memory of their own | whoever owns an element may write its link |
//! | [`holder`] | a cell that only the holder of an object's lock can open | [`LockProof`](resv_core::LockProof) exists once |
//! | [`stable`] | arrays in memory that is never given back, and the pointer to one | type-stable memory; counts |
//! | `ref_cnt` | the array as a pointer that arc-swap can keep | the count |
//!
//! Each is sound by itself: no use of its safe functions, however wrong, breaks memory safety.

#![allow(unsafe_code)]

#[cfg(feature = "arc-swap")]
pub(crate) mod array;
#[cfg(feature = "arc-swap")]
pub(crate) mod holder;
#[cfg(feature = "arc-swap")]
pub(crate) mod list;
#[cfg(feature = "arc-swap")]
mod ref_cnt;
pub(crate) mod stable;
