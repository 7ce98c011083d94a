//! Small defects that nobody has had yet, each in a corner that only one property of the suite looks
//! into. Without them nobody would notice if that property were gone.

pub mod contract;
pub mod selftests;
