//! The back end by itself. The contract as a whole is the business of the conformance suite; here
//! are the cases that need a look inside, each with the defect that it catches.

use crate::counter::{ATTEMPTS, Defect, Seam, UsageMask};
use crate::object::Seqcount;
use crate::slot::Slot;
use resv_core::{
    Backend, Budget, Entry, Fence, Key, LockProof, Signaler, Timeline, TimelineId, Usage, UsageSet,
};
use std::sync::atomic::{AtomicBool, Ordering};

fn edit(
    object: &Seqcount,
    held: &mut LockProof<'_>,
    removes: impl FnMut(Key) -> bool,
    add: &[(&Fence, Usage)],
) {
    let room = Budget {
        adds: add.len(),
        publishes: 1,
    };
    object.reserve(held, room).expect("memory");
    object.edit(held, removes, None);
    for &(fence, usage) in add {
        let fence = fence.clone();
        object.edit(held, |_| false, Some(Entry { fence, usage }));
    }
    object.publish(held);
    object.unreserve(held);
}

fn set(object: &Seqcount, fence: &Fence) {
    let mut held = object.object_lock().lock();
    edit(object, &mut held, |_| true, &[(fence, Usage::Write)]);
}

fn add(object: &Seqcount, fence: &Fence) {
    let mut held = object.object_lock().lock();
    edit(object, &mut held, |_| false, &[(fence, Usage::Read)]);
}

fn issue(timeline: &Timeline) -> Signaler {
    timeline.issue().expect("a seqno is left")
}

/// A reader that is overtaken after it has looked at the only slot: {E1}, then S1 is added and E1
/// signals. Something was pending at every instant.
fn overtaken_reader_sees_something(seam: Seam) -> bool {
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let object = Seqcount::with(seam);
    let (e1, s1) = (issue(&gfx), issue(&dma));
    set(&object, e1.fence());
    let mut writer = Some(e1);
    let found = object
        .collect(Some(object.word()), |(cell, _)| {
            if let Some(e1) = writer.take() {
                add(&object, s1.fence());
                e1.signal();
            }
            cell.is_pending().then(|| cell.key_parts())
        })
        .expect("memory");
    !found.is_empty()
}

#[test]
fn h_25_an_idle_answer_is_validated() {
    assert!(overtaken_reader_sees_something(Seam::SOUND));
    assert!(!overtaken_reader_sees_something(Seam::planted(
        Defect::SkipsValidation
    )));
}

/// A reader that is overtaken between finding a cell and reading it, while the cell becomes the
/// fence of another object.
fn overtaken_reader_sees_its_own_timeline(seam: Seam) -> bool {
    let (gfx, foreign) = (Timeline::new("gfx"), Timeline::new("foreign"));
    let object = Seqcount::with(seam);
    let (a, b) = (issue(&gfx), issue(&gfx));
    set(&object, a.fence());
    let mut writer = Some(a);
    let mut strangers = Vec::new();
    let found: Vec<TimelineId> = object
        .collect(Some(object.word()), |(cell, _)| {
            if let Some(a) = writer.take() {
                set(&object, b.fence());
                a.signal();
                // The pool hands out the cell that was freed last; other tests may take it first,
                // so try a few times.
                while strangers.len() < 1000 {
                    strangers.push(issue(&foreign));
                    if cell.key_parts().0 == foreign.id() {
                        break;
                    }
                }
            }
            Some(cell.key_parts().0)
        })
        .expect("memory");
    found == [gfx.id()]
}

#[test]
fn h_01_a_recycled_fence_is_never_taken_for_the_old_one() {
    assert!(overtaken_reader_sees_its_own_timeline(Seam::SOUND));
    assert!(!overtaken_reader_sees_its_own_timeline(Seam::planted(
        Defect::SkipsValidation
    )));
}

