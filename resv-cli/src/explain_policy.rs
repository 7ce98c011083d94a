//! The tables of the owner rule and of filing, made by asking the code.

use resv_core::{Owner, Tag, Usage};
use resv_policy::{Asker, Era, Filing, Mode, OnAttach, Place, Producer, decide, file, on_attach};
use std::fmt::Write;

/// The fences that a table has a column for.
const FENCES: [(&str, Tag); 7] = [
    (
        "undefined, same device",
        Tag::new(Owner::Undefined).on_device(0),
    ),
    ("undefined, foreign", Tag::new(Owner::Undefined)),
    ("page tables", Tag::new(Owner::PageTables).on_device(0)),
    ("compute", Tag::new(Owner::Compute)),
    ("own client", Tag::new(Owner::Client(1)).on_device(0)),
    ("other client", Tag::new(Owner::Client(2)).on_device(0)),
    (
        "client of another device",
        Tag::new(Owner::Client(3)).on_device(1),
    ),
];

const ASKERS: [(&str, Owner, Option<u32>); 5] = [
    ("client", Owner::Client(1), Some(0)),
    ("page tables", Owner::PageTables, Some(0)),
    ("compute", Owner::Compute, Some(0)),
    ("compute, no device", Owner::Compute, None),
    ("undefined", Owner::Undefined, None),
];

/// The tables of all eras, as Markdown.
pub fn tables() -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_tables(&mut out);
    out
}

fn write_tables(out: &mut String) -> std::fmt::Result {
    writeln!(out, "## Which asker waits for whose fence\n")?;
    writeln!(
        out,
        "W: the asker waits; -: it does not. Before p2 there are no modes, only whether the buffer is \
         flagged explicit. Until p3 everybody waits for the exclusive slot, and the tables are for shared \
         fences; p7 looks at no bookkeep fence."
    )?;
    let mut at = 0;
    while at < Era::ALL.len() {
        let rows = rows(Era::ALL[at]);
        let alike = Era::ALL[at..]
            .iter()
            .take_while(|era| self::rows(**era) == rows);
        let alike: Vec<Era> = alike.copied().collect();
        at += alike.len();
        let names: Vec<String> = alike
            .iter()
            .map(|era| format!("{era} ({})", era.kernels()))
            .collect();
        writeln!(out, "\n### {}\n", names.join("; "))?;
        write!(out, "| asker | mode |")?;
        for (name, _) in FENCES {
            write!(out, " {name} |")?;
        }
        writeln!(out, "\n|---|---|{}", "---|".repeat(FENCES.len()))?;
        for row in rows {
            writeln!(out, "{row}")?;
        }
    }
    writeln!(out, "\n## How each era adds its fences\n")?;
    write!(out, "| producer |")?;
    for era in Era::ALL {
        write!(out, " {era} |")?;
    }
    writeln!(out, "\n|---|{}", "---|".repeat(Era::ALL.len()))?;
    for producer in Producer::ALL {
        let variants: &[(&str, bool, bool)] = match producer {
            Producer::Submission => &[
                ("", false, false),
                (", attached", true, false),
                (", attached, explicit", true, true),
            ],
            _ => &[("", false, false)],
        };
        for (name, attached, explicit) in variants {
            write!(out, "| {producer}{name} |")?;
            for era in Era::ALL {
                write!(out, " {} |", filed(era, producer, *attached, *explicit))?;
            }
            writeln!(out)?;
        }
    }
    write!(out, "| another driver attaches |")?;
    for era in Era::ALL {
        let word = match on_attach(era) {
            OnAttach::Wait => "it waits for all",
            OnAttach::Collapse => "all into one exclusive",
            OnAttach::Keep => "-",
        };
        write!(out, " {word} |")?;
    }
    writeln!(out)
}

fn rows(era: Era) -> Vec<String> {
    let modes: &[(&str, Mode)] = match era < Era::P2 {
        true => &[("-", Mode::Always), ("explicit", Mode::Explicit)],
        false => &[
            ("always", Mode::Always),
            ("not-equal", Mode::NotEqual),
            ("equal", Mode::Equal),
            ("explicit", Mode::Explicit),
        ],
    };
    let mut rows = Vec::new();
    for (asker, owner, device) in ASKERS {
        for (name, mode) in modes {
            let mut row = format!("| {asker} | {name} |");
            for (_, tag) in FENCES {
                let waits = decide(era, *mode, Asker { owner, device }, tag, Place::Shared);
                row.push_str(if waits { " W |" } else { " - |" });
            }
            rows.push(row);
        }
    }
    rows
}

fn filed(era: Era, producer: Producer, attached: bool, explicit: bool) -> &'static str {
    let has_exclusive = era < Era::P5;
    match file(era, producer, attached, explicit) {
        Filing::Nothing => "-",
        Filing::Link => "chain link, and shared",
        Filing::Add(Usage::Write) if has_exclusive => "exclusive",
        Filing::Add(Usage::Read) if has_exclusive => "shared",
        Filing::Add(usage) => usage.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/policies.md` holds the tables between pairs of marks.
    #[test]
    fn the_documentation_shows_what_the_code_answers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policies.md");
        let text = std::fs::read_to_string(path).expect("docs/policies.md is part of the project");
        for (mark, tables) in [
            ("<!-- resv explain --policy -->\n", tables()),
            (
                "<!-- resv explain --maps -->\n",
                resv_policy::maps::tables(),
            ),
        ] {
            let (_, rest) = text.split_once(mark).expect("the mark");
            let (shown, _) = rest.split_once("<!-- end -->").expect("the end mark");
            assert_eq!(
                shown.trim(),
                tables.trim(),
                "docs/policies.md differs: {mark}"
            );
        }
    }
}
