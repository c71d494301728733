//! What a few models have beside the usual.

/// What a few models have beside the usual; by default nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// Token vectors of every layer's own (Gemma 3n and 4).
    pub per_layer: Option<PerLayer>,
    /// Several residual streams in place of one (Gemma 3n).
    pub streams: Option<Streams>,
    /// Experts beside the feed-forward half of every block (Gemma 4).
    pub experts: Option<SideExperts>,
}

/// Token vectors of every layer's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerLayer {
    /// Tokens that have vectors of their own here; any other takes those of token 0.
    pub known: i32,
    /// Width of a layer's vector.
    pub inner: i32,
}

/// Residual streams of which a block computes one and predicts the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streams {
    /// How many there are.
    pub count: i32,
    /// Which one is computed.
    pub active: i32,
    /// What coefficients of predictions and corrections are clipped to, if to anything.
    pub clip: Option<f32>,
    /// Whether the active stream is scaled before it meets the layer's own vectors.
    pub is_scaled: bool,
    /// Width of the way around attention.
    pub shortcut_rank: i32,
}

/// Experts beside a feed-forward half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideExperts {
    /// How many there are.
    pub count: i32,
    /// How many a token meets.
    pub chosen: i32,
    /// Width between the projections of each.
    pub inner: i32,
}