#[test]
fn b7_a_reader_that_is_always_overtaken_shuts_writers_out() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    set(&object, issue(&gfx).fence());
    let mut calls = 0;
    let overtaken = |(): &mut (), _: &[Slot]| {
        calls += 1;
        if calls > ATTEMPTS {
            // Writers are shut out now; editing here would block for ever.
            return None;
        }
        let job = issue(&gfx);
        set(&object, job.fence());
        Some(job)
    };
    let (job, _) = object.read(Some(object.word()), &mut (), overtaken, |()| ());
    assert!(job.is_none());
    assert_eq!(calls, ATTEMPTS + 1);
    assert_eq!(object.counters().retries, u64::from(ATTEMPTS) - 1);
    assert_eq!(object.counters().fallbacks, 1);
}

#[test]
fn b7_a_writer_that_had_looked_overtakes_a_turn_once() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    set(&object, issue(&gfx).fence());
    let (mut calls, mut taken) = (0, Vec::new());
    let overtaken = |taken: &mut Vec<u32>, _: &[Slot]| {
        calls += 1;
        taken.push(calls);
        if calls <= ATTEMPTS + 1 {
            // Without a look at turns, as that would wait for this one.
            drop(object.counter.open_at_once(UsageMask::ALL));
        }
        calls
    };
    // No turn lasts while the attempt is discarded: otherwise this edit would block for ever.
    let discard = |taken: &mut Vec<u32>| {
        taken.clear();
        set(&object, issue(&gfx).fence());
    };
    let (last, _) = object.read(Some(object.word()), &mut taken, overtaken, discard);
    assert_eq!(last, ATTEMPTS + 2);
    assert_eq!(taken, [last], "what the others took is discarded");
    assert_eq!(object.counters().fallbacks, 1);
}

#[test]
fn b8_outgrown_tables_have_fewer_slots_than_the_current_one() {
    let before = Seqcount::default().garbage();
    let object = Seqcount::default();
    let timelines: Vec<Timeline> = (0..100).map(|_| Timeline::new("t")).collect();
    let jobs: Vec<Signaler> = timelines.iter().map(issue).collect();
    for job in &jobs {
        add(&object, job.fence());
    }
    // 4 slots in the side, then 16, 32, 64, 128: three tables are outgrown.
    assert!(object.garbage().peak >= before.live + 3);
    assert_eq!(object.visit(UsageSet::ALL, 0, |n, _| n + 1), 100);
    drop(object);
}

#[test]
fn signalled_fences_make_room_before_a_table_grows() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    for _ in 0..1000 {
        let job = issue(&gfx);
        add(&object, job.fence());
        job.signal();
    }
    let held = object.object_lock().lock();
    let entries = object.visit_held(&held, 0, |n, _| n + 1);
    assert_eq!(entries, 0);
    drop(held);
    assert_eq!(object.capacity(), 4);
}

#[test]
fn removed_fences_go_at_once() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    let jobs: Vec<Signaler> = (0..16).map(|_| issue(&gfx)).collect();
    for job in &jobs {
        add(&object, job.fence());
    }
    assert_eq!(object.capacity(), jobs.len(), "the table is full");
    let but_one: Vec<u64> = (1..=16).filter(|&seqno| seqno != 3).collect();
    // Out of the middle, from the ends, and all at once.
    for keep in [but_one, vec![2, 5, 6, 7, 14], vec![5], vec![]] {
        let mut held = object.object_lock().lock();
        edit(&object, &mut held, |key| !keep.contains(&key.seqno), &[]);
        drop(held);
        let mut left = object.visit(UsageSet::ALL, Vec::new(), |mut left, key| {
            left.push(key.seqno);
            left
        });
        left.sort_unstable();
        assert_eq!(left, keep);
    }
}

/// Raises a flag when it goes, be it by a panic: a thread that runs until the flag is up ends then, too.
struct Raises<'a>(&'a AtomicBool);

