//! Writes `docs/defects.md`, checks that it is up to date, or prints which property rejects which
//! fixture. `scripts/defects` runs it.
//!
//! Each fixture is run by a process of its own, which `--fixture NAME` is for: a property that hangs leaves a
//! thread behind, and some faults spoil fences of others. What one fixture leaves has no say in the next.

use resv_conformance::PROPERTIES;
use resv_fixtures::fixtures;
use resv_fixtures::report::{self, Matrix};
use resv_fixtures::run::Rejection;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

fn main() -> ExitCode {
    let (mut check, mut print_matrix) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--fixture" => return run_one(&arguments.next().unwrap_or_default()),
            "--check" => check = true,
            "--matrix" => print_matrix = true,
            other => {
                eprintln!("defects: unknown argument `{other}`; expected --check or --matrix");
                return ExitCode::from(2);
            }
        }
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/defects.md");
    let matrix = match measure() {
        Ok(matrix) => matrix,
        Err(error) => {
            eprintln!("defects: {error}");
            return ExitCode::FAILURE;
        }
    };
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

/// Runs the whole suite on every fixture.
fn measure() -> Result<Matrix, String> {
    let (program, count) = (
        std::env::current_exe().map_err(|error| error.to_string())?,
        fixtures().count(),
    );
    let mut matrix = Matrix::new();
    for (number, fixture) in fixtures().enumerate() {
        let name = fixture.name;
        eprintln!("{:3}/{count} {name}", number + 1);
        let mut run = Command::new(&program);
        run.args(["--fixture", name]).stderr(Stdio::inherit());
        let run = run.output().map_err(|error| format!("{name}: {error}"))?;
        let told = String::from_utf8_lossy(&run.stdout);
        let rejections = told.lines().map(from_line).collect::<Option<Vec<_>>>();
        match rejections {
            Some(rejections) if run.status.success() => matrix.insert(name, rejections),
            _ => return Err(format!("{name}: {}: {told}", run.status)),
        };
    }
    Ok(matrix)
}

/// Runs the whole suite on one fixture, and prints a line for each property that rejects it.
fn run_one(name: &str) -> ExitCode {
    let Some(fixture) = fixtures().find(|fixture| fixture.name == name) else {
        eprintln!("defects: there is no fixture `{name}`");
        return ExitCode::from(2);
    };
    let rejections = fixture.steady_rejections(|property, rejection| {
        let said = &rejection.said;
        eprintln!(
            "defects: {name}: {property} rejects it once and not again, which does not count: {said}"
        );
    });
    for (property, rejection) in rejections {
        println!("{property} {}", rejection.after.as_nanos());
    }
    ExitCode::SUCCESS
}

/// What a line of `--fixture` says.
fn from_line(line: &str) -> Option<(&'static str, Rejection)> {
    let (name, nanoseconds) = line.split_once(' ')?;
    let property = PROPERTIES.iter().find(|property| property.name == name)?;
    let rejection = Rejection {
        said: String::new(),
        after: Duration::from_nanos(nanoseconds.parse().ok()?),
    };
    Some((property.name, rejection))
}
