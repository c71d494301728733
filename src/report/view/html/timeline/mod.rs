//! The machine over time, with what ran meanwhile: all that mlx-knife's `memplot` shows.

mod lanes;
mod panels;
mod stretches;

use super::{
    super::{Report, monitor::Watch, text::html},
    Section,
    plane::round_step,
    section,
    svg::{self, Figure, Scale},
};
use stretches::STRETCHES;

/// Where plots begin and end.
const BEGIN: f64 = 170.0;
const END: f64 = 950.0;
/// Height of the axis.
const AXIS: f64 = 36.0;

/// A file, and from its time to places.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    watch: &'a Watch,
    x: Scale,
}

/// A part of the chart: its height, what is drawn, and the same in words.
#[derive(Debug, Default)]
struct Part {
    height: f64,
    body: String,
    words: Vec<String>,
}

/// What each file saw of the machine.
pub(super) fn timelines(report: &Report) -> Option<Section> {
    let charts: Vec<_> =
        report.watches.iter().filter_map(|watch| Some((watch, chart(report, watch)?))).collect();
    let is_alone = charts.len() == 1;
    let charts = charts.into_iter().map(|(watch, chart)| {
        if is_alone { chart } else { format!("<h3>{}</h3>\n{chart}", html(&watch.name)) }
    });
    section("Timeline", &charts.collect::<String>())
}

fn chart(report: &Report, watch: &Watch) -> Option<String> {
    let times = || watch.samples.iter().map(|sample| sample.at);
    let (begin, end) = (times().reduce(f64::min)?, times().reduce(f64::max)?);
    let frame = Frame { watch, x: Scale { from: (begin, end), to: (BEGIN, END) } };
    let lanes = lanes::lanes(report, frame);
    let panels = panels::panels(frame, lanes.height);
    let bottom = lanes.height + panels.height;
    let body = [
        lanes::tests(report, frame, (lanes.height, bottom)),
        lanes.body,
        panels.body,
        minutes(frame, bottom),
    ];
    let words: Vec<_> = lanes.words.into_iter().chain(panels.words).collect();
    let height = bottom + AXIS;
    let (body, caption) = (body.concat(), caption(frame));
    let title = "Timeline";
    Some(Figure { title, caption: &caption, height, body: &body, words: &words }.html())
}

/// What was looked at, and what is drawn of it.
fn caption(frame: Frame<'_>) -> String {
    let (begin, end) = frame.x.from;
    let looks = frame.watch.samples.len();
    let seconds = end - begin;
    let mut caption = format!("{looks} looks at the machine in {}", duration(seconds));
    if looks > 1 {
        let every = seconds / (looks as f64 - 1.0) * 1e3;
        caption.extend([format!(", one every {every:.0} ms on average")]);
        let asked = frame.watch.interval_ms.filter(|asked| every > asked * 1.25);
        if let Some(asked) = asked {
            caption.extend([format!(" ({asked:.0} ms were asked for)")]);
        }
    }
    caption.push('.');
    if looks > STRETCHES {
        let stretch = duration(seconds / STRETCHES as f64);
        caption.extend([format!(
            " Not every look is drawn: lines are the means of {STRETCHES} stretches of {stretch}, shades the least \
             and the most in each."
        )]);
    }
    if frame.watch.phases.is_empty() {
        caption.push_str(" Bands are tests: point at one for its name.");
    }
    caption
}

/// A time for people.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.1} min", seconds / 60.0),
    }
}

/// The axis of time.
fn minutes(frame: Frame<'_>, top: f64) -> String {
    let (begin, end) = frame.x.from;
    let seconds = end - begin;
    let (unit, size) = match seconds {
        seconds if seconds < 120.0 => ("s", 1.0),
        seconds if seconds < 7200.0 => ("min", 60.0),
        _ => ("h", 3600.0),
    };
    let whole = seconds / size;
    let step = round_step(whole / 8.0);
    let mut body = svg::rule((BEGIN, top), (END, top));
    let mut value = 0.0;
    while step > 0.0 && value <= whole * 1.001 {
        let at = frame.x.at(begin + value * size);
        body.push_str(&svg::rule((at, top), (at, top + 4.0)));
        let digits = usize::from(step < 1.0);
        body.push_str(&svg::word(&format!("{value:.digits$}"), (at, top + 18.0), "middle"));
        value += step;
    }
    let title = format!("time, {unit}");
    body.push_str(&svg::word(&title, (f64::midpoint(BEGIN, END), top + 33.0), "middle"));
    body
}
