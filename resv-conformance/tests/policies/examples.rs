//! The worked examples of the owner rule: what each query is told in each era, on every back end.
//!
//! Eviction fences came with p1; in p0 one is shown as that driver would have taken it, a foreign fence.
//! In p2 page-table fences are in no object.

use super::{DECLARED, told};

const ERAS: [&str; 9] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6a", "p6b", "p7"];

/// Statements, and what the last of them is told in each of [`ERAS`].
struct Row(&'static str, &'static str, [&'static str; 9]);

pub(crate) const X: &str = "ask fb client:1 device 0 not-equal";
const X_EXPLICIT: &str = "ask fb client:1 device 0 explicit";
const X_UNMAPS: &str = "ask fb client:1 device 0 equal";
pub(crate) const Y: &str = "ask fb client:2 device 0 not-equal";
const Y_EXPLICIT: &str = "ask fb client:2 device 0 explicit";
pub(crate) const COMPUTE: &str = "ask fb compute device 0 not-equal";
const A1: &str = "file fb submission a1";

#[rustfmt::skip]
const ROWS: &[(&str, Row)] = &[
    ("1", Row(A1, X,
        ["-", "-", "-", "-", "-", "-", "-", "-", "-"])),
    ("2", Row("file fb submission a1 attached", X,
        ["a:1", "a:1", "a:1", "a:1", "-", "-", "-", "-", "-"])),
    ("3", Row(A1, Y,
        ["a:1"; 9])),
    // Both only read, which the owner rule does not ask; a reader of the plain rule does not wait.
    ("4", Row(A1, Y,
        ["a:1"; 9])),
    ("4, plain", Row("add fb a1 read", "waits fb read",
        ["-"; 9])),
    ("5", Row("file fb submission a1\nfile fb submission b1", Y,
        ["a:1 b:1"; 9])),
    // In p0 the attaching driver sleeps until the object is idle: it asks, and changes nothing.
    ("5z", Row("file fb submission a1\nfile fb submission b1\nattach fb", "waits fb read",
        ["-", "a:1 b:1", "a:1 b:1", "a:1 b:1", "-", "a:1 b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1"])),
    ("5e", Row("file fb submission a1 attached\nfile fb submission b1 attached", "waits fb read",
        ["b:1", "b:1", "b:1", "b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1", "a:1 b:1"])),
    ("6", Row("file fb submission a1 attached\nfile fb submission c1 attached", X,
        ["c:1", "c:1", "c:1", "c:1", "a:1 c:1", "c:1", "c:1", "c:1", "c:1"])),
    ("7", Row("file fb submission c1 attached\nfile fb submission a1 attached", X,
        ["a:1", "a:1", "a:1", "a:1", "c:1", "c:1", "c:1", "c:1", "c:1"])),
    ("8", Row("file fb move m1", X_EXPLICIT,
        ["m:1"; 9])),
    ("9", Row("file fb vacate m1", X_EXPLICIT,
        ["-", "-", "m:1", "m:1", "m:1", "m:1", "m:1", "m:1", "m:1"])),
    ("10", Row("file fb page-tables v1", X,
        ["-"; 9])),
    ("11", Row("file fb move m1\nfile fb submission a1\nfile fb page-tables v1\nfile fb compute e1", X_UNMAPS,
        ["m:1 e:1", "m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1"])),
    ("11, asked as compute", Row("file fb move m1\nfile fb submission a1\nfile fb page-tables v1\nfile fb compute e1", COMPUTE,
        ["a:1 m:1 e:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1", "a:1 m:1 v:1", "a:1 m:1"])),
    ("12", Row("file fb move m1\nfile fb submission a1\nfile fb submission c1\nfile fb compute e1", X_EXPLICIT,
        ["m:1 e:1", "m:1", "m:1", "m:1", "m:1", "m:1", "m:1", "m:1", "m:1"])),
    // Buffers that are always valid share the object of the root directory: a job of one is in the way of
    // a move of any. In objects of their own it would not be.
    ("13", Row("resv own\nfile fb submission a1\nfile fb page-tables v1", "waits fb move",
        ["a:1 v:1", "a:1 v:1", "a:1", "a:1 v:1", "a:1 v:1", "a:1 v:1", "a:1 v:1", "a:1 v:1", "a:1 v:1"])),
    ("13, an object of its own", Row("resv own\nfile fb submission a1", "waits own move",
        ["-"; 9])),
    ("14", Row("file fb compute e1", X,
        ["e:1", "-", "-", "-", "-", "-", "-", "-", "-"])),
    ("14, how often asked", Row("file fb compute e1\nask fb client:1 device 0 not-equal", "asked e1",
        ["0"; 9])),
    ("14m", Row("file fb compute e1", "wait fb move",
        ["e:1"; 9])),
    ("14m, how often asked", Row("file fb compute e1\nwait fb move\nwait fb move", "asked e1",
        ["1"; 9])),
    ("14w", Row("file fb compute e1", "wait fb write",
        ["e:1", "e:1", "e:1", "e:1", "e:1", "e:1", "-", "-", "-"])),
    ("14w, evicts", Row("file fb compute e1\nwait fb write", "asked e1",
        ["1", "1", "1", "1", "1", "1", "0", "0", "0"])),
    ("14r", Row("file fb compute e1\nattach fb", "wait fb read",
        ["-", "e:1", "e:1", "e:1", "-", "-", "-", "-", "-"])),
    ("14r, evicts", Row("file fb compute e1\nattach fb\nwait fb read", "asked e1",
        ["1", "1", "1", "1", "0", "0", "0", "0", "0"])),
    ("14r, in an array", Row("file fb compute e1\nfile fb submission a1\nattach fb\nwait fb read", "asked e1",
        ["1", "1", "1", "1", "0", "0", "0", "0", "0"])),
    ("14c", Row("file fb compute e1\nattach fb", X,
        ["e:1", "e:1", "e:1", "e:1", "-", "-", "-", "-", "-"])),
    ("15", Row("add fb z1 bookkeep", X,
        ["z:1", "z:1", "z:1", "z:1", "z:1", "z:1", "z:1", "z:1", "-"])),
    ("16", Row("add fb z1 read", X,
        ["z:1"; 9])),
    ("16, explicit", Row("add fb z1 read", X_EXPLICIT,
        ["z:1"; 9])),
    ("17", Row("file fb user-queue-eviction z1", X,
        ["-", "-", "-", "-", "-", "-", "z:1", "z:1", "-"])),
    ("18, no device", Row("file fb page-tables v1", "ask fb compute device - not-equal",
        ["v:1", "v:1", "-", "-", "-", "-", "-", "v:1", "-"])),
    ("18", Row("file fb page-tables v1", COMPUTE,
        ["-", "-", "-", "-", "-", "-", "-", "v:1", "-"])),
    ("19, Z reads", Row("file fb submission a1\nfile fb gang-member b1", "waits fb read",
        ["-", "-", "-", "-", "-", "a:1 b:1", "a:1", "a:1", "a:1"])),
    ("19, Z writes", Row("file fb submission a1\nfile fb gang-member b1", "waits fb write",
        ["a:1 b:1"; 9])),
    ("20", Row("file fb submission a1 attached explicit", "waits fb read",
        ["a:1", "a:1", "a:1", "a:1", "-", "a:1", "a:1", "a:1", "a:1"])),
    ("20y", Row("file fb submission a1 attached explicit", Y_EXPLICIT,
        ["a:1", "a:1", "a:1", "a:1", "-", "-", "-", "-", "-"])),
    ("21", Row("file fb submission d1", X_EXPLICIT,
        ["d:1", "d:1", "-", "-", "-", "-", "-", "-", "-"])),
    // C runs on the ring of the asker. Whether a job that was scheduled there counts as done is for the
    // scheduler to say; the object tells what there is.
    ("22", Row("file fb submission c1", X,
        ["c:1"; 9])),
];

#[test]
fn the_worked_examples_of_the_owner_rule() {
    for (name, Row(before, query, answers)) in ROWS {
        for (era, says) in ERAS.iter().zip(answers) {
            let script = format!("{DECLARED}era {era}\nresv fb\n{before}\n{query}\n");
            assert_eq!(told(&script), *says, "no. {name}, era {era}");
        }
    }
}
