//! Why the default flavour is right. Documentation only.
//!
//! # What there is
//!
//! * A **cell** is a life, a count of references, a hint (all slots below it are dead), and slots. Cells are never given back: a stale
//!   address always leads to a cell, and all that anybody but its writer touches there is atomic.
//! * The **head** of an object is one word: a published length, the address of a cell, and a busy bit for
//!   each usage. A busy bit that is clear is an *idle bit*: nothing with that usage is pending.
//! * A **slot** is one word: `died`, the address of a fence, a usage. It is *visible* at length `L` if its
//!   index is less than `L` and its `died` is greater. An entry that is alive has the greatest `died`.
//! * The **life** of a cell counts its states: even while it is published in one object, or while a snapshot
//!   of that has it; odd while it is free, or is filled for its first length. So an even value names one
//!   stay of one cell in one object for ever.
//!
//! One thread at a time writes a cell: the holder of the object's lock, and after the object's reference is
//! gone the thread that drops the last one.
//!
//! **A publication is named by (life, cell, length).** Within a life lengths only grow: each publish appends
//! at least one slot, a tombstone if nothing else. So in one life a head with the same cell and length is
//! the same publication; there is no version that could wrap.
//!
//! # What does not change
//!
//! Let a publication have length `L`. Of the slots below `L` that are visible at `L`, until the cell is left
//! or held by nobody:
//!
//! * the fence and the usage stay as they are;
//! * `died` may change from "alive" to a length that is not published yet, so to more than `L`.
//!
//! So what is visible at `L` is the same set at all times, and it is whole: the entries were stored before
//! the head.
//!
//! # A reader without a reference
//!
//! `is_idle` does this:
//!
//! ```text
//!   1  load the head: cell C, length L. An idle bit is an answer.
//!   2  load the life of C; it must be even
//!   3  load the hint, the slots from there to L, and the state of the fences of those that are visible
//!   4  load the head: C and L still?
//!   5  load the life: the same still? Then it counts. Otherwise start again.
//! ```
//!
//! Let steps 4 and 5 succeed. The head of step 4 read a publication of C at L. It is the one of step 1: of
//! an earlier life it cannot be, as coherence shows no older head after step 1 has read a newer one; had it
//! been of a later life, then its publisher began that life before it stored the head (Release, Acquire),
//! and step 5 would have seen a greater life. So it is of the life of step 2, in which C at L comes once.
//!
//! Now let something that step 3 read have been stored after that publication was over. Then step 4 or 5
//! would have failed:
//!
//! * *A slot that was emptied*, as its fence was given up in the same life: that comes after the head of
//!   the publication at which it was dead, and the store is Release. Step 4 sees that head or a later one.
//! * *A slot that was emptied or stored in a later life, or at the end of this one*: the life was made odd
//!   before, and the store is Release. Step 5 sees it.
//! * *A hint of a later publication*: it is stored after the head, Release. Step 4 sees that head.
//! * *The state of a fence that came into the cell of one that was given up*: that fence was dropped after
//!   the head, or after the life was made odd; the count of fences and the stores of the new fence order
//!   this before what step 3 read. Step 4 or 5 sees it.
//!
//! (A test that looks at one slot only asks for the very word of step 1 in step 4. That says more than C and
//! L, and whatever it rejects goes the long way.)
//!
//! So at step 4 the object had the entries that step 3 read. Fences that were found signalled still are, so
//! "idle" is true at step 4 (B2), and "not idle" is about a fence of that set. Looking at the head alone
//! would not do: the cell may have gone and come back, with the same length (H-09, H-29). Looking at the
//! life alone would not do: the cell may be left while a snapshot has it (H-25).
//!
//! # A reader with a reference
//!
//! A snapshot does this:
//!
//! ```text
//!   1  load the head: cell C
//!   2  count a reference of C, unless it is in no object
//!   3  load the hint
//!   4  load the head: C still? Then the snapshot is (C, the length that it says now).
//!      Otherwise drop the reference and start again.
//! ```
//!
//! A count that was taken while `C` was in an object keeps it in its life. If the head leads to C at step 4,
//! it is this object's; the set at the length of step 4 is published at that instant (B1), and does not
//! change (B6): that it is not given up is the next section. The hint was loaded *before* the head, and is
//! stored after the head whose length it is about; so at the length of step 4 all slots below are dead.
//!
//! If the head leads elsewhere, the reference was to a cell of another time or of another object. It is
//! dropped like any other, which may make this reader the one that ends that cell.
//!
//! A publish that stays in the cell does not disturb a snapshot. A visit is a walk over such a reference; if
//! it has shown nothing, it looks at the head again, as a test does.
//!
//! # Giving up what is dead
//!
//! After it has stored the head, a publisher that left dead entries asks whether anybody but the object has
//! the cell, and gives up their fences if not. It asks by a read-modify-write of the count that adds 0. Let
//! S be the increment of a snapshot.
//!
//! * S comes before it in the order of the count: the publisher reads at least 2, unless the snapshot is
//!   gone, and gives nothing up.
//! * S comes after it: S reads what it wrote, or what later ones made of that, and so sees what was before
//!   (Release by the publisher, Acquire by S): the head. The snapshot's length, which is loaded after S, is
//!   no less than the published one, and at it the dead are not visible. It does not look at them.
//!
//! There is no third case. With a plain load there is: the store of the head and the increment may both be
//! late for the other side (store buffering), so that the publisher sees 1 and the snapshot the old head.
//!
//! What is not given up is tried again at the next publish that leaves something dead, and at the end of the
//! cell.
//!
//! # A change of cells
//!
//! A spare cell is filled with the words of what is pending in the published one: it *borrows* those
//! entries. When its head is stored, the publisher tries to take the old cell out of circulation: one
//! exchange of its count, from one, the object's own, to none. If that succeeds, nobody else has the old cell,
//! and what was borrowed belongs to the new one without having been counted. Otherwise the publisher counts
//! a reference for each, and then drops the object's reference to the old cell. In both cases the old cell
//! owns them until then, and it cannot end before: the object's reference is the publisher's to drop.
//!
//! # Idle bits
//!
//! A publisher clears the busy bits of usages of which there is no entry. A reader that has found everything
//! signalled that it asked for takes a reference, tests again, and exchanges the head that it has seen for
//! one with more idle bits. The reference keeps the life, so the same head is the same publication, and a
//! newer one is never said to be idle. "All entries with this usage have signalled" never becomes untrue of a
//! publication, so an idle bit is an answer by itself (B2 at that load). What happened before the signals is
//! visible: the reader's loads of the fences, Acquire, its exchange, Release, the load of the head, Acquire
//! (F-05).
//!
//! # All orderings
//!
//! | store | load | why |
//! |---|---|---|
//! | head, Release (publish) | head, Acquire | the entries up to its length, and the life of the cell, are visible |
//! | head, Release (idle bits) | head, Acquire | what was before the signals is visible |
//! | slot := entry, `died` or note, Release | slot, Acquire | the fence that is found there is initialised |
//! | head, then slot := none, Release | slot, Acquire, then head | a reader that misses a fence sees the head at which it was dead |
//! | life := odd, Relaxed, then slots, Release, and the drop of fences | slot or fence, Acquire, then life | a reader that sees anything of a later life sees that this one is over |
//! | head, then hint, Release | hint, Acquire, then head | a reader that skips slots sees the head at which they were dead |
//! | life := even, Release | life, Acquire | a reader that notes a life sees what the cell was filled with |
//! | head, then count + 0, Release | count + 1, Acquire, then head | a snapshot that is not seen sees the new head |
//! | count - 1, Release | count + 0, 1 to dead, 0 to dead, Acquire | what snapshots did comes before their fences are given up |
//! | count without "dead", Release | count + 1, Acquire | a reference sees what the cell was filled with |
//! | where a test looks first, Relaxed | the same, Relaxed | nothing is concluded from it |
//!
//! # What shows it
//!
//! | point | model (loom) | known-bad variant that is rejected | by |
//! |---|---|---|---|
//! | giving up | yes | a plain load | model, stress |
//! | the head, Release | yes | Relaxed | model |
//! | hint after the head | yes | hint before the head | model |
//! | empty slots announce the head | yes | Relaxed store | model |
//! | second look at the head | yes | without it | model, stress |
//! | second look at the life | yes | without it | model, a test by one thread in a fixed order |
//! | idle bits, Release | yes | Relaxed exchange | model |
//! | idle bits by the owner of a reference | yes | set without | model, a test by one thread in a fixed order |
//! | references move | yes | moved although a snapshot has the old cell | model |
