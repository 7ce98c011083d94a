//! Tables for people, to be pasted into a page.
//!
//! Of each case there is one table: a line for each subject, a column for each `n`. A cell is
//! `ns (ratio to the reference)`.

use super::Row;
use crate::cases::Case;
use crate::machine::Machine;
use crate::subjects::is_ours;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The whole text.
pub(crate) fn to_text(machine: &Machine, cases: &[Case], rows: &[Row]) -> String {
    let mut out = String::from("## Machine\n\n");
    for (name, value) in &machine.0 {
        let _ = writeln!(out, "- {name}: {value}");
    }
    out.push_str(METHOD);
    let mut told = BTreeSet::new();
    for case in cases {
        let head = &case.head;
        if told.insert((head.case.clone(), head.threads)) {
            let of_case = |row: &&Row| row.case == head.case && row.threads == head.threads;
            let rows: Vec<&Row> = rows.iter().filter(of_case).collect();
            if !rows.is_empty() {
                table(&mut out, &head.case, head.threads, head.reference, &rows);
            }
        }
    }
    losses(&mut out, rows);
    out
}

const METHOD: &str = "
## Method

Subjects take turns in one process, round by round. A time is the median over the rounds, in \
nanoseconds an operation; a ratio (`0.5x`) is the median of the ratios within a round, to the \
reference subject named above the table. `load` is an acquire load in a loop, `arc-clone` the clone \
and drop of an `Arc`. Compare ratios; times are of this machine in this hour.
";

fn table(out: &mut String, case: &str, threads: usize, reference: &str, rows: &[&Row]) {
    let sizes: BTreeSet<usize> = rows.iter().map(|row| row.n).collect();
    let _ = write!(out, "\n## {case}");
    if threads > 1 {
        let _ = write!(out, ", {threads} threads");
    }
    let _ = write!(out, "\n\nReference: `{reference}`.\n\n| subject |");
    for n in &sizes {
        let _ = write!(out, " n={n} |");
    }
    let _ = writeln!(out, "\n|---|{}", "---:|".repeat(sizes.len()));
    for subject in subjects(rows) {
        let _ = write!(out, "| `{subject}` |");
        for &n in &sizes {
            let row = rows.iter().find(|r| r.subject == subject && r.n == n);
            let _ = write!(out, " {} |", row.map_or(String::new(), |row| cell(row)));
        }
        out.push('\n');
    }
    floor_ratios(out, rows);
    percentiles(out, rows);
}

/// The subjects of some rows, in their order.
pub(super) fn subjects(rows: &[&Row]) -> Vec<&'static str> {
    let mut subjects = Vec::new();
    for row in rows {
        if !subjects.contains(&row.subject) {
            subjects.push(row.subject);
        }
    }
    subjects
}

fn cell(row: &Row) -> String {
    let mut text = String::new();
    if let Some(ns) = row.ns {
        text.push_str(&number(ns));
        if let Some(ratio) = row.vs_mutex {
            let _ = write!(text, " ({ratio:.2}x)");
        }
    }
    if let Some(bytes) = row.bytes {
        let _ = write!(text, "{bytes:.0} B");
    }
    if let Some(instructions) = row.instructions {
        let _ = write!(text, ", {instructions:.0} instr");
    }
    text
}

fn number(ns: f64) -> String {
    match ns {
        ..10.0 => format!("{ns:.2}"),
        ..100.0 => format!("{ns:.1}"),
        _ => format!("{ns:.0}"),
    }
}

/// Ours against the two floors.
fn floor_ratios(out: &mut String, rows: &[&Row]) {
    let ours = rows.iter().filter(|row| is_ours(row.subject));
    let with_floors: Vec<_> = ours
        .filter_map(|row| Some((row, row.vs_load?, row.vs_arc_clone?)))
        .collect();
    if with_floors.is_empty() {
        return;
    }
    out.push_str("\n| against the floors | n | load | arc-clone |\n|---|---:|---:|---:|\n");
    for (row, load, arc) in with_floors {
        let _ = writeln!(
            out,
            "| `{}` | {} | {load:.2}x | {arc:.2}x |",
            row.subject, row.n
        );
    }
}

/// The distribution of single operations, where they were timed.
fn percentiles(out: &mut String, rows: &[&Row]) {
    if rows.iter().all(|row| row.p50_ns.is_none()) {
        return;
    }
    out.push_str("\nSingle operations, the clock's own time included:\n\n");
    out.push_str("| subject | n | p50 | p99 | p99.9 |\n|---|---:|---:|---:|---:|\n");
    let cell = |ns: Option<f64>| ns.map_or("-".to_owned(), number);
    for row in rows.iter().filter(|row| row.p50_ns.is_some()) {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            row.subject,
            row.n,
            cell(row.p50_ns),
            cell(row.p99_ns),
            cell(row.p999_ns)
        );
    }
}

/// Every row of ours that is slower than the reference.
fn losses(out: &mut String, rows: &[Row]) {
    let lost = |row: &&Row| is_ours(row.subject) && row.vs_mutex.is_some_and(|ratio| ratio > 1.0);
    let mut lost: Vec<&Row> = rows.iter().filter(lost).collect();
    lost.sort_by(|a, b| f64::total_cmp(&b.vs_mutex.unwrap_or(0.0), &a.vs_mutex.unwrap_or(0.0)));
    out.push_str("\n## Where we lose\n\n");
    if lost.is_empty() {
        out.push_str("In none of these cases is one of ours slower than the reference.\n");
        return;
    }
    out.push_str(
        "Every case in which one of ours takes longer than the reference, worst first.\n\n",
    );
    out.push_str("| subject | case | n | threads | ns | ratio |\n|---|---|---:|---:|---:|---:|\n");
    for row in lost {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {:.2}x |",
            row.subject,
            row.case,
            row.n,
            row.threads,
            row.ns.map_or(String::new(), number),
            row.vs_mutex.unwrap_or(0.0)
        );
    }
}
