//! From a line of text to a [`Statement`], and from a whole text to a [`Scenario`].

use super::ast::{Quoted, Scenario, Statement};
use super::error::ScenarioError;
use resv_core::{Owner, Tag};
use resv_policy::Asker;
use std::fmt::Display;
use std::str::FromStr;

impl Scenario {
    /// Parses a whole script. A program that has to answer as it reads uses
    /// [`parse_line`] instead.
    ///
    /// # Errors
    ///
    /// On the first line that is wrong.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        let mut statements = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            if let Some(statement) = parse_line(index + 1, line)? {
                statements.push((index + 1, statement));
            }
        }
        Ok(Scenario { statements })
    }
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Scenario::parse(text)
    }
}

/// Each statement's first word and its full form, in the order in which errors list them.
const FORMS: [(&str, &str); 20] = [
    ("timeline", "timeline NAME [owner OWNER] [device N]"),
    ("fence", "fence NAME TIMELINE [SEQNO]"),
    ("lazy", "lazy NAME TIMELINE"),
    ("point", "point NAME TIMELINE SEQNO"),
    ("era", "era ERA"),
    ("resv", "resv NAME"),
    ("add", "add RESV FENCE USAGE [FENCE USAGE ...]"),
    ("replace", "replace RESV TIMELINE FENCE USAGE"),
    ("copy", "copy DST SRC"),
    ("file", "file RESV PRODUCER FENCE [attached] [explicit]"),
    ("attach", "attach RESV"),
    ("signal", "signal FENCE [error]"),
    ("waits", "waits RESV ACCESS"),
    ("wait", "wait RESV ACCESS"),
    ("ask", "ask RESV OWNER device N|- MODE"),
    ("asked", "asked FENCE"),
    ("idle", "idle RESV ACCESS"),
    ("failure", "failure RESV ACCESS"),
    ("list", "list RESV"),
    ("status", "status FENCE"),
];

/// Parses line number `line`; `None` for one that is blank or only a comment.
///
/// A line ending (`\n` or `\r\n`) may still be on it.
///
/// ```
/// use resv_conformance::scenario::parse_line;
///
/// let statement = parse_line(1, "add  fb f1 write   # the frame\r\n")?;
/// assert_eq!(statement.unwrap().to_string(), "add fb f1 write");
/// assert_eq!(parse_line(2, "# nothing here")?, None);
/// assert_eq!(
///     parse_line(3, "list").unwrap_err().to_string(),
///     "3: 'list' has 0 words after it: expected 'list RESV', and one statement a line"
/// );
/// # Ok::<(), resv_conformance::scenario::ScenarioError>(())
/// ```
///
/// # Errors
///
/// When the line is not a statement.
pub fn parse_line(line: usize, text: &str) -> Result<Option<Statement>, ScenarioError> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let code = text.split('#').next().unwrap_or_default();
    let words: Vec<&str> = code.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
    match words.split_first() {
        None => Ok(None),
        Some((keyword, rest)) => statement(keyword, rest)
            .map(Some)
            .map_err(|message| ScenarioError::new(line, message)),
    }
}

