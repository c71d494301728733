//! A chart of curves over two axes, each curve named at its end.

use super::{
    super::text::html,
    svg::{self, Scale, WIDTH},
};

/// Where the plot begins and ends; names stand after it.
const BEGIN: f64 = 70.0;
const END: f64 = 610.0;
/// Where names begin, and how far apart they are at the least.
const NAMES: f64 = 640.0;
const APART: f64 = 16.0;
/// Height of the plot where names do not ask for more, and of the axis below.
const PLOT: f64 = 260.0;
const AXIS: f64 = 40.0;
const TOP: f64 = 24.0;
/// Colours and dashes: so many curves can be told apart.
const COLOURS: usize = 5;
const DASHES: usize = 3;
/// Curves of a chart.
pub(super) const MOST: usize = COLOURS * DASHES;
/// From this many times the least on, an axis grows by factors: across and up.
const WIDE_ACROSS: f64 = 7.0;
const WIDE_UP: f64 = 20.0;
/// How near two ticks may stand.
const TICKS: f64 = 44.0;

/// A curve, its points in order of their places.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// A point with the bounds of its figure, where those are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) bounds: Option<[f64; 2]>,
}

/// What an axis tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) digits: usize,
}

/// From figures to places, by steps or by factors.
#[derive(Clone, Copy, Debug)]
struct Way {
    scale: Scale,
    by_factors: bool,
}

impl Way {
    /// Room for all `values` between the places `to`; from 0 on where it goes by steps.
    fn of(values: impl Iterator<Item = f64> + Clone, wide: f64, to: (f64, f64)) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let least = values.fold(f64::INFINITY, f64::min);
        let by_factors = least > 0.0 && most > least * wide;
        let from = if by_factors {
            (least.ln(), most.ln())
        } else {
            (0.0, if most > 0.0 { most } else { 1.0 })
        };
        Self { scale: Scale { from, to }, by_factors }
    }

    fn at(self, value: f64) -> f64 {
        self.scale.at(if self.by_factors { value.ln() } else { value })
    }

    /// Round figures within the axis.
    fn ticks(self) -> Vec<f64> {
        let (low, high) = self.scale.from;
        if self.by_factors {
            let (low, high) = (low.exp(), high.exp());
            let decades = (low.log10().floor(), high.log10().ceil());
            let wide = decades.1 - decades.0 > 3.0;
            let mut ticks = Vec::new();
            let mut decade = decades.0;
            while decade <= decades.1 {
                let base = 10_f64.powf(decade);
                let factors: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
                ticks.extend(factors.iter().map(|factor| base * factor));
                decade += 1.0;
            }
            ticks.retain(|tick| (low * 0.999..=high * 1.001).contains(tick));
            return ticks;
        }
        let step = round_step(high / 5.0);
        let mut ticks = vec![0.0];
        while let Some(last) = ticks.last()
            && last + step <= high * 1.001
        {
            ticks.push(last + step);
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
pub(super) fn round_step(least: f64) -> f64 {
    let base = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    let factors = [1.0, 2.0, 5.0].into_iter();
    factors.map(|factor| base * factor).find(|step| *step >= least).unwrap_or(base * 10.0)
}

/// The chart's height and body; of more than [`MOST`] curves the first.
pub(super) fn plane(curves: &[Curve], across: Axis, up: Axis) -> (f64, String) {
    let curves = curves.get(..MOST).unwrap_or(curves);
    let bottom = TOP + PLOT.max(APART * curves.len() as f64);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let x = Way::of(points().map(|point| point.x), WIDE_ACROSS, (BEGIN, END));
    let bounded = |point: &Point| {
        let [low, high] = point.bounds.unwrap_or([point.y; 2]);
        [point.y, low, high]
    };
    let y =
        Way::of(points().flat_map(bounded).filter(|value| *value > 0.0), WIDE_UP, (bottom, TOP));
    let mut body = axes(curves, (x, across), (y, up), bottom);
    for (number, curve) in curves.iter().enumerate() {
        body.push_str(&drawn(curve, &class(number), x, y, (across, up)));
    }
    body.push_str(&names(curves, x, y, bottom));
    (bottom + AXIS, body)
}

fn class(number: usize) -> String {
    format!("c{} d{}", number % COLOURS + 1, number / COLOURS % DASHES)
}

fn axes(curves: &[Curve], (x, across): (Way, Axis), (y, up): (Way, Axis), bottom: f64) -> String {
    let mut body = svg::word(&up.heading(y), (0.0, 12.0), "start");
    for tick in y.ticks() {
        let at = y.at(tick);
        body.push_str(&svg::rule((BEGIN, at), (END, at)));
        body.push_str(&svg::word(&short(tick), (BEGIN - 8.0, at + 4.0), "end"));
    }
    let mut told: Vec<f64> =
        curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.x)).collect();
    told.sort_by(f64::total_cmp);
    told.dedup();
    // The largest is always told, and of the others those that have room.
    let mut next = f64::INFINITY;
    for value in told.into_iter().rev() {
        let at = x.at(value);
        body.push_str(&svg::rule((at, bottom), (at, bottom + 4.0)));
        if at + TICKS <= next {
            body.push_str(&svg::word(&short(value), (at, bottom + 18.0), "middle"));
            next = at;
        }
    }
    body.push_str(&svg::rule((BEGIN, bottom), (END, bottom)));
    let middle = f64::midpoint(BEGIN, END);
    body.push_str(&svg::word(&across.heading(x), (middle, bottom + 34.0), "middle"));
    body
}

