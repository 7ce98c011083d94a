//! Writes `docs/defects.md`, checks that it is up to date, or prints which property rejects which
//! fixture. `scripts/defects` runs it.

use resv_fixtures::report;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut check, mut print_matrix) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            "--matrix" => print_matrix = true,
            other => {
                eprintln!("defects: unknown argument `{other}`; expected --check or --matrix");
                return ExitCode::from(2);
            }
        }
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/defects.md");
    let count = resv_fixtures::fixtures().count();
    let mut number = 0;
    let matrix = report::measure(|fixture| {
        number += 1;
        eprintln!("{number:3}/{count} {}", fixture.name);
    });
    if print_matrix {
        for (fixture, rejected) in &matrix {
            let names: Vec<&str> = rejected.iter().map(|(name, _)| *name).collect();
            println!("{fixture}: {}", names.join(" "));
        }
        return ExitCode::SUCCESS;
    }
    let now = report::document(&matrix);
    if !check {
        if let Err(error) = std::fs::write(&file, now) {
            eprintln!("defects: {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    let committed = match std::fs::read_to_string(&file) {
        Ok(committed) => committed,
        Err(error) => {
            eprintln!("defects: {}: {error}; run scripts/defects", file.display());
            return ExitCode::FAILURE;
        }
    };
    let (committed, now) = (
        report::without_times(&committed),
        report::without_times(&now),
    );
    if committed == now {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "defects: docs/defects.md is out of date; run scripts/defects. The first differences:"
    );
    let (old, new): (Vec<_>, Vec<_>) = (committed.lines().collect(), now.lines().collect());
    let missing = old.iter().filter(|line| !new.contains(line)).take(5);
    let added = new.iter().filter(|line| !old.contains(line)).take(5);
    missing.for_each(|line| eprintln!("-{line}"));
    added.for_each(|line| eprintln!("+{line}"));
    ExitCode::FAILURE
}