fn statement(keyword: &str, rest: &[&str]) -> Result<Statement, String> {
    Ok(match (keyword, rest) {
        ("timeline", [name, tag @ ..]) if tag.len() <= 4 && is_tag(tag) => Statement::Timeline {
            name: word(name)?,
            tag: parse_tag(tag)?,
        },
        ("lazy", [name, timeline]) => Statement::Lazy {
            name: word(name)?,
            timeline: word(timeline)?,
        },
        ("point", [name, timeline, seqno]) => Statement::Point {
            name: word(name)?,
            timeline: word(timeline)?,
            seqno: number(seqno)?,
        },
        ("era", [era]) => Statement::Era { era: word(era)? },
        ("file", [resv, producer, fence, flags @ ..]) if flags.len() <= 2 => {
            let [mut attached, mut explicit] = [false; 2];
            for flag in flags {
                let seen = match *flag {
                    "attached" => &mut attached,
                    "explicit" => &mut explicit,
                    other => {
                        return Err(format!(
                            "{} says nothing about how a fence is filed: expected 'attached', \
                             'explicit' or the end of the line",
                            Quoted(other)
                        ));
                    }
                };
                if std::mem::replace(seen, true) {
                    return Err(format!("'{flag}' stands twice: expected it once"));
                }
            }
            Statement::File {
                resv: word(resv)?,
                producer: word(producer)?,
                fence: word(fence)?,
                attached,
                explicit,
            }
        }
        ("attach", [resv]) => Statement::Attach { resv: word(resv)? },
        ("wait", [resv, access]) => Statement::Wait {
            resv: word(resv)?,
            access: word(access)?,
        },
        ("ask", [resv, owner, "device", device, mode]) => Statement::Ask {
            resv: word(resv)?,
            asker: Asker {
                owner: word(owner)?,
                device: match *device {
                    "-" => None,
                    number => Some(parse_device(number)?),
                },
            },
            mode: word(mode)?,
        },
        ("asked", [fence]) => Statement::Asked {
            fence: word(fence)?,
        },
        ("fence", [name, timeline, seqno @ ..]) if seqno.len() <= 1 => Statement::Fence {
            name: word(name)?,
            timeline: word(timeline)?,
            seqno: seqno.first().map(|word| number(word)).transpose()?,
        },
        ("resv", [name]) => Statement::Resv { name: word(name)? },
        ("add", [resv, pairs @ ..]) if !pairs.is_empty() => {
            let resv = word(resv)?;
            let mut edits = Vec::with_capacity(pairs.len() / 2);
            for pair in pairs.chunks(2) {
                let [fence, usage] = pair else {
                    return Err(format!(
                        "fence {} has no usage: expected pairs of a fence and a usage, \
                         as in 'add RESV FENCE USAGE [FENCE USAGE ...]'",
                        Quoted(pair[0])
                    ));
                };
                edits.push((word(fence)?, word(usage)?));
            }
            Statement::Add { resv, edits }
        }
        ("replace", [resv, timeline, fence, usage]) => Statement::Replace {
            resv: word(resv)?,
            timeline: word(timeline)?,
            fence: word(fence)?,
            usage: word(usage)?,
        },
        ("copy", [dst, src]) => Statement::Copy {
            dst: word(dst)?,
            src: word(src)?,
        },
        ("signal", [fence]) => Statement::Signal {
            fence: word(fence)?,
            error: false,
        },
        ("signal", [fence, "error"]) => Statement::Signal {
            fence: word(fence)?,
            error: true,
        },
        ("signal", [_, other]) => {
            return Err(format!(
                "{} says nothing about a signal: expected 'error' or the end of the line",
                Quoted(other)
            ));
        }
        ("waits", [resv, access]) => Statement::Waits {
            resv: word(resv)?,
            access: word(access)?,
        },
        ("idle", [resv, access]) => Statement::Idle {
            resv: word(resv)?,
            access: word(access)?,
        },
        ("failure", [resv, access]) => Statement::Failure {
            resv: word(resv)?,
            access: word(access)?,
        },
        ("list", [resv]) => Statement::List { resv: word(resv)? },
        ("status", [fence]) => Statement::Status {
            fence: word(fence)?,
        },
        _ => return Err(wrong_form(keyword, rest.len())),
    })
}

/// Whether the words are pairs that begin with `owner` or `device`, each at most once.
fn is_tag(words: &[&str]) -> bool {
    let keys: Vec<&str> = words.iter().step_by(2).copied().collect();
    let are_known = keys.iter().all(|key| matches!(*key, "owner" | "device"));
    words.len().is_multiple_of(2) && are_known && keys.first() != keys.get(1).or(Some(&""))
}

fn parse_tag(words: &[&str]) -> Result<Tag, String> {
    let value = |key| {
        let at = words.iter().step_by(2).position(|word| *word == key);
        at.map(|at| words[2 * at + 1])
    };
    let tag = Tag::new(value("owner").map_or(Ok(Owner::Undefined), word)?);
    match value("device") {
        Some(device) => Ok(tag.on_device(parse_device(device)?)),
        None => Ok(tag),
    }
}

fn parse_device(text: &str) -> Result<u32, String> {
    // As it is printed: no sign, no zeros in front.
    let is_number = |device: &u32| device.to_string() == text;
    text.parse().ok().filter(is_number).ok_or_else(|| {
        format!(
            "{} is not a device: expected a number from 0 to 2^32-1{}",
            Quoted(text),
            if text == "-" {
                ", or no device at all"
            } else {
                ""
            }
        )
    })
}

/// The forms of all statements and the words that stand in them, one to a line: what a command line shows
/// as help.
pub fn grammar() -> String {
    let mut text = String::from("A line of a scenario is one of:\n");
    for (_, form) in FORMS {
        text.push_str("  ");
        text.push_str(form);
        text.push('\n');
    }
    text.push_str(
        "USAGE is kernel, write, read or bookkeep; ACCESS is explicit, read, write or move. OWNER is undefined, \
         page-tables, compute or client:N; ERA is p0 to p7, with p6a and p6b; MODE is always, not-equal, equal \
         or explicit; PRODUCER is submission, page-tables, compute, move, vacate, gang-member, user-queue or \
         user-queue-eviction. A # starts a comment.",
    );
    text
}

fn wrong_form(keyword: &str, count: usize) -> String {
    match FORMS.iter().find(|(word, _)| *word == keyword) {
        Some((_, form)) => format!(
            "'{keyword}' has {count} word{} after it: expected '{form}', and one statement a line",
            if count == 1 { "" } else { "s" }
        ),
        None => {
            let words: Vec<&str> = FORMS.iter().map(|(word, _)| *word).collect();
            format!(
                "{} is not a statement: expected one of {}",
                Quoted(keyword),
                words.join(", ")
            )
        }
    }
}

