//! What every play needs: an object for each buffer, a timeline for each of the recording, and what was counted.

use std::time::Duration;

use resv_api::{
    BackendKind, Counters, Garbage, Reservation, SemanticsKind, Timeline, new_reservation,
};

use super::error::PlayError;
use super::workload::Workload;

/// What a measurement gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Lists of what to wait for, idle tests, transactions and signals.
    pub operations: u64,
    /// The time they took.
    pub elapsed: Duration,
    /// Operations in a second, in the middle round; 0 if there was none.
    pub ops_per_second: f64,
    /// What readers had to do.
    pub counters: Counters,
    /// What was retired at the end, and the most at one time.
    pub garbage: Garbage,
}

/// An object for each buffer.
pub(super) fn objects(
    workload: &Workload,
    semantics: SemanticsKind,
    backend: BackendKind,
) -> Result<Vec<Box<dyn Reservation>>, PlayError> {
    let make = |_: &String| new_reservation(semantics, backend).map_err(PlayError::from);
    workload.buffers.iter().map(make).collect()
}

/// A timeline for each one of the recording.
pub(super) fn timelines(workload: &Workload) -> Vec<Timeline> {
    let infos = workload.recorded.timelines.iter();
    infos.map(|info| Timeline::new(&info.name)).collect()
}

/// What readers of all objects had to do.
pub(super) fn counters(objects: &[Box<dyn Reservation>]) -> Counters {
    let mut sum = Counters::default();
    for object in objects {
        let counters = object.counters();
        sum.retries += counters.retries;
        sum.fallbacks += counters.fallbacks;
    }
    sum
}
