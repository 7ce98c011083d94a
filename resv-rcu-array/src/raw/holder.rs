//! What the holder of an object's lock does.
//!
//! The holder works in one cell: the published one as long as there is place in it, else a spare one
//! that was filled with what is pending, and that the next publish puts in its place.

use super::cell::{Cell, Owned};
use super::change::Found;
use super::defect::Defect;
use super::object::Object;
use super::reference::end;
use super::word::{Head, MAX_SLOTS, Slot};
use super::working::Writing;
use resv_core::{Budget, Entry, Failures, Fence, Key, Plan, Removes, ReserveError, UsageSet};

/// An object that nobody has locked keeps a cell with more slots than this only while at least one slot
/// in [`SPARSE`] holds a living entry.
const ROOMY: usize = if cfg!(any(loom, shuttle)) { 4 } else { 248 };
const SPARSE: usize = 8;

/// A cell that was filled to its last slot is followed by one with so many: an
/// object that is written often changes its cell less often.
const FILLED: usize = if cfg!(any(loom, shuttle)) { 0 } else { 54 };

/// So many slots, or more if `old` was filled.
fn at_least(slots: usize, old: Option<&Writing>) -> usize {
    let filled = old.is_some_and(|old| old.free() == 0);
    slots.max(if filled { FILLED } else { 0 })
}

/// The cell that the holder works in.
///
/// # Safety
///
/// The caller may write to both cells, or only reads while nobody writes.
#[inline]
pub(super) unsafe fn working(
    spare: Option<Cell>,
    current: Option<Cell>,
    head: Head,
) -> Option<Writing> {
    // SAFETY: (11) the caller's promise. Readers have at most the published length of the published
    // cell, and no length of the spare one.
    unsafe {
        match (spare, current) {
            (Some(spare), _) => Some(Writing::new(spare, None)),
            (None, Some(current)) => Some(Writing::new(current, Some(head.len()))),
            (None, None) => None,
        }
    }
}

/// What the holder of the object's lock works with.
pub(crate) struct Holder<'a> {
    pub(super) object: &'a Object,
    pub(super) spare: &'a mut Option<Cell>,
}

/// How many slots `budget` may use: one for each add, and one for each publish without an add, of which
/// there is one less if anything is added, as each add needs a publish.
fn slots_for(adds: usize, publishes: usize) -> usize {
    let without = publishes.saturating_sub(usize::from(adds > 0));
    adds.saturating_add(without)
}

