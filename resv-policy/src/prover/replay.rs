//! From a state back to the history that led to it, as a scenario.

use super::explore::{Cut, Explorer, Found};
use super::ops::{Op, Ops, Which};
use super::world::{Scratch, Sym, TAGS, World};
use crate::member::Machine;
use crate::query::Query;
use resv_core::Tag;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A fence that the history issues.
struct Issued {
    line: usize,
    has_signaled: bool,
    /// Which fences signal before it.
    after: Vec<usize>,
}

/// What was issued so far.
#[derive(Default)]
struct History {
    fences: Vec<Issued>,
    /// The fences of each timeline in order.
    lines: Vec<Vec<usize>>,
    steps: Vec<Step>,
}

/// A statement of the scenario; fences are numbers in [`History::fences`].
enum Step {
    Issue(usize),
    Add(usize, resv_core::Usage),
    Replace(usize, Option<(usize, resv_core::Usage)>),
    Copy,
    Signal(usize),
    File(usize, crate::Producer, bool, bool),
    Attach,
}

/// The scenario of the history that led to the state with this number.
pub(super) fn scenario(
    machines: &[Machine],
    ops: &Ops,
    found: &Found,
    state: u32,
    query: Query,
    names: (&str, &str),
) -> String {
    let machines: Vec<&Machine> = machines.iter().collect();
    let explorer = Explorer {
        machines: &machines,
        ops,
        queries: &[],
        slots: usize::MAX,
        lines: found.lines,
        duty: machines.len() > 2,
    };
    let mut path = Vec::new();
    let mut at = state as usize;
    while let Some((from, op)) = found.states[at].from {
        path.push((from as usize, op));
        at = from as usize;
    }
    let mut history = History {
        lines: vec![Vec::new(); found.lines],
        ..History::default()
    };
    let mut world = explorer.empty();
    world.read(found.lines, &machines, &found.states[at].text);
    let kinds = world.kinds.clone();
    // Which timeline of the scenario a timeline of the state is, and which fence a place is.
    let mut lines: Vec<usize> = (0..found.lines).collect();
    let mut places: BTreeMap<(u8, u8), usize> = BTreeMap::new();
    for (from, op) in path.into_iter().rev() {
        world.read(found.lines, &machines, &found.states[from].text);
        step(&explorer, &mut world, op, &lines, &mut places, &mut history);
        let mut scratch = Scratch::default();
        world.write(&machines, &mut scratch, &mut Vec::new());
        let renaming = scratch.renaming;
        let new_line = |old: u8| renaming.lines.iter().position(|&l| l == old);
        places = places
            .iter()
            .filter_map(|(&(line, place), &fence)| {
                let new_place = renaming.place(line, place)?;
                Some(((new_line(line)? as u8, 2 * new_place), fence))
            })
            .collect();
        lines = renaming
            .lines
            .iter()
            .map(|&old| lines[usize::from(old)])
            .collect();
    }
    world.read(found.lines, &machines, &found.states[state as usize].text);
    let waits = |side: usize| {
        let mut fences = Vec::new();
        machines[side].visit(&world.stores[side], query, &mut |fence: &Sym| {
            fences.extend(places.get(&(fence.line, fence.place)).copied());
        });
        fences.sort_unstable();
        fences.dedup();
        fences
    };
    let sides = [(names.0, waits(0)), (names.1, waits(1))];
    history.print(&kinds, query, &sides)
}

/// Plays one operation and notes what it was.
fn step(
    explorer: &Explorer<'_>,
    world: &mut World,
    op: Op,
    lines: &[usize],
    places: &mut BTreeMap<(u8, u8), usize>,
    history: &mut History,
) {
    let held = world.places();
    let mut cut = Cut::default();
    let fence = explorer.fence(world, op, &held, &mut cut);
    let fence = fence.unwrap_or(Sym::STUB);
    let in_order = !explorer.ops.out_of_order;
    let before = world.clone();
    explorer.apply(world, &before, op, &held, &mut cut);
    let superseded: Vec<usize> = match (before.stores.get(2), op) {
        (Some(old), Op::Add { .. } | Op::File { .. }) => {
            super::duty::dropped(old, &world.stores[2])
                .filter_map(|f| places.get(&(f.line, f.place)).copied())
                .collect()
        }
        _ => Vec::new(),
    };
    let mut issue = |line: u8, which: Which, history: &mut History| {
        if let Which::Again(place) = which
            && let Some(&known) = places.get(&(line, place))
        {
            history.fences[known].after.extend(&superseded);
            return known;
        }
        let number = history.fences.len();
        let line_number = lines[usize::from(line)];
        let order = &mut history.lines[line_number];
        let at = match which {
            Which::Before(place) => places
                .get(&(line, place))
                .and_then(|later| order.iter().position(|f| f == later)),
            _ => None,
        };
        order.insert(at.unwrap_or(order.len()), number);
        history.fences.push(Issued {
            line: line_number,
            has_signaled: false,
            after: superseded.clone(),
        });
        history.steps.push(Step::Issue(number));
        places.insert((fence.line, fence.place), number);
        number
    };
    let taken = match op {
        Op::Add { line, which, usage } => {
            let number = issue(line, which, history);
            Step::Add(number, usage)
        }
        Op::Replace { line, by } => {
            let new = by.map(|(by, usage)| (issue(by, Which::Next, history), usage));
            Step::Replace(lines[usize::from(line)], new)
        }
        Op::File {
            line,
            producer,
            attached,
            explicit,
        } => {
            let number = issue(line, Which::Next, history);
            Step::File(number, producer, attached, explicit)
        }
        Op::Copy => Step::Copy,
        Op::Attach => Step::Attach,
        Op::Signal { line, place } => {
            if let Some(&number) = places.get(&(line, place)) {
                history.signal(number, in_order);
            }
            return;
        }
    };
    history.steps.push(taken);
}

