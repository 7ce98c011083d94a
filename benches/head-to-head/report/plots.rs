//! Cost against fences, threads and objects, as SVG.
//!
//! | file | drawn |
//! |---|---|
//! | `CASE.svg` | nanoseconds against `n`, a line for each subject; both axes logarithmic |
//! | `CASE-threads.svg` | nanoseconds against threads |
//! | `objects-STATE-N.svg` | nanoseconds of an idle test against the number of objects |

use super::Row;
use super::markdown::subjects;
use crate::failure::Failure;
use plotters::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

const SIZE: (u32, u32) = (900, 560);
/// At the right, for the names of the subjects.
const NAMES: u32 = 190;
const COLORS: [RGBColor; 12] = [
    RGBColor(200, 30, 30),
    RGBColor(20, 80, 200),
    RGBColor(90, 160, 240),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
    RGBColor(160, 100, 30),
    RGBColor(220, 170, 60),
    RGBColor(130, 60, 170),
    RGBColor(30, 150, 70),
    RGBColor(240, 110, 170),
    RGBColor(0, 150, 160),
    RGBColor(110, 130, 0),
];

/// The points of one subject: what it is measured against, and nanoseconds.
type Line = (&'static str, Vec<(f64, f64)>);

/// Makes the directory, so that it is known to be writable before anything is measured.
pub(crate) fn prepare(dir: &Path) -> Result<(), Failure> {
    let probe = dir.join(".head-to-head");
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, ""))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| Failure::file("write to", dir, &error))
}

/// Draws all plots for which there are at least two points.
pub(crate) fn draw(dir: &Path, rows: &[Row]) -> Result<(), Failure> {
    let cases: BTreeSet<&str> = rows.iter().map(|row| row.case.as_str()).collect();
    for &case in cases.iter().filter(|case| !case.starts_with("objects_")) {
        let of_case: Vec<&Row> = rows.iter().filter(|row| row.case == case).collect();
        let by_n = lines(&of_case, |row| row.n as f64);
        plot(
            dir,
            case,
            &format!("{case}, one thread"),
            "n",
            &of_one_thread(&of_case, by_n),
        )?;
        let by_threads = lines(&of_case, |row| row.threads as f64);
        plot(
            dir,
            &format!("{case}-threads"),
            case,
            "threads",
            &by_threads,
        )?;
    }
    for (state, n) in [("idle", 0), ("idle", 1), ("pending", 1)] {
        let of_state: Vec<&Row> = rows
            .iter()
            .filter(|row| row.n == n && objects(&row.case, state).is_some())
            .collect();
        let by_objects = lines(&of_state, |row| objects(&row.case, state).unwrap_or(0.0));
        let name = format!("objects-{state}-{n}");
        let title = format!("the idle test of a random object, {n} fences, {state}");
        plot(dir, &name, &title, "objects", &by_objects)?;
    }
    Ok(())
}

/// A plot against `n` is of one thread; rows of several would stand at the same `n` twice.
fn of_one_thread(rows: &[&Row], lines: Vec<Line>) -> Vec<Line> {
    if rows.iter().all(|row| row.threads == 1) {
        lines
    } else {
        Vec::new()
    }
}

/// How many objects a case of `objects` has.
fn objects(case: &str, state: &str) -> Option<f64> {
    let count = case.strip_prefix("objects_")?.strip_suffix(state)?;
    match count {
        "1k_" => Some(1e3),
        "32k_" => Some(32e3),
        "1m_" => Some(1e6),
        _ => None,
    }
}

fn lines(rows: &[&Row], x: impl Fn(&Row) -> f64) -> Vec<Line> {
    let points = |subject: &str| {
        let of_subject = rows.iter().filter(|row| row.subject == subject);
        let mut points: Vec<_> = of_subject
            .filter_map(|row| Some((x(row), row.ns?)))
            .collect();
        points.sort_by(|a, b| f64::total_cmp(&a.0, &b.0));
        points
    };
    let lines = subjects(rows)
        .into_iter()
        .map(|subject| (subject, points(subject)));
    lines.filter(|(_, points)| !points.is_empty()).collect()
}