impl Holder<'_> {
    #[inline]
    fn working(&mut self) -> Option<Writing> {
        let head = self.object.head_held();
        // SAFETY: (11) the proof that the lock is held is borrowed as long as `self` lives, and `self`
        // as long as a `Writing` is used: the functions below make one at a time for each cell.
        unsafe { working(*self.spare, self.object.cell(head), head) }
    }

    /// Gets room for `budget`. Changes nothing when it fails.
    #[inline]
    pub(crate) fn reserve(&mut self, budget: Budget) -> Result<(), ReserveError> {
        if let Some(mut cell) = self.working() {
            let owned = cell.owned();
            let adds = budget.adds.max(owned.adds as usize);
            let publishes = budget.publishes.max(owned.publishes as usize);
            if cell.is_dense() && slots_for(adds, publishes) <= cell.free() {
                let owned = cell.owned_mut();
                // Not more than slots that there are.
                (owned.adds, owned.publishes) = (adds as u32, publishes as u32);
                return Ok(());
            }
        }
        self.reserve_cell(budget)
    }

    /// Gets a spare cell with room for `budget`, and fills it with what is pending.
    #[cold]
    #[inline(never)]
    fn reserve_cell(&mut self, budget: Budget) -> Result<(), ReserveError> {
        let error = ReserveError::new(budget.adds);
        let old = self.working();
        let owned = old.as_ref().map(|old| *old.owned()).unwrap_or_default();
        let adds = budget.adds.max(owned.adds as usize);
        let publishes = budget.publishes.max(owned.publishes as usize);
        // What has signalled is left behind.
        let pending = old.as_ref().map_or(0, Writing::count_pending);
        let needed = slots_for(adds, publishes).saturating_add(pending);
        if needed.max(adds).max(publishes) > MAX_SLOTS {
            return Err(error);
        }
        // Two thirds of a cell are for what comes and goes until the next one.
        let roomy = needed.saturating_add(2 * pending).min(MAX_SLOTS);
        let roomy = at_least(roomy, old.as_ref());
        let mut new = Writing::take(roomy).ok_or(error)?;
        if let Some(mut old) = old {
            new.fill_from(&mut old, |_| false);
        }
        let owned = new.owned_mut();
        (owned.adds, owned.publishes) = (adds as u32, publishes as u32);
        if let Some(before) = self.spare.replace(new.cell()) {
            // SAFETY: (11) as in `working`; it is spare no more, so it is this function's.
            unsafe { Writing::new(before, None) }.end(None);
        }
        Ok(())
    }

    /// Makes one edit, invisible to readers until the next publish.
    #[inline]
    pub(crate) fn edit(&mut self, removes: impl FnMut(Key) -> bool, add: Option<Entry>) {
        let mut cell = self.working();
        let budget = cell.as_ref().map(Writing::owned);
        let (adds, publishes) = budget.map_or((0, 0), |budget| (budget.adds, budget.publishes));
        // Both panics come before anything is changed.
        let left = adds
            .checked_sub(u32::from(add.is_some()))
            .expect("no room is reserved for this add");
        let cell = cell.as_mut().filter(|_| publishes > 0);
        let cell = cell.expect("no room is reserved for a publish");
        cell.edit(removes, add);
        cell.owned_mut().adds = left;
    }

    /// Has what the holder sees count no more for the object's failure.
    #[inline]
    pub(crate) fn overwrite(&mut self) {
        if let Some(mut cell) = self.working() {
            cell.overwrite();
        }
    }

    /// An edit that adds, and its publish.
    #[inline(always)]
    pub(crate) fn add_and_publish(mut self, removes: impl FnMut(Key) -> bool, add: Entry) {
        if let Some(cell) = self.working_in_place() {
            let &Owned {
                adds, publishes, ..
            } = cell.owned();
            assert!(adds > 0, "no room is reserved for this add");
            assert!(publishes > 0, "no room is reserved for a publish");
            let left = (adds - 1, publishes - 1);
            if cell.is_straight() && cell.is_short() {
                drop(cell.look_and_add(self.object, move || removes, add, left));
            } else {
                add_far(self.object, self.spare, cell, removes, add, left);
            }
        } else {
            self.edit(removes, Some(add));
            self.publish();
        }
    }

    /// Appends entries to an edit that is not published.
    pub(crate) fn append(&mut self, entries: impl ExactSizeIterator<Item = Entry>) {
        let cell = self.working().filter(Writing::is_staged);
        let mut cell = cell.expect("an append needs an edit that is not published");
        let left = usize::try_from(cell.owned().adds).ok();
        let left = left.and_then(|left| left.checked_sub(entries.len()));
        // The panics come before anything is changed.
        let left = left.expect("no room is reserved for this add");
        for entry in entries {
            cell.append(entry);
        }
        // It has become no more.
        cell.owned_mut().adds = left as u32;
    }

    /// One look at what is pending, and room for one add; see [`Backend::prepare`](resv_core::Backend::prepare).
    ///
    /// Where no entry has a usage in `usages` there is nothing to be shown, and the look is the commit's.
    #[inline(always)]
    pub(crate) fn prepare(
        mut self,
        usages: UsageSet,
        see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
        removes: impl Removes,
    ) -> Result<Plan, ReserveError> {
        if let Some(cell) = self.working_in_place()
            && cell.owned().usages & usages.bits() == 0
            && cell.free() > 0
            && cell.is_straight()
        {
            if cell.is_short() {
                return Ok(LOOKS_LATER);
            }
            if cell.is_dense() {
                return Ok(LOOKS_LATER_FAR);
            }
        }
        prepare_by_looking(self.object, self.spare, usages, see, removes)
    }

    /// Makes the edit that was prepared, and publishes it.
    #[inline(always)]
    pub(crate) fn commit(mut self, plan: Plan, removes: impl Removes, add: Entry) -> Option<Fence> {
        // What is rare gets a plan of one word, and all else by value: so that in what is not these stay in registers.
        let rare = move |plan, spare, add| commit_more(self.object, spare, plan, removes, add);
        let Some(cell) = self.working_in_place() else {
            return rare(plan, self.spare, add);
        };
        if plan == LOOKS_LATER {
            return cell.look_and_add(self.object, move || removes.predicate(), add, (0, 0));
        }
        if Found::is_straight_plan(plan) {
            let comes = Slot::alive(add.fence, add.usage);
            return cell.add_found(self.object, plan, comes, (0, 0));
        }
        rare(plan, self.spare, add)
    }

    /// The published cell, if that is the one to work in.
    #[inline]
    fn working_in_place(&mut self) -> Option<Writing> {
        if self.spare.is_some() {
            return None;
        }
        self.working()
    }

    /// Makes all edits since the last publish visible at one instant.
    #[inline]
    pub(crate) fn publish(&mut self) {
        let Some(mut cell) = self.working().filter(Writing::is_staged) else {
            return;
        };
        let owned = cell.owned_mut();
        owned.publishes = owned.publishes.saturating_sub(1);
        if self.spare.is_some() {
            return self.publish_spare();
        }
        self.publish_in_place(cell);
    }

    /// Publishes what was appended to the published cell.
    #[inline]
    fn publish_in_place(&mut self, mut cell: Writing) {
        // One by one: these were stored just now.
        let owned = cell.owned();
        let (first, end, usages, dead) = (owned.first, owned.end, owned.usages, owned.dead);
        self.object.publish(cell.cell(), end, usages, first);
        if dead > 0 {
            self.give_up(&mut cell);
        }
    }

    /// Drops the fences of dead entries if nobody else has the cell; else a later publish does it, or
    /// the last owner of the cell.
    #[inline]
    fn give_up(&mut self, cell: &mut Writing) {
        if !self.object.is_held(cell.cell()) {
            cell.give_up_dead(self.object.null_order());
        }
    }

    /// Publishes the spare cell in the place of the one before.
    #[inline(never)]
    fn publish_spare(&mut self) {
        let (Some(mut new), before) = (self.working(), self.object.head_held()) else {
            return;
        };
        *self.spare = None;
        let old = self.object.cell(before);
        let borrowed = new.take_borrowed();
        let owned = new.owned_mut();
        owned.edited = false;
        let owned = *owned;
        let cell = new.cell();
        cell.set_below(owned.first);
        cell.set_look(owned.first);
        cell.begin();
        self.object
            .store_head(Head::new(cell.address(), owned.end, owned.usages));
        if let Some(old) = old {
            if old.claim() {
                old.end();
                // SAFETY: (12) nobody else has the cell, and nobody can get it: it is this function's.
                unsafe { Writing::new(old, None) }.end(Some((cell, borrowed)));
            } else {
                // Readers have the old cell, and with it the references; the new one takes its own while
                // the old one's are still there.
                if !self.object.has(Defect::MovesFromUnderReaders) {
                    new.count(borrowed);
                }
                if old.release() {
                    end(old);
                }
            }
        }
        // SAFETY: (11) as in `working`, with the length that was published here.
        let mut new = unsafe { Writing::new(cell, Some(owned.end)) };
        if owned.dead > 0 {
            self.give_up(&mut new);
        }
    }

    /// Publishes what is not published, and gives up the rest.
    #[inline]
    pub(crate) fn finish(&mut self) {
        self.publish();
        self.unreserve();
    }

    /// Gives up what was reserved and not used, and memory that the object does not need.
    #[inline]
    pub(crate) fn unreserve(&mut self) {
        let Some(mut cell) = self.working() else {
            return;
        };
        let owned = cell.owned_mut();
        (owned.adds, owned.publishes) = (0, 0);
        let capacity = cell.cell().capacity();
        if self.spare.is_some() || capacity > ROOMY {
            self.trim();
        }
    }

    /// The rest of it: drops a spare cell that nothing was staged in, and moves what is pending to a
    /// smaller cell if this one is large and sparse and memory can be had.
    #[cold]
    #[inline(never)]
    fn trim(&mut self) {
        if let Some(spare) = *self.spare {
            // SAFETY: (11) as in `working`.
            let spare = unsafe { Writing::new(spare, None) };
            if spare.is_staged() {
                return;
            }
            *self.spare = None;
            spare.end(None);
        }
        let Some(mut cell) = self.working().filter(|cell| !cell.is_staged()) else {
            return;
        };
        if !is_sparse(&cell) {
            return;
        }
        let Some(mut small) = Writing::take(3 * cell.count_pending()) else {
            return;
        };
        small.fill_from(&mut cell, |_| false);
        let failures = small.owned().failures;
        if small.owned().alive > 0 || failures != Failures::default() {
            *self.spare = Some(small.cell());
            return self.publish_spare();
        }
        // Nothing is pending, and no failure noted: the object needs no cell.
        small.end(None);
        let old = cell.cell();
        self.object.store_head(Head::EMPTY);
        if old.release() {
            end(old);
        }
    }
}

