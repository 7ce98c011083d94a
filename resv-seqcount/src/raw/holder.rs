//! The state of the writer, which only the holder of the object's lock can reach.

use crate::writer::Writer;
use resv_core::{LockProof, ObjectLock};
use resv_sync::holder::HolderCell;

/// The writer of one object, beside its lock.
#[derive(Debug)]
pub(crate) struct WriterCell(HolderCell<Writer>);

impl Default for WriterCell {
    fn default() -> Self {
        // SAFETY: the cell lies in the side of an object and is opened, in `object.rs`, with the lock of
        // that object. Of an `ObjectLock` there is one `LockProof` at a time, neither `Send` nor `Sync`,
        // and the lock orders its holders.
        WriterCell(unsafe { HolderCell::new(Writer::default()) })
    }
}

impl WriterCell {
    /// As [`HolderCell::get_mut`].
    #[inline]
    pub(crate) fn get_mut<'a>(
        &'a self,
        lock: &ObjectLock,
        held: &'a mut LockProof<'_>,
    ) -> &'a mut Writer {
        self.0.get_mut(lock, held)
    }

    /// As [`HolderCell::get`].
    #[inline]
    pub(crate) fn get<'a>(&'a self, lock: &ObjectLock, held: &'a LockProof<'_>) -> &'a Writer {
        self.0.get(lock, held)
    }
}
