//! The stress program; run it as `scripts/stress --help`.

mod program;

use resv_conformance::Subject;
use resv_core::SemanticsKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let backends = resv_api::BackendKind::ALL.into_iter();
    let pairs = backends.flat_map(|b| SemanticsKind::ALL.map(|s| Subject::of_kinds(s, b)));
    match pairs.collect::<Result<Vec<_>, _>>() {
        Ok(subjects) => ExitCode::from(program::main(std::env::args_os(), &subjects)),
        Err(error) => {
            eprintln!("stress: {error}");
            ExitCode::from(2)
        }
    }
}
