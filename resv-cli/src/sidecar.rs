//! The buffer sidecar: which buffers the jobs of a recording touch.
//!
//! No Linux fence event names a buffer, so the user of a recording says it in a second file, line by line:
//!
//! ```text
//! # JOB       BUFFER USAGE[/ACCESS] ...
//! job 41:1207 out0_a write  game1 read          exactly this job
//! job 61:30-44 video0 read                      jobs 30 to 44 of context 61
//! job 75:*    panel write                       every job of context 75
//! job 57:88   game1 write/explicit              writes, and does not wait for earlier fences of game1
//! move 0xffff8e41c2a40c58 atlas                 the `bo=` of a move event is this buffer
//! ```
//!
//! Where several lines fit a job the most specific one holds, alone: exact before range, the narrower of two ranges before the
//! wider, range before star. Ranges that cut into each other are refused, as neither would be the narrower.
//!
//! *Usage* is what the job does with the buffer, *access* is what it waits for before. Left out, the access is the one that
//! Linux drivers choose for the usage: see [`SidecarUsage::default_access`].

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use crate::recording::parse_address;

/// What a job does with a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SidecarUsage {
    /// Memory management moves or clears it.
    Kernel,
    /// It is written.
    Write,
    /// It is read.
    Read,
    /// It is referred to, in a way that nobody waits for implicitly.
    Bookkeep,
}

/// What a job waits for before it touches a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SidecarAccess {
    /// No implicit fence.
    Explicit,
    /// What a reader waits for.
    Read,
    /// What a writer waits for.
    Write,
    /// What moving or freeing the memory waits for.
    Move,
}

impl SidecarUsage {
    const ALL: [SidecarUsage; 4] = [
        SidecarUsage::Kernel,
        SidecarUsage::Write,
        SidecarUsage::Read,
        SidecarUsage::Bookkeep,
    ];

    /// The access of a job that says nothing else: a writer waits as a writer, a reader as a reader, a kernel job as one that
    /// moves the memory, and bookkeeping for nothing.
    pub fn default_access(self) -> SidecarAccess {
        match self {
            SidecarUsage::Kernel => SidecarAccess::Move,
            SidecarUsage::Write => SidecarAccess::Write,
            SidecarUsage::Read => SidecarAccess::Read,
            SidecarUsage::Bookkeep => SidecarAccess::Explicit,
        }
    }
}

impl SidecarAccess {
    const ALL: [SidecarAccess; 4] = [
        SidecarAccess::Explicit,
        SidecarAccess::Read,
        SidecarAccess::Write,
        SidecarAccess::Move,
    ];
}

impl fmt::Display for SidecarUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SidecarUsage::Kernel => "kernel",
            SidecarUsage::Write => "write",
            SidecarUsage::Read => "read",
            SidecarUsage::Bookkeep => "bookkeep",
        })
    }
}

impl fmt::Display for SidecarAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SidecarAccess::Explicit => "explicit",
            SidecarAccess::Read => "read",
            SidecarAccess::Write => "write",
            SidecarAccess::Move => "move",
        })
    }
}

impl FromStr for SidecarUsage {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL
            .into_iter()
            .find(|usage| usage.to_string() == word);
        found.ok_or_else(|| UnknownWord::new(word, "kernel, write, read or bookkeep"))
    }
}

impl FromStr for SidecarAccess {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL
            .into_iter()
            .find(|access| access.to_string() == word);
        found.ok_or_else(|| UnknownWord::new(word, "explicit, read, write or move"))
    }
}

/// A word that is no usage or no access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    word: String,
    expected: &'static str,
}

impl UnknownWord {
    fn new(word: &str, expected: &'static str) -> Self {
        UnknownWord {
            word: word.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' where {} was expected", self.word, self.expected)
    }
}

impl std::error::Error for UnknownWord {}

/// One buffer that a job touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Touch {
    /// The place of its name in [`Sidecar::buffer_names`].
    pub buffer: usize,
    /// What the job does with it.
    pub usage: SidecarUsage,
    /// What the job waits for before.
    pub access: SidecarAccess,
}

/// A line of the sidecar that gives jobs their buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRule {
    /// The line it stands on, from 1.
    pub line: usize,
    /// The buffers, in the order written.
    pub touches: Vec<Touch>,
}

/// A sidecar, read and checked.
#[derive(Debug, Clone, Default)]
pub struct Sidecar {
    buffers: Vec<String>,
    index: HashMap<String, usize>,
    rules: Vec<JobRule>,
    contexts: HashMap<u64, Rules>,
    moves: HashMap<u64, usize>,
}

/// The rules of one context, as places in [`Sidecar::rules`].
#[derive(Debug, Clone, Default)]
struct Rules {
    exact: HashMap<u64, usize>,
    /// By lower end, the wider first; each knows the narrowest range around it.
    ranges: Vec<Range>,
    star: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    low: u64,
    high: u64,
    rule: usize,
    around: Option<usize>,
}

