//! The orders in which locks were taken that no context orders.
//!
//! A graph: an edge from A to B says that a thread held A and waited, or might have waited, for B.
//! A cycle is a deadlock that needs only the right moment, unless one lock is held over all of its
//! edges: a gate, which one thread passes at a time. So an edge remembers what was held each time
//! it was seen.
//!
//! Nodes are locks by number, never reused, and a lock that dies is taken out.

use super::held::HeldLock;
use super::report::Place;
use super::thread;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many edges are kept. Others are checked against these and forgotten.
const MAX_EDGES: usize = 4096;
/// A thread that holds more locks learns no order: each may be a gate, and is looked at with each edge.
const MAX_HELD: usize = 64;

/// How the locks of an edge were taken when it was seen first.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub(super) held: Place,
    pub(super) wanted: Place,
}

/// Shared by the edges of one lock.
type Gates = Arc<BTreeSet<u64>>;

struct Edge {
    taken: Taken,
    /// Locks that were held every time.
    gates: Gates,
}

#[derive(Default)]
pub(super) struct Graph {
    edges: BTreeMap<(u64, u64), Edge>,
    /// The locks of edges, so that others are forgotten without a look at the edges.
    locks: BTreeSet<u64>,
}

impl Graph {
    /// Notes that `wanted` is waited for at `place` with `held` held. Returns, for each cycle that
    /// this closes, how the locks were taken the other way round: the edge out of `wanted` and the
    /// one that comes back to what is held here, which are one for a cycle of two.
    pub(super) fn learn(
        &mut self,
        held: &[HeldLock],
        context: Option<u64>,
        wanted: u64,
        place: Place,
    ) -> Vec<(HeldLock, Taken, Taken)> {
        let mut found = Vec::new();
        let gates: Gates = Arc::new(held.iter().map(|held| held.lock).collect());
        for &from in held {
            if from.is_ordered_by(context) || from.lock == wanted {
                continue;
            }
            let Some(gates) = self.note(from, wanted, place, &gates) else {
                continue;
            };
            if let Some((out, back)) = self.way(wanted, from.lock, &gates) {
                found.push((from, out, back));
            }
        }
        found
    }

    /// Notes one edge; returns its gates if they are news.
    fn note(&mut self, from: HeldLock, wanted: u64, place: Place, gates: &Gates) -> Option<Gates> {
        let key = (from.lock, wanted);
        if let Some(edge) = self.edges.get_mut(&key) {
            if edge.gates.is_subset(gates) {
                return None;
            }
            edge.gates = Arc::new(&*edge.gates & &**gates);
            return Some(Arc::clone(&edge.gates));
        }
        if self.edges.len() < MAX_EDGES {
            let taken = Taken {
                held: from.place,
                wanted: place,
            };
            let gates = Arc::clone(gates);
            self.edges.insert(key, Edge { taken, gates });
            self.locks.extend([key.0, key.1]);
        }
        Some(Arc::clone(gates))
    }

    /// A way from one lock to another that shares no gate with `gates`: its first and last edge.
    /// Each lock is passed once, so a way may be missed and none is made up.
    fn way(&self, from: u64, to: u64, gates: &BTreeSet<u64>) -> Option<(Taken, Taken)> {
        let mut seen = BTreeSet::from([from]);
        let mut todo = vec![(from, gates.clone(), None::<Taken>)];
        while let Some((at, gates, out)) = todo.pop() {
            for (&(_, next), edge) in self.edges.range((at, 0)..=(at, u64::MAX)) {
                let gates: BTreeSet<u64> = gates.intersection(&edge.gates).copied().collect();
                let out = out.unwrap_or(edge.taken);
                if next == to {
                    if gates.is_empty() {
                        return Some((out, edge.taken));
                    }
                } else if seen.insert(next) {
                    todo.push((next, gates, Some(out)));
                }
            }
        }
        None
    }

    /// The lock is gone.
    pub(super) fn forget(&mut self, lock: u64) {
        if self.locks.remove(&lock) {
            self.edges
                .retain(|&(from, to), _| from != lock && to != lock);
        }
    }
}

static GRAPH: Mutex<Graph> = Mutex::new(Graph {
    edges: BTreeMap::new(),
    locks: BTreeSet::new(),
});
/// Whether there has ever been an edge, so that programs without one do not come here.
static USED: AtomicBool = AtomicBool::new(false);

/// [`Graph::learn`] for the locks of the process, with those that this thread holds.
pub(super) fn learn(
    context: Option<u64>,
    wanted: u64,
    place: Place,
) -> Vec<(HeldLock, Taken, Taken)> {
    let held = thread::with_held(|held| match held.len() {
        1..=MAX_HELD => held.to_vec(),
        _ => Vec::new(),
    });
    if held.iter().all(|held| held.is_ordered_by(context)) {
        return Vec::new();
    }
    let mut graph = GRAPH.lock().unwrap_or_else(PoisonError::into_inner);
    // Relaxed: the thread that drops a lock has been told about it, and about what was done with it before.
    USED.store(true, Ordering::Relaxed);
    graph.learn(&held, context, wanted, place)
}

/// [`Graph::forget`] for the locks of the process.
pub(super) fn forget(lock: u64) {
    if USED.load(Ordering::Relaxed) {
        let mut graph = GRAPH.lock().unwrap_or_else(PoisonError::into_inner);
        graph.forget(lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::Location;

    #[track_caller]
    fn take(graph: &mut Graph, held: &[u64], wanted: u64) -> usize {
        let place = Location::caller();
        let held: Vec<_> = held
            .iter()
            .map(|&lock| HeldLock {
                lock,
                context: None,
                place,
            })
            .collect();
        graph.learn(&held, None, wanted, place).len()
    }

    #[test]
    fn a_cycle_of_three_is_found_once() {
        let mut graph = Graph::default();
        assert_eq!(take(&mut graph, &[1], 2), 0);
        assert_eq!(take(&mut graph, &[2], 3), 0);
        assert_eq!(take(&mut graph, &[3], 1), 1);
        assert_eq!(take(&mut graph, &[3], 1), 0, "known");
    }

    #[test]
    fn a_common_gate_makes_both_orders_legal_until_one_goes_without() {
        let mut graph = Graph::default();
        assert_eq!(take(&mut graph, &[9, 1], 2), 0);
        assert_eq!(take(&mut graph, &[9, 2], 1), 0);
        assert_eq!(take(&mut graph, &[2], 1), 1);
    }

    #[test]
    fn two_gates_that_are_not_the_same_are_none() {
        let mut graph = Graph::default();
        assert_eq!(take(&mut graph, &[8, 1], 2), 0);
        assert_eq!(take(&mut graph, &[9, 2], 1), 1);
    }

    #[test]
    fn a_dead_lock_is_no_longer_part_of_an_order() {
        let mut graph = Graph::default();
        assert_eq!(take(&mut graph, &[1], 2), 0);
        assert_eq!(take(&mut graph, &[2], 3), 0);
        graph.forget(2);
        assert_eq!(graph.edges.len(), 0);
        graph.forget(1);
        graph.forget(3);
        assert!(graph.locks.is_empty());
        assert_eq!(take(&mut graph, &[3], 1), 0);
    }

    #[test]
    fn the_graph_stays_within_its_bound() {
        let mut graph = Graph::default();
        for lock in 0..MAX_EDGES as u64 + 10 {
            take(&mut graph, &[lock], lock + 1);
        }
        assert_eq!(graph.edges.len(), MAX_EDGES);
        assert_eq!(take(&mut graph, &[1], 0), 1, "what is kept still counts");
    }
}
