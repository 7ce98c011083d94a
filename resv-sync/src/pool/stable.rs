//! A pool of values of one type, which lie in chunks and stay there.

use super::chunks::Chunks;
#[cfg(not(any(loom, shuttle)))]
use super::{BATCH, Magazine};
use super::{Chain, Depot, Linked};
use std::fmt;
// Only the thread that has a free cell uses its links, and cells change hands under the depot's mutex. So these
// take part in no protocol that a model has to explore; atomics make the pool sound for safe code that puts
// a cell twice.
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
#[cfg(not(any(loom, shuttle)))]
use std::thread::LocalKey;

/// What a [`StablePool`] is made of.
pub trait Pooled: Sync + Sized + 'static {
    /// A value that is not in use.
    fn vacant() -> Self;

    /// The links of this value; always the same, and no other value's.
    fn link(&self) -> &Link<Self>;
}

/// The links of a value in a [`StablePool`].
pub struct Link<T: 'static> {
    /// Null or made of a `&'static T`, as below.
    next: AtomicPtr<T>,
    next_batch: AtomicPtr<T>,
}

impl<T> Link<T> {
    /// Links of a value that is in use.
    pub const fn new() -> Self {
        Link {
            next: AtomicPtr::new(null_mut()),
            next_batch: AtomicPtr::new(null_mut()),
        }
    }
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link::new()
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

#[inline]
#[allow(unsafe_code)]
fn load<T>(link: &AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: null, or stored by `store` below, which takes a `&'static T`.
    unsafe { link.load(Ordering::Relaxed).cast_const().as_ref() }
}

#[inline]
fn store<T>(link: &AtomicPtr<T>, to: Option<&'static T>) {
    let to = to.map_or(null_mut(), |to| std::ptr::from_ref(to).cast_mut());
    link.store(to, Ordering::Relaxed);
}

impl<T: Pooled> Linked for &'static T {
    #[inline]
    fn next(self) -> Option<Self> {
        load(&self.link().next)
    }

    #[inline]
    fn set_next(self, next: Option<Self>) {
        store(&self.link().next, next);
    }

    #[inline]
    fn next_batch(self) -> Option<Self> {
        load(&self.link().next_batch)
    }

    #[inline]
    fn set_next_batch(self, next: Option<Self>) {
        store(&self.link().next_batch, next);
    }
}

/// Values of a [`StablePool`] are at addresses of so many bits. No allocator of the supported platforms gives others
/// unless it is asked to; a pool that gets one panics, and does not hand it out.
///
/// On x86-64 user addresses have 47 bits. Elsewhere it is 48.
pub const ADDRESS_BITS: u32 = if cfg!(target_arch = "x86_64") { 47 } else { 48 };

/// Whether an address has no more bits than [`ADDRESS_BITS`].
pub const fn fits(address: usize) -> bool {
    (address as u64) < 1 << ADDRESS_BITS
}

/// A pool of values of one type, made by [`stable_pool!`](crate::stable_pool).
///
/// Its values are at addresses that [fit](fits) in [`ADDRESS_BITS`] bits.
///
/// It is sound however it is used. A value that is put while it is in use, or put twice, is handed out while
/// it is in use.
pub struct StablePool<T: Pooled> {
    depot: Depot<&'static T>,
    chunks: Chunks<T>,
    #[cfg(not(any(loom, shuttle)))]
    magazine: &'static LocalKey<Magazine<&'static T, &'static Depot<&'static T>>>,
}

/// How many values the first chunk has, and by what part of what there is a pool grows.
#[cfg(not(any(loom, shuttle)))]
const FIRST_CHUNK: usize = 4 * BATCH;
#[cfg(any(loom, shuttle))]
const FIRST_CHUNK: usize = 1;
/// The largest chunk, in values.
const MAX_CHUNK: usize = 4096;

impl<T: Pooled> StablePool<T> {
    /// For the macro.
    #[doc(hidden)]
    #[cfg(not(any(loom, shuttle)))]
    pub const fn new(
        magazine: &'static LocalKey<Magazine<&'static T, &'static Depot<&'static T>>>,
    ) -> Self {
        StablePool {
            depot: Depot::new(),
            chunks: Chunks::new(),
            magazine,
        }
    }

    /// For the macro.
    #[doc(hidden)]
    #[cfg(loom)]
    pub fn new() -> Self {
        StablePool {
            depot: Depot::new(),
            chunks: Chunks::new(),
        }
    }

