//! Events of GPU drivers that this program does not understand: whose they are, and what to record instead.
//!
//! The kernel's own fences tell the same in one form for all drivers: `dma_fence` events for every driver, and `gpu_scheduler`
//! events for those that use the common scheduler.

use std::collections::BTreeMap;

/// The events of one driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The driver, for people.
    pub driver: &'static str,
    /// How many events.
    pub events: u64,
    /// The most frequent one.
    pub example: String,
    /// The events to record instead.
    pub instead: &'static str,
}

const SCHEDULER: &str = "-e dma_fence -e gpu_scheduler";
const FENCES: &str = "-e dma_fence";

/// The prefix of a driver's events, the driver, and what to record instead.
const DRIVERS: [(&str, &str, &str); 34] = [
    ("adreno_", "Qualcomm kgsl", FENCES),
    (
        "amdgpu_",
        "amdgpu",
        "-e dma_fence -e gpu_scheduler -e amdgpu",
    ),
    ("apu_", "MediaTek APU", FENCES),
    ("drm_vblank_", "display (vertical blanks)", FENCES),
    ("drm_sched_", "DRM scheduler", SCHEDULER),
    ("etnaviv_", "etnaviv", SCHEDULER),
    ("gpu_", "GPU frequency, memory or work periods", SCHEDULER),
    ("host1x_", "Tegra host1x", FENCES),
    ("i915_", "i915", "-e dma_fence -e i915"),
    ("intel_", "i915 (display or power)", "-e dma_fence -e i915"),
    ("kbase_", "Arm Mali (kbase)", FENCES),
    ("kgsl_", "Qualcomm kgsl", FENCES),
    ("lima_", "lima", SCHEDULER),
    ("mali_", "Arm Mali", FENCES),
    ("mdss_", "Qualcomm display", FENCES),
    ("msm_", "msm", SCHEDULER),
    ("nouveau_", "nouveau", SCHEDULER),
    ("nvgpu_", "nvgpu", FENCES),
    ("panfrost_", "panfrost", SCHEDULER),
    ("panthor_", "panthor", SCHEDULER),
    ("powervr_", "powervr", SCHEDULER),
    ("pvr_", "PowerVR", FENCES),
    ("qxl_", "qxl", FENCES),
    ("radeon_", "radeon", FENCES),
    ("sde_", "Qualcomm display", FENCES),
    ("sync_", "Android sync", FENCES),
    ("tegra_", "Tegra", FENCES),
    ("v3d_", "v3d", SCHEDULER),
    ("vc4_", "vc4", FENCES),
    ("virtio_gpu_", "virtio-gpu", FENCES),
    ("vmwgfx_", "vmwgfx", FENCES),
    ("xe_", "xe", SCHEDULER),
    ("i915_gep", "an out-of-tree i915", "-e dma_fence -e i915"),
    ("gep_", "an out-of-tree i915", "-e dma_fence -e i915"),
];

/// The GPU events among `others`, which are counted by name, by driver; the most frequent driver first.
pub fn foreign(others: &BTreeMap<String, u64>) -> Vec<Foreign> {
    let mut drivers: BTreeMap<&str, (Foreign, u64)> = BTreeMap::new();
    for (name, &count) in others {
        let matching = DRIVERS
            .iter()
            .filter(|(prefix, ..)| name.starts_with(prefix));
        let Some(&(_, driver, instead)) = matching.max_by_key(|(prefix, ..)| prefix.len()) else {
            continue;
        };
        let (entry, most) = drivers.entry(driver).or_insert_with(|| {
            let (events, example) = (0, String::new());
            let entry = Foreign {
                driver,
                events,
                example,
                instead,
            };
            (entry, 0)
        });
        entry.events += count;
        if count > *most {
            *most = count;
            entry.example.clone_from(name);
        }
    }
    let mut found: Vec<Foreign> = drivers.into_values().map(|(entry, _)| entry).collect();
    found.sort_by_key(|entry| std::cmp::Reverse(entry.events));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_known_by_the_names_of_their_events() {
        let others = [
            ("v3d_submit_cl", 3),
            ("v3d_cl_irq", 5),
            ("kgsl_issueibcmds", 9),
            ("sched_switch", 70),
        ];
        let others = others.map(|(name, count)| (name.to_owned(), count));
        let found = foreign(&BTreeMap::from(others));
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.driver, f.events, f.example.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("Qualcomm kgsl", 9, "kgsl_issueibcmds"),
                ("v3d", 8, "v3d_cl_irq")
            ]
        );
        assert_eq!(found[1].instead, SCHEDULER);
    }
}
