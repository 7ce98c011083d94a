//! The commands, one module each.

pub mod check;
pub mod compare;
pub mod comparison;
pub mod diff;
pub mod inspect;
pub mod replay;
pub mod script;

use crate::failure::Failure;
use crate::options::{Command, ExplainOptions, Options};
use crate::output::Output;
use crate::{explain, explain_policy};
use std::process::ExitCode;

/// Does what the command line asks for.
///
/// The exit code is 0, or 1 when a comparison or a check that must find nothing has found something.
///
/// # Errors
///
/// On bad input or output; the exit code is 2 then. What was answered before has been written.
pub fn run(options: Options) -> Result<ExitCode, Failure> {
    match options.command {
        Command::Script(options) => script::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Replay(options) => replay::run(&options),
        Command::Inspect(options) => inspect::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Diff(options) => diff::run(&options),
        Command::Compare(options) => compare::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Check(options) => check::run(&options),
        Command::Explain(options) => run_explain(&options).map(|()| ExitCode::SUCCESS),
    }
}

fn run_explain(options: &ExplainOptions) -> Result<(), Failure> {
    let mut output = Output::open(options.output.as_deref())?;
    if options.policy || options.maps {
        let tables = match options.policy {
            true => explain_policy::tables(),
            false => resv_policy::maps::tables(),
        };
        output.with(|out| out.write_all(tables.as_bytes()))?;
        return output.flush();
    }
    for (index, &semantics) in options.semantics.0.iter().enumerate() {
        if index > 0 {
            output.line("")?;
        }
        output.with(|out| out.write_all(explain::tables(semantics).as_bytes()))?;
    }
    output.flush()
}
