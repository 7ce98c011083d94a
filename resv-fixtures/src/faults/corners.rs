//! Small defects that nobody has had yet, each in a corner that only one property of the suite looks
//! into. Without them nobody would notice if that property were gone.

use crate::fault::{Fault, ONE, held_entries, lock, now};
use crate::fixture::{Fixture, fault};
use resv_core::{
    Backend, Entry, ExclusiveShared, Held, Key, Locked, ReserveError, Room, Usage, UsageLevels,
    UsageSet, WritersReadersOthers,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::ThreadId;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels, BusyOnceLocked>(
        "busy_once_locked",
        "B2",
        "mutant",
        "an object at which a holder has looked, and that was never edited, is busy",
        &["selftests::t1_sanitycheck"],
    ),
    fault::<WritersReadersOthers, HolderSeesWrongUsage>(
        "holder_sees_wrong_usage",
        "B4",
        "mutant",
        "the holder is shown its unpublished adds under another usage",
        &["selftests::t3_for_each_with_the_lock"],
    ),
    fault::<UsageLevels, VisitGoesOnIntoAppended>(
        "visit_goes_on_into_appended",
        "B1",
        "mutant",
        "a visit shows what was appended since it began",
        &["selftests::t4_for_each_without_the_lock"],
    ),
    fault::<UsageLevels, LoneMoveIsOverlooked>(
        "lone_move_is_overlooked",
        "B2",
        "mutant",
        "a reader is told idle while nothing but a move is pending",
        &["selftests::usage_inclusion"],
    ),
    fault::<ExclusiveShared, RaisedFenceIsLost>(
        "raised_fence_is_lost",
        "B9",
        "mutant",
        "a shared fence that is replaced by itself as exclusive is removed and not added",
        &["selftests::reserve_hands_out_slots"],
    ),
    fault::<UsageLevels, LosesInLargeReservations>(
        "large_reservation_loses_an_entry",
        "B9",
        "mutant",
        "an entry is lost when many slots are reserved on top of many entries",
        &["selftests::reserve_grows"],
    ),
    fault::<UsageLevels, ReplaceTakesNeighbours>(
        "replace_takes_neighbours",
        "B9",
        "mutant",
        "a replacement of several entries takes those of other timelines along",
        &["selftests::replace_takes_one_timeline"],
    ),
    fault::<UsageLevels, HolderSeesSignalled>(
        "holder_sees_signalled",
        "B4",
        "mutant",
        "the holder is shown a signalled entry as long as another of its usage is pending",
        &["selftests::replace_of_nothing_is_nothing"],
    ),
    fault::<UsageLevels, SignalledAddIsSkipped>(
        "signalled_add_is_skipped",
        "B9",
        "mutant",
        "an edit that adds a signalled fence removes nothing either",
        &["selftests::replace_by_a_signalled_fence_removes"],
    ),
    fault::<UsageLevels, CopyKeepsBookkeeping>(
        "copy_keeps_bookkeeping",
        "H-27",
        "mutant",
        "a copy onto an object that is not empty keeps its bookkeeping entries",
        &["selftests::copy_overwrites"],
    ),
    fault::<UsageLevels, OffersTwice>(
        "entries_are_offered_twice",
        "B9",
        "mutant",
        "an edit asks its predicate twice about each entry",
        &["contract::b9_an_edit_removes_what_its_predicate_names"],
    ),
    fault::<WritersReadersOthers, ReservingNothingUndoes>(
        "reserving_nothing_undoes",
        "B3",
        "mutant",
        "a reservation of no slots takes back what was added before it",
        &["contract::b3_reserving_nothing"],
    ),
    fault::<UsageLevels, TestSeesStaged>(
        "test_sees_staged_edits",
        "B4",
        "mutant",
        "a test looks at edits that are not published",
        &["contract::b4_edits_become_visible_together"],
    ),
    fault::<WritersReadersOthers, PublishesOnce>(
        "only_the_first_publish_counts",
        "B4",
        "mutant",
        "what is added after an explicit publish is not published by the unlock",
        &["contract::b4_an_explicit_publish_shows_what_was_added"],
    ),
    fault::<WritersReadersOthers, PanicLoses<true>>(
        "panic_loses_others",
        "B4",
        "mutant",
        "what a panicking holder added to the others is lost",
        &[
            "contract::b4_a_panic_publishes_what_was_added",
            "transactions::b4_what_was_added_before_a_failure_stays",
            "transactions::b4_the_guards_of_a_slice_publish_what_was_added",
        ],
    ),
    fault::<WritersReadersOthers, PanicLoses<false>>(
        "panic_loses_readers",
        "B4",
        "mutant",
        "what a panicking holder added to the readers is lost",
        &["contract::b3_adding_beyond_the_slots_panics_and_harms_nothing"],
    ),
    fault::<UsageLevels, NestedVisitHangs>(
        "visit_within_a_visit_hangs",
        "B5",
        "mutant",
        "a visit that is begun inside another waits for it",
        &["contract::b5_a_closure_of_a_read_may_do_anything"],
    ),
    fault::<UsageLevels, LeaksLate>(
        "leaks_after_a_thousand_edits",
        "B8",
        "mutant",
        "from the thousandth edit on references are not given back",
        &["contract::b8_what_is_superseded_is_freed"],
    ),
    fault::<UsageLevels, LosesTheTwoHundredth>(
        "two_hundredth_entry_is_lost",
        "B9",
        "mutant",
        "an object never has more than two hundred entries",
        &["contract::b9_nothing_is_lost_in_growing_and_shrinking"],
    ),
    fault::<UsageLevels, OtherThreadLosesAnEntry>(
        "other_thread_loses_an_entry",
        "L-01",
        "mutant",
        "the first edit of another thread begins with an entry too few",
        &["contract::b9_two_writers_lose_nothing"],
    ),
    fault::<UsageLevels, ReplaceKeepsMoves>(
        "replace_keeps_moves",
        "B9",
        "mutant",
        "a replacement under a weaker usage leaves kernel entries in place",
        &["random::any_script_is_answered_like_the_model"],
    ),
    fault::<UsageLevels, SignalIsSeenInOneObject>(
        "signal_is_seen_in_one_object",
        "F-01",
        "mutant",
        "of several objects that hold a fence only the first learns that it has signalled",
        &["fences::f_01_a_signal_is_seen_in_every_object"],
    ),
];