impl Axis {
    fn heading(self, way: Way) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        let steps = if way.by_factors { " (logarithmic)" } else { "" };
        format!("{}{unit}{steps}", self.title)
    }

    /// A figure with its unit.
    pub(super) fn told(self, value: f64) -> String {
        format!("{value:.*} {}", self.digits, self.unit).trim_end().to_owned()
    }
}

/// A figure at an axis.
fn short(value: f64) -> String {
    let digits = match value {
        value if value >= 10.0 || value.fract().abs() < 1e-9 => 0,
        value if value >= 1.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn drawn(curve: &Curve, class: &str, x: Way, y: Way, (across, up): (Axis, Axis)) -> String {
    let places: Vec<_> = curve.points.iter().map(|point| (x.at(point.x), y.at(point.y))).collect();
    let mut body = svg::line(class, &places);
    for (point, (left, top)) in curve.points.iter().zip(places) {
        let mut title =
            format!("{}: {} {}, {}", curve.name, across.title, short(point.x), up.told(point.y));
        if let Some([low, high]) = point.bounds.filter(|[low, _]| *low > 0.0) {
            let (from, to) = (y.at(low), y.at(high));
            body.extend([format!(
                "<line class=\"stroke {class} whisker\" x1=\"{left:.1}\" y1=\"{from:.1}\" x2=\"{left:.1}\" \
                 y2=\"{to:.1}\"/>\n"
            )]);
            title = format!("{title} ({} to {})", up.told(low), up.told(high));
        }
        body.extend([format!(
            "<circle class=\"{class} fill\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"3.5\"><title>{}</title></circle>\n",
            html(&title)
        )]);
    }
    body
}

/// Names at the ends of their curves, moved apart, each with a line to its curve.
fn names(curves: &[Curve], x: Way, y: Way, bottom: f64) -> String {
    let ends = curves.iter().enumerate().filter_map(|(number, curve)| {
        let last = curve.points.last()?;
        Some((number, curve, (x.at(last.x), y.at(last.y))))
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort_by(|a, b| a.2.1.total_cmp(&b.2.1));
    let wanted: Vec<f64> = ends.iter().map(|(.., (_, top))| *top).collect();
    let mut body = String::new();
    for ((number, curve, (left, top)), at) in ends.iter().zip(apart(&wanted, TOP, bottom)) {
        let class = class(*number);
        body.extend([format!(
            "<line class=\"axis\" x1=\"{:.1}\" y1=\"{top:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>\n",
            left + 6.0,
            NAMES - 4.0,
        )]);
        body.push_str(&svg::line(&class, &[(NAMES, at), (NAMES + 18.0, at)]));
        body.push_str(&svg::label("", &curve.name, (NAMES + 24.0, at + 4.0), WIDTH - NAMES - 24.0));
    }
    body
}

/// Places as near to the `wanted` as goes with [`APART`] between any two; these are in order.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for want in wanted {
        let least = places.last().map_or(top, |before| before + APART);
        places.push(want.max(least));
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - APART;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_apart_and_within_the_plot() {
        assert_eq!(apart(&[20.0, 100.0], 0.0, 200.0), [20.0, 100.0]);
        assert_eq!(apart(&[20.0, 22.0, 24.0], 0.0, 200.0), [20.0, 36.0, 52.0]);
        assert_eq!(apart(&[196.0, 198.0, 199.0], 0.0, 200.0), [168.0, 184.0, 200.0]);
    }

    #[test]
    fn an_axis_goes_by_steps_from_nothing_or_by_factors() {
        let way = |values: &[f64]| Way::of(values.iter().copied(), 20.0, (0.0, 100.0));
        let steps = way(&[20.0, 100.0]);
        assert_eq!((steps.by_factors, steps.at(0.0), steps.at(50.0)), (false, 0.0, 50.0));
        assert_eq!(steps.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let factors = way(&[1.0, 100.0]);
        assert!(factors.by_factors && (factors.at(10.0) - 50.0).abs() < 1e-9);
        assert_eq!(factors.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn a_step_is_round() {
        let steps = [0.03, 1.0, 1.1, 30.0, 700.0].map(|least| round_step(least).to_string());
        assert_eq!(steps, ["0.05", "1", "2", "50", "1000"]);
    }
}
