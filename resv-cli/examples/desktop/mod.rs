//! Half a second of a desktop that never was, as a tracer would have recorded it.
//!
//! | module    | idea |
//! |-----------|------|
//! | `gpu`     | hardware rings, job queues, fences and the buffers they hang on, run event by event |
//! | `clients` | the programs: what each submits, when, and on which buffers |
//! | `print`   | the lines of the recording, and of the sidecar |
//!
//! The clients start some time before the recording does and go on after its end, so that it cuts through jobs at both ends
//! as every recording does.

mod clients;
mod gpu;
mod print;

/// The two files.
pub(crate) struct Sample {
    /// `desktop.report`
    pub(crate) report: String,
    /// `desktop.buffers`
    pub(crate) buffers: String,
}

/// Makes both files, the same on every call.
pub(crate) fn generate() -> Sample {
    let mut desktop = clients::Desktop::new();
    desktop.run();
    let gpu = desktop.into_gpu();
    Sample {
        report: print::report(&gpu),
        buffers: print::buffers(&gpu),
    }
}

/// Random numbers that are the same on every machine (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed | 1)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + ((self.0 >> 11) % (high - low + 1) as u64) as i64
    }
}
