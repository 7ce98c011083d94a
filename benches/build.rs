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
    cc::Build::new()
        .file(SOURCE)
        .opt_level(3)
        .warnings_into_errors(true)
        .compile("head_to_head_liburcu");
    println!("cargo::rustc-link-lib=urcu-memb");
}
