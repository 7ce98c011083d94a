//! What is pending, and in what order it signals. No descriptor is waited for here.

use crate::promise::Promise;
use crate::sync_file::KernelSeqno;
use resv_api::{Fence, FenceError, FenceStatus, Signaler, Timeline, TimelineId};
use std::collections::{HashMap, VecDeque};

/// A pending promise by its place in the table, and which of those that have had the place.
///
/// epoll may report what has been taken out since: the place may have another by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    place: u32,
    generation: u32,
}

impl Token {
    pub(super) fn to_raw(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    pub(super) fn from_raw(raw: u64) -> Token {
        Token {
            place: raw as u32,
            generation: (raw >> 32) as u32,
        }
    }
}

struct Slot {
    generation: u32,
    pending: Option<Pending>,
}

struct Pending {
    /// None once nobody wants the fence: its descriptor is closed, and it signals when its turn has come.
    promise: Option<Promise>,
    signaler: Signaler,
    /// How it ended, if that is known and it is held back.
    known: Option<FenceStatus>,
    /// A thread that waits watches the descriptor, and the dispatch does not.
    lent: bool,
}

impl Pending {
    fn ask(&self) -> FenceStatus {
        // Without a promise it is known.
        self.promise
            .as_ref()
            .map_or(FenceStatus::Signaled, Promise::ask)
    }
}

/// Where the pending fences of a timeline are.
enum Of {
    /// The timeline was made for this one.
    One(Token),
    /// In the order of their seqnos.
    Line(Line),
}

struct Line {
    /// Keeps it, so that more can be issued on it.
    timeline: Timeline,
    order: VecDeque<(u64, Token)>,
    /// The kernel context, if it is one.
    context: Option<u64>,
}

/// What has ended: to be signalled in this order, with the lock of the table released.
pub(super) type Ended = Vec<(Signaler, FenceStatus, Option<Promise>)>;

#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    timelines: HashMap<TimelineId, Of>,
    contexts: HashMap<u64, TimelineId>,
    /// Given up, or perhaps held back no more: to be settled by the dispatch.
    pub(super) given_up: Vec<Token>,
    /// No importer is left.
    pub(super) closing: bool,
}

