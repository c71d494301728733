//! Charts of what was measured at several sizes: over the length of the prompt and over the depth of the cache.

use super::{
    super::{Cell, Report, Row, detail::Sizes, model_of},
    Section,
    charts::drawn,
    plane::{self, Axis, Curve, MOST, Point},
};

/// A chart of one figure over one size.
struct Sweep {
    title: &'static str,
    /// What is to be seen.
    caption: &'static str,
    /// The column of the figure, and its axis.
    column: &'static str,
    up: Axis,
    /// The size, its axis, and how names of tests tell it.
    size: fn(Sizes) -> f64,
    across: Axis,
    letter: char,
}

const PROMPT: Axis = Axis { title: "tokens of the prompt", unit: "", digits: 0 };
const DEPTH: Axis = Axis { title: "tokens in the cache", unit: "", digits: 0 };

const SWEEPS: &[Sweep] = &[
    Sweep {
        title: "TTFT by prompt length",
        caption: "Time to the first token over the length of the prompt.",
        column: "ttft_ms",
        up: Axis { title: "TTFT", unit: "ms", digits: 1 },
        size: |sizes| sizes.prompt,
        across: PROMPT,
        letter: 'p',
    },
    Sweep {
        title: "Decode rate by depth",
        caption: "Tokens generated a second over the tokens that were in the cache before the prompt.",
        column: "decode_tok_s",
        up: Axis { title: "decode", unit: "tok/s", digits: 1 },
        size: |sizes| sizes.depth,
        across: DEPTH,
        letter: 'd',
    },
    Sweep {
        title: "Prompt rate by depth",
        caption: "Tokens of the prompt read a second over the tokens that were in the cache before it.",
        column: "prompt_tok_s",
        up: Axis { title: "prompt", unit: "tok/s", digits: 1 },
        size: |sizes| sizes.depth,
        across: DEPTH,
        letter: 'd',
    },
];

/// All charts for which something was measured at two sizes or more.
pub(super) fn sweeps(report: &Report) -> impl Iterator<Item = Section> {
    SWEEPS.iter().filter_map(|sweep| sweep.section(report))
}

