//! What the kernel's headers say, and the only `unsafe` of this crate: opcodes, the shapes of their
//! arguments, and one safe function for each call.
//!
//! An opcode is written out as the number that it is on the wire. It says the direction, the size of
//! the argument, the family and the place in the family; a test works each of them out again from those.
//! The numbers are those of x86, Arm and RISC-V (and not of PowerPC, MIPS and SPARC, which lay the
//! direction out otherwise: the crate does not compile there).
//!
//! # Why a call is sound
//!
//! The kernel reads and writes what the argument's size says, and what pointers in the argument point
//! to, as far as the lengths beside them say. So for each call:
//!
//! 1. the argument is a `repr(C)` struct of plain integers, without padding, that is as long as the
//!    opcode says ([`Argument`] is an unsafe trait for that);
//! 2. a pointer in it comes from a slice that is borrowed over the call, and the length beside it is
//!    that slice's (each function that has one says so);
//! 3. a descriptor that comes back is new and nobody else's ([`taken`]).
//!
//! A descriptor that is of another kind answers ENOTTY or EINVAL: the families are assigned in the
//! kernel's documentation, so no other driver takes these opcodes for something else.

#[cfg(any(
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "sparc64"
))]
compile_error!(
    "resv-linux writes ioctl opcodes out, and this architecture lays them out otherwise"
);

pub(crate) mod dma_buf;
pub(crate) mod sources;
pub(crate) mod sync_file;
pub(crate) mod syncobj;

use rustix::io::{Errno, Result};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use std::ffi::c_void;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// The argument of one call.
///
/// # Safety
///
/// `OPCODE` takes a pointer to such a struct, of this very size, and the struct has no padding and no
/// value that is invalid. A function that makes one sees to the pointers in it.
unsafe trait Argument {
    const OPCODE: Opcode;
}

/// The call, as rustix makes it.
struct Call<'a, T>(&'a mut T);

// SAFETY: `as_ptr` gives the argument that the opcode is for (point 1 of the module); it is borrowed
// mutably, so the kernel may write to it.
unsafe impl<T: Argument> Ioctl for Call<'_, T> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        T::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> Result<()> {
        Ok(())
    }
}

/// Makes the call, again if a signal has interrupted it.
///
/// # Safety
///
/// Pointers in the argument point to as much memory as the lengths beside them say, for the time of the
/// call: to be read, and to be written where the kernel writes.
unsafe fn call<T: Argument>(fd: impl AsFd, argument: &mut T) -> Result<()> {
    loop {
        // SAFETY: points 1 and 2 of the module; the caller has promised the second.
        match unsafe { rustix::ioctl::ioctl(fd.as_fd(), Call(argument)) } {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// [`call`], for an argument without pointers.
fn call_plain<T: Argument + Plain>(fd: impl AsFd, argument: &mut T) -> Result<()> {
    // SAFETY: there are no pointers in it.
    unsafe { call(fd, argument) }
}

/// An argument that has no pointers.
trait Plain {}

/// A descriptor that a call has just made.
fn taken(fd: i32) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the kernel has made it in the call whose argument this comes from, and nothing else in the
    // process knows its number (point 3 of the module).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Implements [`Argument`], and [`Plain`] on request.
macro_rules! arguments {
    ($($argument:ident = $opcode:literal $($plain:ident)?;)*) => {
        $(
            // SAFETY: the opcode and the struct are the kernel's; a test compares the sizes.
            unsafe impl $crate::abi::Argument for $argument {
                const OPCODE: rustix::ioctl::Opcode = $opcode;
            }
            $(impl $crate::abi::$plain for $argument {})?
        )*

        #[cfg(test)]
        mod opcodes {
            use super::*;
            use $crate::abi::Argument;

            #[test]
            fn an_opcode_says_the_size_of_its_argument() {
                $(
                    assert_eq!(
                        ($argument::OPCODE as usize >> 16) & 0x3fff,
                        size_of::<$argument>(),
                        stringify!($argument),
                    );
                )*
            }
        }
    };
}
use arguments;

/// The bytes of a name up to the first zero, as text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A name as the kernel takes it: at most 31 bytes and a zero.
fn name(text: &str) -> [u8; 32] {
    let mut name = [0; 32];
    let kept = text.as_bytes();
    let kept = &kept[..kept.len().min(31)];
    name[..kept.len()].copy_from_slice(kept);
    name
}
