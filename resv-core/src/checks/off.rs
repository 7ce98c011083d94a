//! The hooks without the feature `checks`: nothing.

use super::Signals;
use crate::fence::{Fence, Timeline};
use crate::lock::Context;

#[derive(Debug)]
pub(super) struct Entered;

impl Entered {
    #[inline(always)]
    pub(super) fn new(_what: &impl Signals) -> Self {
        Entered
    }

    #[inline(always)]
    pub(super) fn leave(&mut self) {}
}

pub(crate) struct LockTrack;

impl LockTrack {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        LockTrack
    }

    #[inline(always)]
    pub(crate) fn wanted(&self, _context: Option<&Context>) {}

    #[inline(always)]
    pub(crate) fn wanted_for_a_time(&self, _context: Option<&Context>) {}

    #[inline(always)]
    pub(crate) fn taken(&self, _context: Option<&Context>) {}

    #[inline(always)]
    pub(crate) fn released(&self) {}
}

pub(crate) struct ContextTrack;

impl ContextTrack {
    #[inline(always)]
    pub(crate) fn made() -> Self {
        ContextTrack
    }

    #[inline(always)]
    pub(crate) fn dropped(&self, _context: &Context) {}
}

#[inline(always)]
pub(crate) fn issued(_fence: &Fence) {}

#[inline(always)]
pub(crate) fn signals(_fence: &Fence) {}

#[inline(always)]
pub(crate) fn settled(_fence: &Fence) {}

#[inline(always)]
pub(crate) fn reached(_point: &Fence) {}

#[inline(always)]
pub(crate) fn pointed(_of: &Timeline, _seqno: u64) {}

#[inline(always)]
pub(super) fn timeline_ended(_timeline: &Timeline) {}

/// A thread is about to sleep for `fence`. For `resv-api`.
#[inline(always)]
pub fn waiting(_fence: &Fence) {}

/// A thread is about to sleep for all that `fences` shows. For `resv-api`.
#[inline(always)]
pub fn waiting_all(_fences: impl Fn(&mut dyn FnMut(&Fence))) {}

/// A thread is about to sleep for one of `count` groups. For `resv-api`.
#[inline(always)]
pub fn waiting_any(_count: usize, _group: impl Fn(usize, &mut dyn FnMut(&Fence))) {}

/// `fence` is added to an object. For `resv-api`.
#[inline(always)]
pub fn added(_fence: &Fence) {}