/// What tells a curve from others, and its measurements.
type Known<'a> = Vec<((String, &'a str), Vec<(Point, &'a Row)>)>;

impl Sweep {
    fn section(&self, report: &Report) -> Option<Section> {
        let curves = self.curves(report);
        if curves.is_empty() {
            return None;
        }
        let left = curves.len().saturating_sub(MOST);
        let mut caption = format!(
            "{} Bars are 95 % intervals. Of what was measured more than once on a machine, the newest.",
            self.caption
        );
        if left > 0 {
            caption.extend([format!(" {left} more curves are told in words only.")]);
        }
        let words: Vec<_> = curves.iter().map(|curve| self.words(curve)).collect();
        let (height, body) = plane::plane(&curves, self.across, self.up);
        drawn(self.title, &caption, (height, &body), &words)
    }

    fn words(&self, curve: &Curve) -> String {
        let points = curve.points.iter().map(|point| {
            let bounds = point
                .bounds
                .map(|[low, high]| format!(" ({low:.d$} to {high:.d$})", d = self.up.digits));
            format!("{} at {:.0}{}", self.up.told(point.y), point.x, bounds.unwrap_or_default())
        });
        format!("{}: {}", curve.name, points.collect::<Vec<_>>().join(", "))
    }

    /// By model, machine and everything in the name of the test but the size.
    fn curves(&self, report: &Report) -> Vec<Curve> {
        let mut known: Known<'_> = Vec::new();
        for row in &report.rows {
            let Some((x, point)) = self.point(row) else {
                continue;
            };
            let key = (self.name(row), row.hardware.as_str());
            let place = known.iter().position(|(other, _)| *other == key);
            let place = place.unwrap_or(known.len());
            if place == known.len() {
                known.push((key, Vec::new()));
            }
            let Some((_, points)) = known.get_mut(place) else {
                continue;
            };
            let same = points.iter_mut().find(|(other, _)| other.x.total_cmp(&x).is_eq());
            match same {
                Some(other) if row.end >= other.1.end => *other = (point, row),
                Some(_) => {}
                None => points.push((point, row)),
            }
        }
        let is_alone = known
            .iter()
            .all(|((_, machine), _)| known.first().is_none_or(|(first, _)| first.1 == *machine));
        let known = known.into_iter().filter(|(_, points)| points.len() > 1);
        known
            .map(|((name, machine), points)| {
                let name = if is_alone { name } else { format!("{name}, {machine}") };
                let mut points: Vec<_> = points.into_iter().map(|(point, _)| point).collect();
                points.sort_by(|a, b| a.x.total_cmp(&b.x));
                Curve { name, points }
            })
            .collect()
    }

    fn point(&self, row: &Row) -> Option<(f64, Point)> {
        let sizes = row.detail.sizes.filter(|_| row.outcome == "passed")?;
        let x = (self.size)(sizes);
        let Cell::Number(y, bounds) = row.cell(self.column)? else {
            return None;
        };
        Some((x, Point { x, y: *y, bounds: *bounds }))
    }

    fn name(&self, row: &Row) -> String {
        let model = model_of(row);
        let model = model.rsplit('/').next().unwrap_or(model);
        let is_size = |part: &str| {
            part.strip_prefix(self.letter).is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let kept = row.parameters.split('-').filter(|part| !is_size(part));
        format!("{model} {}", kept.collect::<Vec<_>>().join("-")).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(test: &str, (prompt, depth): (u32, u32), ttft: f64, day: u32) -> String {
        serde_json::json!({
            "timestamp": format!("2026-01-{day:02}T10:00:00Z"),
            "test": format!("mlxk-harness::throughput[org/x-{test}]"), "outcome": "passed",
            "model": {"id": "org/x"},
            "performance": {"time_to_first_token_s": ttft, "tokens_per_sec": 1.0 / ttft},
            "metadata": {"mlxk_harness": {"cell": {"scenario": "throughput", "prompt_tokens": prompt,
                "depth": depth}}},
        })
        .to_string()
    }

    fn curves(sweep: usize, lines: &[String]) -> Vec<(String, Vec<(f64, f64)>)> {
        let mut report = Report::default();
        report.read("r.jsonl", lines.join("\n").as_bytes()).unwrap();
        let told = |curve: Curve| {
            (curve.name, curve.points.into_iter().map(|point| (point.x, point.y)).collect())
        };
        SWEEPS[sweep].curves(&report).into_iter().map(told).collect()
    }

    #[test]
    fn a_curve_goes_over_one_size_and_keeps_the_rest() {
        let lines = [
            line("p512-g8-d1024", (512, 1024), 0.5, 1),
            line("p512-g8", (512, 0), 0.25, 1),
            line("p128-g8", (128, 0), 0.125, 1),
        ];
        assert_eq!(curves(0, &lines), [("x g8".to_owned(), vec![(128.0, 125.0), (512.0, 250.0)])]);
        assert_eq!(curves(1, &lines), [("x p512-g8".to_owned(), vec![(0.0, 4.0), (1024.0, 2.0)])]);
    }

    #[test]
    fn the_newest_of_what_was_measured_again_is_shown() {
        let mut lines = vec![
            line("p512-g8", (512, 0), 0.25, 2),
            line("p512-g8", (512, 0), 4.0, 1),
            line("p128-g8", (128, 0), 0.125, 1),
        ];
        let newest = vec![(128.0, 125.0), (512.0, 250.0)];
        assert_eq!(curves(0, &lines)[0].1, newest);
        lines.reverse();
        assert_eq!(curves(0, &lines)[0].1, newest);
    }

    #[test]
    fn one_size_makes_no_curve_and_a_failure_no_point() {
        let failed = line("p128-g8", (128, 0), 0.125, 1).replace("passed", "failed");
        let lines = [line("p512-g8", (512, 0), 0.25, 1), failed];
        assert!(curves(0, &lines).is_empty() && curves(1, &lines).is_empty());
    }

    #[test]
    fn two_machines_are_two_curves() {
        let on = |chip: &str, line: &str| {
            line.replacen(
                '{',
                &format!("{{\"system\": {{\"hardware_profile\": {{\"chip\": \"{chip}\"}}}},"),
                1,
            )
        };
        let lines = [line("p512-g8", (512, 0), 0.25, 1), line("p128-g8", (128, 0), 0.125, 1)];
        let all: Vec<_> = ["M2", "M4"]
            .iter()
            .flat_map(|chip| lines.each_ref().map(|line| on(chip, line)))
            .collect();
        let names: Vec<_> = curves(0, &all).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["x g8, M2", "x g8, M4"]);
    }
}
