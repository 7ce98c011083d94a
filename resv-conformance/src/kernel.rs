//! Random scripts on the reservation objects of a running Linux kernel, and on ours, side by side.
//!
//! # The concept
//!
//! A kernel that was built by `scripts/kernel/build` has a module that answers the
//! [scenario language](crate::scenario) on real `dma_resv` objects: with all four usages, replace and copy,
//! which no system call reaches. [`check`] draws scripts, has both play them, asks every question after every
//! step, and compares the answers line by line.
//!
//! # What is compared
//!
//! * `waits`: of each timeline the latest pending seqno. The kernel's add overwrites the first slot that it
//!   may, so it can keep a fence twice, or one that a later one covers; fences of a timeline signal in order, so
//!   nobody waits longer for that.
//! * `idle` and `status`, as they are.
//!
//! Scripts keep to what the kernel asks of its drivers: fences of a timeline signal in order. And one case is
//! left out: a replace where the kernel may still keep a signalled fence of the timeline, which it would bring
//! back. When it throws one away depends on the sizes of its allocator, so a script assumes that it does so
//! only where it must.

use crate::model::At;
use crate::scenario::draw::{Draw, Numbers, OBJECTS, Raw, Regime};
use crate::scenario::{Name, Runner, Scenario, Statement};
use resv_api::{Access, BackendKind, SemanticsKind};
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Where the module is.
pub const PATH: &str = "/sys/kernel/debug/resv/scenario";

const STEPS: usize = 40;

/// A world of the kernel's: timelines, fences and objects, gone when it is dropped.
#[derive(Debug)]
pub struct Kernel {
    file: File,
}

impl Kernel {
    /// A new world.
    ///
    /// # Errors
    ///
    /// When this kernel has no such module, or this process may not use it.
    pub fn open() -> io::Result<Kernel> {
        let file = OpenOptions::new().read(true).write(true).open(PATH)?;
        Ok(Kernel { file })
    }

    /// Plays statements, and returns the answers, a line each.
    ///
    /// # Errors
    ///
    /// When a statement is wrong: the last line of the answers says which, and is the error here.
    pub fn play(&mut self, script: &str) -> io::Result<String> {
        let played = self.file.write_all(script.as_bytes());
        let mut answers = String::new();
        self.file.read_to_string(&mut answers)?;
        match played {
            Ok(()) => Ok(answers),
            Err(error) => Err(io::Error::new(
                error.kind(),
                answers
                    .lines()
                    .last()
                    .map_or_else(|| error.to_string(), str::to_owned),
            )),
        }
    }
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Scripts that both have played.
    pub scripts: u64,
    /// Statements of them, queries not counted.
    pub statements: u64,
    /// Answers that were compared.
    pub answers: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scripts, {} statements, {} answers compared, 0 differ",
            self.scripts, self.statements, self.answers
        )
    }
}

/// The kernel and an object of ours have answered differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The seed of the script.
    pub seed: u64,
    /// What the kernel answered.
    pub kernel: String,
    /// What ours answered.
    pub ours: String,
    /// The script up to the question, for `resv script`.
    pub scenario: String,
}

/// Why a check has ended early.
#[derive(Debug)]
pub enum Failure {
    /// The answers differ.
    Differs(Box<Difference>),
    /// The kernel would not play.
    Kernel(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Kernel(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Kernel(error) => write!(
                f,
                "the kernel cannot play scenarios ({PATH}: {error}); \
                 scripts/kernel/build makes one that can, scripts/kernel/run runs this program on it"
            ),
            Failure::Differs(differs) => write!(
                f,
                "seed {}: the kernel answers '{}', ours '{}', after\n{}",
                differs.seed, differs.kernel, differs.ours, differs.scenario
            ),
        }
    }
}

impl std::error::Error for Failure {}

