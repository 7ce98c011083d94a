//! The tables of a semantics, made by asking the code.
//!
//! Nothing here knows a rule: every cell is the answer of [`SemanticsKind`] to a question. So the
//! tables cannot drift from the code, and the documentation, which holds a copy, is compared with
//! them by a test.

use resv_core::{Access, Key, SemanticsKind, TimelineId, Usage};
use std::fmt::Write;

/// The tables of one semantics, as Markdown.
pub fn tables(semantics: SemanticsKind) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_tables(&mut out, semantics);
    out
}

fn write_tables(out: &mut String, semantics: SemanticsKind) -> std::fmt::Result {
    writeln!(out, "## {semantics}\n")?;
    writeln!(
        out,
        "An add is visible {}.\n",
        semantics.visibility().name()
    )?;

    writeln!(
        out,
        "What an access waits for: the access, and the fences by the usage that they were added with.\n"
    )?;
    header(out, "access", "")?;
    for access in Access::ALL {
        let waits = semantics.waits_for(access);
        row(out, access.name(), |old| {
            yes(waits.contains(semantics.class(old)))
        })?;
    }

    writeln!(
        out,
        "\nWhat a new fence supersedes: its usage, and the old fences that it removes by theirs.\n"
    )?;
    header(out, "new", "old ")?;
    for new in Usage::ALL {
        row(out, new.name(), |old| removed(semantics, new, old))?;
    }
    writeln!(
        out,
        "\nown: of the same timeline and not later; all: of any timeline, but not what is later on its own."
    )?;

    writeln!(out, "\nWhat a usage is kept as.\n")?;
    header(out, "", "")?;
    row(out, "kept as", |usage| {
        semantics.class(usage).name().to_owned()
    })
}

fn header(out: &mut String, corner: &str, prefix: &str) -> std::fmt::Result {
    write!(out, "| {corner} |")?;
    for usage in Usage::ALL {
        write!(out, " {prefix}{usage} |")?;
    }
    writeln!(out, "\n|---|---|---|---|---|")
}

fn row(out: &mut String, name: &str, cell: impl Fn(Usage) -> String) -> std::fmt::Result {
    write!(out, "| {name} |")?;
    for usage in Usage::ALL {
        write!(out, " {} |", cell(usage))?;
    }
    writeln!(out)
}

fn yes(answer: bool) -> String {
    if answer { "yes" } else { "-" }.to_owned()
}

/// Which old fences of usage `old` a new one of usage `new` removes, in words.
fn removed(semantics: SemanticsKind, new: Usage, old: Usage) -> String {
    let key = |timeline, seqno, usage| Key {
        timeline: TimelineId::from_raw(timeline),
        seqno,
        usage: semantics.class(usage),
    };
    let added = key(1, 5, new);
    let removes = |timeline, seqno| semantics.supersedes(added, key(timeline, seqno, old));
    let (earlier, same, later) = (removes(1, 4), removes(1, 5), removes(1, 6));
    let others = [removes(2, 4), removes(2, 5), removes(2, 6)];
    match (earlier, same, later, others) {
        (false, false, false, [false, false, false]) => "-".to_owned(),
        (true, true, false, [false, false, false]) => "own".to_owned(),
        (true, true, false, [true, true, true]) => "all".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/semantics.md` holds each table between a pair of marks.
    #[test]
    fn the_documentation_shows_what_the_code_answers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/semantics.md");
        let text = std::fs::read_to_string(path).expect("docs/semantics.md is part of the project");
        for semantics in SemanticsKind::ALL {
            let mark = format!("<!-- resv explain --semantics {semantics} -->\n");
            let (_, rest) = text
                .split_once(&mark)
                .unwrap_or_else(|| panic!("docs/semantics.md has no mark for {semantics}"));
            let (shown, _) = rest.split_once("<!-- end -->").expect("the end mark");
            assert_eq!(
                shown.trim(),
                tables(semantics).trim(),
                "docs/semantics.md differs from `resv explain --semantics {semantics}`"
            );
        }
    }

    #[test]
    fn every_cell_has_a_word() {
        for semantics in SemanticsKind::ALL {
            assert!(!tables(semantics).contains("(true"), "{semantics}");
            assert!(!tables(semantics).contains("(false"), "{semantics}");
        }
    }
}
