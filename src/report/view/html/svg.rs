//! The parts of a chart.

use super::super::text::{escaped, html};

/// Width of every chart, in units of its own.
pub(super) const WIDTH: f64 = 960.0;
/// Where plots begin: names stand before it.
pub(super) const LEFT: f64 = 310.0;
/// Where plots end: figures stand after it.
pub(super) const RIGHT: f64 = 850.0;
/// Characters of a name that stand before a plot.
const NAME: usize = 42;

/// From a range of values to a range of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

impl Scale {
    pub(super) fn at(self, value: f64) -> f64 {
        let ((low, high), (begin, end)) = (self.from, self.to);
        let width = high - low;
        if width.abs() < f64::MIN_POSITIVE {
            return f64::midpoint(begin, end);
        }
        begin + (value - low) / width * (end - begin)
    }
}

/// A chart, and the same in words.
pub(super) fn chart(words: &str, height: f64, body: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Chart\">\n<svg role=\"img\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\">\n<title>{}</title>\n{body}</svg>\n</div>\n",
        escaped(words)
    )
}

/// A figure with what is to be seen in it.
pub(super) fn figure(caption: &str, chart: &str) -> String {
    format!("<figure>\n<figcaption>{caption}</figcaption>\n{chart}</figure>\n")
}

/// A name before a plot, cut where there is no more room; the whole name is told on pointing at it.
pub(super) fn name(text: &str, y: f64) -> String {
    let shown: String = if text.chars().count() > NAME {
        text.chars().take(NAME - 1).chain(['…']).collect()
    } else {
        text.to_owned()
    };
    format!(
        "<text x=\"0\" y=\"{:.1}\">{}<title>{}</title></text>\n",
        y + 4.0,
        html(&shown),
        html(text)
    )
}

/// A figure after a plot.
pub(super) fn value(text: &str, y: f64) -> String {
    let x = RIGHT + 10.0;
    format!("<text class=\"soft\" x=\"{x}\" y=\"{:.1}\">{}</text>\n", y + 4.0, html(text))
}

/// A word anywhere; `anchor` is `start`, `middle` or `end`.
pub(super) fn word(text: &str, (x, y): (f64, f64), anchor: &str) -> String {
    format!(
        "<text class=\"soft\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
        html(text)
    )
}

pub(super) fn rule((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!("<line class=\"axis\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n")
}

/// A box from `x` on, told by `title`.
pub(super) fn bar(
    class: &str,
    (x, y): (f64, f64),
    (width, height): (f64, f64),
    title: &str,
) -> String {
    format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
         <title>{}</title></rect>\n",
        width.max(0.5),
        html(title)
    )
}

pub(super) fn line(class: &str, points: &[(f64, f64)]) -> String {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!("<polyline class=\"stroke {class}\" points=\"{}\"/>\n", points.join(" "))
}
