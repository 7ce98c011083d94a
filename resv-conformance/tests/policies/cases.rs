//! Where the owner rule is not plain implicit sync: what Z, a partner that follows the plain rule, or the
//! clients lose or wait for too much; and the cure.

use super::examples::{COMPUTE, X, Y};
use super::{DECLARED, told};

/// An era, statements, a query, and what it is told.
type Told = (&'static str, &'static str, &'static str, &'static str);

struct Case {
    what: &'static str,
    happens: &'static [Told],
    cured: &'static [Told],
}

const READS: &str = "waits fb read";
const MOVES: &str = "waits fb move";
const TWO_WRITES: &str = "file fb submission a1 attached\nfile fb submission b1 attached";

#[rustfmt::skip]
const CASES: [Case; 10] = [
    Case {
        what: "1, Z loses a write that was filed before the export",
        happens: &[("p4", "file fb submission a1\nattach fb", READS, "-")],
        cured: &[
            ("p3", "file fb submission a1\nattach fb", READS, "a:1"),
            ("p4", "file fb submission a1 attached", READS, "a:1"),
            ("p5", "file fb submission a1\nattach fb", READS, "a:1"),
        ],
    },
    Case {
        what: "2, Z would lose a write, were the single exclusive fence filtered by owner",
        // The rule of p4 over plain exclusive fences: B does not wait for A, and drops it.
        happens: &[("p4", "add fb a1 write", X, "-"), ("p4", "add fb a1 write\nadd fb b1 write", READS, "b:1")],
        cured: &[("p3", "add fb a1 write", X, "a:1"), ("p4", TWO_WRITES, READS, "a:1 b:1"), ("p5", TWO_WRITES, READS, "a:1 b:1")],
    },
    Case {
        what: "3, memory moves under running compute",
        happens: &[
            ("p1", "file fb compute e1\nfile fb submission a1 attached", MOVES, "a:1"),
            ("p2", "file fb compute e1\nfile fb submission a1 attached", MOVES, "a:1"),
            ("p3", "file fb compute e1\nfile fb submission a1 attached", MOVES, "a:1"),
        ],
        cured: &[
            ("p4", "file fb compute e1\nfile fb submission a1 attached", MOVES, "a:1 e:1"),
            ("p5", "file fb compute e1\nfile fb submission a1 attached", MOVES, "a:1 e:1"),
        ],
    },
    Case {
        what: "4, Z reads, and compute is evicted",
        happens: &[
            ("p1", "file fb compute e1\nattach fb\nwait fb read", "asked e1", "1"),
            ("p3", "file fb compute e1\nattach fb\nwait fb read", "asked e1", "1"),
        ],
        cured: &[("p4", "file fb compute e1\nattach fb\nwait fb read", "asked e1", "0")],
    },
    Case {
        what: "5, the queues of a client wait for each other while Z is attached",
        happens: &[("p0", "file fb submission a1 attached", X, "a:1"), ("p3", "file fb submission a1 attached", X, "a:1")],
        cured: &[("p4", "file fb submission a1 attached", X, "-")],
    },
    Case {
        what: "6, those that only read wait for each other: no read is recorded",
        happens: &[("p3", "file fb submission a1 attached", READS, "a:1"), ("p7", "file fb submission a1", READS, "a:1"), ("p7", "file fb submission a1", Y, "a:1")],
        cured: &[("p7", "add fb a1 read", READS, "-")],
    },
    Case {
        what: "7, a submission preempts Z",
        happens: &[("p5", "add fb z1 bookkeep", X, "z:1"), ("p6b", "add fb z1 bookkeep", X, "z:1")],
        cured: &[("p7", "add fb z1 bookkeep", X, "-")],
    },
    Case {
        what: "8, an explicit job: Z sees nothing, and later waits though nobody asked for it",
        happens: &[
            ("p4", "file fb submission a1 attached explicit", READS, "-"),
            ("p5", "file fb submission a1 attached explicit", READS, "a:1"),
        ],
        // The job is bookkeep, and user space hands its fence to Z's buffer when Z is to wait.
        cured: &[("p7", "add fb a1 bookkeep", READS, "-"), ("p7", "add fb a1 bookkeep\nadd fb a1 write", READS, "a:1")],
    },
    Case {
        what: "9, Z loses the write of a gang member that ends after its leader",
        happens: &[("p6a", "file fb submission a1\nfile fb gang-member b1\nsignal a1", READS, "-"), ("p7", "file fb submission a1\nfile fb gang-member b1\nsignal a1", READS, "-")],
        cured: &[("p7", "file fb submission a1\nfile fb submission b1\nsignal a1", READS, "b:1")],
    },
    Case {
        what: "10, what was right because of bookkeep fences is lost",
        happens: &[("p6b", "file fb page-tables v1", COMPUTE, "v:1"), ("p7", "file fb page-tables v1", COMPUTE, "-")],
        // The fence is named where p7 looks.
        cured: &[("p7", "add fb v1 read", COMPUTE, "v:1")],
    },
];

#[test]
fn the_ten_cases_where_the_owner_rule_is_not_implicit_sync_and_their_cures() {
    for Case {
        what,
        happens,
        cured,
    } in &CASES
    {
        for (era, before, query, says) in happens.iter().chain(*cured) {
            let script = format!("{DECLARED}era {era}\nresv fb\n{before}\n{query}\n");
            assert_eq!(told(&script), *says, "{what}, era {era}: {before}");
        }
    }
}
