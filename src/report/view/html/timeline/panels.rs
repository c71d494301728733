//! Figures of the machine over time, a panel for those that have one axis.

use super::{
    super::{
        super::monitor::Sample,
        plane::round_step,
        svg::{self, Scale},
    },
    BEGIN, END, Frame, Part,
    stretches::{Look, STRETCHES, Stretch, place, stretches},
};

/// Height of a panel, and of the room before it.
const PANEL: f64 = 92.0;
const ROOM: f64 = 20.0;

/// Lines with one axis.
struct Panel {
    title: &'static str,
    unit: &'static str,
    digits: usize,
    /// The largest value where that is known before.
    most: Option<f64>,
    lines: &'static [Line],
}

/// A line of a panel; where it is no other, as `unlike` says, it is not drawn.
struct Line {
    name: &'static str,
    look: Look,
    unlike: Option<Look>,
}

const fn line(name: &'static str, look: Look) -> Line {
    Line { name, look, unlike: None }
}

const PANELS: &[Panel] = &[
    Panel {
        title: "memory",
        unit: "GiB",
        digits: 2,
        most: None,
        lines: &[
            line("free", |sample| sample.free),
            line("process", |sample| sample.process),
            line("swap", |sample| sample.swap),
        ],
    },
    Panel {
        title: "CPU",
        unit: "%",
        digits: 1,
        most: Some(100.0),
        lines: &[line("in all", |sample| sample.cpu), line("programs", |sample| sample.user)],
    },
    Panel {
        title: "load average",
        unit: "",
        digits: 2,
        most: None,
        lines: &[line("of a minute", |sample| sample.load)],
    },
    Panel {
        title: "GPU",
        unit: "%",
        digits: 1,
        most: Some(100.0),
        lines: &[
            line("device", |sample| sample.gpu),
            line("renderer", |sample| sample.renderer),
            // The two are one figure unless something is drawn on a screen.
            Line {
                name: "tiler",
                look: |sample| sample.tiler,
                unlike: Some(|sample| sample.renderer),
            },
        ],
    },
    Panel {
        title: "GPU power",
        unit: "W",
        digits: 1,
        most: None,
        lines: &[line("power", |sample| sample.power)],
    },
    Panel {
        title: "waiting for memory",
        unit: "%",
        digits: 1,
        most: None,
        lines: &[line("of the last 10 s", |sample| sample.stall)],
    },
];

/// Percent by which two figures of the GPU must differ to be two lines.
const ALIKE: f64 = 1.0;

/// All panels of which anything is known, from `top` on.
pub(super) fn panels(frame: Frame<'_>, top: f64) -> Part {
    let mut part = Part::default();
    for panel in PANELS {
        let lines: Vec<_> = panel.lines.iter().filter(|line| line.is_told(frame)).collect();
        if lines.is_empty() {
            continue;
        }
        let is_first = part.height <= 0.0;
        let top = top + part.height + ROOM;
        if is_first {
            pressure(frame, top, &mut part);
        }
        panel.draw(&lines, frame, top, &mut part);
        part.height += ROOM + PANEL;
    }
    part.height += 8.0;
    part
}

impl Line {
    fn is_told(&self, frame: Frame<'_>) -> bool {
        let differs = |sample: &Sample, other: Look| match ((self.look)(sample), other(sample)) {
            (Some(own), Some(other)) => (own - other).abs() > ALIKE,
            (own, _) => own.is_some(),
        };
        let samples = &frame.watch.samples;
        match self.unlike {
            None => samples.iter().any(|sample| (self.look)(sample).is_some()),
            Some(other) => samples.iter().any(|sample| differs(sample, other)),
        }
    }
}

