//! `metadata.mlxk_harness.statistics`: how far the repetitions of a figure agree.

use serde::Serialize;

use crate::measure::{
    rates,
    statistics::{Direction, Summary, Trend},
    trial::Trial,
};

/// The figures of which every repetition has its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Of `performance.time_to_first_token_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_token_s: Option<Spread>,
    /// Of `prompt_tokens_per_sec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_sec: Option<Spread>,
    /// Of `performance.tokens_per_sec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_sec: Option<Spread>,
}

/// What the repetitions of a figure say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Repetitions that have it.
    pub n: usize,
    /// Their median.
    pub median: f64,
    /// The median distance from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_absolute_deviation: Option<f64>,
    /// Bounds that hold the true median in 95 of 100 cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_95: Option<[f64; 2]>,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Repetitions far from all others, counted from 1; the median counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outliers: Option<Vec<usize>>,
    /// Whether they rise or fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend: Option<TrendDetail>,
}

/// Whether the repetitions of a figure rise or fall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrendDetail {
    /// Mann and Kendall's statistic.
    pub s: i64,
    /// The least `|S|` that tells of a trend.
    pub critical: i64,
    /// The change from the first repetition to the last, as a share of the median.
    pub change: f64,
    /// `rising`, `falling` or `none`.
    pub verdict: &'static str,
}

impl Statistics {
    /// What `trials` say; none where they have no figure.
    pub(super) fn of(trials: &[Trial]) -> Option<Self> {
        let spread = |figure: fn(&Trial) -> Option<f64>| {
            let numbered = (1..).zip(trials);
            let values: Vec<_> =
                numbered.filter_map(|(number, trial)| Some((number, figure(trial)?))).collect();
            Spread::of(&values)
        };
        let statistics = Self {
            time_to_first_token_s: spread(rates::time_to_first_token),
            prompt_tokens_per_sec: spread(rates::prompt_rate),
            tokens_per_sec: spread(rates::decode_rate),
        };
        (statistics != Self::default()).then_some(statistics)
    }
}

impl Spread {
    /// What `values` say, each with the number of its repetition.
    pub(super) fn of(values: &[(usize, f64)]) -> Option<Self> {
        let samples: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        let summary = Summary::of(&samples)?;
        let number = |place: usize| values.get(place).map(|(number, _)| *number);
        Some(Self {
            n: summary.count,
            median: summary.median,
            median_absolute_deviation: summary.median_absolute_deviation,
            interval_95: summary.interval.map(|interval| [interval.low, interval.high]),
            min: summary.minimum,
            max: summary.maximum,
            outliers: summary
                .outliers
                .map(|places| places.into_iter().filter_map(number).collect()),
            trend: summary.trend.map(TrendDetail::from),
        })
    }
}

impl From<Trend> for TrendDetail {
    fn from(trend: Trend) -> Self {
        let Trend { s, critical, change, direction } = trend;
        let verdict = match direction {
            Some(Direction::Rising) => "rising",
            Some(Direction::Falling) => "falling",
            None => "none",
        };
        Self { s, critical, change, verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_named_by_its_repetition() {
        let values = [20.0, 20.1, 19.9, 20.2, 19.8, 20.05, 26.0, 19.95];
        // The second repetition lacks the figure.
        let numbered: Vec<_> = [1, 3, 4, 5, 6, 7, 8, 9].into_iter().zip(values).collect();
        let spread = Spread::of(&numbered).expect("eight values");
        assert_eq!((spread.n, spread.outliers), (8, Some(vec![8])));
    }

    #[test]
    fn what_a_few_repetitions_cannot_say_is_absent() {
        let spread = serde_json::json!(Spread::of(&[(1, 2.0), (2, 4.0)]));
        let expected = serde_json::json!({
            "n": 2, "median": 3.0, "median_absolute_deviation": 1.0, "min": 2.0, "max": 4.0
        });
        assert_eq!(spread, expected);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_trend_has_its_verdict() {
        let values = [50.0, 49.8, 49.9, 49.1, 48.7, 48.9, 48.0, 47.6];
        let numbered: Vec<_> = (1..).zip(values).collect();
        let trend = Spread::of(&numbered).and_then(|spread| spread.trend).expect("eight values");
        assert_eq!((trend.s, trend.critical, trend.verdict), (-24, 16, "falling"));
    }
}
