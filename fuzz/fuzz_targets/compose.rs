//! The algebra of fences (`all`, `any`, `merge`, points, taking apart) against sets: what is pending
//! at each moment, which errors may show, that each callback runs once, and that nothing is left.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use resv_core::fence::{merge, pool_stats, unwrap};
use resv_core::{Fence, FenceError, FenceStatus, Signaler, Timeline};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const TIMELINES: usize = 4;
const MOST_STEPS: usize = 48;
const MOST_CHILDREN: usize = 8;

/// Not a statement of the scenario language, which makes no fences of others and has no callbacks.
#[derive(Arbitrary, Debug)]
enum Step {
    Leaf {
        timeline: u8,
    },
    All(Vec<u8>),
    Any(Vec<u8>),
    Merge(Vec<u8>),
    Point {
        timeline: u8,
        ahead: u8,
    },
    /// The error is one of two.
    Signal {
        leaf: u8,
        error: Option<bool>,
    },
    /// The signaler goes away.
    Abandon {
        leaf: u8,
    },
    Callback {
        node: u8,
        cancel: bool,
    },
    /// The handle goes away; what is made of it stays.
    Forget {
        node: u8,
    },
}

/// What a fence is, by the numbers of its parts.
#[derive(Clone)]
enum Kind {
    Leaf {
        timeline: usize,
        seqno: u64,
    },
    All(Vec<usize>),
    Any(Vec<usize>),
    /// `all` of these, which were pending; what they were merged from was taken apart.
    Merged(Vec<usize>),
    Point {
        timeline: usize,
        seqno: u64,
    },
}

struct Node {
    kind: Kind,
    fence: Option<Fence>,
    signaler: Option<Signaler>,
    is_done: bool,
    /// Which errors it may show; the one that it shows as long as there is a handle.
    errors: BTreeSet<String>,
    /// How often the callbacks have run, and how many there are.
    ran: Arc<AtomicUsize>,
    promised: usize,
}

#[derive(Default)]
struct World {
    timelines: Vec<Timeline>,
    completed: Vec<u64>,
    /// The last seqnos, when the timelines have gone.
    ends: Option<Vec<u64>>,
    nodes: Vec<Node>,
}

impl World {
    fn push(&mut self, kind: Kind, fence: Fence, signaler: Option<Signaler>) {
        self.nodes.push(Node {
            kind,
            fence: Some(fence),
            signaler,
            is_done: false,
            errors: BTreeSet::new(),
            ran: Arc::default(),
            promised: 0,
        });
        self.settle();
    }

