//! Broken promises to readers: B1, B2, B5, B6, B7.

use crate::fault::{Fault, Gap, Inner, held_entries, lock, now};
use crate::fixture::{Fixture, fault, faulty};
use resv_core::{
    Backend, Budget, Counters, Entry, Key, LockProof, Locked, ReserveError, UsageLevels, UsageSet,
    WritersReadersOthers,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;

/// See `docs/defects.md`.
pub const FIXTURES: &[Fixture] = &[
    fault::<UsageLevels>(
        "visit_looks_again_for_each_entry",
        "B1, B2",
        "derived from the iterators of 5.16",
        "each step of a visit looks at the object anew, so it can miss both of a pair that is \
         handed on",
        &["contract::b2_a_visit_that_shows_nothing_was_true"],
        faulty::<VisitsAtManyInstants>,
    ),
    fault::<UsageLevels>(
        "fence_dropped_in_the_write_section",
        "B5",
        "FreeBSD drm-kmod #9 and #116",
        "removed fences are dropped while readers are shut out; what they run reads the object",
        &["contract::b5_a_fence_is_dropped_outside"],
        faulty::<DropsInside<false>>,
    ),
    fault::<UsageLevels>(
        "late_fence_dropped_in_the_write_section",
        "B5",
        "derived: pruning when memory is reserved, and again where it is overwritten",
        "what has signalled by the reservation is dropped there; what signals after it is dropped while \
         readers are shut out, and what it runs reads the object",
        &["contract::b5_a_fence_that_signals_late_is_dropped_outside"],
        faulty::<DropsInside<true>>,
    ),
    fault::<UsageLevels>(
        "visit_shows_what_is_stored",
        "B9",
        "derived: an array that keeps its dead entries until the next edit",
        "a visit shows signalled fences that the object still stores",
        &["answers::what_is_stored_is_in_no_answer"],
        faulty::<ShowsWhatIsStored<true>>,
    ),
    fault::<UsageLevels>(
        "stored_entries_keep_it_busy",
        "B2",
        "derived: an array that keeps its dead entries until the next edit",
        "an object is not idle as long as it stores something, signalled or not",
        &["answers::what_is_stored_is_in_no_answer"],
        faulty::<ShowsWhatIsStored<false>>,
    ),
    fault::<UsageLevels>(
        "holder_sees_what_is_stored",
        "B9",
        "the locked iterator of Linux shows signalled entries; derived",
        "the holder of the lock is shown signalled fences that the object still stores",
        &["answers::what_is_stored_is_in_no_answer"],
        faulty::<HolderSeesWhatIsStored>,
    ),
    fault::<UsageLevels>(
        "closure_run_inside_a_read",
        "B5",
        "derived from the open-coded readers of H-20",
        "the caller's closure runs while the reader holds writers off",
        &["contract::b5_a_closure_of_a_read_may_do_anything"],
        faulty::<VisitsInside>,
    ),
    fault::<WritersReadersOthers>(
        "reader_waits_for_the_holder",
        "B7",
        "derived: a reader that takes the object's lock",
        "a question blocks for as long as the lock is held",
        &["contract::b7_a_holder_holds_up_no_reader"],
        faulty::<ReadersWaitForTheHolder>,
    ),
    fault::<UsageLevels>(
        "every_read_is_repeated",
        "B7",
        "derived",
        "a read is repeated though nobody edits",
        &["contract::b7_a_quiet_read_is_not_repeated"],
        faulty::<CountsQuietReads>,
    ),
];

/// B1.
#[derive(Default)]
pub struct VisitsAtManyInstants(Gap);

impl Fault for VisitsAtManyInstants {
    fn published(&self, _: &Locked) {
        self.0.note_publish();
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let shown: Vec<Key> = {
            let list = now(object);
            self.0.wait(2);
            let pending = list.iter().filter(|entry| !entry.fence.is_signaled());
            pending.map(Entry::key).collect()
        };
        shown
            .into_iter()
            .filter(|key| usages.contains(key.usage))
            .for_each(show);
    }
}

/// Says which thread is in a section, and panics where a real one would sleep for ever.
#[derive(Default)]
struct Section(Mutex<Option<ThreadId>>);

impl Section {
    fn run<R>(&self, inside: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Section);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                *lock(&self.0.0) = None;
            }
        }
        *lock(&self.0) = Some(std::thread::current().id());
        let _leave = Leave(self);
        inside()
    }

    fn check(&self) {
        let here = *lock(&self.0) == Some(std::thread::current().id());
        assert!(!here, "this thread waits for itself to leave the section");
    }
}

