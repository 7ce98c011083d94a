//! The holder's side: edits are staged here and applied to the slots in one write section.
//!
//! Staging costs no reference and no allocation: a mark for each slot that is to go, and a list of
//! what is to come. Applying touches only slots that change: a new entry takes the place of a
//! removed one (the legacy design's replacing in place), what is left over is appended, and holes
//! that remain are filled from the end.
//!
//! Everything that could be foreign happens here, outside the section (B5): the state of fences is
//! looked at when staging begins, and removed fences are dropped after the section has closed.

use crate::counter::Protocol;
use crate::raw::{Content, Table};
use resv_core::{Entry, Fence, Key, ReserveError, Room};

/// The state of the holder of the object's lock.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    staged: bool,
    /// For each slot in use: whether the staged edits remove it.
    goes: Vec<bool>,
    /// What the staged edits add.
    comes: Vec<Entry>,
    /// Fences on their way out.
    removed: Vec<Fence>,
    room: Option<Room>,
}

/// The smallest table; in models small, so that growth is in reach of a model.
#[cfg(not(any(loom, shuttle)))]
const MIN_CAPACITY: usize = 4;
#[cfg(any(loom, shuttle))]
const MIN_CAPACITY: usize = 1;

impl Writer {
    /// Gets memory for `room`, and says how many slots the table must have.
    pub(crate) fn prepare(
        &mut self,
        table: Option<&Table>,
        room: Room,
    ) -> Result<usize, ReserveError> {
        let error = |_| ReserveError::new(room.adds);
        let used = table.map_or(&[][..], Table::used_held).len();
        let wanted = used
            .saturating_add(self.comes.len())
            .saturating_add(room.adds);
        let have = table.map_or(0, Table::capacity);
        let capacity = if wanted <= have {
            have
        } else {
            wanted.max(have.saturating_mul(2)).max(MIN_CAPACITY)
        };
        let more = |len: usize| capacity.saturating_sub(len);
        self.goes
            .try_reserve(more(self.goes.len()))
            .map_err(error)?;
        self.comes.try_reserve(room.adds).map_err(error)?;
        self.removed
            .try_reserve(more(self.removed.len()))
            .map_err(error)?;
        Ok(capacity)
    }

    /// Moves the references of `old` to `new`. Unless edits are staged, signalled fences are left
    /// out and go to [`drop_removed`](Writer::drop_removed).
    pub(crate) fn fill<P: Protocol>(&mut self, new: &Table, old: Option<&Table>) {
        let mut len = 0;
        for slot in old.map_or(&[][..], Table::used_held) {
            let Some((cell, usage)) = slot.load_held() else {
                continue;
            };
            if self.staged || cell.is_pending() {
                new.slot(len).store::<P>(Some((cell, usage)));
                len += 1;
            } else {
                self.removed.push(Fence::from_cell(cell));
            }
        }
        new.set_len::<P>(len);
    }

    /// Permits what room was got for.
    pub(crate) fn admit(&mut self, room: Room) {
        self.room.get_or_insert_default().widen(room);
    }

    pub(crate) fn unreserve(&mut self) {
        self.room = None;
    }

    pub(crate) fn is_staged(&self) -> bool {
        self.staged
    }

    /// Stages one edit.
    pub(crate) fn edit(
        &mut self,
        table: Option<&Table>,
        mut removes: impl FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let room = self.room.as_mut().expect("an edit needs a reservation");
        room.use_for_edit(add.is_some());
        let used = table.map_or(&[][..], Table::used_held);
        if !self.staged {
            self.staged = true;
            self.goes.clear();
            self.goes
                .extend(used.iter().map(|slot| !is_pending(slot.load_held())));
        }
        for (slot, goes) in used.iter().zip(&mut self.goes) {
            if !*goes && let Some((cell, usage)) = slot.load_held() {
                let (timeline, seqno) = cell.key_parts();
                *goes = removes(Key {
                    timeline,
                    seqno,
                    usage,
                });
            }
        }
        self.comes.retain(|entry| !removes(entry.key()));
        self.comes.extend(add);
    }

    /// Applies the staged edits; the caller has opened a write section. `between` is called between
    /// two changes.
    pub(crate) fn apply<P: Protocol>(&mut self, table: Option<&Table>, mut between: impl FnMut()) {
        self.staged = false;
        if let Some(room) = &mut self.room {
            room.publishes = room.publishes.saturating_sub(1);
        }
        // An object without a table has had no room for an add, and has nothing to remove.
        let Some(table) = table else { return };
        let mut len = table.used_held().len();
        let mut comes = self.comes.drain(..);
        // From the end, so that the last slot in use is never one that goes.
        for index in (0..len).rev() {
            if !self.goes[index] {
                continue;
            }
            let slot = table.slot(index);
            if let Some((cell, _)) = slot.load_held() {
                self.removed.push(Fence::from_cell(cell));
            }
            if let Some(entry) = comes.next() {
                slot.store::<P>(Some((entry.fence.into_cell(), entry.usage)));
            } else {
                len -= 1;
                slot.store::<P>(table.slot(len).load_held());
                table.slot(len).store::<P>(None);
                table.set_len::<P>(len);
            }
            between();
        }
        for entry in comes {
            table
                .slot(len)
                .store::<P>(Some((entry.fence.into_cell(), entry.usage)));
            len += 1;
            table.set_len::<P>(len);
            between();
        }
    }

    /// Drops the fences that edits and growth removed; no section is open.
    pub(crate) fn drop_removed(&mut self) {
        self.removed.clear();
    }

    /// The entries as the holder sees them, staged edits included.
    pub(crate) fn entries<'a>(
        &'a self,
        table: Option<&'a Table>,
    ) -> impl Iterator<Item = Entry> + 'a {
        let used = table.map_or(&[][..], Table::used_held);
        let stays = used
            .iter()
            .enumerate()
            .filter(|(index, _)| !(self.staged && self.goes[*index]))
            .filter_map(|(_, slot)| slot.load_held())
            .filter_map(|(cell, usage)| {
                // The slot owns a reference, so this never fails here.
                let fence = Fence::try_acquire(cell)?;
                Some(Entry { fence, usage })
            });
        stays.chain(self.comes.iter().cloned())
    }
}

fn is_pending(content: Option<Content>) -> bool {
    content.is_some_and(|(cell, _)| cell.is_pending())
}