/// See its fixture.
#[derive(Default)]
pub struct BusyOnceLocked {
    reserved: AtomicBool,
    is_busy: AtomicBool,
}

impl Fault for BusyOnceLocked {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        room: Room,
    ) -> Result<(), ReserveError> {
        self.reserved.store(true, Ordering::Relaxed);
        self.is_busy.store(false, Ordering::Relaxed);
        object.reserve(held, room)
    }

    fn held(&self, object: &Locked, held: &Held<'_>) -> Vec<Entry> {
        if !self.reserved.load(Ordering::Relaxed) {
            self.is_busy.store(true, Ordering::Relaxed);
        }
        held_entries(object, held)
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        !self.is_busy.load(Ordering::Relaxed) && object.is_idle(usages)
    }
}

/// The entries that the holder sees.
fn held_by(object: &Locked, held: &Held<'_>) -> Vec<Entry> {
    crate::fault::Sound.held(object, held)
}

/// See its fixture.
#[derive(Default)]
pub struct HolderSeesWrongUsage;

impl Fault for HolderSeesWrongUsage {
    fn held(&self, object: &Locked, held: &Held<'_>) -> Vec<Entry> {
        let published = now(object);
        let mut all = held_by(object, held);
        for entry in all.iter_mut().filter(|entry| !published.contains(entry)) {
            entry.usage = Usage::Bookkeep;
        }
        all
    }
}

/// See its fixture.
#[derive(Default)]
pub struct VisitGoesOnIntoAppended;

impl Fault for VisitGoesOnIntoAppended {
    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let concerns = |entry: &&Entry| usages.contains(entry.usage);
        let list = now(object);
        list.iter()
            .filter(concerns)
            .for_each(|entry| show(entry.key()));
        let later = now(object);
        if later.len() > list.len() && later.starts_with(&list) {
            later[list.len()..]
                .iter()
                .filter(concerns)
                .for_each(|entry| show(entry.key()));
        }
    }
}

/// See its fixture.
#[derive(Default)]
pub struct LoneMoveIsOverlooked;

impl Fault for LoneMoveIsOverlooked {
    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let is_read = usages == UsageSet::of(&[Usage::Kernel, Usage::Write]);
        let is_lone_move = matches!(now(object).as_slice(), [one] if one.usage == Usage::Kernel);
        (is_read && is_lone_move) || object.is_idle(usages)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct RaisedFenceIsLost;

impl Fault for RaisedFenceIsLost {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let is_raised = |new: &Entry| {
            let same = |old: &Entry| old.fence == new.fence && old.usage > new.usage;
            held_by(object, held).iter().any(same)
        };
        let add = add.filter(|new| !is_raised(new));
        object.edit(held, removes, add);
    }
}