/// B5. Nothing that a test sees which lets its fences signal before it takes the lock, if it is `LATE`.
#[derive(Default)]
pub struct DropsInside<const LATE: bool>(Section);

impl<const LATE: bool> Fault for DropsInside<LATE> {
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        if !LATE {
            return object.reserve(room);
        }
        object.reserve_more(room, 1)?;
        // Publishing leaves the signalled ones out, and drops them.
        object.edit(|_| false, None);
        object.publish();
        Ok(())
    }

    fn publish(&self, object: &mut Inner<'_, '_>) {
        // The sound object drops what it removed at the end of this.
        self.0.run(|| object.publish());
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        self.0.check();
        object.is_idle(usages)
    }
}

/// B9: what was published last is shown to the holder, signalled or not.
#[derive(Default)]
pub struct HolderSeesWhatIsStored(Mutex<Vec<Entry>>);

impl Fault for HolderSeesWhatIsStored {
    fn published(&self, object: &Locked) {
        let before = std::mem::replace(&mut *lock(&self.0), now(object));
        drop(before);
    }

    fn held(&self, object: &Locked, held: &LockProof<'_>) -> Vec<Entry> {
        let mut shown = held_entries(object, held);
        let stored = lock(&self.0);
        let signalled = stored.iter().filter(|entry| entry.fence.is_signaled());
        shown.extend(signalled.cloned());
        shown
    }
}

/// B9, B2: what was published last is shown by a visit, or keeps the object busy, signalled or not.
#[derive(Default)]
pub struct ShowsWhatIsStored<const BY_VISIT: bool>(Mutex<Vec<Entry>>);

impl<const BY_VISIT: bool> Fault for ShowsWhatIsStored<BY_VISIT> {
    fn published(&self, object: &Locked) {
        let before = std::mem::replace(&mut *lock(&self.0), now(object));
        drop(before);
    }

    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        if !BY_VISIT {
            return object.visit(usages, (), |(), key| show(key));
        }
        let stored = lock(&self.0).clone();
        let shown = stored.iter().filter(|entry| usages.contains(entry.usage));
        shown.map(Entry::key).for_each(show);
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let stored = lock(&self.0).clone();
        let is_busy = stored.iter().any(|entry| usages.contains(entry.usage));
        object.is_idle(usages) && (BY_VISIT || !is_busy)
    }
}

/// B5.
#[derive(Default)]
pub struct VisitsInside(Section);

impl Fault for VisitsInside {
    fn visit(&self, object: &Locked, usages: UsageSet, show: &mut dyn FnMut(Key)) {
        let list = now(object);
        self.0.run(|| {
            let shown = list.iter().filter(|entry| usages.contains(entry.usage));
            shown.for_each(|entry| show(entry.key()));
        });
    }

    fn publish(&self, object: &mut Inner<'_, '_>) {
        self.0.check();
        object.publish();
    }
}

/// B7: panics after a while where a real one would block for ever.
#[derive(Default)]
pub struct ReadersWaitForTheHolder {
    holder: Mutex<Option<ThreadId>>,
}

impl Fault for ReadersWaitForTheHolder {
    fn reserve(&self, object: &mut Inner<'_, '_>, room: Budget) -> Result<(), ReserveError> {
        *lock(&self.holder) = Some(std::thread::current().id());
        object.reserve(room)
    }

    fn unreserve(&self, object: &mut Inner<'_, '_>) {
        *lock(&self.holder) = None;
        object.unreserve();
    }

    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        let me = std::thread::current().id();
        let mut naps = 0..100;
        while lock(&self.holder).is_some_and(|holder| holder != me) {
            assert!(
                naps.next().is_some(),
                "the reader is still waiting for the holder"
            );
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        object.is_idle(usages)
    }
}

/// B7.
#[derive(Default)]
pub struct CountsQuietReads(AtomicU64);

impl Fault for CountsQuietReads {
    fn is_idle(&self, object: &Locked, usages: UsageSet) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        object.is_idle(usages)
    }

    fn counters(&self) -> Counters {
        Counters {
            retries: self.0.load(Ordering::Relaxed),
            fallbacks: 0,
        }
    }
}
