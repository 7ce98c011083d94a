//! Random scripts on every back end under every semantics, against the pure model: after each statement
//! every question is asked in every way. The scripts and the worlds are those of the property
//! `random::any_script_is_answered_like_the_model`; the numbers come from the fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resv_api::{BackendKind, SemanticsKind};
use resv_conformance::Subject;
use resv_conformance::properties::random::{Raw, play_numbers};

/// Long inputs find nothing that short ones do not, and every step asks every question.
const MOST_STEPS: usize = 64;

fuzz_target!(|numbers: Vec<[u8; 5]>| {
    let raws: Vec<Raw> = numbers
        .into_iter()
        .take(MOST_STEPS)
        .map(Raw::from)
        .collect();
    for semantics in SemanticsKind::ALL {
        for backend in BackendKind::ALL {
            let on = Subject::of_kinds(semantics, backend).expect("every back end is compiled in");
            play_numbers(on, &raws);
        }
    }
});
