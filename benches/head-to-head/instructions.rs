//! Figures of `scripts/instructions`: a line each, `CASE,N,SUBJECT,INSTRUCTIONS`.

use crate::failure::Failure;
use crate::report::Row;
use std::collections::HashMap;
use std::path::Path;

/// Instructions an operation, by case, n and subject.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Instructions(HashMap<(String, usize, String), f64>);

impl Instructions {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Instructions, Failure> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::file("read", path, &error))?;
        Self::parse(&text)
            .map_err(|(line, why)| Failure::new(format!("{}:{line}: {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Instructions, (usize, String)> {
        let mut figures = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let wrong = || {
                (
                    at + 1,
                    format!("'{line}' is not CASE,N,SUBJECT,INSTRUCTIONS"),
                )
            };
            let parts: Vec<&str> = line.split(',').collect();
            let [case, n, subject, count] = parts[..] else {
                return Err(wrong());
            };
            let n = n.parse().map_err(|_| wrong())?;
            let count = count.parse().map_err(|_| wrong())?;
            figures.insert((case.to_owned(), n, subject.to_owned()), count);
        }
        Ok(Instructions(figures))
    }

    /// Puts the figures into the rows that they are about: those of one thread.
    pub(crate) fn merge(&self, rows: &mut [Row]) {
        for row in rows.iter_mut().filter(|row| row.threads == 1) {
            let key = (row.case.clone(), row.n, row.subject.to_owned());
            row.instructions = self.0.get(&key).copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_case_a_number_a_subject_and_a_count() {
        let read = Instructions::parse("visit,4,seqcount,31.5\nvisit,4,load,3\n");
        let key = ("visit".to_owned(), 4, "seqcount".to_owned());
        assert_eq!(read.expect("is well formed").0[&key], 31.5);
        let bad = Instructions::parse("visit,4,load,3\nvisit,4,load\n");
        assert_eq!(bad.expect_err("a part is missing").0, 2);
    }
}
