//! Tasks that look whether an object is busy, find that it is, and go on: programs that poll and never block.
//!
//! A compositor asks of a client's buffer whether it is ready, and draws the frame without it if not. No wait is recorded, and yet
//! a task waits: the frame. A recording of this project's library has the looks (`resv_busy`, `resv_waits_for`). A look that is
//! followed by neither a wait of the task nor an add in its transaction was a poll. The object was busy from the look until the
//! last fence that the access concerns and that had been added by then signalled.

use std::collections::{BTreeMap, HashMap};

use resv_api::{Access, SemanticsKind, Usage};

use super::recorded::{At, Polled, TaskWait};

/// A task looked at an object, and it was busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) task: Option<u32>,
    pub(super) resv: u64,
    pub(super) access: Access,
    pub(super) at: At,
    /// What it was told it used for an add.
    pub(super) is_used: bool,
}

/// A fence was added to an object, and when it signalled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) resv: u64,
    pub(super) usage: Usage,
    pub(super) at: At,
    pub(super) until_ns: u64,
}

/// The polls among the looks, by task, object and access. `waits` are in order of their beginnings.
pub(super) fn polls(
    mut looks: Vec<Look>,
    mut pending: Vec<Pending>,
    waits: &[TaskWait],
) -> Vec<Polled> {
    pending.sort_by_key(|one| one.at);
    // For each object and usage: when fences were added, and until when all up to there were pending.
    let mut busy: HashMap<(u64, Usage), Vec<(At, u64)>> = HashMap::new();
    for one in pending {
        let so_far = busy.entry((one.resv, one.usage)).or_default();
        let latest = so_far.last().map_or(0, |&(_, until)| until);
        so_far.push((one.at, one.until_ns.max(latest)));
    }
    let until = |look: &Look| {
        let matters = SemanticsKind::UsageLevels.waits_for(look.access);
        let usages = Usage::ALL
            .into_iter()
            .filter(|&usage| matters.contains(usage));
        let latest = usages.filter_map(|usage| {
            let so_far = busy.get(&(look.resv, usage))?;
            let before = so_far.partition_point(|&(at, _)| at <= look.at);
            Some(so_far[before.checked_sub(1)?].1)
        });
        latest.max().unwrap_or(0).max(look.at.time_ns)
    };
    let mut begins: HashMap<u32, Vec<u64>> = HashMap::new();
    for wait in waits {
        begins.entry(wait.pid).or_default().push(wait.begin_ns);
    }
    looks.sort_by_key(|look| (look.task, look.at));
    let mut found: BTreeMap<(Option<u32>, u64, Access), (Polled, u64)> = BTreeMap::new();
    for (place, look) in looks.iter().enumerate() {
        let next = looks.get(place + 1).filter(|next| next.task == look.task);
        let next_ns = next.map_or(u64::MAX, |next| next.at.time_ns);
        let own = look.task.and_then(|task| begins.get(&task));
        let blocked = own.is_some_and(|begins| {
            let first = begins.partition_point(|&begin| begin < look.at.time_ns);
            begins.get(first).is_some_and(|&begin| begin <= next_ns)
        });
        if look.is_used || blocked {
            continue;
        }
        let key = (look.task, look.resv, look.access);
        let (polled, covered) = found.entry(key).or_insert_with(|| {
            let polled = Polled {
                pid: look.task.unwrap_or(0),
                resv: look.resv,
                access: look.access,
                skipped: 0,
                busy_ns: 0,
            };
            (polled, 0)
        });
        let (from, until) = (look.at.time_ns, until(look));
        polled.skipped += 1;
        polled.busy_ns += until.saturating_sub(from.max(*covered));
        *covered = until.max(*covered);
    }
    let mut polls: Vec<Polled> = found.into_values().map(|(polled, _)| polled).collect();
    polls.sort_by_key(|polled| std::cmp::Reverse((polled.busy_ns, polled.skipped)));
    polls
}
