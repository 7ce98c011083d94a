//! Any bytes as a recording, plain, gzip or binary: no panic, every line accounted for, and what was
//! read can be replayed with the same answers on every back end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resv_api::{BackendKind, SemanticsKind};
use resv_cli::recording::{Reader, open_stream};
use resv_cli::replay::{BufferRule, Workload, load, play};
use std::io::{BufRead, Cursor};

/// Reads all there is; the faults of a source end it.
fn account<R: BufRead>(mut reader: Reader<R>) -> Reader<R> {
    let mut events = 0;
    while let Some(item) = reader.next() {
        match item {
            Ok(_) => events += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(reader.next().is_none(), "an error is the last item");
            }
        }
    }
    let stats = reader.stats();
    assert_eq!(stats.events, events);
    let known = stats.blank + stats.headers + stats.call_chain + stats.loss_reports;
    assert_eq!(stats.lines, stats.events + known + stats.skipped.total);
    reader
}

fuzz_target!(|bytes: &[u8]| {
    let total = u64::try_from(bytes.len()).expect("short");
    let Ok(reader) = open_stream("fuzz", Cursor::new(bytes.to_vec()), Some(total)) else {
        return;
    };
    account(reader);
    // Plain bytes, whatever they begin with.
    account(Reader::new("fuzz", bytes));
    let mut reader = Reader::new("fuzz", bytes);
    let (recorded, _) = load(&mut reader, |_| {});
    let workload = Workload::new(recorded, &BufferRule::Handoff);
    for semantics in SemanticsKind::ALL {
        let runs = BackendKind::ALL.map(|backend| play(&workload, semantics, backend));
        let digests = runs.map(|run| run.ok().map(|run| run.edges_digest));
        assert!(digests.iter().all(|digest| *digest == digests[0]));
    }
});