impl Drop for Raises<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// H-02: something is pending at every instant, in ever different places; no reader may ever see
/// nothing. The fences of a foreign timeline churn through the same pool (H-01).
#[test]
fn h_02_no_reader_ever_sees_the_pair_torn() {
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let object = Seqcount::default();
    let first = issue(&gfx);
    set(&object, first.fence());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut exclusive = first;
            let over = Raises(&done);
            for _ in 0..20_000 {
                let shared = issue(&dma);
                add(&object, shared.fence());
                exclusive.signal();
                exclusive = issue(&gfx);
                set(&object, exclusive.fence());
                shared.signal();
            }
            drop(over);
            exclusive.signal();
        });
        scope.spawn(|| {
            let foreign = Timeline::new("foreign");
            while !done.load(Ordering::Acquire) {
                issue(&foreign).signal();
            }
        });
        for reader in 0..2 {
            let (object, done, ours) = (&object, &done, [gfx.id(), dma.id()]);
            scope.spawn(move || {
                let mut reads = 0u32;
                loop {
                    reads += 1;
                    let something = match (reader + reads) % 3 {
                        0 => !object.is_idle(UsageSet::ALL),
                        1 => object.visit(UsageSet::ALL, false, |_, key| {
                            assert!(ours.contains(&key.timeline), "a foreign fence");
                            true
                        }),
                        _ => {
                            let snapshot = object.snapshot().expect("memory");
                            for entry in &snapshot {
                                assert!(ours.contains(&entry.fence.timeline_id()), "foreign");
                            }
                            !snapshot.is_empty()
                        }
                    };
                    // The last fence signals after `done`, so only answers before it count.
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                    assert!(something, "nothing was pending");
                }
            });
        }
    });
}

#[test]
#[should_panic(expected = "another object")]
fn the_proof_of_another_lock_is_refused() {
    let (a, b) = (Seqcount::default(), Seqcount::default());
    let mut held = b.object_lock().lock();
    let room = Budget {
        adds: 1,
        publishes: 1,
    };
    let _ = a.reserve(&mut held, room);
}

#[test]
fn b2_idle_bits_are_set_by_readers_and_cleared_by_writers() {
    let (gfx, dma) = (Timeline::new("gfx"), Timeline::new("dma"));
    let object = Seqcount::default();
    let says = |usages: &[Usage]| object.word().says_idle(UsageSet::of(usages));
    assert!(says(&Usage::ALL), "nothing is pending in an empty object");
    let (read, write) = (issue(&gfx), issue(&dma));
    add(&object, read.fence());
    // There is no entry with another usage than `Read`.
    assert!(says(&[Usage::Kernel, Usage::Write, Usage::Bookkeep]));
    assert!(!says(&[Usage::Read]));
    assert!(!object.is_idle(UsageSet::ALL));
    assert!(!says(&[Usage::Read]));
    read.signal();
    assert!(!says(&[Usage::Read]), "nobody has looked yet");
    assert!(object.is_idle(UsageSet::of(&[Usage::Read])));
    assert!(says(&Usage::ALL));
    set(&object, write.fence());
    assert!(says(&[Usage::Kernel, Usage::Read, Usage::Bookkeep]));
    assert!(!says(&[Usage::Write]));
    write.signal();
    // Only what was asked about has its idle bits.
    let other = issue(&gfx);
    add(&object, other.fence());
    assert!(!object.is_idle(UsageSet::ALL));
    assert!(!says(&[Usage::Read]));
    let mut held = object.object_lock().lock();
    edit(&object, &mut held, |_| true, &[]);
    drop(held);
    assert!(says(&Usage::ALL), "an edit that leaves nothing sets them");
}

/// The word that the first attempt begins with is of an older set.
#[test]
fn b2_a_test_that_was_overtaken_answers_for_the_set_that_it_found() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    let overtaken = object.word();
    let job = issue(&gfx);
    add(&object, job.fence());
    assert!(!object.scan(overtaken, UsageSet::ALL));
    assert!(object.scan(overtaken, UsageSet::of(&[Usage::Write])));
    job.signal();
    assert!(!object.word().says_idle(UsageSet::ALL));
    assert!(object.scan(overtaken, UsageSet::ALL));
    assert!(
        object.word().says_idle(UsageSet::ALL),
        "it sets idle bits, too"
    );
    assert_eq!(object.counters().retries, 3);
    assert_eq!(object.counters().fallbacks, 0);
}

