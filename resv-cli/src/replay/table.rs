//! Columns of text, and numbers as people read them.

use std::io::{self, Write};

/// A table whose first column, or more, is words and whose other columns are numbers.
pub(super) struct Table {
    indent: usize,
    left: usize,
    last_is_left: bool,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table: `indent` spaces before each row, the first `left` columns aligned to the left.
    pub(super) fn new(indent: usize, left: usize) -> Table {
        Table {
            indent,
            left,
            last_is_left: false,
            rows: Vec::new(),
        }
    }

    /// Aligns the last column to the left, too.
    pub(super) fn left_last(&mut self) {
        self.last_is_left = true;
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.map(String::len).max().unwrap_or(0)
            })
            .collect();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if at > 0 {
                    line.push_str("  ");
                }
                let is_last = at + 1 == columns;
                if at < self.left || (is_last && self.last_is_left) {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("{cell:>width$}"));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Milliseconds with three decimals.
pub(super) fn ms(ns: u64) -> String {
    let us = ns / 1000 + u64::from(ns % 1000 >= 500);
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

/// Milliseconds with three decimals and a sign.
pub(super) fn signed_ms(ns: i64) -> String {
    let sign = match ns.signum() {
        1 => "+",
        -1 => "-",
        _ => "",
    };
    format!("{sign}{}", ms(ns.unsigned_abs()))
}

/// A part of a whole as `12%`; `-` of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        whole => format!("{:.0}%", part as f64 * 100.0 / whole as f64),
    }
}

/// `1 job`, `2 jobs`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// Operations in a second, in millions.
pub(super) fn rate(ops_per_second: f64) -> String {
    format!("{:.2} M", ops_per_second / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(ms(0), "0.000 ms");
        assert_eq!(ms(1_234_567), "1.235 ms");
        assert_eq!(ms(u64::MAX), "18446744073709.552 ms");
        assert_eq!(signed_ms(-2_000_000), "-2.000 ms");
        assert_eq!(signed_ms(i64::MIN), "-9223372036854.776 ms");
        assert_eq!(counted(1, "job"), "1 job");
        assert_eq!(counted(0, "job"), "0 jobs");
        assert_eq!(rate(2_345_678.0), "2.35 M");
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(2, 1);
        table.row(["name".to_owned(), "n".to_owned()]);
        table.row(["a".to_owned(), "100".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("memory takes all");
        assert_eq!(String::from_utf8_lossy(&out), "  name    n\n  a     100\n");
    }
}
