//! The parts of a chart.

use super::super::text::{escaped, html};

/// Width of every chart, in units of its own.
pub(super) const WIDTH: f64 = 960.0;
/// Where plots begin: names stand before it.
pub(super) const LEFT: f64 = 310.0;
/// Where plots end: figures stand after it.
pub(super) const RIGHT: f64 = 850.0;
/// Room that a character of a name takes, about.
const CHARACTER: f64 = 6.9;

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

/// A chart with what is to be seen in it, and the same in words for whoever cannot see it.
#[derive(Debug)]
pub(super) struct Figure<'a> {
    /// What it is a chart of.
    pub(super) title: &'a str,
    /// What is to be seen, as sentences.
    pub(super) caption: &'a str,
    pub(super) height: f64,
    /// Its parts, each already escaped.
    pub(super) body: &'a str,
    /// What it shows, line by line.
    pub(super) words: &'a [String],
}

impl Figure<'_> {
    pub(super) fn html(&self) -> String {
        let Self { title, caption, height, body, words } = self;
        let (title, caption) = (html(title), escaped(caption));
        let words: Vec<_> =
            words.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
        let words = words.concat();
        format!(
            "<figure>\n<figcaption>{caption}</figcaption>\n\
             <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Chart: {title}\">\n\
             <svg role=\"img\" aria-label=\"{title}. The same in words is below.\" \
             viewBox=\"0 0 {WIDTH} {height:.0}\">\n{body}</svg>\n</div>\n\
             <details>\n<summary>In words</summary>\n<ul>\n{words}</ul>\n</details>\n</figure>\n"
        )
    }
}

/// A name before a plot, cut where there is no more room; the whole name is told on pointing at it.
pub(super) fn name(text: &str, y: f64) -> String {
    label("", text, (0.0, y + 4.0), LEFT - 10.0)
}

/// The same anywhere, with so much room.
pub(super) fn label(class: &str, text: &str, (x, y): (f64, f64), room: f64) -> String {
    let most = (1..u16::MAX).take_while(|count| f64::from(*count) * CHARACTER <= room).count();
    let shown = fitted(text, most);
    format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}<title>{}</title></text>\n",
        html(&shown),
        html(text)
    )
}

/// `text` in so many characters: what stands after its last space is kept, since that tells neighbours apart.
fn fitted(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let (head, tail) = match text.rsplit_once(' ') {
        Some((head, tail)) if tail.chars().count() + 4 < most => (head, format!(" {tail}")),
        _ => (text, String::new()),
    };
    let kept = most.saturating_sub(tail.chars().count() + 1);
    head.chars().take(kept).chain(['…']).collect::<String>() + &tail
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_and_keeps_what_tells_it_from_others() {
        assert_eq!(fitted("model p512-g64", 14), "model p512-g64");
        assert_eq!(fitted("long-model p512-g64", 14), "long… p512-g64");
        assert_eq!(fitted("model p512-g64", 8), "model p…");
    }
}