impl History {
    /// The fence signals, and before it what has to.
    fn signal(&mut self, fence: usize, in_order: bool) {
        let mut todo = vec![fence];
        while let Some(&fence) = todo.last() {
            let Issued {
                line,
                has_signaled,
                after,
            } = &self.fences[fence];
            if *has_signaled {
                todo.pop();
                continue;
            }
            let earlier = self.lines[*line].iter().take_while(|&&f| f != fence);
            let before = after.iter().chain(earlier.filter(|_| in_order));
            let is_pending = |f: &&usize| !self.fences[**f].has_signaled;
            let pending: Vec<usize> = before.filter(is_pending).copied().collect();
            // A circle cannot come about: no job would begin.
            let pending = pending.into_iter().find(|f| !todo.contains(f));
            match pending {
                Some(before) => todo.push(before),
                None => {
                    self.fences[fence].has_signaled = true;
                    self.steps.push(Step::Signal(fence));
                    todo.pop();
                }
            }
        }
    }

    fn seqno(&self, fence: usize) -> usize {
        let line = &self.lines[self.fences[fence].line];
        line.iter().position(|&f| f == fence).map_or(0, |at| at + 1)
    }

    fn name(&self, fence: usize) -> String {
        format!("{}{}", letter(self.fences[fence].line), self.seqno(fence))
    }

    fn print(&self, kinds: &[u8], query: Query, sides: &[(&str, Vec<usize>)]) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.print_to(&mut out, kinds, query, sides);
        out
    }

    fn print_to(
        &self,
        out: &mut String,
        kinds: &[u8],
        query: Query,
        sides: &[(&str, Vec<usize>)],
    ) -> std::fmt::Result {
        for (line, kind) in kinds.iter().enumerate() {
            if !self.lines[line].is_empty() {
                writeln!(
                    out,
                    "timeline {}{}",
                    letter(line),
                    Tagged(TAGS[usize::from(*kind)])
                )?;
            }
        }
        writeln!(out, "resv fb")?;
        let mut greatest = vec![0; kinds.len()];
        let mut has_stub = false;
        for step in &self.steps {
            match step {
                Step::Issue(fence) => {
                    let (line, seqno) = (self.fences[*fence].line, self.seqno(*fence));
                    write!(out, "fence {} {}", self.name(*fence), letter(line))?;
                    if seqno != greatest[line] + 1 {
                        write!(out, " {seqno}")?;
                    }
                    writeln!(out)?;
                    greatest[line] = greatest[line].max(seqno);
                }
                Step::Add(fence, usage) => writeln!(out, "add fb {} {usage}", self.name(*fence))?,
                Step::Replace(line, Some((fence, usage))) => {
                    writeln!(
                        out,
                        "replace fb {} {} {usage}",
                        letter(*line),
                        self.name(*fence)
                    )?;
                }
                Step::Replace(line, None) => {
                    if !std::mem::replace(&mut has_stub, true) {
                        writeln!(out, "timeline stub\nfence stub stub\nsignal stub")?;
                    }
                    writeln!(out, "replace fb {} stub bookkeep", letter(*line))?;
                }
                Step::Copy => writeln!(out, "copy fb fb")?,
                Step::Attach => writeln!(out, "attach fb")?,
                Step::Signal(fence) => writeln!(out, "signal {}", self.name(*fence))?,
                Step::File(fence, producer, attached, explicit) => {
                    write!(out, "file fb {producer} {}", self.name(*fence))?;
                    let words = [(attached, " attached"), (explicit, " explicit")];
                    for (_, word) in words.iter().filter(|(is_so, _)| **is_so) {
                        out.push_str(word);
                    }
                    writeln!(out)?;
                }
            }
        }
        for (fence, issued) in self.fences.iter().enumerate() {
            if !issued.has_signaled && !issued.after.is_empty() {
                let after: Vec<String> = issued.after.iter().map(|&f| self.name(f)).collect();
                writeln!(
                    out,
                    "# the duty: {} signals after {}",
                    self.name(fence),
                    after.join(", ")
                )?;
            }
        }
        match query {
            Query::Access(access) => writeln!(out, "waits fb {access}")?,
            Query::Unmap => writeln!(out, "ask fb client:1 device 0 equal")?,
            Query::Compute => writeln!(out, "ask fb compute device 0 not-equal")?,
            Query::ComputeNoDevice => writeln!(out, "ask fb compute device - not-equal")?,
        }
        for (at, (name, waits)) in sides.iter().enumerate() {
            let side = ["expected", "actual"][at];
            write!(out, "# {side}, --semantics {name}:")?;
            let mut waits: Vec<(usize, usize)> = waits
                .iter()
                .map(|&f| (self.fences[f].line, self.seqno(f)))
                .collect();
            waits.sort_unstable();
            for (line, seqno) in &waits {
                write!(out, " {}:{seqno}", letter(*line))?;
            }
            writeln!(out, "{}", if waits.is_empty() { " -" } else { "" })?;
        }
        Ok(())
    }
}

fn letter(line: usize) -> char {
    (b'a' + line as u8) as char
}

/// The tag as words after `timeline NAME`.
struct Tagged(Tag);

impl std::fmt::Display for Tagged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == Tag::default() {
            return Ok(());
        }
        write!(f, " owner {}", self.0.owner())?;
        self.0
            .device()
            .map_or(Ok(()), |device| write!(f, " device {device}"))
    }
}
