//! What the feature `checks` costs: run it with and without.
//!
//! ```text
//! cargo run --release -p resv-core --example checks_cost
//! cargo run --release -p resv-core --example checks_cost --features checks
//! ```

use resv_core::checks::signalling_section;
use resv_core::{ObjectLock, Timeline};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 1_000;

/// The least of several runs, in nanoseconds a round: what is left out is interruptions.
fn measure(what: &str, mut f: impl FnMut()) {
    let least = (0..1_000)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(|_| f());
            start.elapsed()
        })
        .min();
    let nanos = least.map_or(0.0, |time| time.as_nanos() as f64 / f64::from(ROUNDS));
    println!("{what:<32} {nanos:7.1} ns");
}

fn main() {
    println!("checks: {}", cfg!(feature = "checks"));
    let (outer, inner, ring) = (ObjectLock::new(), ObjectLock::new(), Timeline::new("gfx"));
    measure("lock, unlock", || drop(black_box(&outer).lock()));
    measure("lock two, unlock", || {
        let held = black_box(&outer).lock();
        drop((black_box(&inner).lock(), held));
    });
    measure("issue, signal", || {
        black_box(&ring)
            .issue()
            .expect("the timeline has seqnos left")
            .signal();
    });
    measure("enter and leave a section", || {
        drop(signalling_section(black_box(&ring)));
    });
}
