//! The worked example of CONTRIBUTING.md: a back end and a semantics of one's own, and the suite on them.
//!
//! Each is a file. One line makes the tests: [`resv_conformance::suite_for_backend!`] for a back end under
//! the semantics of this project, [`resv_conformance::suite!`] for any pair.

mod backend;
mod semantics;

use backend::CopiedArray;
use resv_api::{Access, Resv, Timeline, Usage};
use semantics::OneAtATime;

resv_conformance::suite_for_backend!(copied_array, CopiedArray);
resv_conformance::suite!(one_at_a_time, OneAtATime, resv_core::Locked);
resv_conformance::suite!(both, OneAtATime, CopiedArray);

/// An object of the two is used like any other.
#[test]
fn they_are_used_like_any_other() -> Result<(), Box<dyn std::error::Error>> {
    let buffer = Resv::<OneAtATime, CopiedArray>::default();
    let job = Timeline::new("queue").issue()?;
    buffer.lock().reserve(1)?.add(job.fence(), Usage::Read);
    assert!(!buffer.is_idle(Access::Read), "one at a time");
    assert!(buffer.is_idle(Access::Explicit));
    job.signal();
    assert!(buffer.is_idle(Access::Move));
    assert_eq!(
        format!("{buffer:?}"),
        "Resv<one-at-a-time, copied-array> []"
    );
    Ok(())
}