#[test]
fn a_visit_shows_what_is_pending_and_asked_for() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    let jobs: Vec<Signaler> = (0..4).map(|_| issue(&gfx)).collect();
    let entries = [Usage::Read, Usage::Write, Usage::Read, Usage::Write];
    let entries: Vec<_> = jobs.iter().map(Signaler::fence).zip(entries).collect();
    let mut held = object.object_lock().lock();
    edit(&object, &mut held, |_| false, &entries);
    drop(held);
    let mut jobs = jobs.into_iter();
    jobs.by_ref().take(2).for_each(Signaler::signal);
    let seqnos = |usages: &[Usage]| {
        object.visit(UsageSet::of(usages), Vec::new(), |mut seqnos, key| {
            seqnos.push((key.seqno, key.usage));
            seqnos
        })
    };
    assert_eq!(seqnos(&[Usage::Read]), [(3, Usage::Read)]);
    assert_eq!(seqnos(&[Usage::Write]), [(4, Usage::Write)]);
    assert_eq!(seqnos(&Usage::ALL), [(3, Usage::Read), (4, Usage::Write)]);
    drop(jobs);
}

#[test]
#[should_panic(expected = "no room is reserved for a publish")]
fn b3_what_was_given_back_cannot_be_used() {
    let object = Seqcount::default();
    set(&object, issue(&Timeline::new("gfx")).fence());
    let mut held = object.object_lock().lock();
    object.edit(&mut held, |_| false, None);
}

/// What is staged is edited as what is published is, and has idle bits like it.
#[test]
fn b4_a_staged_entry_can_be_removed_again() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    let jobs: Vec<Signaler> = (0..5).map(|_| issue(&gfx)).collect();
    add(&object, jobs[0].fence());
    let mut held = object.object_lock().lock();
    let room = Budget {
        adds: 4,
        publishes: 1,
    };
    object.reserve(&mut held, room).expect("memory");
    let usages = [Usage::Write, Usage::Kernel, Usage::Bookkeep, Usage::Kernel];
    for (job, usage) in jobs[1..].iter().zip(usages) {
        let fence = job.fence().clone();
        object.edit(&mut held, |_| false, Some(Entry { fence, usage }));
    }
    object.edit(&mut held, |key| [1, 3, 4].contains(&key.seqno), None);
    let left = object.visit_held(&held, Vec::new(), |mut left, entry| {
        left.push(entry.fence.seqno());
        left
    });
    assert_eq!(left, [2, 5]);
    object.publish(&mut held);
    object.unreserve(&mut held);
    drop(held);
    let left = object.snapshot().expect("memory");
    let mut left: Vec<_> = left.iter().map(|e| (e.fence.seqno(), e.usage)).collect();
    left.sort_unstable();
    assert_eq!(left, [(2, Usage::Write), (5, Usage::Kernel)]);
    for usage in Usage::ALL {
        let is_there = [Usage::Write, Usage::Kernel].contains(&usage);
        assert_eq!(object.word().says_idle(UsageSet::of(&[usage])), !is_there);
    }
}

/// The table grows while edits are staged: the bits that say what goes stay with their slots.
#[test]
fn b4_a_table_that_grows_under_staged_edits_keeps_them() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    let jobs: Vec<Signaler> = (0..200).map(|_| issue(&gfx)).collect();
    let entry = |job: &Signaler| Entry {
        fence: job.fence().clone(),
        usage: Usage::Write,
    };
    let room = Budget {
        adds: 1,
        publishes: 1,
    };
    for job in &jobs[..100] {
        add(&object, job.fence());
    }
    let mut held = object.object_lock().lock();
    object.reserve(&mut held, room).expect("memory");
    // The first and every third after it go, one replaces them.
    object.edit(&mut held, |key| key.seqno % 3 == 1, Some(entry(&jobs[100])));
    for job in &jobs[101..] {
        let room = Budget {
            adds: 1,
            publishes: 2,
        };
        object.reserve(&mut held, room).expect("memory");
        object.edit(&mut held, |_| false, Some(entry(job)));
    }
    let fold = |mut seqnos: Vec<u64>, seqno| {
        seqnos.push(seqno);
        seqnos
    };
    let mut staged = object.visit_held(&held, Vec::new(), |all, entry| {
        fold(all, entry.fence.seqno())
    });
    assert_eq!(object.visit(UsageSet::ALL, 0, |n, _| n + 1), 100);
    object.publish(&mut held);
    object.unreserve(&mut held);
    drop(held);
    let mut published = object.visit(UsageSet::ALL, Vec::new(), |all, key| fold(all, key.seqno));
    let expected: Vec<u64> = (1..=200).filter(|s| *s > 100 || s % 3 != 1).collect();
    staged.sort_unstable();
    published.sort_unstable();
    assert_eq!(staged, expected);
    assert_eq!(published, expected);
}

