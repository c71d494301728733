//! `convert`: writes a model as a folder that MLX's programs load.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Exit, downloads, printer::Printer};
use crate::{
    checkpoint::{Description, Mode},
    convert::{self, Conversion, ConvertError, Packing, Recipe},
    hub::Network,
    plan::ElementType,
};

/// What is converted, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A model folder, a GGUF file, or the id of a hub model
    source: String,
    /// The folder to be; it may be there only if it is empty
    target: PathBuf,
    /// A branch, tag or commit of a hub model
    #[arg(long)]
    revision: Option<String>,
    /// Type of what is not packed; by default what `config.json` says, else as stored
    #[arg(long, value_name = "TYPE")]
    dtype: Option<ElementType>,
    /// Makes packed weights dense first
    #[arg(long)]
    dequantize: bool,
    /// Packs weights
    #[arg(long)]
    quantize: bool,
    /// Bits an element takes: 2, 3, 4, 5, 6 or 8
    #[arg(long, value_name = "N", requires = "quantize")]
    bits: Option<i32>,
    /// Elements that share one scale: 32, 64 or 128
    #[arg(long, value_name = "N", requires = "quantize")]
    group_size: Option<i32>,
    /// The encoding
    #[arg(long, value_name = "MODE", requires = "quantize", default_value = "affine")]
    mode: Encoding,
    /// Two widths for one model: the second for the weights that matter most
    #[arg(long, requires = "quantize", conflicts_with = "bits")]
    recipe: Option<MixedRecipe>,
}

/// An encoding, as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Affine,
    Mxfp4,
    Mxfp8,
    Nvfp4,
}

/// A recipe, as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MixedRecipe {
    #[value(name = "mixed_2_6")]
    Mixed2And6,
    #[value(name = "mixed_3_4")]
    Mixed3And4,
    #[value(name = "mixed_3_6")]
    Mixed3And6,
    #[value(name = "mixed_4_6")]
    Mixed4And6,
}

impl From<Encoding> for Mode {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Affine => Self::Affine,
            Encoding::Mxfp4 => Self::Mxfp4,
            Encoding::Mxfp8 => Self::Mxfp8,
            Encoding::Nvfp4 => Self::Nvfp4,
        }
    }
}

impl From<MixedRecipe> for Recipe {
    fn from(recipe: MixedRecipe) -> Self {
        match recipe {
            MixedRecipe::Mixed2And6 => Self::Mixed2And6,
            MixedRecipe::Mixed3And4 => Self::Mixed3And4,
            MixedRecipe::Mixed3And6 => Self::Mixed3And6,
            MixedRecipe::Mixed4And6 => Self::Mixed4And6,
        }
    }
}

impl Arguments {
    /// How weights are to be packed, or which flags do not go together.
    fn packing(&self) -> Result<Option<Packing>, String> {
        if !self.quantize {
            return Ok(None);
        }
        let mode = Mode::from(self.mode);
        let (group_size, bits) = mode.defaults();
        let packing = Packing {
            group_size: self.group_size.unwrap_or(group_size),
            bits: self.bits.unwrap_or(bits),
            mode,
            recipe: self.recipe.map(Recipe::from),
        };
        let is_affine = mode == Mode::Affine;
        if self.recipe.is_some() && !is_affine {
            return Err("`--recipe` goes with `--mode affine` only".to_owned());
        }
        if is_affine && !matches!(packing.bits, 2 | 3 | 4 | 5 | 6 | 8) {
            return Err("`--bits` must be 2, 3, 4, 5, 6 or 8".to_owned());
        }
        if is_affine && !matches!(packing.group_size, 32 | 64 | 128) {
            return Err("`--group-size` must be 32, 64 or 128".to_owned());
        }
        if !is_affine && (packing.group_size, packing.bits) != (group_size, bits) {
            let name = mode.name();
            return Err(format!(
                "`--mode {name}` has {bits} bits in groups of {group_size}, and nothing else"
            ));
        }
        Ok(Some(packing))
    }
}

/// Converts, and says what was written.
pub(super) fn run(arguments: &Arguments, printer: &Printer, network: Network) -> Exit {
    let packing = match arguments.packing() {
        Ok(packing) => packing,
        Err(message) => {
            printer.error(message, None);
            return Exit::Usage;
        }
    };
    let location =
        match downloads::locate(&arguments.source, arguments.revision.as_deref(), printer, network)
        {
            Ok(location) => location,
            Err(exit) => return exit,
        };
    let conversion =
        Conversion { dtype: arguments.dtype, dequantize: arguments.dequantize, packing };
    printer.begin(1);
    printer.flicker(format!("converting {}", arguments.source));
    let result = Description::read(location)
        .map_err(ConvertError::from)
        .and_then(|description| convert::convert(&description, &arguments.target, &conversion));
    printer.end();
    match result {
        Ok(summary) => {
            if !summary.has_tokenizer {
                printer.warning("the model has no tokenizer to hand on");
            }
            let bits = summary.bytes as f64 * 8.0 / summary.parameters as f64;
            printer.note(format!(
                "{}: {} parameters, {:.2} GiB in {} {}, {} packed modules, {bits:.3} bits a weight",
                arguments.target.display(),
                summary.parameters,
                summary.bytes as f64 / 1024_f64.powi(3),
                summary.shards,
                if summary.shards == 1 { "file" } else { "files" },
                summary.packed_modules,
            ));
            Exit::Ok
        }
        Err(error) => {
            printer.failure(&error, error.hint().as_deref());
            if error.is_io() { Exit::Io } else { Exit::No }
        }
    }
}