impl Panel {
    fn draw(&self, lines: &[&Line], frame: Frame<'_>, top: f64, part: &mut Part) {
        let bottom = top + PANEL;
        let seen: Vec<_> =
            lines.iter().map(|line| (line.name, stretches(frame, line.look))).collect();
        let highest = seen.iter().flat_map(|(_, seen)| seen).map(|stretch| stretch.high);
        let most = self.most.unwrap_or_else(|| highest.fold(0.0, f64::max));
        let step = round_step(if most > 0.0 { most / 4.0 } else { 0.25 });
        let steps = (most / step).ceil().max(1.0);
        let most = step * steps;
        let y = Scale { from: (0.0, most), to: (bottom, top) };
        let mut value = 0.0;
        while value <= most * 1.001 {
            let at = y.at(value);
            part.body.push_str(&svg::rule((BEGIN, at), (END, at)));
            part.body.push_str(&svg::word(&tick(value, step), (BEGIN - 6.0, at + 4.0), "end"));
            value += step;
        }
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        let title = format!("{}{unit}", self.title);
        part.body.push_str(&svg::label("head", &title, (0.0, top + 4.0), BEGIN - 36.0));
        for (number, (name, seen)) in seen.iter().enumerate() {
            let class = format!("c{}", number % 5 + 1);
            part.body.push_str(&curve(&class, seen, frame, y, most));
            let at = top + 24.0 + 17.0 * number as f64;
            part.body.push_str(&svg::bar(
                &format!("{class} fill"),
                (0.0, at - 5.0),
                (12.0, 3.0),
                name,
            ));
            part.body.push_str(&svg::word(name, (18.0, at), "start"));
            part.words.extend(self.words(name, seen));
        }
    }

    fn words(&self, name: &str, seen: &[Stretch]) -> Option<String> {
        let low = seen.iter().map(|stretch| stretch.low).reduce(f64::min)?;
        let high = seen.iter().map(|stretch| stretch.high).reduce(f64::max)?;
        let Self { title, unit, digits, .. } = self;
        let text = format!("{title}, {name}: {low:.digits$} to {high:.digits$} {unit}");
        Some(text.trim_end().to_owned())
    }
}

/// A figure at an axis that goes by steps.
fn tick(value: f64, step: f64) -> String {
    let digits = match step {
        step if step >= 1.0 => 0,
        step if step >= 0.1 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// The mean as a line, and the least and most as a shade where any stretch has more than one look.
fn curve(class: &str, seen: &[Stretch], frame: Frame<'_>, y: Scale, most: f64) -> String {
    let place = |at: f64, value: f64| (frame.x.at(at), y.at(value.clamp(0.0, most)));
    let means: Vec<_> = seen.iter().map(|stretch| place(stretch.at, stretch.mean)).collect();
    let line = svg::line(class, &means);
    if seen.iter().all(|stretch| stretch.high.total_cmp(&stretch.low).is_eq()) {
        return line;
    }
    let high = seen.iter().map(|stretch| place(stretch.at, stretch.high));
    let low = seen.iter().rev().map(|stretch| place(stretch.at, stretch.low));
    let points: Vec<_> = high.chain(low).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!("<polygon class=\"{class} shade\" points=\"{}\"/>\n{line}", points.join(" "))
}

/// Where macOS was short of memory, behind the first panel.
fn pressure(frame: Frame<'_>, top: f64, part: &mut Part) {
    let mut worst = [0.0_f64; STRETCHES];
    let mut looks = [0_usize; 3];
    for sample in &frame.watch.samples {
        let Some(pressure) = sample.pressure else {
            continue;
        };
        if let Some(worst) = worst.get_mut(place(frame, sample.at)) {
            *worst = worst.max(pressure);
        }
        if let Some(count) = looks.get_mut(level(pressure)) {
            *count += 1;
        }
    }
    let told: usize = looks.iter().sum();
    if told == 0 {
        return;
    }
    let [_, warning, critical] = looks;
    part.words.push(if warning + critical == 0 {
        "memory pressure: normal all the time".to_owned()
    } else {
        format!("memory pressure: warning in {warning} and critical in {critical} of {told} looks")
    });
    let width = (END - BEGIN) / STRETCHES as f64;
    let mut at = 0;
    for run in worst.chunk_by(|a, b| level(*a) == level(*b)) {
        let level = run.first().map_or(0, |pressure| level(*pressure));
        if let Some(name) = ["", "warning", "critical"].get(level).filter(|name| !name.is_empty()) {
            let (x, wide) = (BEGIN + at as f64 * width, run.len() as f64 * width);
            let title = format!("memory pressure: {name}");
            part.body.push_str(&svg::bar(name, (x, top), (wide, PANEL), &title));
        }
        at += run.len();
    }
}

/// Normal, warning or critical.
fn level(pressure: f64) -> usize {
    match pressure {
        pressure if pressure >= 4.0 => 2,
        pressure if pressure >= 2.0 => 1,
        _ => 0,
    }
}
