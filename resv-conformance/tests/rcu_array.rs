//! The suite on the fence-array back end, with each way of reclaiming.

use resv_api::rcu_array::{ArcSwapped, RcuArray, Stable};

resv_conformance::suite_for_backend!(stable, RcuArray<Stable>);
resv_conformance::suite_for_backend!(arc_swap, RcuArray<ArcSwapped>);
