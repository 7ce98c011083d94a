//! Members of a comparison: anything that says what an access waits for after a history.
//!
//! A member is a pure rule over a [`Store`]: how an add, a replacement and a copy change it, and what
//! is waited for. It is generic over fences, so the same code is explored by the prover and run by
//! `resv script` on real fences.

pub mod era;
pub mod slots;
pub mod table;

use crate::era::Era;
use crate::filing::Producer;
use crate::maps::{Conversion, Map, MapKind};
use crate::query::Query;
use crate::store::{FenceRef, Store};
use crate::table::Table;
use resv_core::{ParseWordError, SemanticsKind, Usage};
use slots::SlotRule;
use std::fmt;
use std::str::FromStr;

/// Something that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// One of the three semantics, as the library has it.
    Semantics(SemanticsKind),
    /// Any other table: a semantics that is about to be changed, or one with a planted error.
    Table(Box<Table>),
    /// Linux' rule of the first matching slot.
    Slots(SlotRule),
    /// A driver of one generation on the objects of another, through a map.
    Map(MapKind),
    /// The owner rule of an era, on objects of that era.
    Policy(Era),
}

impl Member {
    /// Every member with a name.
    pub fn all() -> Vec<Member> {
        let semantics = SemanticsKind::ALL.map(Member::Semantics);
        let slots = SlotRule::ALL.map(Member::Slots);
        let maps = MapKind::ALL.map(Member::Map);
        let policies = Era::ALL.map(Member::Policy);
        semantics
            .into_iter()
            .chain(slots)
            .chain(maps)
            .chain(policies)
            .collect()
    }

    /// The name on command lines and in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Member::Semantics(kind) => kind.name(),
            Member::Table(_) => "table",
            Member::Slots(rule) => rule.name(),
            Member::Map(map) => map.name(),
            Member::Policy(era) => match era {
                Era::P0 => "policy:p0",
                Era::P1 => "policy:p1",
                Era::P2 => "policy:p2",
                Era::P3 => "policy:p3",
                Era::P4 => "policy:p4",
                Era::P5 => "policy:p5",
                Era::P6a => "policy:p6a",
                Era::P6b => "policy:p6b",
                Era::P7 => "policy:p7",
            },
        }
    }

    /// Whether timelines need an owner for this member to answer.
    pub fn needs_tags(&self) -> bool {
        matches!(self, Member::Policy(_))
    }

    /// Whether signalled fences stay in the store until something takes their place.
    pub fn keeps_signaled(&self) -> bool {
        matches!(self, Member::Slots(_))
    }

    /// How far answers depend on the order of the slots.
    pub fn order(&self) -> Order {
        match self {
            Member::Slots(_) | Member::Map(MapKind::Conversion(Conversion::FirstWrite)) => {
                Order::All
            }
            Member::Policy(Era::P4) => Order::Exclusive,
            _ => Order::None,
        }
    }
}

/// How far answers depend on the order of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Not at all.
    None,
    /// On that of the links in the exclusive slot.
    Exclusive,
    /// On all of it.
    All,
}

/// A member with its table made once: what is played.
#[derive(Clone, Debug)]
pub struct Machine {
    member: Member,
    table: Option<Table>,
}

impl Machine {
    /// The machine that plays `member`.
    pub fn new(member: Member) -> Machine {
        let table = match &member {
            Member::Semantics(kind) => Some(Table::of(*kind)),
            Member::Table(table) => Some((**table).clone()),
            Member::Policy(era) => Some(Table::of(era.semantics())),
            Member::Slots(_) | Member::Map(_) => None,
        };
        Machine { member, table }
    }

    /// The member.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The table that is played, if the member has one.
    pub(crate) fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Adds `fence` with `usage`.
    pub fn add<F: FenceRef>(&self, store: &mut Store<F>, fence: F, usage: Usage) {
        match (&self.member, &self.table) {
            (Member::Slots(rule), _) => rule.add(store, fence, usage),
            (Member::Map(map), _) => {
                store.prune();
                map.add(store, fence, usage);
            }
            (_, Some(table)) => table::add(table, store, fence, usage),
            (_, None) => unreachable!("a member without a table is a slot rule or a map"),
        }
    }

    /// Makes the fences of `timeline` into `fence`.
    pub fn replace<F: FenceRef>(
        &self,
        store: &mut Store<F>,
        timeline: u64,
        fence: F,
        usage: Usage,
    ) {
        match (&self.member, &self.table) {
            (Member::Slots(_), _) => slots::replace(store, timeline, fence, usage),
            (Member::Map(map), _) => {
                store.prune();
                map.replace(store, timeline, fence, usage);
            }
            (_, Some(table)) => table::replace(table, store, timeline, fence, usage),
            (_, None) => unreachable!("a member without a table is a slot rule or a map"),
        }
    }

    /// The object becomes a copy of itself: what is pending.
    pub fn copy<F: FenceRef>(&self, store: &mut Store<F>) {
        store.prune();
        store.capacity = store.slots.len();
    }

    /// Adds `fence` as the driver of the era does for `producer`. Other members than policies add as
    /// the driver of today.
    pub fn file<F: FenceRef>(
        &self,
        store: &mut Store<F>,
        fence: F,
        producer: Producer,
        attached: bool,
        explicit: bool,
    ) {
        match (&self.member, &self.table) {
            (Member::Policy(era), Some(table)) => {
                era::file(*era, table, store, fence, producer, attached, explicit);
            }
            _ => {
                if let crate::Filing::Add(usage) =
                    crate::file(Era::P7, producer, attached, explicit)
                {
                    self.add(store, fence, usage);
                }
            }
        }
    }

    /// Another driver attaches to the buffer.
    pub fn attach<F: FenceRef>(&self, store: &mut Store<F>) {
        store.prune();
        if let Member::Policy(era) = &self.member {
            era::attach(*era, store);
        }
    }

    /// Calls `visit` with each pending fence that is waited for. A fence may come twice.
    pub fn visit<'s, F: FenceRef>(
        &self,
        store: &'s Store<F>,
        query: Query,
        visit: &mut impl FnMut(&'s F),
    ) {
        match (&self.member, &self.table) {
            (Member::Policy(era), _) => era::visit(*era, store, query, visit),
            (Member::Slots(_), _) => slots::visit(store, query.access(), visit),
            (Member::Map(map), _) => map.visit(store, query.access(), visit),
            (_, Some(table)) => {
                let usages = table.waits_for(query.access());
                for slot in store.pending().filter(|s| usages.contains(s.usage)) {
                    visit(&slot.fence);
                }
            }
            (_, None) => unreachable!("a member without a table is a slot rule or a map"),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Member {
    type Err = ParseWordError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Member::all()
            .into_iter()
            .chain(MapKind::variants().map(Member::Map))
            .find(|member| member.name() == word)
            .ok_or_else(|| {
                ParseWordError::new(
                    word,
                    "the members exclusive-shared, writers-readers-others, usage-levels, \
                     linux-5.19, linux-6.0, linux-6.7, hybrid, map:conversion, map:amdkcl, \
                     map:port-5.15, map:nvidia, map:backward, \
                     policy:ERA (p0, p1, p2, p3, p4, p5, p6a, p6b, p7)",
                )
            })
    }
}
