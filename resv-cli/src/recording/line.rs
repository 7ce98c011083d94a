//! The columns of one line, before the event's own fields.
//!
//! What all forms share is the time: a word of digits, a point, 1 to 9 digits and a colon. Left of it stand, from right to
//! left, an optional column of flags, `[CPU]`, an optional `(TGID)`, and the task: `COMM-PID`, or in perf's form `COMM PID`
//! or `COMM PID/TID`. Right of it stands the event's name, ended by a colon, and then its fields.
//!
//! COMM is whatever a program called itself, so it may hold spaces, dashes, colons, brackets, or text that looks like
//! columns. That is why the columns are read from the time leftwards, and why the first time that has them all wins: a name
//! that imitates task, CPU, time and event is longer than the 15 bytes that Linux keeps.

use super::stats::SkipReason;

/// Columns are looked for in this many bytes of a line.
const HEAD_WINDOW: usize = 1024;
/// An event name longer than this is none.
const MAX_NAME: usize = 128;
/// The flags column is at most this wide.
const MAX_FLAGS: usize = 8;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing but white space.
    Blank,
    /// A comment or one of the tracer's own header lines.
    Header,
    /// A frame of the stack that the event before was recorded with.
    CallChain,
    /// The tracer says that it lost events: how many, 0 if it does not say.
    Lost(u64),
    /// An event, its fields not yet looked at.
    Event(Head<'a>),
    /// None of these.
    Bad(SkipReason),
}

/// The columns of an event line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) time_ns: u64,
    pub(super) cpu: Option<u32>,
    pub(super) comm: &'a str,
    pub(super) pid: Option<u32>,
    /// Without the system that perf puts before it.
    pub(super) name: &'a str,
    pub(super) fields: &'a str,
}

/// Says what `text`, a line without its end, is. `in_call_chain` says that the line before was a stack frame.
pub(super) fn classify(text: &str, in_call_chain: bool) -> Line<'_> {
    let body = text.trim_ascii();
    if body.is_empty() {
        return Line::Blank;
    }
    // A `#` in the first column is a comment even if an event follows; a task named `#...` is indented by every tracer.
    if text.starts_with('#') {
        return Line::Header;
    }
    match head(text) {
        Ok(head) => Line::Event(head),
        Err(_) if is_header(body) => Line::Header,
        Err(reason) => match lost(body) {
            Some(count) => Line::Lost(count),
            None if is_frame(text, body, in_call_chain, &reason) => Line::CallChain,
            None => Line::Bad(reason),
        },
    }
}

/// Finds the columns, or says why the line has none.
fn head(text: &str) -> Result<Head<'_>, SkipReason> {
    let mut without_cpu = None;
    let mut reason = SkipReason::NotATraceLine;
    for (start, word) in words(text).take_while(|&(start, _)| start < HEAD_WINDOW) {
        let Some(digits) = word.strip_suffix(':').filter(|word| is_decimal(word)) else {
            continue;
        };
        let Some(place) = place(&text[..start]) else {
            continue;
        };
        let Some(time_ns) = nanoseconds(digits) else {
            if place.cpu.is_some() {
                reason = SkipReason::BadTime;
            }
            continue;
        };
        let Some((name, fields)) = event_name(&text[start + word.len()..]) else {
            if place.cpu.is_some() {
                reason = SkipReason::NoEventName;
            }
            continue;
        };
        let head = Head {
            time_ns,
            cpu: place.cpu,
            comm: place.comm,
            pid: place.pid,
            name,
            fields,
        };
        if head.cpu.is_some() {
            return Ok(head);
        }
        without_cpu.get_or_insert(head);
    }
    without_cpu.ok_or(reason)
}

/// The words of a line with the place where each begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + (rest.len() - rest.trim_ascii_start().len());
        let rest = &text[start..];
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        at = start + end;
        Some((start, &rest[..end]))
    })
}

/// Digits with at most one point among them, beginning and ending with a digit.
fn is_decimal(word: &str) -> bool {
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(part)
}

/// Seconds with 1 to 9 decimals as nanoseconds, if they fit.
fn nanoseconds(word: &str) -> Option<u64> {
    let (whole, part) = word.split_once('.')?;
    let missing = 9usize.checked_sub(part.len())?;
    let scale = 10u64.pow(missing as u32);
    let seconds: u64 = whole.parse().ok()?;
    let part: u64 = part.parse().ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(part * scale)
}

/// The columns left of the time.
struct Place<'a> {
    comm: &'a str,
    pid: Option<u32>,
    cpu: Option<u32>,
}

fn place(text: &str) -> Option<Place<'_>> {
    let with_cpu = cpu_column(text).and_then(|(cpu, rest)| {
        let (comm, pid) = task(without_tgid(rest))?;
        Some((Some(cpu), comm, pid))
    });
    let (cpu, comm, pid) = match with_cpu {
        Some(place) => place,
        None => {
            let (comm, pid) = task(without_tgid(text))?;
            // With neither a CPU nor a name this is any number.
            (!comm.is_empty()).then_some((None, comm, pid))?
        }
    };
    Some(Place {
        comm: comm.trim_ascii(),
        pid: Some(pid),
        cpu,
    })
}

/// Takes `[CPU]`, or `[CPU] FLAGS`, off the end.
fn cpu_column(text: &str) -> Option<(u32, &str)> {
    let (rest, last) = last_word(text);
    if let Some(cpu) = bracketed(last) {
        return Some((cpu, rest));
    }
    let flags = last.len() <= MAX_FLAGS
        && last
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'#');
    if !flags {
        return None;
    }
    let (rest, last) = last_word(rest);
    bracketed(last).map(|cpu| (cpu, rest))
}

