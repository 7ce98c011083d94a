//! Runs properties on fixtures, one at a time, and says what came of it.

use crate::fault;
use crate::fixture::Fixture;
use crate::report;
use resv_conformance::{PROPERTIES, Property};
use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// A property that takes longer hangs.
const HANGS: Duration = Duration::from_secs(120);

/// How often a property that takes luck is tried on a fixture that it is about.
const TRIES: usize = 5;

/// What a property that hangs is taken to say.
const HUNG: &str = "hangs";

/// Why a property rejects a fixture.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// What it said.
    pub said: String,
    /// How long it took.
    pub after: Duration,
}

/// Panics of properties are what is looked for here: only those of tests and tools are printed.
fn silence_properties() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |at| at.file());
            if file.starts_with("resv-fixtures/tests") || file.starts_with("resv-fixtures/src/bin")
            {
                print(info);
            }
        }));
    });
}

impl Fixture {
    /// Runs one property of the suite on the fixture: `None` if it holds.
    ///
    /// Runs of a process come one after the other: a fault that gives references away may do harm to
    /// fences of others for as long as it runs.
    pub fn run(&self, property: &'static Property) -> Option<Rejection> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = fault::lock(&ONE_AT_A_TIME);
        silence_properties();
        let fixture = *self;
        let start = Instant::now();
        let (send, receive) = mpsc::channel();
        // A thread of its own, so that a property that hangs can be left behind.
        std::thread::spawn(move || {
            let said = catch_unwind(|| property.check(fixture.subject()))
                .err()
                .map(|said| {
                    said.downcast_ref::<String>()
                        .cloned()
                        .or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                        .unwrap_or_default()
                });
            let _ = send.send(said);
        });
        let said = match receive.recv_timeout(HANGS) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout) => Some(HUNG.to_owned()),
            Err(RecvTimeoutError::Disconnected) => Some("ends without an answer".to_owned()),
        };
        let after = start.elapsed();
        said.map(|said| Rejection { said, after })
    }

    /// Runs a property as often as it takes: several times if it takes luck and is about the fixture, or else once.
    pub fn tried(&self, property: &'static Property) -> Option<Rejection> {
        let is_about = self.caught_by.contains(&property.name);
        let tries = match is_about && report::is_lucky(property.name) {
            true => TRIES,
            false => 1,
        };
        (0..tries).find_map(|_| self.run(property))
    }

    /// Every property that rejects the fixture, each time that it is run where it takes no luck. The others,
    /// which have rejected it by chance, are told to `unsteady`.
    pub fn steady_rejections(
        &self,
        mut unsteady: impl FnMut(&'static str, &Rejection),
    ) -> Vec<(&'static str, Rejection)> {
        let mut rejections = Vec::new();
        for property in PROPERTIES {
            let Some(mut rejection) = self.tried(property) else {
                continue;
            };
            // What hangs has been waited for long enough.
            if !report::is_lucky(property.name) && rejection.said != HUNG {
                let Some(again) = self.run(property) else {
                    unsteady(property.name, &rejection);
                    continue;
                };
                rejection.after = rejection.after.min(again.after);
            }
            rejections.push((property.name, rejection));
        }
        rejections
    }

    /// Every property that rejects the fixture.
    pub fn rejections(&self) -> Vec<(&'static str, Rejection)> {
        let run = |property: &'static Property| Some((property.name, self.run(property)?));
        PROPERTIES.iter().filter_map(run).collect()
    }
}
