//! The contract of a semantics: its table, looked at cell by cell.
//!
//! Each property is one sentence of [the contract](resv_core::Semantics#the-contract), checked over all
//! usages, on one timeline and on two, earlier, same and later. The back end plays no part.

use crate::Subject;
use resv_api::{Access, Key, Semantics, TimelineId, Usage};

/// Every pair of keys whose usages are classes of the semantics, `new` first: on timelines `t` and `u`.
fn pairs(on: Subject, t: u64, u: u64, seqnos: [u64; 3]) -> Vec<(Key, Key)> {
    let [earlier, same, later] = seqnos;
    let mut pairs = Vec::new();
    for new in Usage::ALL {
        for old in Usage::ALL {
            for timeline in [t, u] {
                for seqno in [earlier, same, later] {
                    let key = |timeline, seqno, usage| Key {
                        timeline: TimelineId::from_raw(timeline),
                        seqno,
                        usage: on.semantics().class(usage),
                    };
                    pairs.push((key(t, same, new), key(timeline, seqno, old)));
                }
            }
        }
    }
    pairs
}

fn all_pairs(on: Subject) -> Vec<(Key, Key)> {
    pairs(on, 1, 2, [6, 7, 8])
}

/// 1: what a fence is kept as, it would be kept as again.
pub fn a_class_is_its_own_class(on: Subject) {
    for usage in Usage::ALL {
        let class = on.semantics().class(usage);
        assert_eq!(
            on.semantics().class(class),
            class,
            "{usage} is kept as {class}"
        );
    }
}

/// 2: what a weaker access waits for, a stronger one waits for, too.
pub fn a_more_demanding_access_waits_for_no_less(on: Subject) {
    let accesses = [Access::Explicit, Access::Read, Access::Write, Access::Move];
    for pair in accesses.windows(2) {
        let waits = |access| on.semantics().waits_for(access);
        assert!(
            waits(pair[1]).is_superset(waits(pair[0])),
            "{} waits for what {} does not wait for",
            pair[0],
            pair[1]
        );
    }
}

/// 3: memory is moved or freed when nobody uses it any more.
pub fn a_move_waits_for_every_class(on: Subject) {
    for usage in Usage::ALL {
        let class = on.semantics().class(usage);
        let waits = on.semantics().waits_for(Access::Move);
        assert!(waits.contains(class), "a move does not wait for {class}");
    }
}

/// 4, H-17: adding a fence again keeps one entry.
pub fn h_17_a_fence_stands_for_itself(on: Subject) {
    for (key, _) in all_pairs(on) {
        assert!(on.semantics().supersedes(key, key), "{key:?}");
    }
}

/// 5, H-16: the later fence of a timeline is the one to wait for.
pub fn h_16_an_older_fence_removes_no_newer_one(on: Subject) {
    for (new, old) in all_pairs(on) {
        if new.timeline == old.timeline && old.seqno > new.seqno {
            assert!(
                !on.semantics().supersedes(new, old),
                "adding {new:?} removes {old:?}"
            );
        }
    }
}

/// 6: an access that waits for what is removed waits for what removes it.
pub fn b9_what_is_removed_is_covered(on: Subject) {
    for (new, old) in all_pairs(on) {
        if !on.semantics().supersedes(new, old) {
            continue;
        }
        for access in Access::ALL {
            let waits = on.semantics().waits_for(access);
            assert!(
                !waits.contains(old.usage) || waits.contains(new.usage),
                "{access} waits for {old:?}, which {new:?} removes, and not for the latter"
            );
        }
    }
}

/// 7, H-11: a fence of another timeline that goes is a loss, which the semantics declares; on one
/// timeline nothing is lost.
pub fn h_11_a_loss_is_declared(on: Subject) {
    for (new, old) in all_pairs(on) {
        let removes = on.semantics().supersedes(new, old);
        let is_lost = removes && new.timeline != old.timeline;
        assert_eq!(
            on.semantics().loses(new, old),
            is_lost,
            "adding {new:?} removes {old:?}: {removes}"
        );
    }
}

/// 8: the same answer for other timelines and other seqnos in the same order, and for each time that it
/// is asked.
pub fn only_order_and_sameness_count(on: Subject) {
    let reference = all_pairs(on);
    let others = [
        pairs(on, 2, 1, [6, 7, 8]),
        pairs(on, 40, 7, [1, 2, u64::MAX]),
        pairs(on, 3, u64::MAX, [0, u64::MAX - 2, u64::MAX - 1]),
        all_pairs(on),
    ];
    for other in others {
        for (&(new, old), &(like_new, like_old)) in reference.iter().zip(&other) {
            assert_eq!(
                on.semantics().supersedes(new, old),
                on.semantics().supersedes(like_new, like_old),
                "{new:?} and {old:?} are told from {like_new:?} and {like_old:?}"
            );
        }
    }
}
