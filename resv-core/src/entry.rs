//! One fence in an object ([`Entry`], [`EntryRef`]) and what a semantics may know about it ([`Key`]).

use crate::fence::{Fence, TimelineId};
use crate::usage::Usage;

/// A fence together with the usage under which an object keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The fence; the entry owns one reference.
    pub fence: Fence,
    /// The usage, as the semantics of the object classified it.
    pub usage: Usage,
}

impl Entry {
    /// What a semantics may know about this entry.
    #[inline]
    pub fn key(&self) -> Key {
        Key::new(&self.fence, self.usage)
    }
}

/// An [`Entry`] that an object, a snapshot or its holder owns.
///
/// ```
/// use resv_core::{EntryRef, Timeline, Usage};
/// let job = Timeline::new("gfx").issue()?;
/// let entry = EntryRef { fence: job.fence(), usage: Usage::Write };
/// assert!(!entry.fence.is_signaled());
/// let owned = entry.to_entry(); // one more reference of the fence
/// assert_eq!(EntryRef::from(&owned), entry);
/// # Ok::<(), resv_core::SeqnoError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The fence.
    pub fence: &'a Fence,
    /// The usage, as the semantics of the object classified it.
    pub usage: Usage,
}

impl EntryRef<'_> {
    /// What a semantics may know about this entry.
    #[inline]
    pub fn key(self) -> Key {
        Key::new(self.fence, self.usage)
    }

    /// An entry with a reference of its own.
    #[inline]
    pub fn to_entry(self) -> Entry {
        Entry {
            fence: self.fence.clone(),
            usage: self.usage,
        }
    }
}

impl<'a> From<&'a Entry> for EntryRef<'a> {
    #[inline]
    fn from(entry: &'a Entry) -> Self {
        EntryRef {
            fence: &entry.fence,
            usage: entry.usage,
        }
    }
}

/// What a semantics may know about an entry: where it stands on which timeline, and its usage.
///
/// A key is plain data. It holds no fence alive and says nothing about whether the fence has
/// signalled, so a rule over keys cannot run foreign code (contract B5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The timeline (fence context).
    pub timeline: TimelineId,
    /// The position on that timeline.
    pub seqno: u64,
    /// The usage.
    pub usage: Usage,
}

impl Key {
    /// The key of `fence` under `usage`.
    #[inline]
    pub fn new(fence: &Fence, usage: Usage) -> Key {
        // Both at once: each load is an atomic one, which the compiler does not leave out.
        let (timeline, seqno) = fence.cell().key_parts();
        Key {
            timeline,
            seqno,
            usage,
        }
    }
}
