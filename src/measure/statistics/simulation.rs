//! Samples drawn from known distributions, the same in every run.

/// Steele, Lea and Flood's `SplitMix64`.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0 and up to 1.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller's normal deviate.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// What disturbs a simulated measurement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Noise {
    /// Standard normal.
    Normal,
    /// Never below 0, with a mean of 1: most delays are short.
    Exponential,
    /// The exponential of a normal deviate of 0.8: a few delays are long.
    LogNormal,
}

impl Noise {
    pub(super) fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Normal => random.normal(),
            Self::Exponential => -random.uniform().ln(),
            Self::LogNormal => (0.8 * random.normal()).exp(),
        }
    }

    pub(super) fn median(self) -> f64 {
        match self {
            Self::Normal => 0.0,
            Self::Exponential => std::f64::consts::LN_2,
            Self::LogNormal => 1.0,
        }
    }
}