fn plot(dir: &Path, name: &str, title: &str, axis: &str, lines: &[Line]) -> Result<(), Failure> {
    let xs: BTreeSet<u64> = lines
        .iter()
        .flat_map(|(_, p)| p)
        .map(|(x, _)| *x as u64)
        .collect();
    if xs.len() < 2 {
        return Ok(());
    }
    let path = dir.join(format!("{name}.svg"));
    let drawn = draw_one(&path, title, axis, lines, &xs);
    drawn.map_err(|error| Failure::new(format!("cannot draw {}: {error}", path.display())))
}

fn draw_one(
    path: &Path,
    title: &str,
    axis: &str,
    lines: &[Line],
    xs: &BTreeSet<u64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let ys = || {
        lines
            .iter()
            .flat_map(|(_, points)| points)
            .map(|(_, ns)| *ns)
    };
    let low = ys().fold(f64::INFINITY, f64::min).max(0.01) * 0.8;
    let high = ys().fold(0.0, f64::max).max(low) * 1.25;
    // Zero has no logarithm: it stands where one half would be.
    let place = |x: f64| x.max(0.5);
    let first = place(*xs.first().unwrap_or(&0) as f64);
    let last = place(*xs.last().unwrap_or(&1) as f64);

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{title}: ns an operation"), ("sans-serif", 20))
        .margin(12)
        .margin_right(NAMES)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((first..last).log_scale(), (low..high).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(axis)
        .y_desc("ns")
        .x_label_formatter(&|x| {
            if *x < 1.0 {
                "0".to_owned()
            } else {
                format!("{x:.0}")
            }
        })
        .draw()?;
    let mut names = Vec::new();
    for ((subject, points), color) in lines.iter().zip(COLORS.iter().cycle()) {
        let last = points.last().map_or(0.0, |(_, ns)| *ns);
        names.push((last, *subject, *color));
        let points = points.iter().map(|(x, y)| (place(*x), *y));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    // Beside the chart, from the uppermost line down; the chart's own legend is cut off where the chart ends.
    names.sort_by(|a, b| f64::total_cmp(&b.0, &a.0));
    for ((_, subject, color), y) in names.into_iter().zip((44..).step_by(20)) {
        let x = (SIZE.0 - NAMES + 12) as i32;
        let sample = [(x, y), (x + 20, y)];
        root.draw(&PathElement::new(sample, color.stroke_width(3)))?;
        root.draw(&Text::new(subject, (x + 28, y - 7), ("sans-serif", 14)))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Series;
    use crate::report::row::{Head, rows};

    /// The names had stood without the colors of their lines: the samples were cut off.
    #[test]
    fn each_name_has_a_sample_of_its_line() {
        let dir = std::env::temp_dir().join(format!("resv-plots-{}", std::process::id()));
        let mut all = Vec::new();
        for n in [1, 2] {
            let mut series = [Series::new("first"), Series::new("second")];
            series[0].ns.push(n as f64);
            series[1].ns.push(3.0 * n as f64);
            let head = Head {
                case: "case".to_owned(),
                n,
                threads: 1,
                reference: "first",
            };
            all.extend(rows(&head, &series));
        }
        prepare(&dir).expect("a directory");
        draw(&dir, &all).expect("a plot");
        let picture = std::fs::read_to_string(dir.join("case.svg")).expect("it is drawn");
        std::fs::remove_dir_all(&dir).expect("it is there");
        let colors = [RGBColor(20, 80, 200), RGBColor(200, 30, 30)];
        for (y, (name, RGBColor(r, g, b))) in [44, 64]
            .into_iter()
            .zip(["second", "first"].into_iter().zip(colors))
        {
            let sample = format!("points=\"722,{y} 742,{y} \"");
            let line = picture.lines().find(|line| line.contains(&sample));
            let line = line.unwrap_or_else(|| panic!("no sample of {name}:\n{picture}"));
            assert!(
                line.contains(&format!("#{r:02X}{g:02X}{b:02X}")),
                "{name}: {line}"
            );
            assert!(picture.contains(name), "{name}");
        }
    }
}
