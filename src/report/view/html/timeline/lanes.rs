//! What ran while the machine was watched: models, their loads, prefills and decodes, and the tests.

use super::{
    super::{
        super::{
            Report, model_of,
            monitor::{Phase, Step},
            text::html,
        },
        svg,
    },
    BEGIN, END, Frame, Part, duration,
    stretches::{STRETCHES, place},
};

/// Height of a lane, and of the room for names of models above.
const LANE: f64 = 14.0;
const NAMES: f64 = 122.0;
/// How near two names may stand.
const APART: f64 = 20.0;
/// Characters of a model's name.
const NAME: usize = 22;

const LANES: [(&str, Step, &str); 3] =
    [("load", Step::Load, "c4"), ("prefill", Step::Prefill, "c2"), ("decode", Step::Decode, "c1")];

/// A model and how long it was there.
struct Stay {
    model: String,
    from: f64,
    to: f64,
}

/// Names of models above lanes for what they did.
pub(super) fn lanes(report: &Report, frame: Frame<'_>) -> Part {
    let mut part = Part::default();
    let stays = stays(report, frame);
    if !stays.is_empty() {
        names(&stays, frame, &mut part);
    }
    if frame.watch.phases.is_empty() {
        return part;
    }
    for (name, step, class) in LANES {
        let top = part.height;
        part.body.push_str(&svg::word(name, (BEGIN - 6.0, top + LANE - 4.0), "end"));
        part.body.push_str(&lane(frame, (step, name, class), top));
        part.height += LANE;
        let phases = || frame.watch.phases.iter().filter(|phase| phase.step == step);
        let seconds: f64 = phases().map(|phase| phase.to - phase.from).sum();
        part.words.push(format!(
            "{name}: {} times, {} in all",
            phases().count(),
            duration(seconds)
        ));
    }
    part
}

/// A step over time; where many fall into one stretch, the more of it they take the stronger.
fn lane(frame: Frame<'_>, (step, name, class): (Step, &str, &str), top: f64) -> String {
    let (begin, end) = frame.x.from;
    let stretch = (end - begin) / STRETCHES as f64;
    let mut shares = vec![0.0; STRETCHES];
    for Phase { from, to, .. } in frame.watch.phases.iter().filter(|phase| phase.step == step) {
        if *to < begin || *from > end {
            continue;
        }
        for at in place(frame, *from)..=place(frame, *to) {
            let (first, last) = (begin + stretch * at as f64, begin + stretch * (at as f64 + 1.0));
            if let Some(share) = shares.get_mut(at) {
                *share += ((to.min(last) - from.max(first)) / stretch).max(0.0);
            }
        }
    }
    // In eighths, so that equal neighbours are one bar.
    let eighths: Vec<f64> = shares.iter().map(|share| (share.min(1.0) * 8.0).ceil()).collect();
    let width = (END - BEGIN) / STRETCHES as f64;
    let (mut at, mut body) = (0, String::new());
    for run in eighths.chunk_by(|a, b| a.total_cmp(b).is_eq()) {
        let strength = run.first().copied().unwrap_or_default() / 8.0;
        if strength > 0.0 {
            let (x, wide) = (BEGIN + at as f64 * width, run.len() as f64 * width);
            body.extend([format!(
                "<rect class=\"{class} fill\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" \
                 fill-opacity=\"{strength}\"><title>{name}</title></rect>\n",
                top + 2.0,
                LANE - 4.0,
            )]);
        }
        at += run.len();
    }
    body
}

/// By the sampler's own word, else by the tests: neighbours with one model are one stay.
fn stays(report: &Report, frame: Frame<'_>) -> Vec<Stay> {
    let (begin, end) = frame.x.from;
    let mut known: Vec<Stay> = Vec::new();
    if frame.watch.phases.is_empty() {
        let rows = report.rows.iter().filter(|row| row.outcome != "skipped");
        known.extend(rows.filter_map(|row| {
            let ((from, to), model) = (row.detail.span?, row.model.clone()?);
            Some(Stay { model, from, to })
        }));
    } else {
        known.extend(frame.watch.phases.iter().map(|phase| Stay {
            model: phase.model.clone(),
            from: phase.from,
            to: phase.to,
        }));
    }
    known.retain(|stay| stay.to >= begin && stay.from <= end);
    known.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut stays: Vec<Stay> = Vec::new();
    for next in known {
        match stays.last_mut() {
            Some(last) if last.model == next.model => last.to = last.to.max(next.to),
            _ => stays.push(next),
        }
    }
    stays
}

fn names(stays: &[Stay], frame: Frame<'_>, part: &mut Part) {
    let (begin, _) = frame.x.from;
    part.height = NAMES;
    let mut free_from = f64::NEG_INFINITY;
    for stay in stays {
        let x = frame.x.at(stay.from.max(begin));
        let name = stay.model.rsplit('/').next().unwrap_or(&stay.model);
        let from = duration((stay.from - begin).max(0.0));
        part.words.push(format!(
            "{} from {from} on, for {}",
            stay.model,
            duration(stay.to - stay.from)
        ));
        part.body.push_str(&svg::rule((x, NAMES - 6.0), (x, NAMES)));
        if x < free_from {
            continue;
        }
        free_from = x + APART;
        let mut shown: String = name.chars().take(NAME).collect();
        if name.chars().nth(NAME).is_some() {
            shown.push('…');
        }
        // The names of the last models lean the other way, or they would leave the chart.
        let is_late = x > END - NAMES * 1.3;
        let (anchor, angle) = if is_late { ("end", 40) } else { ("start", -40) };
        let y = NAMES - 8.0;
        part.body.extend([format!(
            "<text class=\"soft\" text-anchor=\"{anchor}\" transform=\"translate({x:.1} {y:.1}) rotate({angle})\">{}\
             <title>{}</title></text>\n",
            html(&shown),
            html(&stay.model),
        )]);
    }
}

/// Behind the panels a band for each test that ran, unless it is too short to be seen.
///
/// None where lanes tell what ran: the tests of a model take turns there, and a test's time is no stretch of the clock.
pub(super) fn tests(report: &Report, frame: Frame<'_>, (top, bottom): (f64, f64)) -> String {
    let (begin, end) = frame.x.from;
    let mut bands = String::new();
    if !frame.watch.phases.is_empty() {
        return bands;
    }
    for row in report.rows.iter().filter(|row| row.outcome != "skipped") {
        let Some((from, to)) = row.detail.span.filter(|(from, to)| *to >= begin && *from <= end)
        else {
            continue;
        };
        let (from, to) = (frame.x.at(from.max(begin)), frame.x.at(to.min(end)));
        if to - from < 0.5 {
            continue;
        }
        let title = format!("{} {} ({})", model_of(row), row.label(), row.outcome);
        let class = if row.outcome == "failed" { "band bad" } else { "band" };
        bands.push_str(&svg::bar(class, (from, top), (to - from, bottom - top), &title));
    }
    bands
}
