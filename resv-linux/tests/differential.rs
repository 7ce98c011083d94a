//! Linux and `resv`, side by side: random operations on a real dma-buf and on a `Resv` in one program, and
//! after each of them the answers of both compared.
//!
//! What is done: fences are issued, imported for reading and for writing (also old ones after new ones, also
//! two merged into one file), signalled in order, failed; the buffer is pulled while a writer comes in.
//!
//! What is compared: which contexts an export for reading and for writing contains, whether the buffer is
//! idle for a reader and a writer, how the exports that were taken earlier have ended by now, the status of
//! each fence, and whether a pulled object answers as its buffer.
//!
//! Not compared is how many fences there are: the kernel's add overwrites the first slot that it may, so it
//! can keep a fence twice, or one that a later one covers. After a merge, which keeps the latest of each
//! context, both are the same.
//!
//! `RESV_KERNEL_COMPARISONS` says how many (20,000).

use crate::common::{LONG, Random, needs};
use resv_api::{
    Access, Fence, FenceError, FenceStatus, Locked, Resv, Semantics, SemanticsKind, Signaler,
    Timeline, Usage, UsageLevels, UsageSet, Visibility, fence,
};
use resv_core::Key;
use resv_linux::sources::{self, SwSync, Vgem, VgemFence};
use resv_linux::{Bridge, Dispatch, DmaBuf, Importer, SyncFile};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt::Write as _;
use std::time::Instant;

/// What stands beside the kernel: the semantics that is to agree, and those that are to be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Is(SemanticsKind),
    /// A reader waits for readers too.
    WrongReadLevel,
    /// A later fence of the timeline removes an earlier one whatever the usages.
    ReaderSupersedesWriter,
    /// A pull that exports the writers first.
    PullInTheWrongOrder,
}

impl Semantics for Beside {
    fn name(&self) -> &'static str {
        match self {
            Beside::Is(kind) => kind.name(),
            Beside::WrongReadLevel => "a wrong read level",
            Beside::ReaderSupersedesWriter => "a reader supersedes a writer",
            Beside::PullInTheWrongOrder => "a pull in the wrong order",
        }
    }

    fn visibility(&self) -> Visibility {
        Visibility::AtOnce
    }

    fn class(&self, usage: Usage) -> Usage {
        match self {
            Beside::Is(kind) => kind.class(usage),
            _ => usage,
        }
    }

    fn waits_for(&self, access: Access) -> UsageSet {
        match self {
            Beside::Is(kind) => kind.waits_for(access),
            Beside::WrongReadLevel if access == Access::Read => {
                UsageLevels.waits_for(Access::Write)
            }
            _ => UsageLevels.waits_for(access),
        }
    }

    fn supersedes(&self, new: Key, old: Key) -> bool {
        match self {
            Beside::Is(kind) => kind.supersedes(new, old),
            Beside::ReaderSupersedesWriter => {
                new.timeline == old.timeline && old.seqno <= new.seqno
            }
            _ => UsageLevels.supersedes(new, old),
        }
    }
}

/// A fence of the kernel and the one that stands for it here.
struct Pair {
    file: SyncFile,
    fence: Fence,
}

/// Where fences come from.
enum Source {
    /// Timelines that are moved on: each with its fences that are pending here, and their names.
    SwSync(Vec<Ring>),
    /// Each fence is a context of its own, and signals when it is told.
    Vgem(Vgem, Vec<(VgemFence, Signaler)>),
}

struct Ring {
    kernel: SwSync,
    ours: Timeline,
    issued: u32,
    advanced: u32,
    pending: BTreeMap<u32, Signaler>,
}

impl Ring {
    /// The kernel names the timeline after the thread that opens it.
    fn open(number: usize) -> Ring {
        let name = format!("ring{number}");
        let comm = CString::new(name.clone()).expect("no zero in it");
        rustix::thread::set_name(&comm).expect("it is short");
        Ring {
            kernel: SwSync::open().expect("it could be opened before"),
            ours: Timeline::new(&name),
            issued: 0,
            advanced: 0,
            pending: BTreeMap::new(),
        }
    }
}

