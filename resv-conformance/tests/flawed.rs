//! The suite on back ends and semantics from elsewhere, legal ones and flawed ones, as one program.

mod check;
mod fixtures;
mod foreign;
mod histories;

use std::panic::{set_hook, take_hook};
use std::sync::Once;

/// Panics of properties are what these tests are after: only a test's own are printed.
fn silence_properties() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |at| at.file());
            if file.contains("resv-conformance/tests/") {
                print(info);
            }
        }));
    });
}
