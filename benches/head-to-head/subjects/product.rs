//! This project's back ends, through the interface that users have.

use super::Subject;
use resv_api::{Resv, Snapshot, exec};
use resv_core::{Access, Backend, Fence, ReserveError, Usage, UsageLevels};

/// A reservation object on back end `B`.
pub(crate) struct Product<B: Backend + Default>(pub(crate) Resv<UsageLevels, B>);

impl<B: Backend + Default> Subject for Product<B> {
    fn name() -> &'static str {
        B::default().name()
    }

    type Snapshot = Snapshot<UsageLevels, B>;

    fn new() -> Self {
        Product(Resv::default())
    }

    #[inline]
    fn is_idle(&self, access: Access) -> bool {
        self.0.is_idle(access)
    }

    #[inline]
    fn visit(&self, access: Access) -> u64 {
        self.0
            .visit(access, 0, |sum: u64, key| sum.wrapping_add(key.seqno))
    }

    #[inline]
    fn snapshot(&self) -> Self::Snapshot {
        self.0.snapshot()
    }

    #[inline]
    fn waits_for(&self, access: Access) -> usize {
        self.0.waits_for(access).iter().count()
    }

    #[inline]
    fn add_around(&self, fence: &Fence, usage: Usage, pause: impl FnOnce()) {
        let mut guard = self.0.lock();
        let mut slots = guard.reserve(1).expect("memory for one fence");
        pause();
        slots.add(fence, usage);
    }

    #[inline]
    fn add(&self, fence: &Fence, usage: Usage) {
        self.0.add(fence, usage).expect("memory for one fence");
    }

    fn transaction(objects: &[&Self], fence: &Fence, usage: Usage) {
        let done = exec::<_, ReserveError>(|tx| {
            let mut slots = Vec::with_capacity(objects.len());
            for object in objects {
                slots.push(tx.lock(&object.0)?.reserve(1)?);
            }
            for slots in &mut slots {
                slots.add(fence, usage);
            }
            Ok(())
        });
        done.expect("memory for one fence in each object");
    }
}