/// What stands right of the colon of a job.
enum Selector {
    Exact(u64),
    Range(u64, u64),
    Star,
}

impl Sidecar {
    /// Reads `text`; messages call it `name`.
    ///
    /// # Errors
    /// At the first line that is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Sidecar, SidecarError> {
        let mut sidecar = Sidecar::default();
        for (index, line) in text.lines().enumerate() {
            let line_no = index + 1;
            let fail = |message| SidecarError {
                name: name.to_owned(),
                line: Some(line_no),
                message,
            };
            let line = if index == 0 {
                line.trim_start_matches('\u{feff}')
            } else {
                line
            };
            let statement = line.split('#').next().unwrap_or_default();
            sidecar.statement(line_no, statement).map_err(fail)?;
        }
        for rules in sidecar.contexts.values_mut() {
            rules.nest().map_err(|(inner, outer)| {
                let outer = sidecar.rules[outer].line;
                SidecarError {
                    name: name.to_owned(),
                    line: Some(sidecar.rules[inner].line),
                    message: format!(
                        "this range cuts into the one of line {outer}: expected ranges apart from each other or one within the other"
                    ),
                }
            })?;
        }
        Ok(sidecar)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is not UTF-8, or a line is wrong.
    pub fn load(path: &Path) -> Result<Sidecar, SidecarError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| SidecarError::io(&name, &error))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Sidecar::parse(&name, text),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                Err(SidecarError {
                    name,
                    line: Some(1 + before.iter().filter(|&&byte| byte == b'\n').count()),
                    message: "not UTF-8: expected a text file".to_owned(),
                })
            }
        }
    }

    /// The buffers that a job touches, if a line says so.
    pub fn buffers_of(&self, context: u64, seqno: u64) -> Option<&[Touch]> {
        self.rule_of(context, seqno)
            .map(|rule| rule.touches.as_slice())
    }

    /// The line that holds for a job.
    pub fn rule_of(&self, context: u64, seqno: u64) -> Option<&JobRule> {
        let place = self.contexts.get(&context)?.place(seqno)?;
        self.rules.get(place)
    }

    /// The `job` lines, in the order written.
    pub fn rules(&self) -> &[JobRule] {
        &self.rules
    }

    /// The buffer that a move event's `bo=` means, as a place in [`Sidecar::buffer_names`].
    pub fn buffer_of_move(&self, bo: u64) -> Option<usize> {
        self.moves.get(&bo).copied()
    }

    /// All buffers, in the order of first mention.
    pub fn buffer_names(&self) -> &[String] {
        &self.buffers
    }

    /// The place of `name` in [`Sidecar::buffer_names`].
    pub fn buffer(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    fn statement(&mut self, line: usize, text: &str) -> Result<(), String> {
        let mut words = text.split_whitespace();
        match words.next() {
            None => Ok(()),
            Some("job") => self.job(line, words),
            Some("move") => self.buffer_move(words),
            Some(word) => Err(format!(
                "unknown statement '{word}': expected 'job' or 'move'"
            )),
        }
    }

    fn job<'a>(
        &mut self,
        line: usize,
        mut words: impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        const FORM: &str = "expected job CONTEXT:SEQNO BUFFER USAGE[/ACCESS] ...";
        let word = words
            .next()
            .ok_or_else(|| format!("no job named: {FORM}"))?;
        let (context, selector) = selector(word)?;
        let mut touches: Vec<Touch> = Vec::new();
        while let Some(name) = words.next() {
            let buffer = self.intern(name)?;
            if touches.iter().any(|touch| touch.buffer == buffer) {
                return Err(format!(
                    "buffer '{name}' twice: expected each buffer of a job once"
                ));
            }
            let usage = words
                .next()
                .ok_or_else(|| format!("no usage after buffer '{name}': {FORM}"))?;
            let (usage, access) = usage_and_access(usage)?;
            touches.push(Touch {
                buffer,
                usage,
                access,
            });
        }
        if touches.is_empty() {
            return Err(format!("no buffer named: {FORM}"));
        }
        let place = self.rules.len();
        let rules = self.contexts.entry(context).or_default();
        let earlier = match selector {
            Selector::Exact(seqno) => rules.exact.insert(seqno, place),
            Selector::Star => rules.star.replace(place),
            Selector::Range(low, high) => {
                rules.ranges.push(Range {
                    low,
                    high,
                    rule: place,
                    around: None,
                });
                None
            }
        };
        if let Some(earlier) = earlier.and_then(|place| self.rules.get(place)) {
            let earlier = earlier.line;
            return Err(format!(
                "job {word} again: expected it once, and line {earlier} has it"
            ));
        }
        self.rules.push(JobRule { line, touches });
        Ok(())
    }

    fn buffer_move<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        const FORM: &str = "expected move ADDRESS BUFFER";
        let (Some(address), Some(name), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("wrong number of words: {FORM}"));
        };
        let bo = parse_address(address).ok_or_else(|| {
            format!("'{address}' is no address: expected the bo= of a move event")
        })?;
        let buffer = self.intern(name)?;
        match self.moves.insert(bo, buffer) {
            None => Ok(()),
            Some(_) => Err(format!(
                "address {address} again: expected each address once"
            )),
        }
    }

    /// The place of a buffer's name, new or not.
    fn intern(&mut self, name: &str) -> Result<usize, String> {
        if let Some(&place) = self.index.get(name) {
            return Ok(place);
        }
        let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let others = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/@+".contains(&byte));
        if !first || !others {
            return Err(format!(
                "'{name}' is no buffer name: expected a letter or '_', then letters, digits or any of _-.:/@+"
            ));
        }
        if name.split('/').all(|word| {
            SidecarUsage::from_str(word).is_ok() || SidecarAccess::from_str(word).is_ok()
        }) {
            return Err(format!("a buffer's name was expected before '{name}'"));
        }
        let place = self.buffers.len();
        self.buffers.push(name.to_owned());
        self.index.insert(name.to_owned(), place);
        Ok(place)
    }
}

