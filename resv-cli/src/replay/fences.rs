//! From `dma_fence` events to fences with their moments, the names of their timelines, and the waits of tasks.
//!
//! # Names
//!
//! Since Linux 6.17 what comes after a fence's signal prints `driver=detached-driver timeline=signaled-timeline`. So a
//! context is named after the first event that says otherwise: its init, emit or signal.
//!
//! # Numbers
//!
//! Some drivers (virtio-gpu) make a fence with seqno 0 and give it its number when they emit it. Such an init belongs to the
//! next emit on its context, by the same task if there is one, that has no init of its own.

use std::collections::{HashMap, HashSet};

use super::names::Names;
use super::recorded::{At, ContextName, Ended, FenceInfo};
use crate::recording::{FenceEvent, FenceStep};

/// Among so many fences of a context, made last and not yet emitted, that of the same task is looked for.
const MOST_BETWEEN: usize = 16;
/// What Linux prints for a fence that has signalled.
const DETACHED: (&str, &str) = ("detached-driver", "signaled-timeline");
/// A signal is printed after it has happened: a task that polls may be through with its wait by then.
const PRINTED_LATE_NS: u64 = 10_000;
/// A wait for a fence of which nothing else is recorded: a shorter one found it signalled.
const AT_ONCE_NS: u64 = 1_000_000;

/// The moments of one fence.
#[derive(Clone, Copy, Debug)]
pub(super) struct FenceRecord {
    pub(super) context: u32,
    pub(super) seqno: u32,
    /// Signals that are recorded of it: more than one where numbers come again modulo 2^32.
    pub(super) signals: u32,
    /// The task that emitted it.
    emit_pid: u32,
    pub(super) init: At,
    pub(super) emit: At,
    pub(super) signaled: At,
}

/// What is known of one context.
#[derive(Clone, Copy, Debug)]
struct Context {
    driver: u32,
    timeline: u32,
    is_named: bool,
    emits: bool,
}

/// A task began or ended a wait.
#[derive(Clone, Copy, Debug)]
struct WaitStep {
    at: At,
    task: u32,
    pid: u32,
    context: u32,
    seqno: u32,
    is_start: bool,
}

/// A wait whose two ends have been found.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairedWait {
    pub(super) task: u32,
    pub(super) pid: u32,
    pub(super) context: u32,
    pub(super) seqno: u32,
    pub(super) begin: At,
    pub(super) end: Option<At>,
}

/// All fences of a recording.
#[derive(Debug, Default)]
pub(super) struct FenceTable {
    pub(super) records: Vec<FenceRecord>,
    index: HashMap<(u32, u32), u32>,
    contexts: HashMap<u32, Context>,
    unnumbered: Vec<(u32, u32, At)>,
    waits: Vec<WaitStep>,
    pub(super) names: Names,
    pub(super) tasks: Names,
}