/// A name, a usage or an access.
fn word<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn number(text: &str) -> Result<u64, String> {
    // As it is printed: no sign, no zeros in front.
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok().filter(|_| is_number || text == "0");
    number.ok_or_else(|| match is_number && !text.is_empty() {
        true => format!(
            "seqno {} does not fit in 64 bits: expected a number from 1 to 2^64-2",
            Quoted(text)
        ),
        false => format!(
            "{} is not a seqno: expected a number from 1 to 2^64-2",
            Quoted(text)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use proptest::prelude::*;

    fn one(text: &str) -> Statement {
        parse_line(1, text).unwrap().unwrap()
    }

    fn error(text: &str) -> String {
        parse_line(7, text).unwrap_err().to_string()
    }

    #[test]
    fn every_form_prints_as_it_was_read() {
        let text = "timeline gfx\ntimeline x owner client:1 device 0\ntimeline v owner page-tables\n\
            timeline m device 3\nlazy e x\npoint p gfx 9\nera p6b\nfence f1 gfx\nfence f2 gfx 7\nresv fb\nresv dst\n\
            add fb f1 write f2 read\nreplace fb gfx f2 bookkeep\ncopy dst fb\nsignal f1\n\
            signal f2 error\nfile fb submission f1 attached explicit\n\
            file fb user-queue-eviction e\nattach fb\nwait fb move\nasked e\n\
            ask fb client:1 device 0 not-equal\nask fb compute device - equal\n\
            waits fb explicit\nidle fb move\nfailure fb read\nlist fb\nstatus f1\n";
        assert_eq!(Scenario::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn layout_comments_and_line_ends_mean_nothing() {
        assert_eq!(
            one("\t add\tfb  f1 write# text # more\r\n"),
            one("add fb f1 write")
        );
        for blank in ["", "\r\n", "  \t", "#", "  # add fb"] {
            assert_eq!(parse_line(1, blank), Ok(None), "{blank:?}");
        }
        let script = Scenario::parse("\r\n# c\r\nresv a\r\n\r\nlist a").unwrap();
        let lines: Vec<usize> = script.statements().map(|(line, _)| line).collect();
        assert_eq!(lines, [3, 5]);
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_was_expected() {
        for (text, says) in [
            (
                "lisst fb",
                "7: 'lisst' is not a statement: expected one of timeline, fence, lazy, point, era, resv",
            ),
            (
                "timeline a resv b",
                "'timeline' has 3 words after it: expected 'timeline NAME [owner OWNER] [device N]', and one statement a line",
            ),
            (
                "fence f",
                "'fence' has 1 word after it: expected 'fence NAME TIMELINE [SEQNO]'",
            ),
            (
                "add fb",
                "'add' has 1 word after it: expected 'add RESV FENCE USAGE",
            ),
            ("add fb f1", "fence 'f1' has no usage"),
            ("add fb f1 write f2", "fence 'f2' has no usage"),
            (
                "add fb f1 wrote",
                "'wrote' is not one of the usages kernel, write, read, bookkeep",
            ),
            (
                "waits fb Read",
                "'Read' is not one of the accesses explicit, read, write, move",
            ),
            (
                "signal f1 ok",
                "'ok' says nothing about a signal: expected 'error'",
            ),
            (
                "resv a:b",
                "'a:b' cannot be a name: expected a word without ':', '='",
            ),
            ("resv a=b", "'a=b' cannot be a name"),
            ("resv a\u{a0}b", "'a\\u{a0}b' cannot be a name"),
            (
                "fence f gfx -1",
                "'-1' is not a seqno: expected a number from 1 to 2^64-2",
            ),
            ("fence f gfx +1", "'+1' is not a seqno"),
            ("fence f gfx 007", "'007' is not a seqno"),
            ("fence f gfx 00", "'00' is not a seqno"),
            ("point p gfx 01", "'01' is not a seqno"),
            (
                "fence f gfx 18446744073709551616",
                "seqno '18446744073709551616' does not fit in 64 bits",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_long_or_unprintable_word_does_not_flood_the_message() {
        let error = error(&"x\u{1b}".repeat(5000));
        assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_parsed_or_refused(text in "(?s).{0,200}") {
            let _ = Scenario::parse(&text);
        }

        #[test]
        fn what_parses_prints_to_what_parses_alike(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("add"), Just("fence"), Just("signal"), Just("waits"), Just("list"),
                    Just("write"), Just("read"), Just("error"), Just("f1"), Just("5"), Just("\t"),
                ],
                0..7,
            )
        ) {
            if let Ok(Some(statement)) = parse_line(1, &words.join(" ")) {
                prop_assert_eq!(&one(&statement.to_string()), &statement);
            }
        }
    }
}