/// Plays scripts of seed `seed` and those that follow on the kernel and on objects of the given kind, for
/// `time`, or until `statements` have been played; at least one.
///
/// # Errors
///
/// On the first answer that differs, or when the kernel cannot play. Asked of a back end that is not compiled
/// in, it panics.
pub fn check(
    semantics: SemanticsKind,
    backend: BackendKind,
    seed: u64,
    time: Duration,
    statements: Option<u64>,
) -> Result<Report, Failure> {
    let began = Instant::now();
    let mut report = Report::default();
    for seed in seed.. {
        let script = draw(seed);
        let theirs = Kernel::open()?.play(&script.to_string())?;
        let mut runner = Runner::new(semantics, backend).expect("the suite has all back ends");
        let ours = runner.run(&script).expect("it was drawn");
        let mut theirs = theirs.lines();
        for answer in ours {
            let kernel = comparable(theirs.next().unwrap_or("no answer"));
            let ours = comparable(&answer.to_string());
            if kernel != ours {
                let before = script.statements().take(answer.line - 1);
                let before = before.filter(|(_, statement)| !statement.is_query());
                let upto = before.map(|(_, statement)| statement.clone());
                let scenario: Scenario = upto.chain([answer.statement.clone()]).collect();
                return Err(Failure::Differs(Box::new(Difference {
                    seed,
                    kernel,
                    ours,
                    scenario: scenario.to_string(),
                })));
            }
            report.answers += 1;
        }
        report.scripts += 1;
        let statements_of = script.statements().filter(|(_, s)| !s.is_query());
        report.statements += statements_of.count() as u64;
        let enough = match statements {
            Some(wanted) => report.statements >= wanted,
            None => began.elapsed() >= time,
        };
        if enough {
            break;
        }
    }
    Ok(report)
}

/// An answer as it is compared: of a `waits`, the latest seqno of each timeline.
fn comparable(answer: &str) -> String {
    let Some((question, fences)) = answer.split_once(": ") else {
        return answer.to_owned();
    };
    if !question.starts_with("waits ") {
        return answer.to_owned();
    }
    let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
    for fence in fences.split(' ') {
        if let Some((timeline, seqno)) = fence.split_once(':')
            && let Ok(seqno) = seqno.parse::<u64>()
        {
            let known = latest.entry(timeline).or_default();
            *known = seqno.max(*known);
        }
    }
    let mut text = format!("{question}:");
    for (timeline, seqno) in latest {
        let _ = write!(text, " {timeline}:{seqno}");
    }
    text
}

/// A small generator of random numbers, by its seed the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The fences that the kernel may keep in each object: all that were added since a copy into it, as a copy
/// leaves signalled ones behind.
#[derive(Default)]
struct Leftovers {
    kept: [HashSet<At>; OBJECTS],
    signaled: HashSet<At>,
}

impl Leftovers {
    /// Whether a signalled fence of `timeline` may be kept.
    fn may_have(&self, object: usize, timeline: usize) -> bool {
        let mut kept = self.kept[object].iter();
        kept.any(|at| at.timeline == timeline && self.signaled.contains(at))
    }

    fn replace(&mut self, object: usize, timeline: usize, fence: At) {
        self.kept[object].retain(|at| at.timeline != timeline);
        self.kept[object].insert(fence);
    }

    fn copy(&mut self, object: usize, from: usize) {
        self.kept[object] = &self.kept[from] - &self.signaled;
    }
}