struct World {
    random: Random,
    source: Source,
    rings_opened: usize,
    buffer: DmaBuf,
    resv: Resv<Beside, Locked>,
    beside: Beside,
    pairs: Vec<Pair>,
    /// Exports of earlier, and what they were exports of.
    kept: Vec<(SyncFile, Vec<Fence>)>,
    bridge: Bridge,
    dispatch: Dispatch,
    pulled: Resv<UsageLevels, Locked>,
    /// What was done, for a report.
    steps: String,
    comparisons: u64,
}

type Differs = Result<(), String>;

impl World {
    fn new(seed: u64, beside: Beside, source: Source, buffer: DmaBuf) -> World {
        let (importer, dispatch) = Importer::manual().expect("descriptors are left");
        World {
            random: Random(seed),
            rings_opened: 3,
            source,
            buffer,
            resv: Resv::with(beside, Locked::default()),
            beside,
            pairs: Vec::new(),
            kept: Vec::new(),
            bridge: Bridge::new(importer),
            dispatch,
            pulled: Resv::default(),
            steps: String::new(),
            comparisons: 0,
        }
    }

    fn note(&mut self, step: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.steps, "{step}");
    }

    fn step(&mut self) -> Differs {
        match self.random.below(12) {
            0..=2 => self.issue(),
            3..=6 => self.import(),
            7 => self.import_merged(),
            8 | 9 => self.signal(),
            10 => self.pull()?,
            _ => self.fail(),
        }
        self.dispatch.dispatch().expect("it can");
        self.compare()
    }

    fn issue(&mut self) {
        let pair = match &mut self.source {
            Source::SwSync(rings) => {
                let ring = &mut rings[self.random.below(3)];
                ring.issued += 1;
                let value = ring.issued;
                let job = ring.ours.issue_at(value.into()).expect("a seqno");
                let pair = Pair {
                    file: ring.kernel.fence(value).expect("a fence"),
                    fence: job.fence().clone(),
                };
                ring.pending.insert(value, job);
                pair
            }
            Source::Vgem(vgem, pending) => {
                // On a buffer of its own, so that it is the only one there.
                let scratch = vgem.buffer().expect("a buffer");
                let kernel = vgem.attach(&scratch, true).expect("the buffer is idle");
                let job = Timeline::new("unbound").issue().expect("a seqno");
                let pair = Pair {
                    file: scratch.export(Access::Read).expect("a descriptor"),
                    fence: job.fence().clone(),
                };
                pending.push((kernel, job));
                pair
            }
        };
        self.note(format_args!("issue {:?}", pair.fence));
        self.pairs.push(pair);
    }

    /// One of the fences, mostly a late one.
    fn any(&mut self) -> Option<usize> {
        let all = self.pairs.len();
        if all == 0 {
            return None;
        }
        let last = all.min(6);
        Some(match self.random.below(4) {
            0 => self.random.below(all),
            _ => all - 1 - self.random.below(last),
        })
    }

    fn usage(&mut self) -> Usage {
        [Usage::Read, Usage::Write][self.random.below(2)]
    }

    fn import(&mut self) {
        let (Some(which), usage) = (self.any(), self.usage()) else {
            return;
        };
        let pair = &self.pairs[which];
        self.buffer.import(&pair.file, usage).expect("memory");
        self.resv
            .lock()
            .reserve(1)
            .expect("memory")
            .add(&pair.fence, usage);
        self.note(format_args!("import {which} {usage}"));
    }

    fn import_merged(&mut self) {
        let (Some(a), Some(b), usage) = (self.any(), self.any(), self.usage()) else {
            return;
        };
        let (one, two) = (&self.pairs[a], &self.pairs[b]);
        let merged = one.file.merge(&two.file, "merged").expect("a descriptor");
        self.buffer.import(&merged, usage).expect("memory");
        let ours = fence::merge([&one.fence, &two.fence]);
        let mut guard = self.resv.lock();
        let mut slots = guard.reserve(2).expect("memory");
        slots.add(&ours, usage);
        drop(guard);
        self.note(format_args!("import merged {a} {b} {usage}"));
    }

    fn signal(&mut self) {
        match &mut self.source {
            Source::SwSync(rings) => {
                let which = self.random.below(3);
                let ring = &mut rings[which];
                if ring.advanced == ring.issued {
                    return;
                }
                let by = 1 + self.random.below((ring.issued - ring.advanced) as usize) as u32;
                ring.kernel.advance(by).expect("it can");
                ring.advanced += by;
                let later = ring.pending.split_off(&(ring.advanced + 1));
                for job in std::mem::replace(&mut ring.pending, later).into_values() {
                    job.signal();
                }
                self.note(format_args!("advance ring {which} by {by}"));
            }
            Source::Vgem(_, pending) => {
                if pending.is_empty() {
                    return;
                }
                let which = self.random.below(pending.len());
                let (kernel, job) = pending.swap_remove(which);
                kernel.signal().expect("it has not taken ten seconds");
                job.signal();
                self.note(format_args!("signal {which}"));
            }
        }
    }

    /// A timeline is closed: all that is pending fails. Another takes its place.
    fn fail(&mut self) {
        // Seldom: little is pending afterwards.
        if self.random.below(4) != 0 {
            return;
        }
        if let Source::SwSync(rings) = &mut self.source {
            let which = self.random.below(3);
            self.rings_opened += 1;
            let old = std::mem::replace(&mut rings[which], Ring::open(self.rings_opened));
            drop(old.kernel);
            let enoent = FenceError::from_errno(2).expect("an errno");
            for job in old.pending.into_values() {
                job.signal_error(enoent);
            }
            self.note(format_args!("fail ring {which}"));
        }
    }

    /// Pulls the buffer, and has a writer come in meanwhile, half of the time.
    fn pull(&mut self) -> Differs {
        let writer = self.any().filter(|_| self.random.below(2) == 0);
        let between = || {
            if let Some(which) = writer {
                self.buffer
                    .import(&self.pairs[which].file, Usage::Write)
                    .expect("memory");
            }
        };
        let pulled = if self.beside == Beside::PullInTheWrongOrder {
            self.bridge
                .pull_writers_first(&self.buffer, &self.pulled, between)
        } else {
            self.bridge.pull_with(&self.buffer, &self.pulled, between)
        };
        pulled.expect("descriptors are left");
        if let Some(which) = writer {
            let fence = &self.pairs[which].fence;
            self.resv
                .lock()
                .reserve(1)
                .expect("memory")
                .add(fence, Usage::Write);
        }
        self.note(format_args!("pull, with writer {writer:?} meanwhile"));
        self.dispatch.dispatch().expect("it can");
        for access in [Access::Read, Access::Write] {
            let kernel = self.buffer.is_idle(access).expect("it can");
            // The kernel signals an array of fences a little after its last fence.
            if kernel {
                let late = Instant::now() + LONG;
                while !self.pulled.is_idle(access) && Instant::now() < late {
                    self.dispatch.dispatch().expect("it can");
                    std::thread::yield_now();
                }
            }
            let ours = self.pulled.is_idle(access);
            self.same(format_args!("pulled object idle {access}"), &kernel, &ours)?;
        }
        Ok(())
    }

    fn compare(&mut self) -> Differs {
        for access in [Access::Read, Access::Write] {
            let export = self.buffer.export(access).expect("a descriptor");
            let ours = self.resv.waits_for(access);
            let idle = self.buffer.is_idle(access).expect("it can");
            self.same(
                format_args!("idle {access}"),
                &idle,
                &self.resv.is_idle(access),
            )?;
            let fences: Vec<Fence> = ours.iter().map(|entry| entry.fence.clone()).collect();
            let kernel = self.contexts(&export);
            let names = match self.source {
                Source::SwSync(_) => fences
                    .iter()
                    .map(|f| f.timeline_name().to_string())
                    .collect(),
                // All have one name: how many contexts there are.
                Source::Vgem(..) => {
                    let contexts: BTreeSet<_> = fences.iter().map(Fence::timeline_id).collect();
                    numbered(contexts.len())
                }
            };
            self.same(format_args!("contexts {access}"), &kernel, &names)?;
            if self.kept.len() < 4 || self.random.below(4) == 0 {
                if self.kept.len() == 4 {
                    self.kept.swap_remove(self.random.below(4));
                }
                self.kept.push((export, fences));
            }
        }
        for i in 0..self.kept.len() {
            let (file, fences) = &self.kept[i];
            let kernel = file.status().expect("it can");
            let ours = together(fences);
            self.same(format_args!("export kept {i}"), &kernel, &ours)?;
        }
        if let Some(which) = self.any() {
            let kernel = self.pairs[which].file.status().expect("it can");
            let ours = self.pairs[which].fence.status();
            self.same(format_args!("status {which}"), &kernel, &ours)?;
        }
        Ok(())
    }

    /// The contexts that are pending in a file, each once.
    fn contexts(&self, file: &SyncFile) -> BTreeSet<String> {
        if file.status().expect("it can") != FenceStatus::Pending {
            return BTreeSet::new();
        }
        let merged = file.merge(file, "merged").expect("a descriptor");
        match self.source {
            Source::SwSync(_) => {
                let fences = merged.info().expect("it can").fences;
                fences.into_iter().map(|fence| fence.timeline).collect()
            }
            Source::Vgem(..) => numbered(merged.count().expect("it can")),
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: std::fmt::Arguments<'_>,
        kernel: &T,
        ours: &T,
    ) -> Differs {
        self.comparisons += 1;
        if kernel == ours {
            return Ok(());
        }
        Err(format!(
            "{what}: the kernel says {kernel:?}, {} says {ours:?}, after\n{}",
            self.beside.name(),
            self.steps
        ))
    }
}

