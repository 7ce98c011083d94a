//! The stress program; run it as `scripts/stress --help`.

mod program;

use program::Pair;
use resv_api::rcu_array::{ArcSwapped, RcuArray, Stable};
use resv_api::seqcount::Seqcount;
use resv_core::{Backend, ExclusiveShared, Locked, UsageLevels, WritersReadersOthers};
use std::process::ExitCode;

fn main() -> ExitCode {
    let pairs = [
        on::<Seqcount>(),
        on::<RcuArray<Stable>>(),
        on::<RcuArray<ArcSwapped>>(),
        on::<Locked>(),
    ];
    ExitCode::from(program::main(std::env::args_os(), pairs.as_flattened()))
}

fn on<B: Backend + Default>() -> [Pair; 3] {
    [
        Pair::of::<ExclusiveShared, B>(),
        Pair::of::<WritersReadersOthers, B>(),
        Pair::of::<UsageLevels, B>(),
    ]
}
