//! Tells the head-to-head which compiler made it, and compiles its C peers.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    if let Ok(output) = Command::new(rustc).arg("--version").output() {
        let version = String::from_utf8_lossy(&output.stdout);
        println!("cargo::rustc-env=HEAD_TO_HEAD_RUSTC={}", version.trim());
    }
    #[cfg(feature = "liburcu")]
    liburcu();
}

/// Compiles the C peers against Debian's liburcu-dev.
#[cfg(feature = "liburcu")]
fn liburcu() {
    const SOURCE: &str = "head-to-head/raw/liburcu.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    // Linked by the attributes in `raw/liburcu.rs`: what a build script links goes to the library of
    // the package, and it is the binary that needs it.
    cc::Build::new()
        .file(SOURCE)
        .opt_level(3)
        // As a C program would have it: thread-locals without a call, read sections inline.
        .pic(false)
        .flag("-fPIE")
        .define("_LGPL_SOURCE", None)
        .warnings_into_errors(true)
        .cargo_metadata(false)
        .compile("head_to_head_liburcu");
    let dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    println!("cargo::rustc-link-search=native={dir}");
}
