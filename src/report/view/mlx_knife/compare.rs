//! What a page says of an older file.

use super::collect::Statistics;

/// The change from `old` to `new` in percent; 0 where there was nothing.
pub(super) fn percent(new: f64, old: f64) -> f64 {
    if old > 0.0 { (new - old) / old * 100.0 } else { 0.0 }
}

/// The section below the summary.
pub(super) fn summary(new: &Statistics, old: &Statistics, name: &str) -> String {
    let change = percent(new.duration, old.duration);
    let icon = match change {
        change if change > 3.0 => "⚠️",
        change if change < -1.0 => "✅",
        _ => "➡️",
    };
    let mut text = format!(
        "### Comparison\n\n**vs:** `{name}`\n**Duration:** {:.1} min → {:.1} min ({change:+.1}%) {icon}\n",
        old.duration / 60.0,
        new.duration / 60.0,
    );
    let pairs = new.models.iter().filter_map(|model| Some((model, old.model(&model.id)?)));
    let changes = pairs.map(|(new, old)| new.all.time - old.all.time);
    let changes: Vec<_> = changes.filter(|change| *change != 0.0).collect();
    let total = changes.len();
    if total > 0 {
        let slower = changes.iter().filter(|change| **change > 0.0).count();
        let faster = total - slower;
        let share = |count: usize| 100.0 * count as f64 / total as f64;
        text.extend([format!(
            "**Models:** {slower}/{total} slower ({:.0}%), {faster}/{total} faster ({:.0}%)\n",
            share(slower),
            share(faster),
        )]);
    }
    text.push('\n');
    text
}

/// The cells for the time of a model, now and before.
pub(super) fn model(new: f64, old: Option<f64>) -> String {
    let Some(old) = old else {
        return "N/A | N/A | NEW".to_owned();
    };
    let change = percent(new, old);
    let status = match change {
        change if change > 5.0 => "⚠️",
        change if change < -1.0 => "✅",
        _ => "",
    };
    format!("{old:.1}s | {:+.1}s | {change:+.1}% {status}", new - old)
}

/// The cells for the median of a test, now and before.
pub(super) fn test(new: f64, old: Option<f64>) -> String {
    match old {
        Some(old) => format!("{old:.1}s | {:+.1}%", percent(new, old)),
        None => "N/A | NEW".to_owned(),
    }
}