/// Whether so few entries live in a large cell that the object is to have a smaller one.
#[inline]
pub(super) fn is_sparse(cell: &Writing) -> bool {
    let capacity = cell.cell().capacity();
    capacity > ROOMY && lives_sparsely(capacity, cell.owned().alive)
}

// Cold: most cells are small.
#[cold]
#[inline(never)]
fn lives_sparsely(capacity: usize, alive: u32) -> bool {
    alive as usize * SPARSE < capacity
}

/// An add after a look at many, in the cell that is published.
fn add_far(
    object: &Object,
    spare: &mut Option<Cell>,
    cell: Writing,
    removes: impl FnMut(Key) -> bool,
    add: Entry,
    left: (u32, u32),
) -> Option<Fence> {
    let found = cell.look_alone(1 << add.usage as u8, removes);
    if cell.is_straight() && !found.more_go {
        let comes = Slot::alive(add.fence, add.usage);
        return cell.add_found(object, found.to_plan(true), comes, left);
    }
    add_more(object, spare, found, add, left);
    None
}

/// [`Holder::add_and_publish`] of what is not straight.
#[inline(never)]
fn add_more(
    object: &Object,
    spare: &mut Option<Cell>,
    change: Found,
    add: Entry,
    left: (u32, u32),
) {
    let mut holder = Holder { object, spare };
    if let Some(mut cell) = holder.working() {
        cell.apply(change);
        cell.append(add);
        let owned = cell.owned_mut();
        (owned.adds, owned.publishes) = left;
        holder.publish_in_place(cell);
    }
}

