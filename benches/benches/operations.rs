//! One group for each operation; one subject for each back end; one parameter: how many fences the
//! object holds.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use resv_benches::Fixture;
use resv_core::{Access, Backend};
use std::hint::black_box;

const SIZES: [usize; 5] = [0, 1, 4, 16, 64];

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Runs `$bench::<B>` for every back end, in one group.
macro_rules! for_each_backend {
    ($criterion:expr, $name:literal, $bench:ident) => {{
        let mut group = $criterion.benchmark_group($name);
        for n in SIZES {
            resv_api::for_each_backend!(each!($bench(&mut group, n)));
        }
        group.finish();
    }};
}

macro_rules! each {
    (($bench:ident $args:tt) $(
        $(#[$doc:meta])* $kind:ident $module:ident $name:literal [$($feature:literal)?] $type:ty;
    )*) => {
        $($bench::<$type> $args;)*
    };
}

fn test_idle<B: Backend + Default>(group: &mut Group<'_>, n: usize) {
    let fixture = Fixture::<B>::signaled(n);
    group.bench_function(BenchmarkId::new(B::default().name(), n), |b| {
        b.iter(|| black_box(&fixture.object).is_idle(Access::Write));
    });
}

fn test_pending<B: Backend + Default>(group: &mut Group<'_>, n: usize) {
    let fixture = Fixture::<B>::pending(n);
    group.bench_function(BenchmarkId::new(B::default().name(), n), |b| {
        b.iter(|| black_box(&fixture.object).is_idle(Access::Write));
    });
}

fn visit<B: Backend + Default>(group: &mut Group<'_>, n: usize) {
    let fixture = Fixture::<B>::pending(n);
    group.bench_function(BenchmarkId::new(B::default().name(), n), |b| {
        b.iter(|| {
            black_box(&fixture.object).visit(Access::Write, 0, |sum: u64, key| {
                sum.wrapping_add(key.seqno)
            })
        });
    });
}

fn snapshot<B: Backend + Default>(group: &mut Group<'_>, n: usize) {
    let fixture = Fixture::<B>::pending(n);
    group.bench_function(BenchmarkId::new(B::default().name(), n), |b| {
        b.iter(|| black_box(&fixture.object).snapshot());
    });
}

fn add_fresh<B: Backend + Default>(group: &mut Group<'_>, n: usize) {
    if n == 0 {
        return; // there is no fence to add over
    }
    let mut fixture = Fixture::<B>::pending(n);
    let mut turn = 0;
    group.bench_function(BenchmarkId::new(B::default().name(), n), |b| {
        b.iter(|| {
            turn += 1;
            fixture.add_fresh(turn);
        });
    });
}

fn operations(criterion: &mut Criterion) {
    for_each_backend!(criterion, "test_idle", test_idle);
    for_each_backend!(criterion, "test_pending", test_pending);
    for_each_backend!(criterion, "visit", visit);
    for_each_backend!(criterion, "snapshot", snapshot);
    for_each_backend!(criterion, "add_fresh", add_fresh);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(30);
    targets = operations
}
criterion_main!(benches);
