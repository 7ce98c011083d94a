//! Where figures come from.

use serde::Serialize;
use std::collections::BTreeMap;

/// What is known of the machine. What could not be found out is missing.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Machine(pub(crate) BTreeMap<&'static str, String>);

impl Machine {
    /// This machine, and this build.
    pub(crate) fn this(quick: bool) -> Machine {
        let mut facts = BTreeMap::new();
        let mut tell = |name, value: Option<String>| {
            if let Some(value) = value {
                facts.insert(name, value);
            }
        };
        tell("cpu", line_of("/proc/cpuinfo", "model name"));
        tell("hypervisor", is_virtual().then(|| "yes".to_owned()));
        tell("memory", line_of("/proc/meminfo", "MemTotal"));
        let cpus = std::thread::available_parallelism().ok();
        tell("cpus", cpus.map(|cpus| cpus.to_string()));
        tell("kernel", read("/proc/sys/kernel/osrelease"));
        tell("arch", Some(std::env::consts::ARCH.to_owned()));
        tell(
            "rustc",
            option_env!("HEAD_TO_HEAD_RUSTC").map(str::to_owned),
        );
        let load = read("/proc/loadavg");
        let load = load.and_then(|load| Some(load.split_whitespace().next()?.to_owned()));
        tell("load_average_at_start", load);
        tell("profile", Some(profile().to_owned()));
        tell(
            "effort",
            Some(if quick { "quick" } else { "full" }.to_owned()),
        );
        Machine(facts)
    }
}

/// Figures of a build with debug assertions are worth nothing, and say so.
pub(crate) fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

fn read(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The value of the first line of `path` that begins with `name`.
fn line_of(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn is_virtual() -> bool {
    line_of("/proc/cpuinfo", "flags").is_some_and(|flags| flags.contains(" hypervisor"))
}
