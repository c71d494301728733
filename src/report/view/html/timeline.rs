//! The machine over time, with the tests that ran meanwhile.

use super::{
    super::{Report, Sample, model_of},
    section,
    svg::{self, LEFT, RIGHT, Scale},
};

/// Stretches of time that are drawn; of the samples in one the mean.
const STRETCHES: usize = 480;
/// Height of a panel, and of the room between two.
const PANEL: f64 = 90.0;
const ROOM: f64 = 26.0;

/// What a sample tells, in the unit of its panel.
type Look = fn(&Sample) -> Option<f64>;

/// Lines with one axis.
struct Panel {
    title: &'static str,
    unit: &'static str,
    /// The largest value where that is known before.
    most: Option<f64>,
    lines: &'static [(&'static str, Look)],
}

const PANELS: &[Panel] = &[
    Panel {
        title: "memory",
        unit: "GiB",
        most: None,
        lines: &[
            ("free", |sample| sample.free),
            ("process", |sample| sample.process),
            ("swap", |sample| sample.swap),
        ],
    },
    Panel {
        title: "processors",
        unit: "%",
        most: Some(100.0),
        lines: &[("CPU", |sample| sample.cpu), ("GPU", |sample| sample.gpu)],
    },
    Panel {
        title: "pressure",
        unit: "",
        most: Some(4.0),
        lines: &[("pressure", |sample| sample.pressure)],
    },
];

/// Memory, processors and pressure over the minutes of a run.
pub(super) fn timeline(report: &Report) -> String {
    let samples = &report.samples;
    let begin = samples.iter().map(|sample| sample.at).reduce(f64::min);
    let end = samples.iter().map(|sample| sample.at).reduce(f64::max);
    let (Some(begin), Some(end)) = (begin, end) else {
        return String::new();
    };
    let x = Scale { from: (begin, end), to: (LEFT, RIGHT) };
    let drawn = PANELS.iter().filter(|panel| {
        panel.lines.iter().any(|(_, read)| samples.iter().any(|sample| read(sample).is_some()))
    });
    let drawn: Vec<_> = drawn.collect();
    let height = (PANEL + ROOM) * drawn.len() as f64 + 20.0;
    let mut body = bands(report, x, height - 20.0);
    let mut words = Vec::new();
    for (at, panel) in drawn.iter().enumerate() {
        let top = (PANEL + ROOM) * at as f64 + 14.0;
        body.push_str(&drawn_panel(panel, samples, x, top, &mut words));
    }
    let minutes = (end - begin) / 60.0;
    body.push_str(&svg::word("0 min", (LEFT, height - 4.0), "start"));
    body.push_str(&svg::word(&format!("{minutes:.1} min"), (RIGHT, height - 4.0), "end"));
    let caption = "The machine while it was watched. Grey bands are tests that passed or failed: point at one \
                   for its name.";
    section("Timeline", &svg::figure(caption, &svg::chart(&words.join("; "), height, &body)))
}

fn bands(report: &Report, x: Scale, height: f64) -> String {
    let (begin, end) = x.from;
    let mut bands = String::new();
    for row in report.rows.iter().filter(|row| row.outcome != "skipped") {
        let Some((from, to)) = row.detail.span else {
            continue;
        };
        if to < begin || from > end {
            continue;
        }
        let (from, to) = (x.at(from.max(begin)), x.at(to.min(end)));
        let title = format!("{} {} ({})", model_of(row), row.label(), row.outcome);
        bands.push_str(&svg::bar("band", (from, 0.0), (to - from, height), &title));
        bands.push_str(&svg::rule((from, 0.0), (from, height)));
    }
    bands
}

fn drawn_panel(
    panel: &Panel,
    samples: &[Sample],
    x: Scale,
    top: f64,
    words: &mut Vec<String>,
) -> String {
    let bottom = top + PANEL;
    let all = panel.lines.iter().flat_map(|(_, read)| samples.iter().filter_map(read));
    let most = panel.most.unwrap_or_else(|| all.fold(0.0, f64::max)).max(f64::MIN_POSITIVE);
    let y = Scale { from: (0.0, most), to: (bottom, top) };
    let mut body = svg::rule((LEFT, bottom), (RIGHT, bottom));
    body.push_str(&svg::name(panel.title, top + 6.0));
    body.push_str(&svg::value(format!("{most:.0} {}", panel.unit).trim_end(), top));
    body.push_str(&svg::value("0", bottom));
    let mut at = top + 26.0;
    for (number, (name, read)) in panel.lines.iter().enumerate() {
        let points = means(samples, *read, x);
        let Some(largest) = points.iter().map(|(_, value)| *value).reduce(f64::max) else {
            continue;
        };
        let class = format!("c{}", number % 5 + 1);
        let points: Vec<_> =
            points.iter().map(|(place, value)| (*place, y.at(value.min(most)))).collect();
        body.push_str(&svg::line(&class, &points));
        body.push_str(&svg::bar(&format!("{class} fill"), (10.0, at - 5.0), (10.0, 3.0), name));
        body.push_str(&svg::word(name, (26.0, at), "start"));
        at += 17.0;
        words.push(format!("{name}: up to {largest:.1} {}", panel.unit).trim_end().to_owned());
    }
    body
}

/// The mean of each stretch of time that has any sample, at its place.
fn means(samples: &[Sample], read: Look, x: Scale) -> Vec<(f64, f64)> {
    let mut sums = vec![(0.0, 0.0_f64, 0_u32); STRETCHES];
    let stretch = Scale { from: x.from, to: (0.0, STRETCHES as f64 - 1.0) };
    for sample in samples {
        let Some(value) = read(sample) else {
            continue;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to STRETCHES - 1"
        )]
        let at = stretch.at(sample.at) as usize;
        if let Some((time, sum, count)) = sums.get_mut(at) {
            *time += x.at(sample.at);
            *sum += value;
            *count += 1;
        }
    }
    let known = sums.into_iter().filter(|(.., count)| *count > 0);
    known.map(|(time, sum, count)| (time / f64::from(count), sum / f64::from(count))).collect()
}
