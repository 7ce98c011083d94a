//! [`ArrayRef`] as a pointer that arc-swap can keep.

use super::array::ArrayRef;
use arc_swap::RefCnt;
use std::ptr::NonNull;

// SAFETY: a handle is its pointer, so equal pointers are equal arrays with one count; the pointer
// stays the same when the handle moves, is never null, and no function here panics. A clone and a
// drop cancel each other out.
unsafe impl RefCnt for ArrayRef {
    /// Opaque: nobody outside looks at an array through this pointer.
    type Base = ();

    fn into_ptr(me: Self) -> *mut () {
        me.into_raw().as_ptr().cast()
    }

    fn as_ptr(me: &Self) -> *mut () {
        me.as_raw().as_ptr().cast()
    }

    unsafe fn from_ptr(ptr: *const ()) -> Self {
        // SAFETY: arc-swap passes pointers from `into_ptr`, none of which is null, and keeps the
        // balance of references that `from_raw` asks for.
        unsafe { ArrayRef::from_raw(NonNull::new_unchecked(ptr.cast_mut()).cast()) }
    }
}
