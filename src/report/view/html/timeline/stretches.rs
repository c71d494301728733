//! Many looks become few points: a chart of an hour stays light.

use super::{super::super::monitor::Sample, Frame, Scale};

/// Stretches of time that are drawn at the most.
pub(super) const STRETCHES: usize = 480;

/// What a look tells.
pub(super) type Look = fn(&Sample) -> Option<f64>;

/// What was seen in a stretch of time: the mean of the times, and the least, mean and most of the figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) at: f64,
    pub(super) low: f64,
    pub(super) mean: f64,
    pub(super) high: f64,
    count: u32,
}

impl Stretch {
    fn of(at: f64, value: f64) -> Self {
        Self { at, low: value, mean: value, high: value, count: 1 }
    }

    fn add(&mut self, at: f64, value: f64) {
        self.count += 1;
        let share = 1.0 / f64::from(self.count);
        self.at += (at - self.at) * share;
        self.mean += (value - self.mean) * share;
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }
}

/// The stretch of [`STRETCHES`] that a time falls into.
pub(super) fn place(frame: Frame<'_>, at: f64) -> usize {
    let stretches = Scale { from: frame.x.from, to: (0.0, STRETCHES as f64) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "brought into the range before"
    )]
    let place = stretches.at(at).clamp(0.0, STRETCHES as f64 - 1.0) as usize;
    place
}

/// Every look where there are few, else what was seen in each stretch that has any.
pub(super) fn stretches(frame: Frame<'_>, look: Look) -> Vec<Stretch> {
    let samples = &frame.watch.samples;
    let seen = samples.iter().filter_map(|sample| Some((sample.at, look(sample)?)));
    if samples.len() <= STRETCHES {
        return seen.map(|(at, value)| Stretch::of(at, value)).collect();
    }
    let mut stretches: Vec<Option<Stretch>> = vec![None; STRETCHES];
    for (at, value) in seen {
        match stretches.get_mut(place(frame, at)) {
            Some(Some(stretch)) => stretch.add(at, value),
            Some(empty) => *empty = Some(Stretch::of(at, value)),
            None => {}
        }
    }
    stretches.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::super::super::monitor::Watch, *};

    fn watch(samples: u32) -> Watch {
        let mut watch = Watch::new("m");
        for at in 0..samples {
            let spike = if at == samples / 2 { 99.0 } else { 1.0 };
            watch.add(&json!({"ts": at, "elapsed_s": at, "ram_free_gb": spike}));
        }
        watch
    }

    fn seen(samples: u32) -> Vec<Stretch> {
        let watch = watch(samples);
        let x = Scale { from: (0.0, f64::from(samples - 1)), to: (0.0, 1.0) };
        stretches(Frame { watch: &watch, x }, |sample| sample.free)
    }

    #[test]
    fn few_looks_are_all_drawn() {
        let seen = seen(480);
        assert_eq!((seen.len(), seen[240].mean, seen[240].at), (480, 99.0, 240.0));
    }

    #[test]
    fn of_many_looks_no_extreme_is_lost() {
        let seen = seen(18_000);
        assert_eq!(seen.len(), 480);
        let highest = seen.iter().max_by(|a, b| a.high.total_cmp(&b.high)).unwrap();
        // 37 or 38 looks a stretch, one of them 99.
        assert!((highest.high, highest.low) == (99.0, 1.0) && (3.5..3.7).contains(&highest.mean));
        assert_eq!(seen.iter().filter(|stretch| stretch.high > 1.0).count(), 1);
        assert!(seen.iter().map(|stretch| stretch.at).is_sorted());
    }

    #[test]
    fn the_first_and_the_last_look_have_their_places() {
        let watch = watch(2);
        let frame = Frame { watch: &watch, x: Scale { from: (0.0, 1.0), to: (0.0, 1.0) } };
        assert_eq!([0.0, 0.5, 1.0, 7.0].map(|at| place(frame, at)), [0, 240, 479, 479]);
    }
}
