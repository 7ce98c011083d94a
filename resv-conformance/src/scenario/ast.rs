//! What a line can say: one [`Statement`], printed back as its canonical text.

use resv_core::{Access, Owner, Tag, Usage};
use resv_policy::{Asker, Era, Mode, Producer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a timeline, a fence or an object: one word without `#`, `:`, `=` and whitespace.
///
/// `#` would start a comment; answers use `:` and `=` between a name and what is said of it.
/// Cloning is one reference count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name that `word` is.
    ///
    /// # Errors
    ///
    /// When `word` is empty or has a character that a name cannot have.
    pub fn new(word: &str) -> Result<Name, InvalidName> {
        let is_bad = |c: char| c.is_whitespace() || matches!(c, '#' | ':' | '=');
        if word.is_empty() || word.contains(is_bad) {
            return Err(InvalidName(Quoted(word).to_string()));
        }
        Ok(Name(word.into()))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Name::new(word)
    }
}

/// A word that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(String);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cannot be a name: expected a word without ':', '=', '#' and whitespace",
            self.0
        )
    }
}

impl std::error::Error for InvalidName {}

/// A word in an error message: in quotes, unprintable characters escaped, a long one cut.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 40;
        let shown: String = self.0.chars().take(LONGEST).collect();
        let rest = if shown.len() < self.0.len() {
            "..."
        } else {
            ""
        };
        write!(f, "'{}{rest}'", shown.escape_debug())
    }
}

/// One statement of the scenario language. See the [module](super) for what each does.
///
/// [`Display`](fmt::Display) prints the canonical text, which parses back to an equal statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `timeline NAME [owner OWNER] [device N]`
    Timeline {
        /// The new timeline.
        name: Name,
        /// On whose behalf it runs, and on which device.
        tag: Tag,
    },
    /// `fence NAME TIMELINE [SEQNO]`
    Fence {
        /// The new fence.
        name: Name,
        /// Where it is issued.
        timeline: Name,
        /// Its position; `None`: one more than the greatest so far.
        seqno: Option<u64>,
    },
    /// `lazy NAME TIMELINE`
    Lazy {
        /// The new fence.
        name: Name,
        /// Where it is issued, as the next.
        timeline: Name,
    },
    /// `point NAME TIMELINE SEQNO`
    Point {
        /// The new point.
        name: Name,
        /// The timeline.
        timeline: Name,
        /// The place on it.
        seqno: u64,
    },
    /// `era ERA`
    Era {
        /// The era of the objects that are declared after it.
        era: Era,
    },
    /// `resv NAME`
    Resv {
        /// The new object.
        name: Name,
    },
    /// `add RESV FENCE USAGE [FENCE USAGE ...]`
    Add {
        /// The object.
        resv: Name,
        /// What is added, in this order, in one transaction; at least one.
        edits: Vec<(Name, Usage)>,
    },
    /// `replace RESV TIMELINE FENCE USAGE`
    Replace {
        /// The object.
        resv: Name,
        /// The timeline whose fences are replaced.
        timeline: Name,
        /// What they become.
        fence: Name,
        /// The usage they get.
        usage: Usage,
    },
    /// `copy DST SRC`
    Copy {
        /// The object that is overwritten.
        dst: Name,
        /// The object that is read.
        src: Name,
    },
    /// `file RESV PRODUCER FENCE [attached] [explicit]`
    File {
        /// The object.
        resv: Name,
        /// What adds the fence.
        producer: Producer,
        /// The fence.
        fence: Name,
        /// Whether another driver is attached to the buffer.
        attached: bool,
        /// Whether the buffer is flagged explicit.
        explicit: bool,
    },
    /// `attach RESV`
    Attach {
        /// The object.
        resv: Name,
    },
    /// `signal FENCE [error]`
    Signal {
        /// The fence.
        fence: Name,
        /// Whether its job failed.
        error: bool,
    },
    /// `waits RESV ACCESS`
    Waits {
        /// The object.
        resv: Name,
        /// What the next user wants to do.
        access: Access,
    },
    /// `wait RESV ACCESS`
    Wait {
        /// The object.
        resv: Name,
        /// What the next user wants to do.
        access: Access,
    },
    /// `ask RESV OWNER device N|- MODE`
    Ask {
        /// The object.
        resv: Name,
        /// The timeline that asks.
        asker: Asker,
        /// How it asks.
        mode: Mode,
    },
    /// `asked FENCE`
    Asked {
        /// The fence.
        fence: Name,
    },
    /// `idle RESV ACCESS`
    Idle {
        /// The object.
        resv: Name,
        /// What the next user wants to do.
        access: Access,
    },
    /// `failure RESV ACCESS`
    Failure {
        /// The object.
        resv: Name,
        /// What the next user wants to do.
        access: Access,
    },
    /// `list RESV`
    List {
        /// The object.
        resv: Name,
    },
    /// `status FENCE`
    Status {
        /// The fence.
        fence: Name,
    },
}

