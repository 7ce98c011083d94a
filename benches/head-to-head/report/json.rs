//! `{"machine": {...}, "cases": [ROW, ...]}`.

use super::Row;
use crate::failure::Failure;
use crate::machine::Machine;
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Document<'a> {
    machine: &'a Machine,
    cases: &'a [Row],
}

/// A file that is opened before anything is measured, and can be rewritten after each case.
pub(crate) struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    /// Opens the file; what it held before is kept until the first result is there.
    pub(crate) fn open(path: &Path) -> Result<Output, Failure> {
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(path);
        Ok(Output {
            path: path.to_owned(),
            file: file.map_err(|error| Failure::file("write", path, &error))?,
        })
    }

    /// Makes `text` all that the file holds.
    pub(crate) fn put(&mut self, text: &str) -> Result<(), Failure> {
        let rewritten = self.file.rewind().and_then(|()| {
            self.file.write_all(text.as_bytes())?;
            // A device or a pipe has no length to set.
            let is_file = self.file.metadata()?.is_file();
            if is_file {
                self.file.set_len(text.len() as u64)
            } else {
                Ok(())
            }
        });
        rewritten.map_err(|error| Failure::file("write", &self.path, &error))
    }
}

/// The document.
pub(crate) fn to_text(machine: &Machine, rows: &[Row]) -> String {
    let document = Document {
        machine,
        cases: rows,
    };
    let mut text = serde_json::to_string_pretty(&document).expect("rows are plain data");
    text.push('\n');
    text
}
