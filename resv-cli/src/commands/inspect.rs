//! `resv inspect`: what a dump of `dma_buf/bufinfo` says of each buffer.

use crate::failure::Failure;
use crate::inspect::{Dump, Inspection};
use crate::options::InspectOptions;
use crate::output::Output;
use crate::text;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader};

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Runs the command.
///
/// # Errors
///
/// On bad input or output.
pub fn run(options: &InspectOptions) -> Result<(), Failure> {
    let name = text::display_name(&options.file);
    let mut source = text::open(&options.file)?;
    let mut output = Output::open(options.output.output.as_deref())?;
    let cannot = |error: io::Error| Failure::at(&name, format_args!("cannot read: {error}"));
    let is_gzip = source.fill_buf().map_err(cannot)?.starts_with(GZIP);
    let dump = match is_gzip {
        true => Dump::read(BufReader::new(MultiGzDecoder::new(source))),
        false => Dump::read(source),
    };
    let dump = dump.map_err(cannot)?;
    if dump.buffers.is_empty() {
        let what = match dump.lines {
            0 => "empty".to_owned(),
            lines => format!("no buffer found in {lines} lines"),
        };
        return Err(Failure::at(
            &name,
            format_args!(
                "{what}: expected what 'cat /sys/kernel/debug/dma_buf/bufinfo' prints (as root)"
            ),
        ));
    }
    let inspection = Inspection::of(&dump)?;
    if options.output.json {
        let told =
            serde_json::to_string_pretty(&inspection).map_err(|error| Failure::at(&name, error))?;
        output.line(told)?;
    } else {
        output.with(|out| inspection.to_text(&name, out))?;
    }
    output.flush()
}
