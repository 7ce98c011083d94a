//! What the one word of a lock says: its holder, and whether a request is queued.
//!
//! | word | meaning |
//! |---|---|
//! | `0` | free, nobody queued |
//! | [`QUEUED`] | free, and a waiter may be queued |
//! | a [`Claim`], without or with [`QUEUED`] | held, by a context or by nobody in particular |
//!
//! A claim is the ticket of a context, its algorithm, and a bit that is always set, so that the
//! claim of a holder without a context (ticket 0) is not the free word. Tickets have 61 bits and are
//! never used twice: at one a nanosecond they last for 73 years.

/// The lock is free and nobody is queued: the only word that can be taken without the queue.
pub(super) const FREE: u64 = 0;
/// A request may be queued: a thread that releases or takes the lock looks at the queue.
pub(super) const QUEUED: u64 = 1;
const HELD: u64 = 1 << 1;
const WAIT_DIE: u64 = 1 << 2;
const TICKET_SHIFT: u32 = 3;

/// How contexts avoid deadlock. See the [module](super) for the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// An older context that meets a younger holder wounds it: the holder goes on until its next
    /// contended lock, and backs off there. Fewer transactions are undone, and lazily.
    WoundWait,
    /// A younger context that holds something and meets an older one backs off at once. More
    /// transactions are undone; nobody is ever disturbed from outside. What Linux does for
    /// reservation objects.
    WaitDie,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Algorithm; 2] = [Algorithm::WoundWait, Algorithm::WaitDie];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::WoundWait => "wound-wait",
            Algorithm::WaitDie => "wait-die",
        }
    }
}

/// The holder of a lock, or a request for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim(u64);

impl Claim {
    /// A request without a context.
    pub(super) const PLAIN: Claim = Claim(HELD);

    /// A context that takes its locks in the order of their addresses. All of them have the same
    /// claim: none is older than another, and each is younger than any other context. It dies.
    pub(super) const IN_ORDER: Claim = Claim(!0 << TICKET_SHIFT | WAIT_DIE | HELD);

    pub(super) fn of(ticket: u64, algorithm: Algorithm) -> Claim {
        debug_assert!(ticket > 0, "ticket 0 is nobody's");
        let algorithm = match algorithm {
            Algorithm::WoundWait => 0,
            Algorithm::WaitDie => WAIT_DIE,
        };
        Claim(ticket << TICKET_SHIFT | algorithm | HELD)
    }

    /// The holder according to `word`; `None` if that is free.
    pub(super) fn of_holder(word: u64) -> Option<Claim> {
        (word & HELD != 0).then_some(Claim(word & !QUEUED))
    }

    /// The word of a lock that this claim holds and for which nobody is queued.
    #[inline]
    pub(super) const fn word(self) -> u64 {
        self.0
    }

    /// The ticket; `None` without a context.
    pub(super) fn ticket(self) -> Option<u64> {
        Some(self.0 >> TICKET_SHIFT).filter(|&ticket| ticket > 0)
    }

    pub(super) fn algorithm(self) -> Algorithm {
        if self.0 & WAIT_DIE == 0 {
            Algorithm::WoundWait
        } else {
            Algorithm::WaitDie
        }
    }

    /// Whether both are contexts and this one is the older one, with the smaller ticket.
    pub(super) fn is_older_than(self, other: Claim) -> bool {
        matches!((self.ticket(), other.ticket()), (Some(mine), Some(theirs)) if mine < theirs)
    }

    /// Whether this is a context that an older one wounds, and that does not die of its own accord.
    pub(super) fn can_be_wounded(self) -> bool {
        self.ticket().is_some() && self.algorithm() == Algorithm::WoundWait
    }

    /// Whether this is a context that dies of its own accord where it would wait for an older one.
    pub(super) fn dies(self) -> bool {
        self.algorithm() == Algorithm::WaitDie
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_the_holder_and_whether_somebody_is_queued() {
        assert_eq!(Claim::of_holder(FREE), None);
        assert_eq!(Claim::of_holder(QUEUED), None);
        let claims = [
            Claim::PLAIN,
            Claim::of(1, Algorithm::WoundWait),
            Claim::of(1, Algorithm::WaitDie),
            Claim::of(u64::MAX >> TICKET_SHIFT, Algorithm::WaitDie),
        ];
        for claim in claims {
            assert_eq!(Claim::of_holder(claim.word()), Some(claim));
            assert_eq!(Claim::of_holder(claim.word() | QUEUED), Some(claim));
        }
        assert_eq!(Claim::PLAIN.ticket(), None);
        assert_eq!(claims[1].ticket(), Some(1));
        assert_eq!(claims[2].algorithm(), Algorithm::WaitDie);
    }

    #[test]
    fn age_is_the_ticket_and_only_contexts_have_one() {
        let old = Claim::of(1, Algorithm::WaitDie);
        let young = Claim::of(2, Algorithm::WoundWait);
        assert!(old.is_older_than(young));
        assert!(!young.is_older_than(old));
        assert!(!old.is_older_than(old));
        for claim in [old, young] {
            assert!(!claim.is_older_than(Claim::PLAIN));
            assert!(!Claim::PLAIN.is_older_than(claim));
        }
        assert!(young.can_be_wounded() && !young.dies());
        assert!(old.dies() && !old.can_be_wounded());
        assert!(!Claim::PLAIN.can_be_wounded() && !Claim::PLAIN.dies());
        assert!(old.is_older_than(Claim::IN_ORDER) && young.is_older_than(Claim::IN_ORDER));
        assert!(!Claim::IN_ORDER.is_older_than(Claim::IN_ORDER));
        assert!(Claim::IN_ORDER.dies() && !Claim::IN_ORDER.can_be_wounded());
    }
}
