//! The tables, checked cell by cell against a second writing of them, and the laws that all three obey.

use super::*;
use crate::fence::TimelineId;
use Usage::{Bookkeep, Kernel, Read, Write};

fn key(timeline: u64, seqno: u64, usage: Usage) -> Key {
    Key {
        timeline: TimelineId::from_raw(timeline),
        seqno,
        usage,
    }
}

fn all_pairs() -> impl Iterator<Item = (Key, Key)> {
    let keys = || {
        [1u64, 2].into_iter().flat_map(|t| {
            [1u64, 2, u64::MAX - 1]
                .into_iter()
                .flat_map(move |s| Usage::ALL.into_iter().map(move |u| key(t, s, u)))
        })
    };
    keys().flat_map(move |new| keys().map(move |old| (new, old)))
}

#[test]
fn waits_for_is_the_table_of_section_3_1() {
    use Access::{Explicit, Move};
    type Row = (SemanticsKind, [(Access, &'static [Usage]); 4]);
    let table: [Row; 3] = [
        (
            SemanticsKind::ExclusiveShared,
            [
                (Explicit, &[]),
                (Access::Read, &[Write]),
                (Access::Write, &[Write, Read]),
                (Move, &[Write, Read]),
            ],
        ),
        (
            SemanticsKind::WritersReadersOthers,
            [
                (Explicit, &[]),
                (Access::Read, &[Write]),
                (Access::Write, &[Write, Read]),
                (Move, &[Write, Read, Bookkeep]),
            ],
        ),
        (
            SemanticsKind::UsageLevels,
            [
                (Explicit, &[Kernel]),
                (Access::Read, &[Kernel, Write]),
                (Access::Write, &[Kernel, Write, Read]),
                (Move, &[Kernel, Write, Read, Bookkeep]),
            ],
        ),
    ];
    for (kind, rows) in table {
        for (access, usages) in rows {
            assert_eq!(
                kind.waits_for(access),
                UsageSet::of(usages),
                "{kind} {access}"
            );
        }
    }
}

/// By its name, behind a pointer and by itself, a semantics gives the same answers.
#[test]
fn every_way_to_a_semantics_leads_to_its_table() {
    fn same(one: impl Semantics, other: impl Semantics) {
        assert_eq!(one.name(), other.name());
        assert_eq!(one.visibility(), other.visibility());
        for access in Access::ALL {
            assert_eq!(one.waits_for(access), other.waits_for(access));
        }
        for usage in Usage::ALL {
            assert_eq!(one.class(usage), other.class(usage));
        }
        for (new, old) in all_pairs() {
            assert_eq!(one.supersedes(new, old), other.supersedes(new, old));
            assert_eq!(one.loses(new, old), other.loses(new, old));
        }
    }
    for kind in SemanticsKind::ALL {
        same(kind, kind.any());
    }
    same(SemanticsKind::ExclusiveShared, ExclusiveShared);
    same(SemanticsKind::WritersReadersOthers, WritersReadersOthers);
    same(SemanticsKind::UsageLevels, UsageLevels);
}

#[test]
fn class_is_idempotent_and_a_move_waits_for_every_class() {
    for kind in SemanticsKind::ALL {
        for usage in Usage::ALL {
            let class = kind.class(usage);
            assert_eq!(kind.class(class), class);
            assert!(kind.waits_for(Access::Move).contains(class), "{kind}");
        }
    }
}

#[test]
fn a_more_demanding_access_waits_for_no_less() {
    for kind in SemanticsKind::ALL {
        for pair in Access::ALL.windows(2) {
            assert!(kind.waits_for(pair[1]).is_superset(kind.waits_for(pair[0])));
        }
    }
}

#[test]
fn h_16_an_older_fence_never_removes_a_newer_one() {
    for kind in SemanticsKind::ALL {
        for (new, old) in all_pairs() {
            if new.timeline == old.timeline && old.seqno > new.seqno {
                assert!(
                    !kind.supersedes(new, old),
                    "{kind}: {new:?} removed {old:?}"
                );
            }
        }
    }
}

#[test]
fn h_17_adding_the_same_fence_again_keeps_one_entry() {
    for kind in SemanticsKind::ALL {
        for usage in Usage::ALL {
            let usage = kind.class(usage);
            assert!(
                kind.supersedes(key(1, 7, usage), key(1, 7, usage)),
                "{kind}"
            );
        }
    }
}

#[test]
fn h_11_usage_levels_never_removes_another_timeline() {
    for (new, old) in all_pairs() {
        if new.timeline != old.timeline {
            assert!(!UsageLevels.supersedes(new, old));
            assert!(!SemanticsKind::UsageLevels.loses(new, old));
        }
    }
}

/// The two older semantics declare what a writer must have waited for; the rest of a table is no loss.
#[test]
fn h_11_the_older_semantics_declare_what_they_lose() {
    let (write, read, bookkeep) = (key(1, 1, Write), key(2, 1, Read), key(2, 1, Bookkeep));
    for kind in [
        SemanticsKind::ExclusiveShared,
        SemanticsKind::WritersReadersOthers,
    ] {
        assert!(kind.loses(write, read), "{kind}");
        assert!(kind.any().loses(write, key(2, 9, Write)), "{kind}");
        assert!(
            !kind.loses(write, key(1, 1, Read)),
            "{kind}: its own timeline"
        );
        assert!(!kind.loses(read, write), "{kind}: a read drops no write");
    }
    assert!(!SemanticsKind::WritersReadersOthers.loses(write, bookkeep));
}

/// Superseding drops a fence only if each access that would have waited for it waits for the new one, or the
/// duty of a writer covers it.
#[test]
fn what_is_removed_is_covered() {
    for kind in SemanticsKind::ALL {
        for (new, old) in all_pairs() {
            let (new, old) = (
                Key {
                    usage: kind.class(new.usage),
                    ..new
                },
                Key {
                    usage: kind.class(old.usage),
                    ..old
                },
            );
            if !kind.supersedes(new, old) {
                continue;
            }
            for access in Access::ALL {
                let waits = kind.waits_for(access);
                if waits.contains(old.usage) {
                    assert!(
                        waits.contains(new.usage),
                        "{kind} {access}: {new:?} hides {old:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn usage_levels_compares_seqno_and_usage() {
    let s = |new, old| UsageLevels.supersedes(new, old);
    // E4: a read of the same timeline does not hide its write. E5: a write hides the read.
    assert!(!s(key(1, 2, Read), key(1, 1, Write)));
    assert!(s(key(1, 2, Write), key(1, 1, Read)));
    // E7, E8: raised in place, never lowered.
    assert!(s(key(1, 1, Read), key(1, 1, Bookkeep)));
    assert!(!s(key(1, 1, Bookkeep), key(1, 1, Write)));
}

#[test]
fn a_writer_of_2019_spares_the_others() {
    let s = |new, old| WritersReadersOthers.supersedes(new, old);
    assert!(s(key(1, 1, Write), key(2, 9, Read)));
    assert!(s(key(1, 1, Write), key(2, 9, Write)));
    assert!(!s(key(1, 1, Write), key(2, 9, Bookkeep)));
    assert!(s(key(1, 2, Bookkeep), key(1, 1, Bookkeep)));
    assert!(!s(key(1, 2, Bookkeep), key(1, 1, Read)));
}

#[test]
fn a_legacy_exclusive_drops_everything_and_a_shared_only_its_own() {
    let s = |new, old| ExclusiveShared.supersedes(new, old);
    assert!(s(key(1, 1, Write), key(2, 9, Write)));
    assert!(s(key(1, 1, Write), key(2, 9, Read)));
    assert!(s(key(1, 2, Read), key(1, 1, Read)));
    assert!(!s(key(1, 2, Read), key(1, 1, Write)));
    assert!(!s(key(1, 2, Read), key(2, 1, Read)));
}

/// Names are what command lines, reports and the tables of the documents say.
#[test]
fn names_are_those_of_the_command_line() {
    use super::{SemanticsKind, Visibility};
    assert_eq!(
        SemanticsKind::ALL.map(SemanticsKind::name)[..3],
        ["exclusive-shared", "writers-readers-others", "usage-levels"]
    );
    assert_eq!(Visibility::AtOnce.name(), "at once");
    assert_eq!(Visibility::AtPublish.name(), "at publish or unlock");
}

#[test]
fn a_name_is_parsed_as_the_semantics_that_has_it() {
    for kind in SemanticsKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert_eq!(kind.any().name(), kind.name());
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "levels"
        .parse::<SemanticsKind>()
        .expect_err("no such semantics");
    assert!(error.to_string().contains("'levels'"), "{error}");
}
