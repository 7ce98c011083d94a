//! The operations of a history.

use resv_core::{ParseWordError, Usage, UsageSet};
use std::fmt;
use std::str::FromStr;

use crate::filing::Producer;

/// Which operations a history is made of.
///
/// On a command line: words separated by commas.
///
/// | word | operation |
/// |---|---|
/// | `add` | the next fence of a timeline is added, with any usage |
/// | `add-kernel`, `add-write`, `add-read`, `add-bookkeep` | the same, with this usage |
/// | `replace` | the fences of a timeline become its next fence, with any usage, or one that has signalled |
/// | `replace-signaled` | only the latter |
/// | `replace-across` | the fences of a timeline become the next fence of another, with any usage |
/// | `copy` | the object becomes a copy of itself |
/// | `signal` | the earliest pending fence of a timeline signals |
/// | `out-of-order` | any pending fence signals |
/// | `older` | a fence is added that is older than one that is there, or is there itself |
/// | `file` | the next fence of a timeline is added as the driver of the era does for a producer |
/// | `attach` | another driver attaches to the buffer |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ops {
    /// Usages of adds.
    pub add: UsageSet,
    /// Replacement by the next fence of the timeline.
    pub replace: bool,
    /// Replacement by a signalled fence.
    pub replace_signaled: bool,
    /// Replacement by the next fence of another timeline.
    pub replace_across: bool,
    /// Copies.
    pub copy: bool,
    /// Signals in order.
    pub signal: bool,
    /// Signals in any order.
    pub out_of_order: bool,
    /// Adds of older fences.
    pub older: bool,
    /// Adds by a driver's filing rule.
    pub file: bool,
    /// Attaching.
    pub attach: bool,
}

impl Ops {
    /// No operation.
    pub const NONE: Ops = Ops {
        add: UsageSet::EMPTY,
        replace: false,
        replace_signaled: false,
        replace_across: false,
        copy: false,
        signal: false,
        out_of_order: false,
        older: false,
        file: false,
        attach: false,
    };

    /// `add,replace,copy,signal`: what users of an object do.
    pub const USERS: Ops = Ops {
        add: UsageSet::ALL,
        replace: true,
        replace_signaled: true,
        copy: true,
        signal: true,
        ..Ops::NONE
    };

    /// `file,attach,signal`: what happens to the objects of a driver with a policy.
    pub const FILED: Ops = Ops {
        file: true,
        attach: true,
        signal: true,
        ..Ops::NONE
    };
}

impl Default for Ops {
    fn default() -> Self {
        Ops::USERS
    }
}

impl FromStr for Ops {
    type Err = ParseWordError;

    fn from_str(words: &str) -> Result<Self, Self::Err> {
        let mut ops = Ops::NONE;
        let mut add = Vec::new();
        for word in words.split(',') {
            match word {
                "add" => add.extend(Usage::ALL),
                "replace" => (ops.replace, ops.replace_signaled) = (true, true),
                "replace-signaled" => ops.replace_signaled = true,
                "replace-across" => ops.replace_across = true,
                "copy" => ops.copy = true,
                "signal" => ops.signal = true,
                "out-of-order" => ops.out_of_order = true,
                "older" => ops.older = true,
                "file" => ops.file = true,
                "attach" => ops.attach = true,
                _ => match word.strip_prefix("add-").map(str::parse) {
                    Some(Ok(usage)) => add.push(usage),
                    _ => {
                        return Err(ParseWordError::new(
                            word,
                            "the operations add, add-kernel, add-write, add-read, add-bookkeep, \
                             replace, replace-signaled, replace-across, copy, signal, out-of-order, older, file, \
                             attach",
                        ));
                    }
                },
            }
        }
        ops.add = UsageSet::of(&add);
        if ops.older && ops.add.is_empty() {
            ops.add = UsageSet::ALL;
        }
        Ok(ops)
    }
}

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.add == UsageSet::ALL {
            words.push("add".to_owned());
        } else {
            words.extend(self.add.iter().map(|usage| format!("add-{usage}")));
        }
        for (is_there, word) in [
            (self.replace, "replace"),
            (self.replace_signaled && !self.replace, "replace-signaled"),
            (self.replace_across, "replace-across"),
            (self.copy, "copy"),
            (self.signal && !self.out_of_order, "signal"),
            (self.out_of_order, "out-of-order"),
            (self.older, "older"),
            (self.file, "file"),
            (self.attach, "attach"),
        ] {
            if is_there {
                words.push(word.to_owned());
            }
        }
        f.pad(&words.join(","))
    }
}

/// Which fence an add is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The next of its timeline.
    Next,
    /// One issued before the fence at this place, and after all that are before that.
    Before(u8),
    /// The one at this place, once more.
    Again(u8),
}

/// One operation in one state. Places are those of the state.
///
/// Not a statement of the scenario language: it is about places, so that states that differ in names alone are
/// one. A counterexample is printed as a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add {
        line: u8,
        which: Which,
        usage: Usage,
    },
    /// By the next fence of the timeline `by`; `None`: by a fence that has signalled.
    Replace {
        line: u8,
        by: Option<(u8, Usage)>,
    },
    Copy,
    Signal {
        line: u8,
        place: u8,
    },
    File {
        line: u8,
        producer: Producer,
        attached: bool,
        explicit: bool,
    },
    Attach,
}