    /// For the macro.
    #[doc(hidden)]
    #[cfg(all(shuttle, not(loom)))]
    #[allow(clippy::new_without_default, reason = "for the macro")]
    pub const fn new() -> Self {
        StablePool {
            depot: Depot::new(),
            chunks: Chunks::new(),
        }
    }

    /// For the macro.
    #[doc(hidden)]
    pub const fn depot(&'static self) -> &'static Depot<&'static T> {
        &self.depot
    }

    /// Takes a value that is not in use, made by [`Pooled::vacant`] if there is none.
    #[inline]
    pub fn take(&'static self) -> &'static T {
        #[cfg(not(any(loom, shuttle)))]
        if let Ok(value) = self.magazine.try_with(|magazine| match magazine.take() {
            Some(value) => value,
            None => {
                let (value, rest) = self.grow();
                magazine.supply(rest);
                value
            }
        }) {
            return value;
        }
        self.take_from_depot()
    }

    /// [`take`](StablePool::take) of a thread that has no magazine (any more).
    #[cold]
    fn take_from_depot(&'static self) -> &'static T {
        self.depot.take_one().unwrap_or_else(|| {
            let (value, rest) = self.grow();
            self.depot.put(rest);
            value
        })
    }

    /// Takes a value back, which the caller has had from [`take`](StablePool::take) and gives up. Never
    /// allocates.
    #[inline]
    pub fn put(&'static self, value: &'static T) {
        #[cfg(not(any(loom, shuttle)))]
        if self
            .magazine
            .try_with(|magazine| magazine.put(value))
            .is_ok()
        {
            return;
        }
        self.depot.put_one(value);
    }

    /// Makes a chunk. Returns one value of it and less than a batch more; the rest is in the depot.
    #[cold]
    #[inline(never)]
    fn grow(&'static self) -> (&'static T, Chain<&'static T>) {
        let count = self.chunk();
        // With no lock held: other threads need not wait for the allocator.
        let chunk: Box<[T]> = std::iter::repeat_with(T::vacant).take(count).collect();
        assert!(
            fits(chunk.as_ptr_range().end.addr()),
            "memory at an address of more than {ADDRESS_BITS} bits"
        );
        let chunk = self.chunks.push(chunk);
        let (first, rest) = chunk.split_first().expect("a chunk has values");
        let mut chain = Chain::EMPTY;
        for value in rest.iter().rev() {
            if chain.len() == self.depot.batch() {
                self.depot.put(std::mem::replace(&mut chain, Chain::EMPTY));
            }
            chain.push(value);
        }
        (first, chain)
    }

    /// How many values to make: a quarter of what there is, within bounds.
    fn chunk(&self) -> usize {
        (self.capacity() / 4).clamp(FIRST_CHUNK, MAX_CHUNK)
    }

    /// How many values there are, in use or free. Never shrinks.
    pub fn capacity(&self) -> usize {
        self.chunks.capacity()
    }

    /// All values, in use or free, at the time of the call. For diagnostics.
    pub fn all(&self) -> impl Iterator<Item = &'static T> + use<T> {
        self.chunks.all()
    }
}

impl<T: Pooled> fmt::Debug for StablePool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StablePool")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// A [`StablePool`](crate::pool::StablePool) in a static, with a magazine for each thread.
#[macro_export]
#[cfg(not(any(loom, shuttle)))]
macro_rules! stable_pool {
    ($(#[$meta:meta])* static $name:ident: $type:ty) => {
        $(#[$meta])*
        static $name: $crate::pool::StablePool<$type> = {
            ::std::thread_local! {
                static MAGAZINE: $crate::pool::Magazine<
                    &'static $type,
                    &'static $crate::pool::Depot<&'static $type>,
                > = const { $crate::pool::Magazine::new($name.depot()) };
            }
            $crate::pool::StablePool::new(&MAGAZINE)
        };
    };
}

/// A [`StablePool`](crate::pool::StablePool) in a static.
#[macro_export]
#[cfg(any(loom, shuttle))]
macro_rules! stable_pool {
    ($(#[$meta:meta])* static $name:ident: $type:ty) => {
        $crate::process_wide!(
            $(#[$meta])*
            static $name: $crate::pool::StablePool<$type> = $crate::pool::StablePool::new()
        );
    };
}
