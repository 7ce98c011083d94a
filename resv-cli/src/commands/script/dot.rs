//! `resv script --dot`: which fences wait for which in a scenario, as a graph.
//!
//! A fence is a node. A job that adds its fence to an object waits for what is in the object then, as the
//! usage says: a job that reads asks as a reader, one that writes as a writer, memory management as a
//! mover, and what is bookkeeping as an explicit job. Each such wait is an edge, named after object and
//! access. A query is a box with edges to what it was told. Fences of a timeline stand in a box and in
//! order; those that have signalled by the end are grey, points are dashed.

use crate::failure::Failure;
use crate::text::Lines;
use resv_conformance::scenario::{
    FenceLabel, Name, Runner, ScenarioError, Statement, Value, parse_line,
};
use resv_core::{Access, Usage};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::io::BufRead;

/// What is drawn.
#[derive(Default)]
struct Graph {
    /// The fences of each timeline by seqno, with their names.
    timelines: Vec<(Name, BTreeMap<u64, Drawn>)>,
    /// Where each name was declared.
    fences: HashMap<Name, (usize, u64)>,
    edges: Vec<String>,
}

struct Drawn {
    name: Name,
    is_point: bool,
}

/// Plays the scenario and draws it.
///
/// # Errors
///
/// On a wrong line; nothing is drawn then.
pub(super) fn draw(
    name: &str,
    source: impl BufRead,
    runner: &mut Runner,
) -> Result<String, Failure> {
    let mut lines = Lines::new(name, source);
    let mut graph = Graph::default();
    while let Some((number, line)) = lines.next_line()? {
        let wrong =
            |error: ScenarioError| Failure::at(format_args!("{name}:{number}"), error.message());
        let Some(statement) = parse_line(number, line).map_err(wrong)? else {
            continue;
        };
        if let Statement::Add { resv, edits } = &statement {
            for (fence, usage) in edits {
                graph.add(runner, number, resv, fence, *usage);
            }
        }
        let answer = runner.step(number, &statement).map_err(wrong)?;
        graph.declare(&statement);
        if let Some(Value::Waits(waits)) = answer.map(|answer| answer.value) {
            graph.query(number, &statement, &waits);
        }
    }
    let mut signaled = |fence: &Name| {
        let status = Statement::Status {
            fence: fence.clone(),
        };
        let answer = runner.step(0, &status).ok().flatten();
        answer.is_some_and(|answer| answer.value.to_string() != "pending")
    };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = graph.write(&mut out, &mut signaled);
    Ok(out)
}

impl Graph {
    fn declare(&mut self, statement: &Statement) {
        let (name, timeline, seqno, is_point) = match statement {
            Statement::Timeline { name, .. } => {
                self.timelines.push((name.clone(), BTreeMap::new()));
                return;
            }
            Statement::Fence {
                name,
                timeline,
                seqno,
            } => (name, timeline, *seqno, false),
            Statement::Lazy { name, timeline } => (name, timeline, None, false),
            Statement::Point {
                name,
                timeline,
                seqno,
            } => (name, timeline, Some(*seqno), true),
            _ => return,
        };
        let Some(at) = self.timelines.iter().position(|(t, _)| t == timeline) else {
            return;
        };
        let fences = &mut self.timelines[at].1;
        let greatest = fences
            .iter()
            .filter(|(_, drawn)| !drawn.is_point)
            .map(|(s, _)| *s)
            .max();
        let seqno = seqno.unwrap_or(greatest.unwrap_or(0) + 1);
        let name = name.clone();
        self.fences.insert(name.clone(), (at, seqno));
        // A point and the fence that is issued for its place are one node, under the fence's name.
        if !is_point || !fences.contains_key(&seqno) {
            fences.insert(seqno, Drawn { name, is_point });
        }
    }

    /// The edges of a job that is about to add its fence.
    fn add(&mut self, runner: &mut Runner, line: usize, resv: &Name, fence: &Name, usage: Usage) {
        let access = match usage {
            Usage::Kernel => Access::Move,
            Usage::Write => Access::Write,
            Usage::Read => Access::Read,
            Usage::Bookkeep => Access::Explicit,
        };
        let resv = resv.clone();
        let query = Statement::Waits { resv, access };
        // A wrong name is reported when the statement itself is played.
        let Ok(Some(answer)) = runner.step(line, &query) else {
            return;
        };
        let (Value::Waits(waits), Some(&(at, seqno))) = (answer.value, self.fences.get(fence))
        else {
            return;
        };
        let own = node(&self.timelines[at].0, seqno);
        for label in waits {
            let other = node(&label.timeline, label.seqno);
            if other != own {
                let Statement::Waits { resv, access } = &query else {
                    continue;
                };
                let told = quoted(&format!("{resv} {access}"));
                self.edges.push(format!("{own} -> {other} [label={told}]"));
            }
        }
    }

    fn query(&mut self, line: usize, statement: &Statement, waits: &[FenceLabel]) {
        let told = quoted(&format!("{line}: {statement}"));
        self.edges
            .push(format!("q{line} [shape=box, label={told}]"));
        for label in waits {
            let other = node(&label.timeline, label.seqno);
            self.edges.push(format!("q{line} -> {other}"));
        }
    }

    fn write(
        &self,
        out: &mut String,
        signaled: &mut impl FnMut(&Name) -> bool,
    ) -> std::fmt::Result {
        writeln!(
            out,
            "digraph scenario {{\n  rankdir=RL;\n  node [shape=ellipse];"
        )?;
        for (at, (timeline, fences)) in self.timelines.iter().enumerate() {
            writeln!(out, "  subgraph cluster_{at} {{")?;
            writeln!(out, "    label={};", quoted(timeline.as_str()))?;
            for (seqno, drawn) in fences {
                let told = quoted(&format!("{} ({timeline}:{seqno})", drawn.name));
                let style = match (signaled(&drawn.name), drawn.is_point) {
                    (true, _) => ", style=filled, fillcolor=lightgrey",
                    (false, true) => ", style=dashed",
                    (false, false) => "",
                };
                writeln!(out, "    {} [label={told}{style}];", node(timeline, *seqno))?;
            }
            let order: Vec<&u64> = fences.keys().collect();
            for pair in order.windows(2) {
                let (earlier, later) = (node(timeline, *pair[0]), node(timeline, *pair[1]));
                writeln!(
                    out,
                    "    {later} -> {earlier} [style=dotted, arrowhead=none];"
                )?;
            }
            writeln!(out, "  }}")?;
        }
        for edge in &self.edges {
            writeln!(out, "  {edge};")?;
        }
        writeln!(out, "}}")
    }
}

fn node(timeline: &Name, seqno: u64) -> String {
    quoted(&format!("{timeline}:{seqno}"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