impl Table {
    pub(super) fn pending(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The token that the next [`insert`](Table::insert) uses.
    pub(super) fn next_token(&mut self) -> Token {
        let place = match self.free.last() {
            Some(&place) => place,
            None => {
                let place = u32::try_from(self.slots.len()).expect("fewer than 2^32 descriptors");
                self.slots.push(Slot {
                    generation: 0,
                    pending: None,
                });
                self.free.push(place);
                place
            }
        };
        Token {
            place,
            generation: self.slots[place as usize].generation,
        }
    }

    fn occupy(&mut self, promise: Promise, signaler: Signaler) -> Token {
        let token = self.next_token();
        self.free.pop();
        self.slots[token.place as usize].pending = Some(Pending {
            promise: Some(promise),
            signaler,
            known: None,
            lent: false,
        });
        token
    }

    /// A promise on a timeline of its own.
    pub(super) fn insert_alone(&mut self, promise: Promise, signaler: Signaler) {
        let timeline = signaler.fence().timeline_id();
        let token = self.occupy(promise, signaler);
        self.timelines.insert(timeline, Of::One(token));
    }

    /// A promise at its place on a timeline on which there may be others.
    pub(super) fn insert(
        &mut self,
        timeline: &Timeline,
        context: Option<u64>,
        promise: Promise,
        signaler: Signaler,
    ) {
        let seqno = signaler.fence().seqno();
        let token = self.occupy(promise, signaler);
        let of = self.timelines.entry(timeline.id()).or_insert_with(|| {
            Of::Line(Line {
                timeline: timeline.clone(),
                order: VecDeque::with_capacity(2),
                context,
            })
        });
        let Of::Line(line) = of else {
            unreachable!("a timeline that is one promise's own is known to nobody else")
        };
        let at = line.order.partition_point(|&(earlier, _)| earlier < seqno);
        line.order.insert(at, (seqno, token));
        if let Some(context) = context {
            self.contexts.insert(context, timeline.id());
        }
    }

    /// The timeline of a kernel context, and the seqno as it counts there: 32 bit ones that have started
    /// again go on.
    pub(super) fn timeline_of(&self, which: KernelSeqno) -> Option<(Timeline, u64)> {
        let id = self.contexts.get(&which.context)?;
        let Some(Of::Line(line)) = self.timelines.get(id) else {
            return None;
        };
        let &(last, _) = line.order.back()?;
        Some((line.timeline.clone(), unwrapped(last, which.seqno)))
    }

    /// The fence that is pending at a place.
    pub(super) fn fence_at(&self, timeline: TimelineId, seqno: u64) -> Option<Fence> {
        Some(self.find(timeline, seqno)?.signaler.fence().clone())
    }

    /// The promise that is pending at a place.
    pub(super) fn promise_at(&self, timeline: TimelineId, seqno: u64) -> Option<&Promise> {
        self.find(timeline, seqno)?.promise.as_ref()
    }

    /// The signaler of the fence that is pending at a place.
    pub(super) fn signaler_at(&self, timeline: TimelineId, seqno: u64) -> Option<&Signaler> {
        Some(&self.find(timeline, seqno)?.signaler)
    }

    fn find(&self, timeline: TimelineId, seqno: u64) -> Option<&Pending> {
        let place = self.token_at(timeline, seqno)?.place;
        self.slots[place as usize].pending.as_ref()
    }

    fn token_at(&self, timeline: TimelineId, seqno: u64) -> Option<Token> {
        let token = match self.timelines.get(&timeline)? {
            Of::One(token) => *token,
            Of::Line(line) => {
                let at = line.order.binary_search_by_key(&seqno, |&(s, _)| s).ok()?;
                line.order[at].1
            }
        };
        let pending = self.slots[token.place as usize].pending.as_ref()?;
        (pending.signaler.fence().seqno() == seqno).then_some(token)
    }

    /// Lends the descriptor of a place to a thread that watches it by itself. `None` if there is none, or it
    /// is lent already.
    pub(super) fn lend(&mut self, timeline: TimelineId, seqno: u64) -> Option<(Token, &Promise)> {
        let token = self.token_at(timeline, seqno)?;
        let pending = self.get(token)?;
        if pending.lent || pending.known.is_some() {
            return None;
        }
        let promise = pending.promise.as_ref()?;
        pending.lent = true;
        Some((token, promise))
    }

    /// The thread watches it no more.
    pub(super) fn take_back(&mut self, token: Token) {
        if let Some(pending) = self.get(token) {
            pending.lent = false;
        }
    }

    fn get(&mut self, token: Token) -> Option<&mut Pending> {
        let slot = self.slots.get_mut(token.place as usize)?;
        (slot.generation == token.generation).then_some(())?;
        slot.pending.as_mut()
    }

    fn take(&mut self, token: Token) -> Option<Pending> {
        let slot = self.slots.get_mut(token.place as usize)?;
        if slot.generation != token.generation {
            return None;
        }
        let pending = slot.pending.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(token.place);
        if self.pending() == 0 {
            // What a burst has needed is not kept for ever. The generations are forgotten with it: nothing
            // is pending, so epoll reports nothing.
            self.shrink();
        }
        Some(pending)
    }

    fn shrink(&mut self) {
        if self.slots.len() > 1024 {
            self.slots = Vec::new();
            self.free = Vec::new();
            self.timelines.shrink_to(64);
            self.contexts.shrink_to(64);
        }
    }

    /// The promise of a token, if it is pending.
    pub(super) fn promise(&self, token: Token) -> Option<&Promise> {
        let slot = self.slots.get(token.place as usize)?;
        (slot.generation == token.generation).then_some(())?;
        slot.pending.as_ref()?.promise.as_ref()
    }

    /// The descriptor of `token` has been reported, or it is given up: moves what signals now to `ended`.
    /// `false`: it was reported for nothing.
    pub(super) fn settle(&mut self, token: Token, ended: &mut Ended) -> bool {
        let Some(pending) = self.get(token) else {
            return true; // taken out since
        };
        let id = pending.signaler.fence().timeline_id();
        let seqno = pending.signaler.fence().seqno();
        if pending.known.is_none() {
            match pending.ask() {
                FenceStatus::Pending => return false,
                status => pending.known = Some(status),
            }
        }
        match self.timelines.get_mut(&id) {
            None => {}
            Some(Of::One(_)) => {
                self.timelines.remove(&id);
                self.end(token, ended);
            }
            Some(Of::Line(_)) => self.settle_line(id, seqno, ended),
        }
        true
    }

    /// Ends what can signal, from the front: what is known, and what the kernel says has signalled, up to
    /// `seqno`. The first one that is pending holds the others back.
    fn settle_line(&mut self, id: TimelineId, seqno: u64, ended: &mut Ended) {
        loop {
            let Some(Of::Line(line)) = self.timelines.get_mut(&id) else {
                return;
            };
            let Some(&(front, token)) = line.order.front() else {
                let context = line.context;
                self.timelines.remove(&id);
                if let Some(context) = context {
                    self.contexts.remove(&context);
                }
                return;
            };
            let Some(pending) = self.get(token) else {
                unreachable!("what is on a line is in the table")
            };
            if pending.known.is_none() {
                if front > seqno {
                    return; // will be reported itself
                }
                match pending.ask() {
                    FenceStatus::Pending => return,
                    status => pending.known = Some(status),
                }
            }
            if let Some(Of::Line(line)) = self.timelines.get_mut(&id) {
                line.order.pop_front();
            }
            self.end(token, ended);
        }
    }

    fn end(&mut self, token: Token, ended: &mut Ended) {
        if let Some(pending) = self.take(token) {
            let status = pending.known.unwrap_or(FenceStatus::Pending);
            ended.push((pending.signaler, status, pending.promise));
        }
    }

    /// Marks a fence, and what is before it on its timeline, as ended with `error`, unless more is known.
    pub(super) fn give_up(&mut self, timeline: TimelineId, seqno: u64, error: FenceError) -> bool {
        if self.find(timeline, seqno).is_none() {
            return false;
        }
        let tokens: Vec<Token> = match self.timelines.get(&timeline) {
            Some(Of::One(token)) => vec![*token],
            Some(Of::Line(line)) => {
                let up_to = line.order.iter().take_while(|&&(s, _)| s <= seqno);
                up_to.map(|&(_, token)| token).collect()
            }
            None => return false,
        };
        for &token in &tokens {
            if let Some(pending) = self.get(token) {
                pending.known.get_or_insert(FenceStatus::Error(error));
            }
        }
        self.given_up.extend(tokens);
        true
    }

    /// Lets go of what nobody wants, all but the last one of a timeline; the caller stops watching the
    /// descriptors.
    ///
    /// What is at the front goes. What is behind one that is wanted keeps its place without a descriptor, so
    /// that the timeline signals in order all the same.
    pub(super) fn take_unwanted(&mut self, timeline: TimelineId) -> Unwanted {
        let Table {
            slots, timelines, ..
        } = self;
        let mut unwanted = Unwanted::default();
        let Some(Of::Line(line)) = timelines.get_mut(&timeline) else {
            return unwanted;
        };
        let mut at_front = true;
        let mut gone = 0;
        for &(_, token) in line.order.iter().rev().skip(1).rev() {
            let Some(pending) = slots[token.place as usize].pending.as_mut() else {
                continue;
            };
            if pending.signaler.is_wanted() {
                at_front = false;
            } else if at_front {
                gone += 1;
            } else if let Some(promise) = pending.promise.take() {
                pending.known.get_or_insert(FenceStatus::Signaled);
                unwanted.promises.push(promise);
            }
        }
        let gone: Vec<Token> = line.order.drain(..gone).map(|(_, token)| token).collect();
        if !gone.is_empty() {
            // It may have been held back by what goes: no descriptor will report it again.
            self.given_up
                .extend(line.order.front().map(|&(_, token)| token));
        }
        for pending in gone.into_iter().filter_map(|token| self.take(token)) {
            unwanted.promises.extend(pending.promise);
            unwanted.signalers.push(pending.signaler);
        }
        unwanted
    }
}

/// What nobody wants: to be closed, and dropped with the lock of the table released.
#[derive(Default)]
pub(super) struct Unwanted {
    pub(super) promises: Vec<Promise>,
    pub(super) signalers: Vec<Signaler>,
}

/// A seqno as it counts on a timeline whose last one is `last`: if it looks as if 32 bits have been used up
/// since, it goes on from there.
fn unwrapped(last: u64, seqno: u64) -> u64 {
    const QUARTER: u64 = 1 << 30;
    let low = last & u64::from(u32::MAX);
    if seqno > u64::from(u32::MAX) {
        return seqno; // counts with 64 bits
    }
    let base = last - low;
    if low >= 3 * QUARTER && seqno < QUARTER {
        base + (1 << 32) + seqno
    } else if low < QUARTER && seqno >= 3 * QUARTER && base > 0 {
        base - (1 << 32) + seqno
    } else {
        base + seqno
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seqno_of_32_bits_that_starts_again_goes_on() {
        let wrap = 1 << 32;
        assert_eq!(unwrapped(7, 8), 8);
        assert_eq!(unwrapped(0xffff_fff0, 3), wrap + 3);
        assert_eq!(unwrapped(wrap + 3, 4), wrap + 4);
        // One from before the wrap that is imported late.
        assert_eq!(unwrapped(wrap + 3, 0xffff_fff1), 0xffff_fff1);
        // 64 bits are taken as they are.
        assert_eq!(unwrapped(wrap + 3, wrap + 1), wrap + 1);
        assert_eq!(unwrapped(5, 0xffff_fff1), 0xffff_fff1);
    }
}