/// [`Holder::commit`] of what is not straight.
#[cold]
#[inline(never)]
fn commit_more(
    object: &Object,
    spare: &mut Option<Cell>,
    plan: Plan,
    removes: impl Removes,
    add: Entry,
) -> Option<Fence> {
    let mut holder = Holder { object, spare };
    if plan == LOOKS_LATER_FAR
        && let Some(cell) = holder.working_in_place()
    {
        let added = add_far(object, spare, cell, removes.predicate(), add, (0, 0));
        if added.is_some() {
            return added;
        }
    } else if let Some(found) = Found::of_plan(plan).filter(|_| spare.is_none()) {
        add_more(object, spare, found, add, (0, 0));
    } else {
        commit_cell(object, spare, plan, removes, add);
    }
    Holder { object, spare }.unreserve();
    None
}

/// The same after a [`prepare_cell`] or a [`prepare_dense`].
fn commit_cell(
    object: &Object,
    spare: &mut Option<Cell>,
    plan: Plan,
    removes: impl Removes,
    add: Entry,
) {
    let mut holder = Holder { object, spare };
    match holder.working() {
        Some(mut cell) if plan == IN_SPARE && holder.spare.is_some() => {
            cell.append(add);
            holder.publish_spare();
        }
        _ => {
            holder.edit(removes.predicate(), Some(add));
            holder.publish();
        }
    }
}

