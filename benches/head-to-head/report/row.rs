//! A row of the report: one subject in one case, with its ratios.

use crate::harness::{ARC_CLONE, LOAD, ONE_THREAD, Series};
use serde::Serialize;

/// What a case is about, the same for all of its rows.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) case: String,
    pub(crate) n: usize,
    pub(crate) threads: usize,
    /// The subject that `vs_mutex` is about.
    pub(crate) reference: &'static str,
}

/// One subject in one case. What was not measured is `null`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) n: usize,
    pub(crate) threads: usize,
    pub(crate) subject: &'static str,
    /// Nanoseconds an operation: the median over the rounds.
    pub(crate) ns: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
    /// Medians over the rounds of the ratio within the round.
    pub(crate) vs_load: Option<f64>,
    pub(crate) vs_arc_clone: Option<f64>,
    pub(crate) vs_mutex: Option<f64>,
    /// How many operations all threads do together for each that one thread does alone.
    pub(crate) vs_one_thread: Option<f64>,
    /// Instructions an operation, counted by callgrind in a run of its own.
    pub(crate) instructions: Option<f64>,
    /// Bytes an object, its lock and its share of the heap included, fences not.
    pub(crate) bytes: Option<f64>,
    #[serde(skip)]
    pub(crate) p50_ns: Option<f64>,
    #[serde(skip)]
    pub(crate) p999_ns: Option<f64>,
}

/// The rows of a case.
pub(crate) fn rows(head: &Head, series: &[Series]) -> Vec<Row> {
    series
        .iter()
        .map(|one| {
            let ratio = |to: &str| paired_ratio(&one.ns, rounds_of(to, one, series)?);
            let mut samples = one.samples.clone();
            samples.sort_unstable();
            Row {
                case: head.case.clone(),
                n: head.n,
                threads: head.threads,
                subject: one.subject,
                ns: median(one.ns.clone()),
                p99_ns: percentile(&samples, 0.99),
                vs_load: ratio(LOAD),
                vs_arc_clone: ratio(ARC_CLONE),
                vs_mutex: ratio(head.reference),
                vs_one_thread: alone_to_all(one).map(|ratio| ratio * head.threads as f64),
                instructions: None,
                bytes: one.bytes,
                p50_ns: percentile(&samples, 0.5),
                p999_ns: percentile(&samples, 0.999),
            }
        })
        .collect()
}

/// The rounds of `name` that `one` took turns with.
fn rounds_of<'a>(name: &str, one: &'a Series, series: &'a [Series]) -> Option<&'a [f64]> {
    let beside = one.beside.iter().find(|(subject, _)| *subject == name);
    let of_case = || series.iter().find(|s| s.subject == name);
    Some(match beside {
        Some((_, ns)) => ns,
        None => &of_case()?.ns,
    })
}

/// The time of an operation of one thread alone to that of one among several.
fn alone_to_all(one: &Series) -> Option<f64> {
    let alone = one.beside.iter().find(|(name, _)| *name == ONE_THREAD)?;
    paired_ratio(&alone.1, &one.ns)
}

/// The median over the rounds of the ratio within a round.
pub(crate) fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let ratios = ours.iter().zip(theirs);
    median(
        ratios
            .filter(|(_, b)| **b > 0.0)
            .map(|(a, b)| a / b)
            .collect(),
    )
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Of sorted samples; `None` where there are too few for this one to mean anything.
fn percentile(sorted: &[u32], part: f64) -> Option<f64> {
    if (sorted.len() as f64) * (1.0 - part) < 5.0 {
        return None;
    }
    Some(f64::from(sorted[(sorted.len() as f64 * part) as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_a_round_and_not_between_medians() {
        // The machine is twice as slow in two of three rounds; the ratio is 2 in each.
        assert_eq!(paired_ratio(&[2.0, 4.0, 4.0], &[1.0, 2.0, 2.0]), Some(2.0));
        // Here the medians are equal and the ratio is not.
        assert_eq!(paired_ratio(&[1.0, 2.0, 6.0], &[2.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(paired_ratio(&[], &[]), None);
    }

    #[test]
    fn a_percentile_needs_samples_beyond_it() {
        let sorted: Vec<u32> = (0..1000).collect();
        assert_eq!(percentile(&sorted, 0.5), Some(500.0));
        assert_eq!(percentile(&sorted, 0.99), Some(990.0));
        assert_eq!(percentile(&sorted, 0.999), None);
    }

    #[test]
    fn absent_figures_are_null() {
        let head = Head {
            case: "visit".to_owned(),
            n: 4,
            threads: 1,
            reference: "mutex-vec",
        };
        let mut one = Series::new("seqcount");
        one.ns = vec![3.0];
        let json = serde_json::to_value(&rows(&head, &[one])[0]).expect("a row is JSON");
        assert_eq!(json["ns"], 3.0);
        for field in [
            "p99_ns",
            "vs_load",
            "vs_arc_clone",
            "vs_mutex",
            "vs_one_thread",
            "instructions",
            "bytes",
        ] {
            assert!(json[field].is_null(), "{field}");
        }
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(12));
    }
}