impl Rules {
    fn place(&self, seqno: u64) -> Option<usize> {
        if let Some(&place) = self.exact.get(&seqno) {
            return Some(place);
        }
        // The last range that begins at or before the job, or one around it.
        let after = self.ranges.partition_point(|range| range.low <= seqno);
        let mut next = after.checked_sub(1);
        while let Some(range) = next.and_then(|place| self.ranges.get(place)) {
            if seqno <= range.high {
                return Some(range.rule);
            }
            next = range.around;
        }
        self.star
    }

    /// Orders the ranges and links each to the one around it; or gives the rules of two that cut into each other.
    fn nest(&mut self) -> Result<(), (usize, usize)> {
        self.ranges
            .sort_by_key(|range| (range.low, std::cmp::Reverse(range.high), range.rule));
        let mut open: Vec<usize> = Vec::new();
        for place in 0..self.ranges.len() {
            let range = self.ranges[place];
            while open
                .last()
                .is_some_and(|&outer| self.ranges[outer].high < range.low)
            {
                open.pop();
            }
            if let Some(&outer) = open.last() {
                let outer = self.ranges[outer];
                if range.high > outer.high || (range.low, range.high) == (outer.low, outer.high) {
                    return Err((range.rule.max(outer.rule), range.rule.min(outer.rule)));
                }
            }
            self.ranges[place].around = open.last().copied();
            open.push(place);
        }
        Ok(())
    }
}

fn selector(word: &str) -> Result<(u64, Selector), String> {
    let form = || {
        format!(
            "'{word}' is no job: expected CONTEXT:SEQNO, where SEQNO is a number, LOW-HIGH or '*'"
        )
    };
    let number = |text: &str| -> Option<u64> {
        // `parse` alone would take a sign.
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let (context, seqno) = word.split_once(':').ok_or_else(form)?;
    let context = number(context).ok_or_else(form)?;
    let selector = match seqno.split_once('-') {
        _ if seqno == "*" => Selector::Star,
        None => Selector::Exact(number(seqno).ok_or_else(form)?),
        Some((low, high)) => {
            let low = number(low).ok_or_else(form)?;
            let high = number(high).ok_or_else(form)?;
            if low > high {
                return Err(format!(
                    "the range of '{word}' is empty: expected LOW-HIGH with LOW not above HIGH"
                ));
            }
            Selector::Range(low, high)
        }
    };
    Ok((context, selector))
}

fn usage_and_access(word: &str) -> Result<(SidecarUsage, SidecarAccess), String> {
    let (usage, access) = match word.split_once('/') {
        Some((usage, access)) => (usage, Some(access)),
        None => (word, None),
    };
    let usage = SidecarUsage::from_str(usage).map_err(|error| format!("usage {error}"))?;
    let access = match access {
        Some(access) => {
            SidecarAccess::from_str(access).map_err(|error| format!("access {error}"))?
        }
        None => usage.default_access(),
    };
    Ok((usage, access))
}

/// What is wrong with a sidecar, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarError {
    /// The file.
    pub name: String,
    /// The line, from 1; `None` if the file could not be read at all.
    pub line: Option<usize>,
    /// What is wrong and what was expected.
    pub message: String,
}

impl SidecarError {
    fn io(name: &str, error: &io::Error) -> Self {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        SidecarError {
            name: name.to_owned(),
            line: None,
            message: format!("cannot read: {text}"),
        }
    }
}

impl fmt::Display for SidecarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SidecarError {
            name,
            line,
            message,
        } = self;
        match line {
            Some(line) => write!(f, "{name}:{line}: {message}"),
            None => write!(f, "{name}: {message}"),
        }
    }
}

impl std::error::Error for SidecarError {}