/// A script of statements that are valid where they stand, with every question after each.
fn draw(seed: u64) -> Scenario {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut draw = Draw::new(Regime::SignalsInOrder);
    let mut numbers = Numbers::new();
    let mut leftovers = Leftovers::default();
    let mut script: Vec<Statement> = Draw::head().collect();
    let declared = script.iter().filter_map(|statement| match statement {
        Statement::Resv { name } => Some(name.clone()),
        _ => None,
    });
    let objects: Vec<Name> = declared.collect();
    let mut issued = None;
    for _ in 0..STEPS {
        let [verb, place, a, b, c, ..] = random.next().to_le_bytes();
        let Some(statement) = draw.step(&Raw::from([verb, place, a, b, c])) else {
            continue;
        };
        match &statement {
            Statement::Fence {
                name,
                timeline,
                seqno: Some(seqno),
            } => {
                numbers.declare(name, timeline, *seqno);
                issued = Some(name.clone());
            }
            Statement::Add { resv, edits } => {
                let added = edits.iter().map(|(fence, _)| numbers.at(fence));
                leftovers.kept[numbers.of(resv)].extend(added);
            }
            Statement::Replace {
                resv,
                timeline,
                fence,
                ..
            } => {
                let (object, timeline) = (numbers.of(resv), numbers.of(timeline));
                if leftovers.may_have(object, timeline) {
                    continue;
                }
                leftovers.replace(object, timeline, numbers.at(fence));
            }
            Statement::Copy { dst, src } if dst == src => continue,
            Statement::Copy { dst, src } => leftovers.copy(numbers.of(dst), numbers.of(src)),
            Statement::Signal { fence, .. } => {
                leftovers.signaled.insert(numbers.at(fence));
            }
            _ => {}
        }
        script.push(statement);
        for resv in &objects {
            script.extend(Access::ALL.into_iter().flat_map(|access| {
                let (waits, idle) = (resv.clone(), resv.clone());
                [
                    Statement::Waits {
                        resv: waits,
                        access,
                    },
                    Statement::Idle { resv: idle, access },
                ]
            }));
        }
        script.extend(issued.clone().map(|fence| Statement::Status { fence }));
    }
    script.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_timeline_the_latest_is_compared() {
        assert_eq!(
            comparable("waits r0 read: b:3 a:1 b:7 a:1"),
            "waits r0 read: a:1 b:7"
        );
        assert_eq!(comparable("waits r0 read: -"), "waits r0 read:");
        assert_eq!(comparable("idle r0 read: true"), "idle r0 read: true");
    }

    #[test]
    fn every_script_that_is_drawn_can_be_played() {
        for seed in 0..50 {
            let scenario = draw(seed);
            let mut runner = Runner::new(SemanticsKind::UsageLevels, BackendKind::Locked)
                .expect("it is always there");
            assert!(!runner.run(&scenario).expect("it is valid").is_empty());
        }
    }

    /// By the words of the scripts: what was added since a copy, and has signalled, is not replaced. (A model
    /// of the kernel's slots used to say what is left; its lists were shorter than those of the allocator.)
    #[test]
    fn no_script_replaces_what_the_kernel_may_have_kept() {
        let mut replaces = 0;
        for script in (0..200).map(|seed| draw(seed).to_string()) {
            let lines: Vec<Vec<&str>> = script.lines().map(|l| l.split(' ').collect()).collect();
            for (at, words) in lines.iter().enumerate() {
                let [_, object, timeline, ..] = words[..] else {
                    continue;
                };
                if words[0] != "replace" {
                    continue;
                }
                replaces += 1;
                let of_it = timeline.replacen('t', "f", 1) + "x";
                let has_signaled = |fence: &str| {
                    let mut before = lines[..at].iter();
                    before.any(|words| words[0] == "signal" && words[1] == fence)
                };
                let since = lines[..at].iter().rev().take_while(|words| {
                    words[1] != object
                        || (words[0] != "copy"
                            && !words.starts_with(&["replace", object, timeline]))
                });
                for added in since.filter(|words| words[0] == "add" && words[1] == object) {
                    let mut fences = added[2..].iter().step_by(2);
                    assert!(
                        !fences.any(|fence| fence.starts_with(&of_it) && has_signaled(fence)),
                        "{words:?} in\n{script}"
                    );
                }
            }
        }
        assert!(replaces > 100, "{replaces} replaces in 200 scripts");
    }

    /// With the module; skipped by name without it. The other semantics have to be caught.
    #[test]
    fn usage_levels_answers_as_the_kernels_own_objects() {
        if let Err(error) = Kernel::open() {
            let guest = std::env::var("RESV_KERNEL_GUEST").unwrap_or_default();
            assert!(
                guest.is_empty() || guest.starts_with("stock"),
                "{PATH}: {error}"
            );
            let note = "skipped usage_levels_answers_as_the_kernels_own_objects: no module here\n";
            let _ = io::stderr().write_all(note.as_bytes());
            return;
        }
        let run = |semantics| {
            check(
                semantics,
                BackendKind::RcuArray,
                1,
                Duration::ZERO,
                Some(4000),
            )
        };
        let report = run(SemanticsKind::UsageLevels).unwrap_or_else(|failure| panic!("{failure}"));
        let note = format!("kernel objects: {report}\n");
        let _ = io::stderr().write_all(note.as_bytes());
        for other in [
            SemanticsKind::ExclusiveShared,
            SemanticsKind::WritersReadersOthers,
        ] {
            assert!(
                matches!(run(other), Err(Failure::Differs(_))),
                "{other} is not caught"
            );
        }
    }

    #[test]
    fn without_the_module_the_failure_says_what_to_do() {
        let failure = Failure::Kernel(io::Error::from(io::ErrorKind::NotFound));
        assert!(failure.to_string().contains("scripts/kernel/build"));
    }
}