/// [`Holder::prepare`] when everything was shown, in single steps: the commit will look again.
#[cold]
#[inline(never)]
fn prepare_dense(object: &Object, spare: &mut Option<Cell>) -> Result<Plan, ReserveError> {
    let mut holder = Holder { object, spare };
    holder.reserve(Budget {
        adds: 1,
        publishes: 1,
    })?;
    Ok(Plan::default())
}

/// What is planned is in the spare cell: what stays, and place for what comes.
const IN_SPARE: Plan = Plan(2);

/// What goes is not found yet; there is a free slot in the published cell, and nothing but the look is left to do.
const LOOKS_LATER: Plan = Plan(8);
/// The same, with many entries to look at.
const LOOKS_LATER_FAR: Plan = Plan(16);

/// [`Holder::prepare`] where there may be something to be shown, or there is no free slot.
#[inline(never)]
fn prepare_by_looking(
    object: &Object,
    spare: &mut Option<Cell>,
    usages: UsageSet,
    see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
    removes: impl Removes,
) -> Result<Plan, ReserveError> {
    let mut holder = Holder { object, spare };
    match holder.working_in_place() {
        Some(cell) if cell.free() > 0 => {
            let found = cell.look(usages, see, removes.predicate())?;
            if cell.is_dense() {
                return Ok(found.to_plan(cell.is_straight() && !found.more_go));
            }
            prepare_dense(object, spare)
        }
        _ => prepare_cell(object, spare, usages, see, removes),
    }
}

/// [`Holder::prepare`] where a cell must be got, or is being filled.
// Not a function of `Holder`, which would have to be in memory for it.
#[cold]
#[inline(never)]
fn prepare_cell(
    object: &Object,
    spare: &mut Option<Cell>,
    usages: UsageSet,
    see: impl FnMut(&Fence, Key) -> Result<(), ReserveError>,
    removes: impl Removes,
) -> Result<Plan, ReserveError> {
    let mut holder = Holder { object, spare };
    let old = holder.working();
    if let Some(cell) = &old {
        cell.look(usages, see, |_| false)?;
    }
    if holder.spare.is_some() || old.as_ref().is_some_and(Writing::is_staged) {
        return prepare_dense(object, spare);
    }
    // At once without what goes: one walk.
    let alive = old.as_ref().map_or(0, |old| old.owned().alive as usize);
    if alive >= MAX_SLOTS {
        return Err(ReserveError::new(1));
    }
    let roomy = at_least((3 * alive + 1).min(MAX_SLOTS), old.as_ref());
    let mut new = Filling(Some(Writing::take(roomy).ok_or(ReserveError::new(1))?));
    if let (Some(new), Some(mut old)) = (&mut new.0, old) {
        new.fill_from(&mut old, removes.predicate());
    }
    *holder.spare = new.0.take().map(|new| new.cell());
    Ok(IN_SPARE)
}

/// A cell that is being filled, which a predicate may end by a panic.
struct Filling(Option<Writing>);

impl Drop for Filling {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            cell.end(None);
        }
    }
}