fn last_word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_end();
    let start = text
        .rfind(|c: char| c.is_ascii_whitespace())
        .map_or(0, |at| at + 1);
    (&text[..start], &text[start..])
}

fn bracketed(word: &str) -> Option<u32> {
    all_digits(word.strip_prefix('[')?.strip_suffix(']')?)
}

fn all_digits(word: &str) -> Option<u32> {
    // `parse` alone would take a sign.
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        word.parse().ok()
    } else {
        None
    }
}

/// Drops a closing `(  123)` or `(-----)`.
fn without_tgid(text: &str) -> &str {
    let text = text.trim_ascii_end();
    let Some(inner) = text.strip_suffix(')') else {
        return text;
    };
    let Some(open) = inner.rfind('(') else {
        return text;
    };
    let id = inner[open + 1..].trim_ascii();
    let unknown = !id.is_empty() && id.bytes().all(|byte| byte == b'-');
    if unknown || (!id.is_empty() && all_digits(id).is_some()) {
        text[..open].trim_ascii_end()
    } else {
        text
    }
}

/// Splits `COMM-PID`, `COMM PID` or `COMM PID/TID` at its end. Of two ids the thread's is kept: it is what the other forms give.
fn task(text: &str) -> Option<(&str, u32)> {
    let (before, id) = trailing_digits(text);
    let pid = if id.is_empty() {
        return None;
    } else {
        all_digits(id)?
    };
    if let Some(comm) = before.strip_suffix('-') {
        return Some((comm, pid));
    }
    if let Some(process) = before.strip_suffix('/') {
        let (comm, process) = trailing_digits(process);
        let parted = comm.is_empty() || comm.ends_with(|c: char| c.is_ascii_whitespace());
        return (!process.is_empty() && parted).then_some((comm, pid));
    }
    before
        .ends_with(|c: char| c.is_ascii_whitespace())
        .then_some((before, pid))
}

fn trailing_digits(text: &str) -> (&str, &str) {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    text.split_at(text.len() - digits)
}

/// Takes the event's name off the text right of the time.
fn event_name(text: &str) -> Option<(&str, &str)> {
    const STACK: &str = "<stack trace>";
    let text = text.trim_ascii();
    if let Some(rest) = text.strip_prefix(STACK) {
        return Some((STACK, rest.trim_ascii_start()));
    }
    let mut words = words(text);
    let (mut start, mut word) = words.next()?;
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        // perf may print the sample's period before the event.
        (start, word) = words.next()?;
    }
    let Some(full) = word.strip_suffix(':') else {
        // `FUNCTION <-CALLER`: the function tracer.
        let is_call = words
            .next()
            .is_some_and(|(_, caller)| caller.starts_with("<-"));
        return (is_call && word.len() <= MAX_NAME).then(|| (word, &text[start + word.len()..]));
    };
    let printable = full.bytes().all(|byte| byte.is_ascii_graphic());
    if full.is_empty() || full.len() > MAX_NAME || !printable {
        return None;
    }
    // `system:event`; but in `cycles:u` the last part only modifies the name.
    let name = match full.rsplit_once(':') {
        Some((_, event)) if event.len() > 3 => event,
        _ => full,
    };
    Some((name, text[start + word.len()..].trim_ascii_start()))
}

/// The lines that trace-cmd prints before events. (Those of tracefs and perf begin with `#`.)
fn is_header(body: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if body == "TRACE:" {
        return true;
    }
    if let Some(count) = body.strip_prefix("cpus=") {
        return number(count);
    }
    if let Some(rest) = body.strip_prefix("version") {
        let version = rest.trim_ascii_start().strip_prefix('=');
        return version.is_some_and(|version| number(version.trim_ascii()));
    }
    let empty = body
        .strip_prefix("CPU ")
        .and_then(|rest| rest.strip_suffix(" is empty"));
    empty.is_some_and(number)
}

/// `CPU:2 [LOST 12 EVENTS]` (tracefs), `CPU:2 [12 EVENTS DROPPED]` (trace-cmd), each also without the number.
fn lost(body: &str) -> Option<u64> {
    let (cpu, rest) = body.strip_prefix("CPU:")?.split_once(' ')?;
    all_digits(cpu)?;
    let words = rest.trim_ascii().strip_prefix('[')?.strip_suffix(']')?;
    let count = if words == "LOST EVENTS" || words == "EVENTS DROPPED" {
        return Some(0);
    } else if let Some(count) = words.strip_prefix("LOST ") {
        count.strip_suffix(" EVENTS")?
    } else {
        words.strip_suffix(" EVENTS DROPPED")?
    };
    count.trim_ascii().parse().ok()
}

/// A stack frame: ftrace writes `=> function`, perf an indented address and symbol; what follows a frame and is indented but
/// no event belongs to it (source lines, inlined functions).
fn is_frame(text: &str, body: &str, in_call_chain: bool, reason: &SkipReason) -> bool {
    if body.starts_with("=> ") {
        return true;
    }
    let indented = text.starts_with([' ', '\t']);
    let address = body.split_ascii_whitespace().next().unwrap_or_default();
    let address = address.strip_prefix("0x").unwrap_or(address);
    let hex = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    let no_columns = *reason == SkipReason::NotATraceLine;
    indented && no_columns && (hex || in_call_chain || body.ends_with("(inlined)"))
}
