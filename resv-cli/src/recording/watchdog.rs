//! The functions that look for lost interrupts and hung jobs, and how a recording shows that one of them ran.
//!
//! A GPU's interrupt may be lost, or a job may hang. Then a timer or a work item ends the job long after: the time it took is
//! not the job's own. A recording shows it where timers, work items or these functions are traced:
//!
//! ```text
//! timer_expire_entry: timer=0xffff... function=amdgpu_fence_fallback now=4295100000
//! workqueue_execute_start: work struct 0xffff...: function drm_sched_job_timedout
//! amdgpu_fence_fallback <-call_timer_fn                                            (the function tracer)
//! amdgpu_fence_fallback: (amdgpu_fence_fallback+0x0/0x30 [amdgpu])                 (a kprobe)
//! ```

/// The functions.
const FUNCTIONS: [&str; 13] = [
    "amdgpu_fence_fallback",
    "amdgpu_job_timedout",
    "radeon_fence_check_lockup",
    "drm_sched_job_timedout",
    "drm_sched_fault",
    "etnaviv_sched_timedout_job",
    "panfrost_job_timedout",
    "panthor_job_timedout",
    "lima_sched_timedout_job",
    "v3d_gpu_reset_for_timeout",
    "hangcheck_handler",
    "intel_engine_reset",
    "vgem_fence_timeout",
];

/// The events that say that a function begins; the function stands in their fields.
const CALLS: [&str; 4] = [
    "timer_expire_entry",
    "hrtimer_expire_entry",
    "workqueue_execute_start",
    "funcgraph_entry",
];

/// The watchdog that an event shows at work, if it does.
pub(super) fn function(event: &str, fields: &str) -> Option<&'static str> {
    let is_call = CALLS.contains(&event);
    FUNCTIONS.into_iter().find(|function| {
        // A kprobe's event may have a prefix or suffix; a return of the function is not its call.
        let is_named =
            event.contains(function) && !event.ends_with("ret") && !event.ends_with("exit");
        is_named || (is_call && has_word(fields, function))
    })
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::function;

    #[test]
    fn a_watchdog_is_seen_in_timers_work_items_and_functions() {
        for (event, fields) in [
            (
                "timer_expire_entry",
                "timer=0xff function=amdgpu_fence_fallback now=42 baseclk=42",
            ),
            ("amdgpu_fence_fallback", "<-call_timer_fn"),
            (
                "p_amdgpu_fence_fallback_0",
                "(amdgpu_fence_fallback+0x0/0x30 [amdgpu])",
            ),
        ] {
            assert_eq!(
                function(event, fields),
                Some("amdgpu_fence_fallback"),
                "{event}"
            );
        }
        let work = "work struct 000000001: function drm_sched_job_timedout [gpu_sched]";
        assert_eq!(
            function("workqueue_execute_start", work),
            Some("drm_sched_job_timedout")
        );
        assert_eq!(function("workqueue_execute_end", work), None);
        assert_eq!(
            function("timer_expire_entry", "timer=0xff function=tcp_delack_timer"),
            None
        );
        assert_eq!(function("r_amdgpu_fence_fallback_ret", ""), None);
    }
}