impl FenceTable {
    /// How much is kept.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.unnumbered.len() + self.waits.len()
    }

    pub(super) fn take(&mut self, event: &FenceEvent, at: At, task: &str, pid: u32) {
        let (context, seqno) = (event.context as u32, event.seqno as u32);
        self.name(context, event);
        match event.step {
            FenceStep::Init if seqno == 0 => self.unnumbered.push((context, pid, at)),
            FenceStep::Init => {
                let record = self.record(context, seqno);
                record.init = record.init.min(at);
            }
            FenceStep::Emit => {
                let record = self.record(context, seqno);
                if at < record.emit {
                    (record.emit, record.emit_pid) = (at, pid);
                }
                if let Some(known) = self.contexts.get_mut(&context) {
                    known.emits = true;
                }
            }
            FenceStep::Signaled => {
                let record = self.record(context, seqno);
                record.signaled = record.signaled.min(at);
                record.signals += 1;
            }
            FenceStep::WaitStart | FenceStep::WaitEnd => {
                let step = WaitStep {
                    at,
                    task: self.tasks.number(task),
                    pid,
                    context,
                    seqno,
                    is_start: event.step == FenceStep::WaitStart,
                };
                self.waits.push(step);
            }
            FenceStep::EnableSignal | FenceStep::Destroy => {}
        }
    }

    fn name(&mut self, context: u32, event: &FenceEvent) {
        let known = self.contexts.get(&context);
        let is_detached = event.driver == DETACHED.0 || event.timeline == DETACHED.1;
        if known.is_some_and(|known| known.is_named || is_detached) {
            return;
        }
        let (driver, timeline) = match is_detached {
            true => ("", ""),
            false => (event.driver.as_str(), event.timeline.as_str()),
        };
        let named = Context {
            driver: self.names.number(driver),
            timeline: self.names.number(timeline),
            is_named: !is_detached,
            emits: known.is_some_and(|known| known.emits),
        };
        self.contexts.insert(context, named);
    }

    fn record(&mut self, context: u32, seqno: u32) -> &mut FenceRecord {
        let next = self.records.len() as u32;
        let place = *self.index.entry((context, seqno)).or_insert(next);
        if place == next {
            self.records.push(FenceRecord {
                context,
                seqno,
                signals: 0,
                emit_pid: 0,
                init: At::NONE,
                emit: At::NONE,
                signaled: At::NONE,
            });
        }
        &mut self.records[place as usize]
    }

    pub(super) fn find(&self, context: u32, seqno: u32) -> Option<&FenceRecord> {
        let &place = self.index.get(&(context, seqno))?;
        self.records.get(place as usize)
    }

    /// The number in [`FenceTable::names`] of a context's timeline.
    pub(super) fn timeline(&self, context: u32) -> Option<u32> {
        self.contexts.get(&context).map(|known| known.timeline)
    }

    pub(super) fn driver(&self, context: u32) -> &str {
        let known = self.contexts.get(&context);
        known.map_or("", |known| self.names.name(known.driver))
    }

    pub(super) fn context_names(&self) -> HashMap<u32, ContextName> {
        let name = |number| readable(self.names.name(number));
        let named = self.contexts.iter().map(|(&context, known)| {
            let name = ContextName {
                driver: name(known.driver),
                timeline: name(known.timeline),
            };
            (context, name)
        });
        named.collect()
    }

    /// When the work of a fence began.
    pub(super) fn begin(&self, record: &FenceRecord) -> At {
        match self.contexts.get(&record.context) {
            Some(known) if known.emits => record.emit,
            _ => record.init,
        }
    }

    /// Gives the fences that were made with seqno 0 their numbers; says how many have none.
    pub(super) fn number_fences(&mut self) -> u64 {
        let made = std::mem::take(&mut self.unnumbered);
        let contexts: HashSet<u32> = made.iter().map(|&(context, ..)| context).collect();
        // In order of time: what was made, as `Err`, and what was emitted without having been made, as `Ok`.
        let mut moments: Vec<(At, Result<u32, usize>)> = made
            .iter()
            .enumerate()
            .map(|(place, &(.., at))| (at, Err(place)))
            .collect();
        for (place, record) in (0..).zip(&self.records) {
            if record.emit != At::NONE
                && record.init == At::NONE
                && contexts.contains(&record.context)
            {
                moments.push((record.emit, Ok(place)));
            }
        }
        moments.sort_unstable_by_key(|&(at, _)| at);
        let mut waiting: HashMap<u32, Vec<(u32, At)>> = HashMap::new();
        for (at, what) in moments {
            match what {
                Err(place) => {
                    let (context, pid, _) = made[place];
                    waiting.entry(context).or_default().push((pid, at));
                }
                Ok(place) => {
                    let record = &mut self.records[place as usize];
                    let Some(made) = waiting.get_mut(&record.context) else {
                        continue;
                    };
                    let mut recent = made.iter().enumerate().rev().take(MOST_BETWEEN);
                    let own = recent.find(|(_, (pid, _))| *pid == record.emit_pid);
                    let taken = match own.map(|(at, _)| at) {
                        Some(own) => Some(made.remove(own)),
                        None => made.pop(),
                    };
                    if let Some((_, at)) = taken {
                        record.init = at;
                    }
                }
            }
        }
        let seen: HashSet<u32> = self.records.iter().map(|record| record.context).collect();
        let mut without = 0;
        for (context, made) in waiting {
            // A fence that signalled with seqno 0, or whose context shows no other number that it may have got.
            let is_zero = self.index.contains_key(&(context, 0))
                || (!seen.contains(&context) && made.len() == 1);
            match made.first() {
                Some(&(_, at)) if is_zero => {
                    let record = self.record(context, 0);
                    record.init = record.init.min(at);
                    without += made.len() as u64 - 1;
                }
                _ => without += made.len() as u64,
            }
        }
        without
    }

    /// Pairs the ends of waits with their beginnings; says how many ends have none. By beginning.
    pub(super) fn pair_waits(&mut self) -> (Vec<PairedWait>, u64) {
        let mut steps = std::mem::take(&mut self.waits);
        steps.sort_unstable_by_key(|step| step.at);
        let mut open: HashMap<(u32, u32, u32), usize> = HashMap::new();
        let mut waits: Vec<PairedWait> = Vec::new();
        let mut cut = 0;
        for step in steps {
            let key = (step.pid, step.context, step.seqno);
            if step.is_start {
                open.insert(key, waits.len());
                waits.push(PairedWait {
                    task: step.task,
                    pid: step.pid,
                    context: step.context,
                    seqno: step.seqno,
                    begin: step.at,
                    end: None,
                });
            } else if let Some(place) = open.remove(&key) {
                waits[place].end = Some(step.at);
            } else {
                cut += 1;
            }
        }
        (waits, cut)
    }
}

