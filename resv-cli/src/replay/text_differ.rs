//! What differs, and how a stress run went, as text.

use std::io::{self, Write};

use super::differ::{BackendDiff, Group, SemanticsDiff, Side};
use super::stress::StressReport;
use super::table::{Table, counted, ms, rate, signed_ms};

/// How many examples are shown for each reason.
const EXAMPLES_SHOWN: usize = 2;

impl SemanticsDiff {
    /// Writes what changes, for people.
    ///
    /// # Errors
    /// As the writer.
    pub fn to_text(&self, out: &mut impl Write) -> io::Result<()> {
        let (a, b) = (&self.a, &self.b);
        writeln!(
            out,
            "DIFFERENCE  {} -> {}  (only the semantics changes; back end {})",
            a.semantics, b.semantics, self.backend
        )?;
        writeln!(
            out,
            "  edges from objects {} -> {} ({} in both), lost {} -> {}, missed {} -> {}, needless {} -> {}",
            a.from_objects,
            b.from_objects,
            self.common,
            a.lost,
            b.lost,
            a.missed,
            b.missed,
            a.needless,
            b.needless
        )?;
        writeln!(
            out,
            "  stall, sum over jobs {} -> {} ({})",
            ms(a.stall_ns),
            ms(b.stall_ns),
            signed_ms(self.stall_change_ns)
        )?;
        if a.only_here + b.only_here == 0 {
            return writeln!(out, "  every edge is the same");
        }
        side(a, out)?;
        side(b, out)
    }

    /// The difference as a JSON document.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

fn side(side: &Side, out: &mut impl Write) -> io::Result<()> {
    for group in &side.groups {
        reason(side, group, out)?;
    }
    Ok(())
}

fn reason(side: &Side, group: &Group, out: &mut impl Write) -> io::Result<()> {
    let edges = counted(group.edges, "edge");
    let semantics = &side.semantics;
    writeln!(out, "  {edges} only in {semantics}: {}", group.reason)?;
    let notes = [
        (
            group.followed_anyway,
            "in order all the same, through other edges",
        ),
        (group.recorded, "recorded, whatever the objects say"),
    ];
    let notes: Vec<String> = notes
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, note)| format!("{count} {note}"))
        .collect();
    if !notes.is_empty() {
        writeln!(out, "    of them {}", notes.join("; "))?;
    }
    for example in group.examples.iter().take(EXAMPLES_SHOWN) {
        writeln!(out, "    {:>11}  {example}", ms(example.at_ns))?;
    }
    Ok(())
}

impl BackendDiff {
    /// Writes what changes, for people.
    ///
    /// # Errors
    /// As the writer.
    pub fn to_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "DIFFERENCE  {} -> {}  (only the back end changes; semantics {})",
            self.a, self.b, self.semantics
        )?;
        let mut table = Table::new(2, 1);
        let heads = ["", &self.a, &self.b];
        table.row(heads.map(str::to_owned));
        let numbers = |name: &str, values: [u64; 2]| {
            let [a, b] = values;
            [name.to_owned(), a.to_string(), b.to_string()]
        };
        let texts = |name: &str, values: &[String; 2]| {
            let [a, b] = values.clone();
            [name.to_owned(), a, b]
        };
        table.row(numbers("edges", self.edges));
        table.row(texts("edges digest", &self.edges_digest));
        table.row(texts("answers digest", &self.answers_digest));
        table.row(numbers("lost", self.lost));
        table.row(texts("stall, sum", &self.stall_ns.map(ms)));
        table.row(texts("ops/s", &self.ops_per_second.map(rate)));
        table.write(out)?;
        match &self.first_difference {
            None => writeln!(
                out,
                "  Nothing changes: {} compared one by one, all the same.",
                counted(self.answers, "answer")
            ),
            Some(first) => {
                writeln!(
                    out,
                    "  NOT THE SAME: answer {} of {}, at the submission of {}: {}",
                    first.answer, self.answers, first.job, first.question
                )?;
                writeln!(out, "    {}: {}", self.a, first.a)?;
                writeln!(out, "    {}: {}", self.b, first.b)
            }
        }
    }

    /// The difference as a JSON document.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

impl StressReport {
    /// Writes the outcome, for people.
    ///
    /// # Errors
    /// As the writer.
    pub fn to_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "STRESS  {} on {}: {} on {}, {}",
            self.semantics,
            self.backend,
            if self.passed() { "passed" } else { "FAILED" },
            counted(self.threads as u64, "thread"),
            counted(self.rounds, "round")
        )?;
        writeln!(
            out,
            "  {} operations, {} ops/s, {}, {}, peak garbage {}",
            self.operations,
            rate(self.ops_per_second),
            counted(self.retries, "retry").replace("retrys", "retries"),
            counted(self.fallbacks, "fallback"),
            self.peak_garbage
        )?;
        for failure in &self.failures {
            writeln!(out, "  {failure}")?;
        }
        match self
            .failed_checks
            .saturating_sub(self.failures.len() as u64)
        {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more"),
        }
    }

    /// The outcome as a JSON document.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}