/// Takes the first entry out of the object.
fn lose_first(object: &Locked, held: &mut Held<'_>, room: Room) -> Result<(), ReserveError> {
    let publishes = room.publishes.saturating_add(1);
    object.reserve(held, Room { publishes, ..room })?;
    let mut first = true;
    object.edit(held, |_| std::mem::take(&mut first), None);
    object.publish(held);
    Ok(())
}

/// See its fixture.
#[derive(Default)]
pub struct LosesInLargeReservations;

impl Fault for LosesInLargeReservations {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        room: Room,
    ) -> Result<(), ReserveError> {
        if (64..1000).contains(&room.adds) && now(object).len() >= 64 {
            lose_first(object, held, room)?;
        }
        object.reserve(held, room)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct ReplaceTakesNeighbours;

impl Fault for ReplaceTakesNeighbours {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let going: Vec<Key> = held_by(object, held)
            .iter()
            .map(Entry::key)
            .filter(|key| removes(*key))
            .collect();
        let several =
            add.is_some() && matches!(going.as_slice(), [a, b, ..] if a.timeline == b.timeline);
        object.edit(held, |old| several || going.contains(&old), add);
    }
}

/// See its fixture.
#[derive(Default)]
pub struct HolderSeesSignalled {
    published: Mutex<Vec<Entry>>,
}

impl Fault for HolderSeesSignalled {
    fn published(&self, object: &Locked) {
        let _old = std::mem::replace(&mut *lock(&self.published), now(object));
    }

    fn held(&self, object: &Locked, held: &Held<'_>) -> Vec<Entry> {
        let mut all = held_by(object, held);
        let published = lock(&self.published).clone();
        let done = published
            .into_iter()
            .filter(|entry| entry.fence.is_signaled());
        let shown: Vec<Entry> = done
            .filter(|old| all.iter().any(|entry| entry.usage == old.usage))
            .collect();
        all.extend(shown);
        all
    }
}

/// See its fixture.
#[derive(Default)]
pub struct SignalledAddIsSkipped;

impl Fault for SignalledAddIsSkipped {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        if !add.as_ref().is_some_and(|add| add.fence.is_signaled()) {
            object.edit(held, removes, add);
        }
    }
}

/// See its fixture.
#[derive(Default)]
pub struct CopyKeepsBookkeeping {
    is_copy: AtomicBool,
}

impl Fault for CopyKeepsBookkeeping {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        if add.is_none() {
            self.is_copy.store(true, Ordering::Relaxed);
            object.edit(
                held,
                |old| old.usage != Usage::Bookkeep && removes(old),
                None,
            );
        } else {
            self.is_copy.store(false, Ordering::Relaxed);
            object.edit(held, removes, add);
        }
    }

    fn publish(&self, object: &Locked, held: &mut Held<'_>) {
        // Nothing has come since: the source was empty.
        if self.is_copy.swap(false, Ordering::Relaxed) && object.reserve(held, ONE).is_ok() {
            object.edit(held, |_| true, None);
        }
        object.publish(held);
    }
}

/// See its fixture.
#[derive(Default)]
pub struct OffersTwice;

impl Fault for OffersTwice {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        object.edit(held, |old| removes(old) | removes(old), add);
    }
}

/// See its fixture.
#[derive(Default)]
pub struct ReservingNothingUndoes;

impl Fault for ReservingNothingUndoes {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        room: Room,
    ) -> Result<(), ReserveError> {
        object.reserve(held, room)?;
        let published = now(object);
        if room.adds == 0 && held_by(object, held).len() > published.len() {
            let published: Vec<Key> = published.iter().map(Entry::key).collect();
            object.edit(held, |old| !published.contains(&old), None);
        }
        Ok(())
    }
}

/// See its fixture.
#[derive(Default)]
pub struct TestSeesStaged {
    staged: Mutex<Vec<Entry>>,
}