fn numbered(n: usize) -> BTreeSet<String> {
    (0..n).map(|i| i.to_string()).collect()
}

/// The status of a file of these fences, all of which were pending when it was made.
fn together(fences: &[Fence]) -> FenceStatus {
    let status = |fence: &Fence| fence.status();
    if fences
        .iter()
        .any(|fence| status(fence) == FenceStatus::Pending)
    {
        return FenceStatus::Pending;
    }
    let failed = fences
        .iter()
        .map(status)
        .find(|s| matches!(s, FenceStatus::Error(_)));
    failed.unwrap_or(FenceStatus::Signaled)
}

fn source() -> Option<Source> {
    if SwSync::open().is_ok() {
        return Some(Source::SwSync((0..3).map(Ring::open).collect()));
    }
    let vgem = needs("sw_sync or vgem", Vgem::open())?;
    Some(Source::Vgem(vgem, Vec::new()))
}

fn buffer() -> DmaBuf {
    let made = sources::udmabuf()
        .or_else(|_| sources::system_heap())
        .or_else(|_| Vgem::open()?.buffer());
    made.expect("a kernel that has fences has buffers")
}

/// Rounds of random steps, each in a new world, until so many comparisons have been made or one differs.
fn run(beside: Beside, wanted: u64) -> Option<(u64, Differs)> {
    let mut made = 0;
    for seed in 0.. {
        let mut world = World::new(seed, beside, source()?, buffer());
        for _ in 0..60 {
            if let Err(differs) = world.step() {
                return Some((
                    made + world.comparisons,
                    Err(format!("seed {seed}: {differs}")),
                ));
            }
        }
        made += world.comparisons;
        if made >= wanted {
            break;
        }
    }
    Some((made, Ok(())))
}

