//! Back ends with one defect each, by where the defects come from.

pub mod composed;
pub mod containers;
pub mod corners;
pub mod exclusive_shared;
pub mod failures;
pub mod readers;
pub mod transactions;
pub mod usage_levels;
pub mod writers;