/// An edit published at once is the two steps, whatever it removes, whatever is staged before it, and
/// whether or not the slots fit into one word of bits.
#[test]
fn an_edit_published_at_once_is_the_two_steps() {
    for case in 0..96 {
        let used: usize = [3, 70][case % 2];
        let (staged, adds, removed) = (case / 2 % 3, case / 6 % 2 != 0, (case / 12) as u128);
        // Any of the last three.
        let removes = |seqno: u64| removed << (used - 3) >> (seqno - 1) & 1 != 0;
        let line = Timeline::new("t");
        let jobs: Vec<Signaler> = (0..used + 2).map(|_| issue(&line)).collect();
        let entry = |at: usize| Entry {
            fence: jobs[at].fence().clone(),
            usage: Usage::ALL[at % 4],
        };
        let [both, each] = [true, false].map(|both| {
            let object = Seqcount::default();
            let mut held = object.object_lock().lock();
            let room = Budget {
                adds: used + 2,
                publishes: 2,
            };
            object.reserve(&mut held, room).expect("memory");
            for at in 0..used {
                object.edit(&mut held, |_| false, Some(entry(at)));
            }
            object.publish(&mut held);
            match staged {
                0 => {}
                1 => object.edit(&mut held, |_| false, Some(entry(used))),
                _ => object.edit(&mut held, |key| key.seqno == 1, None),
            }
            let removes = |key: Key| removes(key.seqno);
            let add = adds.then(|| entry(used + 1));
            if both {
                object.edit_and_publish(&mut held, removes, add);
            } else {
                object.edit(&mut held, removes, add);
                object.publish(&mut held);
            }
            object.unreserve(&mut held);
            drop(held);
            let mut keys = object.visit(UsageSet::ALL, Vec::new(), |mut keys, key| {
                keys.push(key);
                keys
            });
            keys.sort_unstable();
            let idle: Vec<bool> = Usage::ALL
                .iter()
                .map(|&usage| object.is_idle(UsageSet::of(&[usage])))
                .collect();
            (keys, idle)
        });
        assert_eq!(both, each, "case {case} of {used}");
        let stay = (1..=used as u64).filter(|&s| !removes(s) && (staged != 2 || s != 1));
        assert_eq!(
            both.0.len(),
            stay.count() + usize::from(staged == 1) + usize::from(adds)
        );
    }
}

/// Something that edits the object when it is dropped, as a subscriber that is told of it might.
struct EditsOnDrop<'a>(&'a Seqcount, Option<Fence>);

impl Drop for EditsOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(fence) = &self.1 {
            set(self.0, fence);
        }
    }
}

/// What an overtaken attempt has taken is given back while no turn lasts: otherwise this test would block
/// for ever.
#[test]
fn b5_what_an_overtaken_attempt_took_goes_with_no_lock_held() {
    let gfx = Timeline::new("gfx");
    let object = Seqcount::default();
    let mut current = issue(&gfx);
    set(&object, current.fence());
    let mut attempts = 0;
    let found = object
        .collect(Some(object.word()), |(cell, _)| {
            attempts += 1;
            if attempts > ATTEMPTS {
                assert!(std::ptr::eq(cell, current.fence().cell()));
                return Some(EditsOnDrop(&object, None));
            }
            let next = issue(&gfx);
            set(&object, next.fence());
            let fence = next.fence().clone();
            std::mem::replace(&mut current, next).signal();
            Some(EditsOnDrop(&object, Some(fence)))
        })
        .expect("memory");
    assert_eq!(found.len(), 1);
    assert_eq!(attempts, ATTEMPTS + 1);
    assert_eq!(object.counters().fallbacks, 1);
}