impl Fault for TestSeesStaged {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        object.edit(held, removes, add);
        let _old = std::mem::replace(&mut *lock(&self.staged), held_by(object, held));
    }

    fn published(&self, _: &Locked) {
        let _old = std::mem::take(&mut *lock(&self.staged));
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let staged = lock(&self.staged).clone();
        let is_pending = |e: &Entry| usages.contains(e.usage) && !e.fence.is_signaled();
        object.is_idle(usages) && !staged.iter().any(is_pending)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct PublishesOnce {
    is_done: AtomicBool,
}

impl Fault for PublishesOnce {
    fn publish(&self, object: &Locked, held: &mut Held<'_>) {
        if held_by(object, held) == now(object) || !self.is_done.swap(true, Ordering::Relaxed) {
            object.publish(held);
        }
    }

    fn unreserve(&self, object: &Locked, held: &mut Held<'_>) {
        self.is_done.store(false, Ordering::Relaxed);
        object.unreserve(held);
    }
}

/// Others, or readers.
#[derive(Default)]
pub struct PanicLoses<const OTHERS: bool>;

impl<const OTHERS: bool> Fault for PanicLoses<OTHERS> {
    fn publish(&self, object: &Locked, held: &mut Held<'_>) {
        let lost = if OTHERS { Usage::Bookkeep } else { Usage::Read };
        if std::thread::panicking() && object.reserve(held, ONE).is_ok() {
            object.edit(held, |old| old.usage == lost, None);
        }
        object.publish(held);
    }
}

/// See its fixture.
#[derive(Default)]
pub struct NestedVisitHangs {
    visitor: Mutex<Option<ThreadId>>,
}

impl Fault for NestedVisitHangs {
    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let me = Some(std::thread::current().id());
        let before = std::mem::replace(&mut *lock(&self.visitor), me);
        assert_ne!(before, me, "this thread waits for itself");
        object.fold(usages, (), |(), key| show(key));
        *lock(&self.visitor) = None;
    }
}

/// See its fixture.
#[derive(Default)]
pub struct LeaksLate {
    edits: AtomicUsize,
}

impl Fault for LeaksLate {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        if self.edits.fetch_add(1, Ordering::Relaxed) > 1000 {
            std::mem::forget(add.clone());
        }
        object.edit(held, removes, add);
    }
}

/// See its fixture.
#[derive(Default)]
pub struct LosesTheTwoHundredth;

impl Fault for LosesTheTwoHundredth {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        room: Room,
    ) -> Result<(), ReserveError> {
        if now(object).len() == 199 {
            lose_first(object, held, room)?;
        }
        object.reserve(held, room)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct OtherThreadLosesAnEntry {
    editor: Mutex<Option<ThreadId>>,
}

impl Fault for OtherThreadLosesAnEntry {
    fn reserve(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        room: Room,
    ) -> Result<(), ReserveError> {
        let me = Some(std::thread::current().id());
        let before = std::mem::replace(&mut *lock(&self.editor), me);
        if before.is_some() && before != me {
            lose_first(object, held, room)?;
        }
        object.reserve(held, room)
    }
}

/// See its fixture.
#[derive(Default)]
pub struct ReplaceKeepsMoves;

impl Fault for ReplaceKeepsMoves {
    fn edit(
        &self,
        object: &Locked,
        held: &mut Held<'_>,
        removes: &mut dyn FnMut(Key) -> bool,
        add: Option<Entry>,
    ) {
        let weaker = add.as_ref().is_some_and(|add| add.usage != Usage::Kernel);
        let mut removes = |old: Key| removes(old) && !(weaker && old.usage == Usage::Kernel);
        object.edit(held, &mut removes, add);
    }
}

/// Which object a fence was added to first, by address.
static FIRST: Mutex<Vec<(Key, usize)>> = Mutex::new(Vec::new());

/// See its fixture.
#[derive(Default)]
pub struct SignalIsSeenInOneObject {
    published: Mutex<Vec<Entry>>,
}

impl SignalIsSeenInOneObject {
    fn same(a: &Key, b: &Key) -> bool {
        (a.timeline, a.seqno) == (b.timeline, b.seqno)
    }
}

impl Fault for SignalIsSeenInOneObject {
    fn published(&self, object: &Locked) {
        let entries = now(object);
        let mut first = lock(&FIRST);
        for key in entries.iter().map(Entry::key) {
            if !first.iter().any(|(have, _)| Self::same(have, &key)) {
                first.push((key, std::ptr::from_ref(object).addr()));
            }
        }
        drop(first);
        let _old = std::mem::replace(&mut *lock(&self.published), entries);
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let is_cached = |entry: &Entry| {
            let first = lock(&FIRST);
            let known = first
                .iter()
                .find(|(have, _)| Self::same(have, &entry.key()));
            known.is_some_and(|(_, at)| *at != std::ptr::from_ref(object).addr())
        };
        let published = lock(&self.published).clone();
        let cached = published
            .iter()
            .filter(|entry| usages.contains(entry.usage));
        object.is_idle(usages) && !cached.into_iter().any(is_cached)
    }

    fn on_drop(&self, object: &Locked) {
        let at = std::ptr::from_ref(object).addr();
        lock(&FIRST).retain(|(_, have)| *have != at);
    }
}
