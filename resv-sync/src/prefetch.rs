//! A hint for the processor about what will be looked at soon.

#![allow(unsafe_code)]

/// Has the processor bring the line of its cache at `address` near, while the thread does other things.
///
/// Nothing is read, so any address will do. Where a processor has no such hint, or this function does not
/// know it, nothing happens; in a model neither.
///
/// ```
/// let far = vec![7; 1000];
/// resv_sync::prefetch(&raw const far[500]);
/// assert_eq!(far[500], 7);
/// ```
#[inline(always)]
pub fn prefetch<T: ?Sized>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is a hint: it reads nothing and faults for no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
    let _ = address;
}
