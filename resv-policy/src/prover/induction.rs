//! Why a slot rule answers as the usage levels do, for arrays of any length.
//!
//! # The claim
//!
//! Let fences of a timeline signal in order, and let nothing be replaced. Then for each timeline and each
//! access, the latest pending fence that is waited for is the same under the slot rule as under the
//! usage levels.
//!
//! # The proof
//!
//! By induction over the history. For an access that looks up to usage `c`, let `latest(t, c)` be the
//! latest pending fence of timeline `t` whose usage is `c` or stronger.
//!
//! * An add of `f` with usage `u` puts `f` into the object under both rules. So for `c` from `u` on,
//!   `latest` becomes the later of itself and `f`, *if what is removed does not count*: either it has
//!   signalled, or it is of the timeline of `f`, not later, and its usage is `u` or weaker. Then it is seen
//!   by no `c` that does not see `f`, and it is not later than `f`.
//! * What else is in the array, and in which order, decides only *what* is removed. So it is enough
//!   that every slot that the rule may overwrite is of that kind. There are four ways to stand to the new
//!   fence, and four times four usages: [`reduce`] asks the rule about each.
//! * A signal in order of `f` empties `latest(t, c)` if that is not later than `f`, and changes nothing
//!   else. A copy drops what has signalled.
//!
//! Where the rule overwrites a later fence (5.19, when an older fence is added), the check fails, and
//! the prover explores arrays instead. So it does where fences are replaced: a replacement also takes
//! slots whose fences have signalled, which the claim says nothing of.

use super::Ops;
use crate::member::Member;
use crate::member::slots::SlotRule;
use crate::prover::world::Sym;
use crate::store::Slot;
use crate::table::Relation;
use resv_core::{SemanticsKind, Usage};

/// A member that gives the same answers, and why.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The member.
    pub member: Member,
    /// Why.
    pub reason: String,
}

/// The member that `member` can be exchanged for in histories of `ops`, if there is one.
pub fn reduce(member: &Member, ops: &Ops) -> Option<Proved> {
    let Member::Slots(rule) = member else {
        return None;
    };
    if ops.replace || ops.replace_signaled || ops.replace_across || ops.out_of_order {
        return None;
    }
    let cases = check(*rule, ops.older)?;
    Some(Proved {
        member: Member::Semantics(SemanticsKind::UsageLevels),
        reason: format!("induction over arrays of any length, {cases} cases of a slot"),
    })
}

/// Why two members are the same rule in histories of `ops`, if they are.
pub(super) fn same(a: &Member, b: &Member, ops: &Ops) -> Option<String> {
    if a == b {
        return Some(format!("both sides are {a}"));
    }
    let is_slots = |member: &Member| matches!(member, Member::Slots(_));
    // They differ in what "later" means, and the next fence of a timeline is later than all others.
    (is_slots(a) && is_slots(b) && !ops.older)
        .then(|| format!("{a} and {b} are one rule where fences come in order"))
}

/// Asks the rule about every way in which a pending slot can stand to a new fence. The number of cases,
/// or nothing if one of them loses a fence.
fn check(rule: SlotRule, older: bool) -> Option<usize> {
    let mut cases = 0;
    for relation in Relation::ALL {
        if !older && matches!(relation, Relation::Same | Relation::Later) {
            continue;
        }
        let fence = |line, place| Sym {
            line,
            place,
            kind: 0,
        };
        let new = fence(0, 5);
        let old = match relation {
            Relation::Earlier => fence(0, 4),
            Relation::Same => fence(0, 5),
            Relation::Later => fence(0, 6),
            Relation::Other => fence(1, 5),
        };
        for old_usage in Usage::ALL {
            for usage in Usage::ALL {
                cases += 1;
                let slot = Slot {
                    fence: old,
                    usage: old_usage,
                    mark: false,
                };
                let counts_no_more =
                    old_usage >= usage && matches!(relation, Relation::Earlier | Relation::Same);
                if rule.overwrites(&slot, &new, usage) && !counts_no_more {
                    return None;
                }
            }
        }
    }
    Some(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_induction_holds_since_6_0_and_for_5_19_in_order_only() {
        for rule in SlotRule::ALL {
            assert!(check(rule, false).is_some(), "{}", rule.name());
        }
        assert!(check(SlotRule::Linux519, true).is_none());
        assert_eq!(check(SlotRule::Linux60, true), Some(64));
        assert_eq!(check(SlotRule::Linux67, true), Some(64));
    }

    #[test]
    fn nothing_is_claimed_where_fences_are_replaced_or_signal_out_of_order() {
        let member = Member::Slots(SlotRule::Linux67);
        for ops in ["add,replace", "add,replace-signaled", "add,out-of-order"] {
            let ops = ops.parse().expect("operations");
            assert!(reduce(&member, &ops).is_none());
        }
        let ops = "add,copy,signal,older".parse().expect("operations");
        assert!(reduce(&member, &ops).is_some());
    }
}
