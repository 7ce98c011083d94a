//! The tests on a kernel, as one program: a kernel starts once for it.

#![cfg(target_os = "linux")]

mod bridge;
mod common;
mod differential;
mod examples;
mod importer;
mod points;
mod sync_file;
mod syncobj;