/// How a wait ended. `signaled_ns` is when its fence signalled, `is_seen` whether anything was seen of the fence before the
/// wait, `any_signals` whether the recording has signals at all.
pub(super) fn ended(
    wait: &PairedWait,
    signaled_ns: Option<u64>,
    is_seen: bool,
    any_signals: bool,
) -> Ended {
    let Some(end) = wait.end else {
        return Ended::Open;
    };
    let is_signaled = match signaled_ns {
        Some(signaled) => signaled <= end.time_ns.saturating_add(PRINTED_LATE_NS),
        None if !any_signals => true,
        // It may have signalled before the recording began: then the wait was over at once.
        None => !is_seen && end.time_ns.saturating_sub(wait.begin.time_ns) < AT_ONCE_NS,
    };
    match is_signaled {
        true => Ended::Signaled,
        false => Ended::TimedOut,
    }
}

/// The fences in the order of contexts, as first mentioned, and seqnos; each with what it cost.
pub(super) fn infos(
    table: &FenceTable,
    mut places: Vec<u32>,
    watchdogs: &HashMap<u64, &'static str>,
) -> (Vec<FenceInfo>, HashMap<(u32, u32), u32>) {
    let record = |place: u32| &table.records[place as usize];
    let mut first: HashMap<u32, (u32, u32)> = HashMap::new();
    for &place in &places {
        let record = record(place);
        first.entry(record.context).or_insert((place, record.seqno));
    }
    places.sort_unstable_by_key(|&place| {
        let record = record(place);
        let (order, base) = first.get(&record.context).copied().unwrap_or_default();
        (order, record.seqno.wrapping_sub(base).cast_signed())
    });
    let mut infos: Vec<FenceInfo> = Vec::with_capacity(places.len());
    let mut index = HashMap::with_capacity(places.len());
    for of_context in places.chunk_by(|&a, &b| record(a).context == record(b).context) {
        let mut ends: Vec<(At, u32)> = Vec::with_capacity(of_context.len());
        for &place in of_context {
            let record = record(place);
            index.insert((record.context, record.seqno), infos.len() as u32);
            if record.signaled != At::NONE {
                ends.push((record.signaled, infos.len() as u32));
            }
            infos.push(FenceInfo {
                context: record.context,
                seqno: record.seqno,
                init_ns: record.init.ns(),
                emit_ns: record.emit.ns(),
                signaled_ns: record.signaled.ns(),
                begin_ns: table.begin(record).ns(),
                busy_ns: None,
                watchdog: record
                    .signaled
                    .known()
                    .and_then(|at| watchdogs.get(&at.line).copied()),
            });
        }
        ends.sort_unstable();
        let mut before = 0;
        for (end, place) in ends {
            let info = &mut infos[place as usize];
            if let Some(begin) = info.begin_ns {
                info.busy_ns = Some(end.time_ns.saturating_sub(begin.max(before)));
            }
            before = end.time_ns;
        }
    }
    (infos, index)
}

/// The longest name of a timeline or task that is shown.
const MAX_SHOWN: usize = 40;

/// A name that keeps columns straight: printable ASCII without spaces, and not too long.
pub(super) fn readable(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    name.trim().chars().take(MAX_SHOWN).map(plain).collect()
}