impl Statement {
    /// `timeline NAME`, of nobody in particular.
    pub fn timeline(name: Name) -> Statement {
        let tag = Tag::default();
        Statement::Timeline { name, tag }
    }

    /// Whether the statement asks and so has an answer; the others change something.
    pub fn is_query(&self) -> bool {
        matches!(
            self,
            Statement::Waits { .. }
                | Statement::Wait { .. }
                | Statement::Ask { .. }
                | Statement::Asked { .. }
                | Statement::Idle { .. }
                | Statement::Failure { .. }
                | Statement::List { .. }
                | Statement::Status { .. }
        )
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Timeline { name, tag } => {
                write!(f, "timeline {name}")?;
                if tag.owner() != Owner::Undefined {
                    write!(f, " owner {}", tag.owner())?;
                }
                let device = tag.device();
                device.map_or(Ok(()), |device| write!(f, " device {device}"))
            }
            Statement::Lazy { name, timeline } => write!(f, "lazy {name} {timeline}"),
            Statement::Point {
                name,
                timeline,
                seqno,
            } => write!(f, "point {name} {timeline} {seqno}"),
            Statement::Era { era } => write!(f, "era {era}"),
            Statement::File {
                resv,
                producer,
                fence,
                attached,
                explicit,
            } => {
                let attached = if *attached { " attached" } else { "" };
                let explicit = if *explicit { " explicit" } else { "" };
                write!(f, "file {resv} {producer} {fence}{attached}{explicit}")
            }
            Statement::Attach { resv } => write!(f, "attach {resv}"),
            Statement::Wait { resv, access } => write!(f, "wait {resv} {access}"),
            Statement::Ask { resv, asker, mode } => {
                write!(f, "ask {resv} {} device ", asker.owner)?;
                match asker.device {
                    Some(device) => write!(f, "{device} {mode}"),
                    None => write!(f, "- {mode}"),
                }
            }
            Statement::Asked { fence } => write!(f, "asked {fence}"),
            Statement::Fence {
                name,
                timeline,
                seqno,
            } => {
                write!(f, "fence {name} {timeline}")?;
                seqno.map_or(Ok(()), |seqno| write!(f, " {seqno}"))
            }
            Statement::Resv { name } => write!(f, "resv {name}"),
            Statement::Add { resv, edits } => {
                write!(f, "add {resv}")?;
                edits
                    .iter()
                    .try_for_each(|(fence, usage)| write!(f, " {fence} {usage}"))
            }
            Statement::Replace {
                resv,
                timeline,
                fence,
                usage,
            } => write!(f, "replace {resv} {timeline} {fence} {usage}"),
            Statement::Copy { dst, src } => write!(f, "copy {dst} {src}"),
            Statement::Signal { fence, error } => {
                write!(f, "signal {fence}{}", if *error { " error" } else { "" })
            }
            Statement::Waits { resv, access } => write!(f, "waits {resv} {access}"),
            Statement::Idle { resv, access } => write!(f, "idle {resv} {access}"),
            Statement::Failure { resv, access } => write!(f, "failure {resv} {access}"),
            Statement::List { resv } => write!(f, "list {resv}"),
            Statement::Status { fence } => write!(f, "status {fence}"),
        }
    }
}

/// A whole script: its statements, each with its line number, counted from 1.
///
/// [`Display`](fmt::Display) prints one canonical line for each statement; comments, blank lines
/// and line numbers are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Each with its line number.
    pub(super) statements: Vec<(usize, Statement)>,
}

impl Scenario {
    /// The statements in order, each with its line number.
    pub fn statements(&self) -> impl Iterator<Item = (usize, &Statement)> {
        self.statements.iter().map(|(line, s)| (*line, s))
    }
}

impl FromIterator<Statement> for Scenario {
    /// The script that has one statement on each line.
    fn from_iter<I: IntoIterator<Item = Statement>>(statements: I) -> Self {
        Scenario {
            statements: (1..).zip(statements).collect(),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statements
            .iter()
            .try_for_each(|(_, statement)| writeln!(f, "{statement}"))
    }
}
