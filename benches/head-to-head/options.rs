//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Compares reservation objects with what people use in their place: subjects take turns, round by
/// round, in one process; figures are medians over rounds, ratios are taken within rounds.
#[derive(Debug, Parser)]
#[command(name = "head-to-head", version)]
pub(crate) struct Options {
    /// A look in about a minute instead of a measurement.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Writes machine and figures as JSON; rewritten after each case.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes tables as Markdown, once all cases have run.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Draws cost against fences, threads and objects as SVG files in this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,
    /// Runs only cases whose name contains this; may be given several times.
    #[arg(long, value_name = "CASE")]
    pub(crate) filter: Vec<String>,
    /// Lists the cases, a line each: name, n, threads.
    #[arg(long)]
    pub(crate) list: bool,
    /// A recording of GPU work for `replay_recording`, in the format of `resv replay`.
    #[arg(long, value_name = "FILE", env = "RESV_RECORDING")]
    pub(crate) recording: Option<PathBuf>,
    /// Merges the figures of `scripts/instructions` into the report.
    #[arg(long, value_name = "FILE")]
    pub(crate) instructions: Option<PathBuf>,
    /// Only runs one operation so often, without clock and report: for callgrind.
    #[arg(long, value_name = "CASE,N,SUBJECT,COUNT", conflicts_with_all = ["json", "markdown", "plots", "list"])]
    pub(crate) one: Option<One>,
}

/// Which operation to run, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct One {
    pub(crate) case: String,
    pub(crate) n: usize,
    pub(crate) subject: String,
    pub(crate) count: u64,
}

impl std::str::FromStr for One {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let [case, n, subject, count] = parts[..] else {
            return Err("four parts separated by commas are needed".to_owned());
        };
        Ok(One {
            case: case.to_owned(),
            n: n.parse().map_err(|_| format!("'{n}' is not a number"))?,
            subject: subject.to_owned(),
            count: count
                .parse()
                .map_err(|_| format!("'{count}' is not a number"))?,
        })
    }
}

impl Options {
    /// Whether a case of this name is wanted.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| case.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operation_is_named_by_four_parts() {
        let one: One = "visit,4,rcu-array/arc-swap,1000"
            .parse()
            .expect("is well formed");
        assert_eq!((one.n, one.count), (4, 1000));
        assert_eq!(one.subject, "rcu-array/arc-swap");
        for bad in [
            "",
            "visit,4,seqcount",
            "visit,x,seqcount,1",
            "visit,1,a,b",
            "a,1,b,2,c",
        ] {
            assert!(bad.parse::<One>().is_err(), "{bad}");
        }
    }
}
