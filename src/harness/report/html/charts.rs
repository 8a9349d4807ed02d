//! Positions of the marks in a page's charts, in units of the SVG's view box.

use serde::Serialize;

use crate::harness::record::{CaseRecord, StepRecord};

/// Width and height of a chart of loads.
const WIDE: f64 = 640.0;
const HIGH: f64 = 300.0;
/// Room for the axes' labels.
const LEFT: f64 = 70.0;
const BELOW: f64 = 40.0;
/// More marks than this are thinned out, so that a page stays small.
const MARKS: usize = 1500;

/// A chart of loads: a mark for each, the size of its files to the right and another quantity upwards, both
/// on logarithmic scales.
#[derive(Debug, Serialize)]
pub struct Loads {
    /// What the chart shows, in one sentence.
    pub title: String,
    /// The quantity's name and unit.
    pub up: &'static str,
    /// Each load: position, and what it is.
    pub marks: Vec<Mark>,
    /// Grid lines to the right: position and label.
    pub across: Vec<Tick>,
    /// Grid lines upwards.
    pub upward: Vec<Tick>,
    /// Number of loads, also of those that are left out.
    pub all: usize,
}

/// One load.
#[derive(Debug, Serialize)]
pub struct Mark {
    x: f64,
    y: f64,
    about: String,
}

/// One grid line.
#[derive(Debug, Serialize)]
pub struct Tick {
    at: f64,
    label: String,
}

/// The time of each successful load against the size of its files.
pub fn times(cases: &[CaseRecord]) -> Option<Loads> {
    let loads = loads(cases, |step, _| Some(step.elapsed_us as f64 / 1e3));
    chart(loads, "Time of each load, by the size of its files", "ms", |value| format!("{value} ms"))
}

/// The memory that the loader says it holds after each load, against the size of its files.
pub fn memory(cases: &[CaseRecord]) -> Option<Loads> {
    let loads = loads(cases, |_, claim| claim.get("held_bytes")?.as_f64());
    let title = "Memory that the loader declares after each load, by the size of its files";
    chart(loads, title, "bytes", bytes)
}

type Load<'c> = (&'c str, f64, f64);

fn loads<'c>(
    cases: &'c [CaseRecord],
    value: fn(&StepRecord, &serde_json::Value) -> Option<f64>,
) -> Vec<Load<'c>> {
    let mut found = Vec::new();
    for case in cases {
        for step in case.steps.iter().filter(|step| step.does.starts_with("load")) {
            let Some(claim) = &step.claim else { continue };
            let size = claim.get("file_bytes").and_then(serde_json::Value::as_f64);
            if let (Some(size), Some(value)) = (size, value(step, claim))
                && size > 0.0
                && value > 0.0
            {
                found.push((case.id.as_str(), size, value));
            }
        }
    }
    found
}

fn chart(
    loads: Vec<Load<'_>>,
    title: &str,
    up: &'static str,
    label: impl Fn(f64) -> String,
) -> Option<Loads> {
    let (across, upward) =
        (Axis::of(loads.iter().map(|load| load.1))?, Axis::of(loads.iter().map(|load| load.2))?);
    let every = loads.len().div_ceil(MARKS);
    let mark = |(case, size, value): &Load<'_>| Mark {
        x: LEFT + across.share(*size) * (WIDE - LEFT - 10.0),
        y: HIGH - BELOW - upward.share(*value) * (HIGH - BELOW - 10.0),
        about: format!("{case}: {}, {}", bytes(*size), label(*value)),
    };
    let place = |axis: &Axis, from: f64, length: f64, label: &dyn Fn(f64) -> String| {
        let ticks = axis.ticks().into_iter();
        ticks
            .map(|value| Tick { at: from + axis.share(value) * length, label: label(value) })
            .collect()
    };
    Some(Loads {
        title: title.to_owned(),
        up,
        marks: loads.iter().step_by(every).map(mark).collect(),
        across: place(&across, LEFT, WIDE - LEFT - 10.0, &bytes),
        upward: place(&upward, HIGH - BELOW, -(HIGH - BELOW - 10.0), &label),
        all: loads.len(),
    })
}

/// Powers of ten from below the smallest value to above the largest.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Axis> {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil();
        (low.is_finite() && high.is_finite()).then_some(Axis { low, high: high.max(low + 1.0) })
    }

    fn share(&self, value: f64) -> f64 {
        (value.log10() - self.low) / (self.high - self.low)
    }

    /// Every power of ten; every second one where there are many.
    fn ticks(&self) -> Vec<f64> {
        let count = (self.high - self.low) as i32;
        let step = if count > 7 { 2 } else { 1 };
        (0..=count).step_by(step).map(|one| 10f64.powi(self.low as i32 + one)).collect()
    }
}

fn bytes(value: f64) -> String {
    let names = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match names.iter().find(|(unit, _)| value >= *unit) {
        Some((unit, name)) => format!("{:.0} {name}", value / unit),
        None => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    fn load(size: u64, held: u64, elapsed_us: u64) -> CaseRecord {
        let mut case = sample::passed("LOAD-001::whole_file", 900);
        case.steps[0].claim = Some(serde_json::json!({ "file_bytes": size, "held_bytes": held }));
        case.steps[0].elapsed_us = elapsed_us;
        case
    }

    #[test]
    fn marks_lie_inside_the_chart_and_larger_loads_lie_further_right() {
        let cases = [load(1_000, 900, 500), load(2_000_000, 1_900_000, 70_000)];
        let chart = times(&cases).expect("there are loads");
        assert_eq!((chart.all, chart.marks.len()), (2, 2));
        assert!(chart.marks[0].x < chart.marks[1].x && chart.marks[0].y > chart.marks[1].y);
        for mark in &chart.marks {
            assert!((LEFT..=WIDE).contains(&mark.x) && (0.0..=HIGH).contains(&mark.y), "{mark:?}");
        }
        assert!(memory(&cases).is_some());
        let none = [sample::passed("LOAD-001::whole_file", 900)];
        assert!(times(&none).is_none() && memory(&none).is_none());
    }

    #[test]
    fn one_size_alone_still_makes_an_axis() {
        let chart = times(&[load(1_000, 1_000, 1_000)]).expect("a load");
        assert!(chart.marks.iter().all(|mark| mark.x.is_finite() && mark.y.is_finite()));
        assert!(chart.across.len() > 1, "{chart:?}");
    }
}
