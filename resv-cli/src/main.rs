//! `resv`: see `resv --help`, or the documentation of the library for how it is made.

#![forbid(unsafe_code)]

use clap::Parser;
use resv_cli::options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    match resv_cli::commands::run(Options::parse()) {
        Ok(code) => code,
        Err(failure) => {
            // A closed standard error leaves nothing to be done but to end.
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(2)
        }
    }
}
