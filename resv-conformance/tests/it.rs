//! The suite and the languages on every pair, as one program: linking is most of what another one would
//! cost.

mod eviction;
mod guide;
mod policies;
mod samples;
mod scenarios;
mod suite;
