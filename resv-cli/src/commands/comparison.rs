//! What `resv diff` compares, of a scenario or of a recording.

use crate::failure::Failure;
use crate::options::{Choice, DiffOptions};
use resv_api::BackendKind;
use resv_core::SemanticsKind;
use std::process::ExitCode;

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Two semantics on one back end.
    Semantics([SemanticsKind; 2], BackendKind),
    /// Two back ends under one semantics.
    Backends(SemanticsKind, [BackendKind; 2]),
}

impl Comparison {
    /// The two sides, each as a name, a semantics and a back end.
    pub fn sides(self) -> [(&'static str, SemanticsKind, BackendKind); 2] {
        match self {
            Comparison::Semantics(both, backend) => both.map(|s| (s.name(), s, backend)),
            Comparison::Backends(semantics, both) => both.map(|b| (b.name(), semantics, b)),
        }
    }

    pub(super) fn of(options: &DiffOptions) -> Result<Comparison, Failure> {
        let semantics = options.semantics.as_ref().map(|Choice(chosen)| &chosen[..]);
        let backends = options.backend.as_ref().map(|Choice(chosen)| &chosen[..]);
        let defaults = (SemanticsKind::default(), BackendKind::RcuArray);
        match (semantics, backends) {
            (Some(&[a, b]), None) => Ok(Comparison::Semantics([a, b], defaults.1)),
            (Some(&[a, b]), Some(&[backend])) => Ok(Comparison::Semantics([a, b], backend)),
            (None, Some(&[a, b])) => Ok(Comparison::Backends(defaults.0, [a, b])),
            (Some(&[semantics]), Some(&[a, b])) => Ok(Comparison::Backends(semantics, [a, b])),
            _ => Err(Failure::at(
                "resv diff",
                "needs two things to compare: --semantics A,B or --backend A,B",
            )),
        }
    }
}

/// Two semantics may differ, that is what they are for; two back ends may not.
pub(super) fn exit_code(comparison: Comparison, same: bool) -> ExitCode {
    match comparison {
        Comparison::Backends(..) if !same => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