    fn pick(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.nodes.len())
    }

    /// Nodes whose handles are still there, and their fences.
    fn picks(&self, numbers: &[u8]) -> (Vec<usize>, Vec<Fence>) {
        let picks = numbers.iter().take(MOST_CHILDREN);
        picks
            .filter_map(|&number| self.pick(number))
            .filter_map(|node| Some((node, self.nodes[node].fence.clone()?)))
            .unzip()
    }

    /// What nodes are taken apart to. A merged fence fails as these do: the parts themselves may show an
    /// earlier error, which it does not know of.
    fn take_apart(&self, mut nodes: Vec<usize>) -> BTreeSet<usize> {
        let (mut seen, mut leaves) = (BTreeSet::new(), BTreeSet::new());
        while let Some(node) = nodes.pop() {
            match &self.nodes[node].kind {
                _ if !seen.insert(node) => {}
                Kind::All(parts) | Kind::Merged(parts) => nodes.extend(parts),
                _ => drop(leaves.insert(node)),
            }
        }
        leaves
    }

    fn timeline(number: u8) -> usize {
        usize::from(number) % TIMELINES
    }

    /// Which errors a fence of these may show.
    fn errors(&self, parts: &[usize]) -> BTreeSet<String> {
        let errors = parts.iter().map(|&part| &self.nodes[part].errors);
        errors.flatten().cloned().collect()
    }

    /// Works out what has signalled by now, and compares.
    fn settle(&mut self) {
        // A node is made of earlier ones, so one round in order reaches all.
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let done = |parts: &[usize]| -> Vec<bool> {
                parts.iter().map(|&part| self.nodes[part].is_done).collect()
            };
            let (is_done, mut errors) = match &node.kind {
                _ if node.is_done => continue,
                Kind::Leaf { .. } => continue,
                // Behind the end it fails when the end is reached.
                Kind::Point { timeline, seqno } if self.is_behind_end(*timeline, *seqno) => {
                    let is_done = self.has_ended(*timeline);
                    (is_done, BTreeSet::from([FenceError::CANCELED.to_string()]))
                }
                // It fails as the fence at its place, if it was asked for before.
                Kind::Point { timeline, seqno } => {
                    let is_at = |node: &&Node| {
                        matches!(node.kind, Kind::Leaf { timeline: t, seqno: s }
                            if t == *timeline && s == *seqno)
                    };
                    let at = self.nodes.iter().filter(is_at);
                    let errors = at.flat_map(|leaf| leaf.errors.clone()).collect();
                    (self.completed[*timeline] >= *seqno, errors)
                }
                Kind::All(parts) | Kind::Merged(parts) => {
                    (!done(parts).contains(&false), self.errors(parts))
                }
                Kind::Any(parts) => (done(parts).contains(&true), self.errors(parts)),
            };
            if let Some(fence) = &node.fence {
                assert_eq!(fence.is_signaled(), is_done, "node {index}");
                if let FenceStatus::Error(error) = fence.status() {
                    let shown = BTreeSet::from([error.to_string()]);
                    assert!(
                        shown.is_subset(&errors),
                        "node {index}: {shown:?} of no part"
                    );
                    errors = shown;
                } else if is_done {
                    let certain = |&part: &usize| {
                        self.nodes[part].fence.is_none() || self.nodes[part].errors.is_empty()
                    };
                    if let Kind::All(parts) = &node.kind {
                        assert!(parts.iter().all(certain), "node {index} lost an error");
                    }
                    errors.clear();
                }
            }
            self.nodes[index].is_done = is_done;
            if is_done {
                self.nodes[index].errors = errors;
            }
        }
    }

    fn signal(&mut self, index: usize, error: Option<FenceError>, abandon: bool) {
        let Kind::Leaf { timeline, seqno } = self.nodes[index].kind else {
            return;
        };
        let Some(signaler) = self.nodes[index].signaler.take() else {
            return;
        };
        let status = match (abandon, error) {
            (true, _) => FenceStatus::Error(FenceError::CANCELED),
            (false, Some(error)) => FenceStatus::Error(error),
            (false, None) => FenceStatus::Signaled,
        };
        self.completed[timeline] = self.completed[timeline].max(seqno);
        self.nodes[index].is_done = true;
        if let FenceStatus::Error(error) = status {
            self.nodes[index].errors.insert(error.to_string());
        }
        match error {
            _ if abandon => drop(signaler),
            Some(error) => signaler.signal_error(error),
            None => signaler.signal(),
        }
        if let Some(fence) = &self.nodes[index].fence {
            assert_eq!(fence.status(), status);
        }
    }

    /// The pending fences that stand for these, of each timeline the latest, as sets.
    fn merged(&self, fences: &[Fence]) -> BTreeSet<(u64, u64)> {
        let mut latest = BTreeMap::new();
        for leaf in fences.iter().flat_map(unwrap) {
            if !leaf.is_signaled() {
                let entry = latest.entry(leaf.timeline_id().as_raw()).or_insert(0);
                *entry = leaf.seqno().max(*entry);
            }
        }
        latest.into_iter().collect()
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Leaf { timeline } => {
                let timeline = Self::timeline(*timeline);
                let job = self.timelines[timeline].issue().expect("seqnos are left");
                let fence = job.fence().clone();
                let seqno = fence.seqno();
                self.push(Kind::Leaf { timeline, seqno }, fence, Some(job));
            }
            Step::All(numbers) => {
                let (parts, fences) = self.picks(numbers);
                let fence = Fence::all(&fences);
                assert_eq!(fence.is_none(), fences.is_empty());
                let fence = fence?;
                let leaves = unwrap(&fence);
                // Taking apart goes down through every `all` (H-18), and through nothing else.
                assert!(leaves.iter().all(|leaf| unwrap(leaf) == [leaf.clone()]));
                self.push(Kind::All(parts), fence, None);
            }
            Step::Any(numbers) => {
                let (parts, fences) = self.picks(numbers);
                let fence = Fence::any(&fences);
                assert_eq!(fence.is_none(), fences.is_empty());
                self.push(Kind::Any(parts), fence?, None);
            }
            Step::Merge(numbers) => {
                let (parts, fences) = self.picks(numbers);
                let expected = self.merged(&fences);
                let fence = merge(&fences);
                let has = self.merged(std::slice::from_ref(&fence));
                assert_eq!(has, expected);
                // Merging what was merged changes nothing (F-10).
                assert_eq!(self.merged(&[merge([&fence])]), expected);
                let leaves = unwrap(&fence).len();
                assert_eq!(
                    leaves,
                    expected.len().max(1),
                    "a double, or a signalled one"
                );
                let pending = |&leaf: &usize| !self.nodes[leaf].is_done;
                let leaves = self.take_apart(parts).into_iter().filter(pending);
                self.push(Kind::Merged(leaves.collect()), fence, None);
            }
            Step::Point { timeline, ahead } => {
                let timeline = Self::timeline(*timeline);
                let seqno = self.timelines[timeline].last_seqno() + u64::from(ahead % 4);
                let fence = self.timelines[timeline].point(seqno);
                assert_eq!(
                    self.timelines[timeline].point(seqno) == fence,
                    !fence.is_signaled()
                );
                self.push(Kind::Point { timeline, seqno }, fence, None);
            }
            Step::Signal { leaf, error } => {
                let error = error.map(|io| {
                    if io {
                        FenceError::IO
                    } else {
                        FenceError::CANCELED
                    }
                });
                let leaf = self.pick(*leaf)?;
                self.signal_up_to(leaf, error, false);
            }
            Step::Abandon { leaf } => {
                let leaf = self.pick(*leaf)?;
                self.signal_up_to(leaf, None, true);
            }
            Step::Callback { node, cancel } => {
                let index = self.pick(*node)?;
                let node = &mut self.nodes[index];
                let fence = node.fence.as_ref()?;
                let ran = Arc::clone(&node.ran);
                let count = move |_| {
                    ran.fetch_add(1, Ordering::Relaxed);
                };
                match fence.on_signal(count) {
                    Ok(id) if *cancel => assert!(fence.cancel(id)),
                    Ok(_) => node.promised += 1,
                    Err(_) => assert!(fence.is_signaled()),
                }
            }
            Step::Forget { node } => {
                let index = self.pick(*node)?;
                self.nodes[index].fence = None;
            }
        }
        Some(())
    }

    /// Fences of one timeline signal in order, so those before come first.
    fn signal_up_to(&mut self, leaf: usize, error: Option<FenceError>, abandon: bool) {
        let Kind::Leaf { timeline, seqno } = self.nodes[leaf].kind else {
            return;
        };
        for index in 0..=leaf {
            let is_before = matches!(self.nodes[index].kind,
                Kind::Leaf { timeline: t, seqno: s } if t == timeline && s <= seqno);
            if is_before {
                self.signal(index, error, abandon);
            }
        }
        self.settle();
    }

    fn is_behind_end(&self, timeline: usize, seqno: u64) -> bool {
        let ends = self.ends.as_ref();
        ends.is_some_and(|ends| seqno > ends[timeline])
    }

    fn has_ended(&self, timeline: usize) -> bool {
        let ends = self.ends.as_ref();
        ends.is_some_and(|ends| self.completed[timeline] >= ends[timeline])
    }

    /// Everything goes away: first the timelines, so points that nothing will reach are cancelled, when
    /// what is before them has signalled.
    fn end(mut self) {
        let ends = self.timelines.drain(..).map(|line| line.last_seqno());
        self.ends = Some(ends.collect());
        self.settle();
        for index in 0..self.nodes.len() {
            self.signal(index, None, false);
            self.settle();
        }
        for node in &self.nodes {
            if let (Kind::Point { timeline, seqno }, Some(fence)) = (&node.kind, &node.fence)
                && self.is_behind_end(*timeline, *seqno)
            {
                assert_eq!(fence.status(), FenceStatus::Error(FenceError::CANCELED));
            }
        }
        let counts: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (Arc::clone(&node.ran), node.promised))
            .collect();
        drop(self);
        for (index, (ran, promised)) in counts.into_iter().enumerate() {
            let ran = ran.load(Ordering::Relaxed);
            assert_eq!(ran, promised, "node {index}: each callback runs once");
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let before = pool_stats().live;
    let mut world = World {
        timelines: (0..TIMELINES).map(|_| Timeline::new("t")).collect(),
        completed: vec![0; TIMELINES],
        ..World::default()
    };
    for step in steps.iter().take(MOST_STEPS) {
        let _ = world.step(step);
    }
    world.end();
    assert_eq!(pool_stats().live, before, "a fence is left");
});
