//! Which rule gives jobs their buffers where nobody said it.
//!
//! A sidecar beside the recording says it; else the recording, if it is one of this project's library. Else `handoff` is tried:
//! where the recording contradicts at most one in ten of the edges that it gives and that can be judged, it is taken. Else
//! nothing is assumed, and only what is recorded counts.
//!
//! Measured on real recordings, assumed edges contradicted of those that can be judged, under usage-levels
//! (`resv replay --buffers RULE --json`, `contradicted` and `judged`):
//!
//! | recording | handoff | single | private |
//! |---|---|---|---|
//! | SteamVR on an AMD GPU, Linux 4.11 | 427 of 428 | 427 of 428 | none |
//! | the tests of the DRM scheduler, Linux 7.3 | 4,563 of 4,563 | 15,894 of 15,894 | none |
//! | vgem and virtio-gpu, Linux 7.3 | 6 of 6 | 6 of 6 | none |
//!
//! So a rule that guesses which jobs share is wrong on every real recording at hand. `private` gives no edge between timelines: it is
//! contradicted nowhere and says nothing.

use resv_api::{BackendKind, SemanticsKind};

use super::error::PlayError;
use super::play::play_part;
use super::recorded::Recorded;
use super::rule::BufferRule;
use super::workload::Workload;

/// So many moments of a recording are played to see what it speaks for: those of some ten thousand jobs.
const STEPS: usize = 1 << 15;
/// One edge in so many may be contradicted.
const ONE_IN: u64 = 10;

/// Gives jobs their buffers, by `sidecar` if there is one, else by the rule that the recording speaks for.
pub fn choose(recorded: Recorded, sidecar: Option<&BufferRule>) -> Workload {
    if let Some(rule) = sidecar {
        let mut workload = Workload::new(recorded, rule);
        workload.why = Some("the file lies beside the recording".to_owned());
        return workload;
    }
    if recorded.names_buffers() {
        let mut workload = Workload::new(recorded, &BufferRule::Recorded);
        workload.why = Some("the recording names the objects".to_owned());
        return workload;
    }
    let handoff = Workload::new(recorded, &BufferRule::Handoff);
    let best = judge(&handoff);
    let (judged, contradicted) = *best.as_ref().unwrap_or(&(0, 0));
    let told = match (&best, judged) {
        (Err(error), _) => format!("handoff could not be tried: {error}"),
        (Ok(_), 0) => "handoff gives no edge that the recording could judge".to_owned(),
        _ => {
            let part = match handoff.recorded.steps.len() > STEPS {
                true => "the beginning of the recording",
                false => "the recording",
            };
            format!(
                "{part} contradicts {contradicted} of the {judged} edges of handoff that it can judge"
            )
        }
    };
    let mut workload = match judged > 0 && contradicted.saturating_mul(ONE_IN) <= judged {
        true => handoff,
        false => handoff.under(&BufferRule::Recorded),
    };
    workload.why = Some(told);
    workload
}

/// Edges judged and contradicted, under the semantics that the recording contradicts least: it was made under one, and that is
/// not known.
fn judge(workload: &Workload) -> Result<(u64, u64), PlayError> {
    let mut best = (0, 0);
    for semantics in [SemanticsKind::UsageLevels, SemanticsKind::ExclusiveShared] {
        let run = play_part(workload, semantics, BackendKind::Locked, None, STEPS)?;
        let timing = run.timing;
        let (judged, contradicted) = (timing.judged, timing.contradicted);
        let share =
            |(judged, contradicted): (u64, u64)| (u128::from(contradicted), u128::from(judged));
        let ((a, of_a), (b, of_b)) = (share((judged, contradicted)), share(best));
        if best.0 == 0 || (judged > 0 && a * of_b < b * of_a) {
            best = (judged, contradicted);
        }
    }
    Ok(best)
}
