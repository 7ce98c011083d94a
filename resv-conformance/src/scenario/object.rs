//! What a script calls an object: one of a semantics and a back end, with an era or without, or a member of a
//! comparison.

use resv_api::{Access, Edit, Entry, FenceError, Reservation, ReserveError};
use resv_policy::Era;
use resv_policy::objects::MemberObject;

/// An object, and how its fences are filed and asked for by owner.
pub(super) enum Object {
    /// Of no era.
    Plain(Box<dyn Reservation>),
    /// Filled and asked by the driver of an era.
    Era(Era, Box<dyn Reservation>),
    /// A member of a comparison.
    Member(Box<MemberObject>),
}

impl Object {
    pub(super) fn transact(&self, edits: &[Edit]) -> Result<(), ReserveError> {
        match self {
            Object::Plain(object) | Object::Era(_, object) => object.transact(edits),
            Object::Member(object) => {
                object.transact(edits);
                Ok(())
            }
        }
    }

    pub(super) fn copy_from(&self, source: &Object) -> Result<(), ReserveError> {
        match (self, source) {
            (Object::Member(object), Object::Member(source)) => {
                object.copy_from(source);
                Ok(())
            }
            // A runner of members has no other objects.
            (Object::Member(_), _) => Ok(()),
            (Object::Plain(object) | Object::Era(_, object), source) => {
                object.assign(&source.entries()?)
            }
        }
    }

    pub(super) fn entries(&self) -> Result<Vec<Entry>, ReserveError> {
        match self {
            Object::Plain(object) | Object::Era(_, object) => object.entries(),
            Object::Member(object) => Ok(object.entries()),
        }
    }

    pub(super) fn waits_for(&self, access: Access) -> Result<Vec<Entry>, ReserveError> {
        match self {
            Object::Plain(object) | Object::Era(_, object) => object.waits_for(access),
            Object::Member(object) => Ok(object.waits_for(access)),
        }
    }

    pub(super) fn failure(&self, access: Access) -> Result<Option<FenceError>, String> {
        match self {
            Object::Plain(object) | Object::Era(_, object) => Ok(object.failure(access)),
            Object::Member(_) => Err(
                "a member of a comparison keeps no failures: expected objects of a semantics and a \
                 back end"
                    .to_owned(),
            ),
        }
    }

    pub(super) fn is_idle(&self, access: Access) -> bool {
        match self {
            Object::Plain(object) | Object::Era(_, object) => object.is_idle(access),
            Object::Member(object) => object.is_idle(access),
        }
    }
}
