//! What a fence keeps of its timeline: the identity, the name, the tag, and how far it has come.

use super::id::TimelineId;
use super::reach::Reach;
use super::tag::Tag;
use std::sync::Arc;

/// What a fence keeps of its timeline, so that its signaler can have the [`Reach`] uncounted.
pub(super) struct Line {
    id: TimelineId,
    name: Arc<str>,
    tag: Tag,
    reach: &'static Reach,
}

impl Line {
    pub(super) fn tagged(name: &str, tag: Tag) -> Arc<Line> {
        Arc::new(Line {
            id: TimelineId::take(),
            name: name.into(),
            tag,
            reach: Reach::take(),
        })
    }

    pub(super) fn id(&self) -> TimelineId {
        self.id
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// How far the timeline has come, and what waits for it to come further.
    pub(super) fn reach(&self) -> &'static Reach {
        self.reach
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reach.give_back();
    }
}
