//! Recording what the library does (feature `tracing`).
//!
//! With a subscriber of the `tracing` crate in place, fences and objects emit events. Those of fences
//! have target `dma_fence`, and the names and fields that Linux gives them: see
//! [`fence::trace`](resv_core::fence::trace). [`FtraceWriter`] is a subscriber that writes them as
//! `trace-cmd report` and the tracefs file `trace` would, and `resv replay` plays that again.
//!
//! # The events of objects
//!
//! Fences alone do not say what they were for. So objects tell, with target `resv`, level TRACE:
//!
//! | event | fields | when |
//! |---|---|---|
//! | `resv_waits_for` | `resv`, `access` | an asker was told what an access must wait for: [`waits_for`], and whatever waits for an object by a thread, a future or a descriptor, unless it was found idle |
//! | `resv_busy` | `resv`, `access` | a task tested whether the object is idle for an access, and it was not: [`is_idle`](crate::Resv::is_idle), and a wait of no length |
//! | `resv_add_fence` | `resv`, `usage`, and those of a fence | a fence is being added; for one that went apart, once for each leaf |
//! | `resv_replace_fence` | the same, and `replaced`, a context | a fence is taking the place of those of a timeline |
//! | `resv_copy` | `resv` | the object was made to hold what another one held |
//! | `resv_unlock` | `resv` | a transaction ends, and all its edits are visible |
//!
//! `resv` is a number that only this object has in the process. `usage` is what the caller said, not
//! what the semantics made of it: so a recording can be played under any semantics.
//!
//! They are emitted on the caller's thread. All but `resv_waits_for` and `resv_busy` are emitted with the object's
//! lock held by the caller, as whatever else the caller does between `lock` and `drop`, and outside
//! of the back end: no sequence count is odd, no array is half built (B5). The rules for subscribers
//! are those of fences; above all, one must not take an object's lock.
//!
//! # What a replay makes of it
//!
//! * A *job* is a fence that was added to an object. It begins with its first add and ends when it
//!   signals; the buffers it touches are those it was added to, under the usages recorded.
//! * Its *access* to an object is what its thread was last told there, before the add and since that
//!   thread's transaction before in which it added to the object. A job whose thread did not ask is
//!   taken to be in explicit sync, access `explicit`: it waits for what that waits for, though
//!   nobody was told. A test
//!   ([`is_idle`](crate::Resv::is_idle)), a [`visit`](crate::Resv::visit) and a look at all
//!   ([`snapshot`](crate::Resv::snapshot)) are not asking.
//! * A task that was told what to wait for, or that the object is busy, and neither waits nor adds, is
//!   reported as one that polls: how often it went on, and how long the object was busy.
//! * Replacements and copies are counted, not played.
//!
//! Under the semantics that the program used, the edges of the replay are then the waits that its
//! jobs were told; under another they are those that they would have been told. A signal is written
//! after it has happened, so a thread that finds the fence signalled in that moment may add its
//! own before the line: the replay then has an edge of no length. And a job is taken to ask when it
//! adds, which is exact where one asks with the object's lock held, or where nobody else added
//! in between.
//!
//! [`waits_for`]: crate::Resv::waits_for

mod ftrace;

pub use ftrace::FtraceWriter;
pub use resv_core::fence::trace::{wait_end, wait_start};
