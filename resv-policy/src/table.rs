//! A semantics as data: every answer that it can give, in four small arrays.
//!
//! A semantics is a pure function of usages and of how two fences stand to each other, so it has
//! finitely many answers. A [`Table`] holds all of them. It can be printed, compared, and changed in
//! one place: that is how a test plants an error.

use resv_core::{Access, Key, SemanticsKind, TimelineId, Usage, UsageSet};

/// How an old fence stands to a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Relation {
    /// On the same timeline, before the new one.
    Earlier = 0,
    /// The same fence.
    Same = 1,
    /// On the same timeline, after the new one.
    Later = 2,
    /// On another timeline.
    Other = 3,
}

impl Relation {
    /// All four.
    pub const ALL: [Relation; 4] = [
        Relation::Earlier,
        Relation::Same,
        Relation::Later,
        Relation::Other,
    ];

    /// How a fence at `(timeline, seqno)` `old` stands to `new`.
    pub fn of(old: (u64, u64), new: (u64, u64)) -> Relation {
        if old.0 != new.0 {
            return Relation::Other;
        }
        match old.1.cmp(&new.1) {
            std::cmp::Ordering::Less => Relation::Earlier,
            std::cmp::Ordering::Equal => Relation::Same,
            std::cmp::Ordering::Greater => Relation::Later,
        }
    }
}

/// Every answer of a semantics.
///
/// ```
/// use resv_core::{Access, SemanticsKind, Usage};
/// use resv_policy::table::{Relation, Table};
///
/// let table = Table::of(SemanticsKind::UsageLevels);
/// assert!(table.waits_for(Access::Read).contains(Usage::Write));
/// assert!(!table.supersedes(Usage::Write, Usage::Write, Relation::Other));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    class: [Usage; 4],
    waits: [UsageSet; 4],
    /// By new usage, old usage, relation.
    supersedes: [[[bool; 4]; 4]; 4],
}

impl Table {
    /// The table of one of the three semantics, made by asking it.
    pub fn of(kind: SemanticsKind) -> Table {
        let key = |timeline, seqno, usage| Key {
            timeline: TimelineId::from_raw(timeline),
            seqno,
            usage,
        };
        let supersedes = Usage::ALL.map(|new| {
            Usage::ALL.map(|old| {
                Relation::ALL.map(|relation| {
                    let old = match relation {
                        Relation::Earlier => key(1, 4, old),
                        Relation::Same => key(1, 5, old),
                        Relation::Later => key(1, 6, old),
                        Relation::Other => key(2, 5, old),
                    };
                    kind.supersedes(key(1, 5, new), old)
                })
            })
        });
        Table {
            class: Usage::ALL.map(|usage| kind.class(usage)),
            waits: Access::ALL.map(|access| kind.waits_for(access)),
            supersedes,
        }
    }

    /// The usage under which a fence is kept that is added with `usage`.
    pub fn class(&self, usage: Usage) -> Usage {
        self.class[usage as usize]
    }

    /// The usages that `access` waits for.
    pub fn waits_for(&self, access: Access) -> UsageSet {
        self.waits[access as usize]
    }

    /// Whether adding a fence of usage `new` removes one of usage `old` that stands to it so. Both
    /// usages are classes.
    pub fn supersedes(&self, new: Usage, old: Usage, relation: Relation) -> bool {
        self.supersedes[new as usize][old as usize][relation as usize]
    }

    /// Makes the opposite of the answer to [`supersedes`](Table::supersedes).
    pub fn flip_supersedes(&mut self, new: Usage, old: Usage, relation: Relation) {
        let answer = &mut self.supersedes[new as usize][old as usize][relation as usize];
        *answer = !*answer;
    }

    /// Makes the opposite of whether `access` waits for `usage`.
    pub fn flip_waits(&mut self, access: Access, usage: Usage) {
        let flipped: Vec<Usage> = Usage::ALL
            .into_iter()
            .filter(|&u| self.waits_for(access).contains(u) != (u == usage))
            .collect();
        self.waits[access as usize] = UsageSet::of(&flipped);
    }

    /// Keeps fences that are added with `usage` under `class`.
    pub fn set_class(&mut self, usage: Usage, class: Usage) {
        self.class[usage as usize] = class;
    }
}
