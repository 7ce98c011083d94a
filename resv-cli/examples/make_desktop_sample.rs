//! Writes the sample recording and its buffer sidecar: `cargo run -p resv-cli --example make_desktop_sample -- DIR`.
//!
//! The result is the same on every run; the files in `samples/` are exactly what this program writes.

mod desktop;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(dir), None) = (arguments.next(), arguments.next()) else {
        eprintln!("expected one argument, the directory to write into: make_desktop_sample DIR");
        return ExitCode::from(2);
    };
    let sample = desktop::generate();
    for (name, text) in [
        ("desktop.report", &sample.report),
        ("desktop.buffers", &sample.buffers),
    ] {
        let path = Path::new(&dir).join(name);
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: cannot write: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
