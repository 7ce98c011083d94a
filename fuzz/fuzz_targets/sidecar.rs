//! Any text as the file that says which buffers each job touches: no panic, and an error names its
//! line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resv_cli::sidecar::Sidecar;

/// Contexts and seqnos that are asked for.
const NUMBERS: [u64; 6] = [0, 1, 4, 57, 1000, u64::MAX];

fuzz_target!(|text: &str| {
    match Sidecar::parse("fuzz", text) {
        Ok(sidecar) => {
            let names = sidecar.buffer_names();
            for (index, name) in names.iter().enumerate() {
                assert_eq!(sidecar.buffer(name), Some(index));
            }
            let touches = sidecar.rules().iter().flat_map(|rule| &rule.touches);
            assert!(touches.clone().all(|touch| touch.buffer < names.len()));
            for (context, seqno) in NUMBERS.iter().flat_map(|c| NUMBERS.map(|s| (*c, s))) {
                let rule = sidecar.rule_of(context, seqno);
                let touches = rule.map(|rule| &rule.touches[..]);
                assert_eq!(sidecar.buffers_of(context, seqno), touches);
            }
        }
        Err(error) => assert!(error.to_string().starts_with("fuzz:"), "{error}"),
    }
});
