//! Llama, and the families that differ from it in nothing but numbers.
//!
//! Reference: `mlx_lm.models.llama`. As there, `sliding_window` counts only where `layer_types` asks for it, and
//! a missing `tie_word_embeddings` means tied.

use super::prelude::*;

pub(super) const FAMILY: Family =
    Family::decoder(&["iquestcoder", "llama", "mistral", "xverse"], read);

/// The recipe of a checkpoint that is a Llama in all but name.
pub(super) fn read(checkpoint: &Checkpoint<'_>) -> Result<Recipe, LoadError> {
    let config: Config = checkpoint.config()?;
    discard_unused(checkpoint, config.tie_word_embeddings);
    windowed(&config)
}

/// The keys of `config.json` that most decoder families share.
///
/// Its default is for families that call them otherwise and fill them in: every size is zero there.
#[derive(Default, Deserialize)]
pub(super) struct Config {
    pub(super) hidden_size: i32,
    pub(super) num_hidden_layers: usize,
    pub(super) intermediate_size: i32,
    pub(super) num_attention_heads: i32,
    pub(super) num_key_value_heads: Option<i32>,
    pub(super) head_dim: Option<i32>,
    pub(super) rms_norm_eps: f32,
    pub(super) vocab_size: i32,
    pub(super) rope_theta: Option<f32>,
    #[serde(default)]
    pub(super) rope_traditional: bool,
    pub(super) rope_scaling: Option<positions::Scaling>,
    #[serde(default = "yes")]
    pub(super) tie_word_embeddings: bool,
    /// The longest sequence it was trained for, in tokens.
    pub(super) max_position_embeddings: Option<i32>,
    /// What each layer sees; it counts for [`windowed`] alone.
    pub(super) layer_types: Option<Vec<String>>,
    pub(super) sliding_window: Option<i32>,
}

/// The configuration of a family in which a missing `tie_word_embeddings` means untied.
pub(super) fn untied(checkpoint: &Checkpoint<'_>) -> Result<Config, LoadError> {
    #[derive(Deserialize)]
    struct Tied {
        #[serde(default)]
        tie_word_embeddings: bool,
    }
    let Tied { tie_word_embeddings } = checkpoint.config()?;
    Ok(Config { tie_word_embeddings, ..checkpoint.config()? })
}

impl Config {
    /// The head for a family that says whether it is tied.
    pub(super) fn head(&self) -> Head {
        head(self.tie_word_embeddings)
    }
}

/// The head of a model that says whether it is tied.
pub(super) fn head(is_tied: bool) -> Head {
    if is_tied { Head::Tied } else { Head::Separate }
}

/// Drops what old exporters left behind: rotary frequencies, and the head of a model whose head is tied.
pub(super) fn discard_unused(checkpoint: &Checkpoint<'_>, is_tied: bool) {
    checkpoint.discard(|name| {
        name.contains("rotary_emb.inv_freq") || (is_tied && name == "lm_head.weight")
    });
}

/// Llama itself.
pub(super) fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    Ok(uniform(layer(config)?, config))
}

/// Llama with the windows that `layer_types` asks for.
pub(super) fn windowed(config: &Config) -> Result<Recipe, LoadError> {
    let Some(types) = &config.layer_types else {
        return recipe(config);
    };
    let layers = types.iter().map(|kind| {
        let reach = reach(kind, config.sliding_window)?;
        Ok(Layer { attention: Attention { reach, ..attention(config)? }, ..layer(config)? })
    });
    Ok(around(layers.collect::<Result<_, LoadError>>()?, config))
}

/// The recipe of a Llama whose layers are all like `layer`.
pub(super) fn uniform(layer: Layer, config: &Config) -> Recipe {
    around(vec![layer; config.num_hidden_layers], config)
}

/// The recipe of a Llama but for its layers.
pub(super) fn around<L>(layers: Vec<L>, config: &Config) -> Recipe<L> {
    let (vocabulary, width) = (config.vocab_size, config.hidden_size);
    Recipe::plain(layers, vocabulary, width, config.rms_norm_eps, config.head())
}

/// How far back a layer of this kind sees.
pub(super) fn reach(kind: &str, size: Option<i32>) -> Result<Reach, LoadError> {
    match kind {
        "full_attention" => Ok(Reach::Full),
        "sliding_attention" => window(size),
        _ => Err(unsupported(format!("`layer_types` of `{kind}`"))),
    }
}

/// How far back a layer with a window sees.
pub(super) fn window(size: Option<i32>) -> Result<Reach, LoadError> {
    match size {
        Some(size) if size > 1 => Ok(Reach::Window(size)),
        Some(_) | None => Err(unsupported(format!("a layer with `sliding_window` {size:?}"))),
    }
}

pub(super) fn layer(config: &Config) -> Result<Layer, LoadError> {
    Ok(Layer {
        attention: attention(config)?,
        feed_forward: FeedForward::Gated(Activation::Silu, config.intermediate_size),
        wiring: Wiring::Pre,
    })
}

pub(super) fn attention(config: &Config) -> Result<Attention, LoadError> {
    let heads = config.num_attention_heads;
    let head_dim = match config.head_dim {
        Some(head_dim) if head_dim > 0 => head_dim,
        _ if heads > 0 => config.hidden_size / heads,
        _ => {
            return Err(unsupported(format!("`num_attention_heads` {heads}")));
        }
    };
    Ok(Attention {
        heads,
        kv_heads: config.num_key_value_heads.unwrap_or(heads),
        head_dim,
        scale: inverse_root(f64::from(head_dim)),
        projections: Projections::Separate,
        qk_norm: QkNorm::None,
        rope: Some(Rope {
            dims: head_dim,
            theta: config.rope_theta.unwrap_or(10_000.0),
            pairs: if config.rope_traditional { Pairs::Interleaved } else { Pairs::Halves },
            scaling: positions::scaling(
                config.rope_scaling.as_ref(),
                head_dim,
                config.max_position_embeddings,
            )?,
        }),
        growth: QueryGrowth::None,
        reach: Reach::Full,
        kernel: Kernel::Fused,
    })
}

/// `1 / √x`, rounded to single precision once.
pub(super) fn inverse_root(x: f64) -> f32 {
    single(x.powf(-0.5))
}
