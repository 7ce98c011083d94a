//! The log of everything an object was asked and said, so that two back ends can be compared answer by answer.
//!
//! Answers that list fences are sets: they are sorted before they are compared. Of each answer a digest is kept, eight bytes;
//! one can be asked for in words, by its number, when the play begins.

use std::fmt::Write as _;

use resv_api::Entry;

use super::digest::Fnv;
use super::recorded::JobId;
use super::rule::Touch;
use super::workload::Workload;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    WaitsFor,
    IsIdle,
    /// The entries after an add.
    Entries,
}

impl Question {
    const ALL: [Question; 3] = [Question::WaitsFor, Question::IsIdle, Question::Entries];
}

/// One answer in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) job: JobId,
    pub(super) question: String,
    pub(super) answer: String,
}

/// The answers of one play, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    digests: Vec<u64>,
    tell: Option<usize>,
    told: Option<Told>,
}

impl Answers {
    /// A log that puts answer number `tell` in words.
    pub(super) fn telling(tell: Option<usize>) -> Answers {
        Answers {
            tell,
            ..Answers::default()
        }
    }

    /// Logs an answer that lists fences, which it sorts.
    pub(super) fn list(
        &mut self,
        workload: &Workload,
        job: JobId,
        touch: &Touch,
        question: Question,
        entries: &mut [Entry],
    ) {
        entries.sort_unstable_by_key(|entry| (job_of(entry), entry.usage));
        let mut fnv = Fnv::new();
        fnv.number(entries.len() as u64);
        for entry in &*entries {
            fnv.number(job_of(entry).into());
            fnv.number(entry.usage as u64);
        }
        self.push(workload, job, touch, question, fnv, || {
            let mut text = String::new();
            for entry in &*entries {
                let name = workload.recorded.job_name(job_of(entry));
                let _ = write!(text, "{name}={} ", entry.usage);
            }
            match text.trim_end() {
                "" => "-".to_owned(),
                text => text.to_owned(),
            }
        });
    }

    /// Logs the answer of an idle test.
    pub(super) fn idle(&mut self, workload: &Workload, job: JobId, touch: &Touch, idle: bool) {
        let mut fnv = Fnv::new();
        fnv.number(idle.into());
        self.push(workload, job, touch, Question::IsIdle, fnv, || {
            idle.to_string()
        });
    }

    fn push(
        &mut self,
        workload: &Workload,
        job: JobId,
        touch: &Touch,
        question: Question,
        mut fnv: Fnv,
        answer: impl FnOnce() -> String,
    ) {
        let kind = Question::ALL.iter().position(|q| *q == question);
        fnv.number(kind.unwrap_or_default() as u64);
        fnv.number(job.into());
        fnv.number(touch.buffer.into());
        if self.tell == Some(self.digests.len()) {
            let buffer = workload.buffer_name(touch.buffer);
            self.told = Some(Told {
                job,
                question: match question {
                    Question::WaitsFor => format!("waits {buffer} {}", touch.access),
                    Question::IsIdle => format!("idle {buffer} {}", touch.access),
                    Question::Entries => format!("list {buffer}, after its add {}", touch.usage),
                },
                answer: answer(),
            });
        }
        self.digests.push(fnv.value());
    }

    pub(super) fn len(&self) -> usize {
        self.digests.len()
    }

    pub(super) fn digest(&self) -> u64 {
        let mut fnv = Fnv::new();
        for &digest in &self.digests {
            fnv.number(digest);
        }
        fnv.value()
    }

    pub(super) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// The number of the first answer that differs, or that only one of the two has.
    pub(super) fn first_difference(&self, other: &Answers) -> Option<usize> {
        let pairs = self.digests.iter().zip(&other.digests);
        let differs = pairs.enumerate().find(|(_, (a, b))| a != b);
        match differs {
            Some((at, _)) => Some(at),
            None if self.len() == other.len() => None,
            None => Some(self.len().min(other.len())),
        }
    }
}

/// The job whose fence an entry holds: the play issues fences so that this works.
pub(super) fn job_of(entry: &Entry) -> JobId {
    entry.fence.seqno().saturating_sub(1) as JobId
}

#[cfg(test)]
mod tests {
    use super::super::rule::BufferRule;
    use super::*;
    use crate::recording::Reader;
    use resv_api::{Access, Timeline, Usage};

    fn answers(tell: Option<usize>, idle: &[bool]) -> Answers {
        let text = "a-1 [000] 1.000000: drm_sched_job_done: fence=5:7 signaled\n";
        let (recorded, _) = super::super::load(&mut Reader::new("test", text.as_bytes()), |_| {});
        let workload = Workload::new(recorded, &BufferRule::Single);
        let touch = Touch {
            buffer: 0,
            usage: Usage::Write,
            access: Access::Read,
        };
        let mut answers = Answers::telling(tell);
        let job = Timeline::new("test").issue_at(1).expect("a seqno");
        let mut entries = [Entry {
            fence: job.fence().clone(),
            usage: Usage::Write,
        }];
        answers.list(&workload, 0, &touch, Question::WaitsFor, &mut entries);
        for &idle in idle {
            answers.idle(&workload, 0, &touch, idle);
        }
        answers
    }

    #[test]
    fn the_first_difference_is_found_and_told() {
        let one = answers(Some(2), &[true, true]);
        let other = answers(Some(2), &[true, false]);
        assert_eq!(one.first_difference(&other), Some(2));
        assert_ne!(one.digest(), other.digest());
        let told = |answers: &Answers| answers.told().map(|told| told.answer.clone());
        assert_eq!(told(&one).as_deref(), Some("true"));
        assert_eq!(told(&other).as_deref(), Some("false"));
        // One answer more is a difference, too.
        assert_eq!(answers(None, &[true]).first_difference(&one), Some(2));
        assert_eq!(one.first_difference(&one.clone()), None);
    }

    #[test]
    fn an_answer_in_words() {
        let told = answers(Some(0), &[]).told().cloned().expect("it was asked");
        assert_eq!((told.question.as_str(), told.job), ("waits all read", 0));
        assert_eq!(told.answer, "?#5:7=write");
    }
}
