//! The short notation of the worked examples: `W A1, R B1, signal A1`.
//!
//! # The notation
//!
//! Steps stand apart by commas and are played on one object:
//!
//! | step | meaning |
//! |---|---|
//! | `W A1` | fence 1 of timeline A is added as a write; `K` kernel, `R` read, `BK` bookkeep |
//! | `signal A1` | the job is done |
//! | `lock` ... `unlock` | the steps between are one transaction of one holder; other adds are one each |
//! | `copy` | from here on, the object is a copy of what it was |
//! | `?` | a reader without the lock asks here; without any, the questions are asked at the end |
//!
//! The questions are the accesses (`explicit`, `read`, `write`, `move`: what must it wait for?) and
//! `list` (what does the object keep, as what?). Expected answers are written
//! `read: A1; write: A1 B1`, a dash where there is nothing to wait for, and ` / ` between the
//! answers at one `?` and the next.
//!
//! The table of the guide ([`resv_api::guide`]) is written in it; [`properties::examples`](crate::properties::examples)
//! plays its rows. It is not the [scenario language](crate::scenario), because there a statement is a whole
//! transaction: nothing could be asked within one, as E11 must.

use crate::{Object, Subject};
use resv_api::{
    Access, AnyBackend, AnySemantics, Fence, Signaler, Slots, Snapshot, Timeline, Usage,
};
use std::collections::HashMap;

/// A row of the table of examples in the guide.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// E1 to E17, with a letter where an example has several rows.
    pub name: &'static str,
    /// What is done.
    pub sequence: &'static str,
    /// What is told then, in the order of [`Generation::ALL`](crate::model::Generation::ALL).
    pub answers: [&'static str; 3],
    /// What is to be learned from it.
    pub lesson: &'static str,
}

/// The rows of the table in the guide.
pub fn examples() -> impl Iterator<Item = Example> {
    let rows = resv_api::guide::TEXT
        .lines()
        .filter(|line| line.starts_with("| E"));
    rows.map(|row| {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, name, sequence, a, b, c, lesson, _] = cells[..] else {
            panic!("a row of the examples has six cells: {row}");
        };
        Example {
            name,
            sequence,
            answers: [a, b, c],
            lesson,
        }
    })
}

/// Plays `sequence` on a new object and compares what it says with `expected`.
///
/// # Errors
///
/// When an answer differs, saying which and how, or when something is not in the notation.
pub fn check(on: Subject, sequence: &str, expected: &str) -> Result<(), String> {
    let mut player = Player::new(on);
    let steps: Vec<&str> = sequence.split(',').map(str::trim).collect();
    player.play(&steps)?;
    if !steps.contains(&"?") {
        player.ask();
    }
    for question in expected.split(';') {
        let (question, answer) = question
            .split_once(':')
            .ok_or_else(|| format!("'{question}' is not of the form 'question: answer'"))?;
        let told = player.told(question.trim())?;
        if told != answer.trim() {
            return Err(format!(
                "{sequence}, {on}: {} is told {told}, expected {}",
                question.trim(),
                answer.trim()
            ));
        }
    }
    Ok(())
}

struct Player {
    on: Subject,
    object: Object,
    jobs: Jobs,
    /// One snapshot of the object, as words, for each question, for each time it was asked.
    told: Vec<HashMap<&'static str, String>>,
}

impl Player {
    fn new(on: Subject) -> Self {
        Player {
            on,
            object: on.object(),
            jobs: Jobs::default(),
            told: Vec::new(),
        }
    }
}

impl Player {
    fn play(&mut self, steps: &[&str]) -> Result<(), String> {
        let mut steps = steps;
        while let [step, rest @ ..] = steps {
            steps = rest;
            match *step {
                "?" => self.ask(),
                "copy" => {
                    let copy = self.on.object();
                    copy.lock()
                        .copy_from(&self.object)
                        .map_err(|error| error.to_string())?;
                    self.object = copy;
                }
                "lock" => {
                    let end = steps.iter().position(|&step| step == "unlock");
                    let end = end.ok_or("a lock without unlock")?;
                    self.play_locked(&steps[..end])?;
                    steps = &steps[end + 1..];
                }
                edit => self.play_locked(&[edit])?,
            }
        }
        Ok(())
    }

