//! Ways to get it wrong, and the events under which each is found.

use super::{Event, Kind, World};
use resv_api::{Access, Reservation};

/// A way to do it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A reader waits for one fence made of all that the object shows.
    ArrayOfAll,
    /// A generation that is pending is replaced by the next.
    ReplacesPending,
    /// Queues are on before the new fence is in the buffers.
    FenceAfterQueues,
    /// The fence signals before the queues are off.
    SignalBeforeOff,
    /// Unmapping leaves the fence in the buffer.
    NeverRemoved,
    /// A suspend signals the fence, and the queues are resumed without a new one.
    ResumesWithout,
    /// A user queue whose last job takes too long is left alone, and the fence with it.
    LeavesBusyQueues,
    /// The next fence of a queue is there before all others are stopped.
    NextBeforeAllOff,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 8] = [
        Flaw::ArrayOfAll,
        Flaw::ReplacesPending,
        Flaw::FenceAfterQueues,
        Flaw::SignalBeforeOff,
        Flaw::NeverRemoved,
        Flaw::ResumesWithout,
        Flaw::LeavesBusyQueues,
        Flaw::NextBeforeAllOff,
    ];

    /// What goes wrong, for tables.
    pub const fn what(self) -> &'static str {
        match self {
            Flaw::ArrayOfAll => {
                "a reader waits for one fence made of all that an object shows, and evicts"
            }
            Flaw::ReplacesPending => {
                "a generation that is pending is replaced by the next, and its waiters wait for ever"
            }
            Flaw::FenceAfterQueues => "the fence is added after the queues run",
            Flaw::SignalBeforeOff => "the fence signals before the queues are off",
            Flaw::NeverRemoved => {
                "an unmapping leaves the fence in the buffer, and a move of it evicts"
            }
            Flaw::ResumesWithout => {
                "a suspend signals the fence, and the queues are resumed without a new one"
            }
            Flaw::LeavesBusyQueues => {
                "a queue whose last job takes too long is left alone, and its fence pending"
            }
            Flaw::NextBeforeAllOff => {
                "a queue has its next fence before all queues of the process are stopped"
            }
        }
    }

    /// Whose life it goes wrong in.
    pub const fn kind(self) -> Kind {
        match self {
            Flaw::LeavesBusyQueues => Kind::UserQueues,
            Flaw::NextBeforeAllOff => Kind::OneForAll,
            _ => Kind::Compute,
        }
    }
}

/// Plays events under which no flaw stays hidden, on the two buffers that are given. They are right
/// without a flaw. With one, this is what is found.
pub fn trial(kind: Kind, flaw: Option<Flaw>, buffers: [Box<dyn Reservation>; 2]) -> Option<String> {
    let events = [
        Event::Map(0),
        Event::Queue,
        Event::Begin(0, Access::Read),
        Event::Begin(0, Access::Move),
        Event::Map(1),
        Event::Pass(300),
        Event::Suspend { keeps: false },
        Event::Resume,
        Event::Pass(300),
        Event::Job(500),
        Event::Begin(0, Access::Move),
        Event::Pass(400),
        Event::Unmap(1),
        Event::Begin(1, Access::Move),
        Event::Pass(400),
    ];
    let mut world = World::new(kind, buffers.into(), flaw);
    events.into_iter().find_map(|event| world.step(event).err())
}