fn wanted() -> u64 {
    match std::env::var("RESV_KERNEL_COMPARISONS") {
        Ok(number) => number.parse().expect("RESV_KERNEL_COMPARISONS is a number"),
        Err(_) => 20_000,
    }
}

fn tell(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn usage_levels_answers_as_the_kernel_does() {
    let Some((made, differs)) = run(Beside::Is(SemanticsKind::UsageLevels), wanted()) else {
        return;
    };
    differs.unwrap_or_else(|differs| panic!("{differs}"));
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    tell(&format!(
        "differential: Linux {release}: {made} comparisons, 0 differ"
    ));
}

/// What differs from the kernel is told from it: the other semantics, and defects that were planted.
#[test]
fn everything_else_is_caught() {
    for beside in [
        Beside::Is(SemanticsKind::ExclusiveShared),
        Beside::Is(SemanticsKind::WritersReadersOthers),
        Beside::WrongReadLevel,
        Beside::ReaderSupersedesWriter,
        Beside::PullInTheWrongOrder,
    ] {
        let Some((made, differs)) = run(beside, 20_000) else {
            return;
        };
        // Superseding needs two fences of one context, which vgem does not make.
        if beside == Beside::ReaderSupersedesWriter && SwSync::open().is_err() {
            tell("differential: superseding is not compared here, there is no sw_sync");
            continue;
        }
        let name = beside.name();
        assert!(
            differs.is_err(),
            "{name} is not caught in {made} comparisons"
        );
        tell(&format!(
            "differential: {name} is caught at comparison {made}"
        ));
    }
}