    /// Plays steps under the lock, which has room for one edit for each of them.
    fn play_locked(&mut self, steps: &[&str]) -> Result<(), String> {
        let Player {
            object, jobs, told, ..
        } = self;
        let mut guard = object.lock();
        let mut slots = guard
            .reserve(steps.len())
            .map_err(|error| error.to_string())?;
        for step in steps {
            if *step == "?" {
                told.push(ask(object, jobs));
            } else {
                jobs.edit(step, &mut slots)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self) {
        self.told.push(ask(&self.object, &self.jobs));
    }

    fn told(&self, question: &str) -> Result<String, String> {
        let answers: Option<Vec<&str>> = self
            .told
            .iter()
            .map(|told| told.get(question).map(String::as_str))
            .collect();
        let answers = answers.ok_or_else(|| format!("'{question}' is not a question"))?;
        Ok(answers.join(" / "))
    }
}

fn ask(object: &Object, jobs: &Jobs) -> HashMap<&'static str, String> {
    let mut told: HashMap<_, _> = Access::ALL
        .into_iter()
        .map(|access| {
            let waits = jobs.words(&object.waits_for(access), false);
            assert_eq!(
                waits == "-",
                object.is_idle(access),
                "H-14: access {access}"
            );
            (access.name(), waits)
        })
        .collect();
    told.insert("list", jobs.words(&object.snapshot(), true));
    told
}

/// The fences that a sequence has named so far.
#[derive(Default)]
struct Jobs {
    timelines: Vec<(String, Timeline)>,
    jobs: HashMap<String, (Fence, Option<Signaler>)>,
}

impl Jobs {
    fn edit(
        &mut self,
        step: &str,
        slots: &mut Slots<'_, '_, AnySemantics, AnyBackend>,
    ) -> Result<(), String> {
        let (verb, name) = step
            .split_once(' ')
            .ok_or_else(|| format!("'{step}' is not a step"))?;
        let (fence, signaler) = self.job(name.trim())?;
        let usage = match verb {
            "K" => Usage::Kernel,
            "W" => Usage::Write,
            "R" => Usage::Read,
            "BK" => Usage::Bookkeep,
            "signal" => {
                let signaler = signaler.take();
                return signaler
                    .map(Signaler::signal)
                    .ok_or_else(|| format!("'{step}': it has signalled already"));
            }
            _ => return Err(format!("'{step}' is not a step")),
        };
        slots.add(fence, usage);
        Ok(())
    }

    /// The fence of that name, made the first time: `A1` is seqno 1 of timeline A.
    fn job(&mut self, name: &str) -> Result<&mut (Fence, Option<Signaler>), String> {
        if !self.jobs.contains_key(name) {
            let split = name.find(|c: char| c.is_ascii_digit());
            let (timeline, seqno) = name.split_at(split.unwrap_or(name.len()));
            let seqno = seqno
                .parse()
                .map_err(|_| format!("'{name}' is not a timeline and a seqno"))?;
            let known = self.timelines.iter().position(|(have, _)| have == timeline);
            let at = known.unwrap_or_else(|| {
                let new = Timeline::new(timeline);
                self.timelines.push((timeline.to_owned(), new));
                self.timelines.len() - 1
            });
            let signaler = self.timelines[at]
                .1
                .issue_at(seqno)
                .map_err(|error| error.to_string())?;
            let job = (signaler.fence().clone(), Some(signaler));
            self.jobs.insert(name.to_owned(), job);
        }
        self.jobs
            .get_mut(name)
            .ok_or_else(|| format!("'{name}' is not a fence"))
    }

    /// The pending members, timelines in the order in which they were named, each word once.
    fn words(&self, snapshot: &Snapshot<AnySemantics, AnyBackend>, usages: bool) -> String {
        let mut members: Vec<(usize, u64, Usage)> = snapshot
            .iter()
            .map(|entry| {
                let id = entry.fence.timeline_id();
                let at = self.timelines.iter().position(|(_, t)| t.id() == id);
                (at.unwrap_or(usize::MAX), entry.fence.seqno(), entry.usage)
            })
            .collect();
        members.sort_unstable();
        let mut words: Vec<String> = members
            .into_iter()
            .map(|(at, seqno, usage)| {
                let timeline = self.timelines.get(at).map_or("?", |(name, _)| name);
                match usages {
                    true => format!("{timeline}{seqno}={usage}"),
                    false => format!("{timeline}{seqno}"),
                }
            })
            .collect();
        words.dedup_by(|a, b| a == b && !usages);
        match words.is_empty() {
            true => "-".to_owned(),
            false => words.join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resv_api::{ExclusiveShared, Locked, UsageLevels, WritersReadersOthers};

    #[test]
    fn right_answers_pass_and_wrong_ones_say_what_differs() {
        let sequence = "W A1, R B1, signal A1, R A2";
        let on = Subject::of::<UsageLevels, Locked>();
        let check = |sequence, expected| check(on, sequence, expected);
        assert_eq!(
            check(sequence, "read: -; write: A2 B1; list: A2=read B1=read"),
            Ok(())
        );
        let error = check(sequence, "write: A2").unwrap_err();
        assert!(
            error.contains("write is told A2 B1, expected A2"),
            "{error}"
        );
        for (sequence, expected) in [
            ("W A", "read: -"),
            ("X A1", "read: -"),
            ("A1", "read: -"),
            ("lock, W A1", "read: -"),
            ("signal A1, signal A1", "read: -"),
            ("W A1", "read"),
            ("W A1", "peek: -"),
        ] {
            assert!(check(sequence, expected).is_err(), "{sequence}: {expected}");
        }
    }

    #[test]
    fn questions_can_be_asked_in_the_middle_of_a_transaction() {
        let sequence = "lock, R F1, ?, unlock, ?, copy, signal F1, ?";
        let at_once = "write: F1 / F1 / -";
        let at_publish = "write: - / F1 / -";
        let legacy = Subject::of::<ExclusiveShared, Locked>();
        assert_eq!(check(legacy, sequence, at_once), Ok(()));
        assert_eq!(
            check(
                Subject::of::<WritersReadersOthers, Locked>(),
                sequence,
                at_publish
            ),
            Ok(())
        );
    }
}
