//! The lines of the maps' tables, and the comparisons that show their classes.

use super::{Map, MapKind};
use crate::prover::Class;
use std::fmt::Write;

/// One line of a map's table.
#[derive(Debug)]
pub struct Row {
    /// The call of the driver.
    pub call: &'static str,
    /// What the map makes of it.
    pub becomes: &'static str,
    /// The class.
    pub class: Class,
    /// Why, or under which condition.
    pub why: &'static str,
    /// The comparisons that show it.
    pub claims: &'static [Claim],
}

/// The class that a comparison comes to.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The member that says what is expected.
    pub expected: &'static str,
    /// The member that is compared with it.
    pub actual: &'static str,
    /// The operations.
    pub ops: &'static str,
    /// The access.
    pub query: &'static str,
    /// The semantics whose duty jobs keep.
    pub duty: Option<&'static str>,
    /// What it comes to.
    pub class: Class,
}

pub(super) const fn claim(
    expected: &'static str,
    actual: &'static str,
    ops: &'static str,
    query: &'static str,
    class: Class,
) -> Claim {
    Claim {
        expected,
        actual,
        ops,
        query,
        duty: None,
        class,
    }
}

impl Claim {
    pub(super) const fn with_duty(mut self, semantics: &'static str) -> Claim {
        self.duty = Some(semantics);
        self
    }

    /// The command that shows the claim.
    pub fn command(&self) -> String {
        let Claim {
            expected,
            actual,
            ops,
            query,
            ..
        } = self;
        let duty = self.duty.map_or(String::new(), |d| format!(" --duty {d}"));
        format!("resv compare {expected} {actual} --ops {ops} --access {query}{duty}")
    }
}

/// The tables of all maps, as Markdown.
pub fn tables() -> String {
    let mut out = String::new();
    for (at, map) in MapKind::ALL.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write_table(&mut out, *map, at > 0);
    }
    out
}

fn write_table(out: &mut String, map: MapKind, spaced: bool) -> std::fmt::Result {
    if spaced {
        writeln!(out)?;
    }
    writeln!(
        out,
        "### {}, for a driver of {}\n",
        map.name(),
        map.source()
    )?;
    writeln!(out, "| call | becomes | class | why | shown by |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for row in map.rows() {
        let commands: Vec<String> = row
            .claims
            .iter()
            .map(|c| format!("`{}`: {}", c.command(), c.class))
            .collect();
        writeln!(
            out,
            "| {} | {} | **{}** | {} | {} |",
            row.call,
            row.becomes,
            row.class,
            row.why,
            commands.join("; ")
        )?;
    }
    Ok(())
}
