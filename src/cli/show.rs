//! `show`: what a model is and what it will take, before any weight is read.

use clap::Args;
use serde::Serialize;

use super::{Exit, downloads, printer::Printer, stops};
use crate::{
    checkpoint::{Description, LoadError, Location},
    footprint::{Footprint, Weights},
    hub::{Network, size},
    plan::{CacheKind, Choices, Keeps, KvPacking, OutOfRange, Prediction},
};

/// Which model is shown, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A model folder, a GGUF file, or the id of a hub model
    model: String,
    /// A branch, tag or commit of a hub model
    #[arg(long)]
    revision: Option<String>,
    /// Tokens to predict memory for; the model's context length by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Packs keys and values in so many bits: 2, 3, 4, 5, 6 or 8
    #[arg(long, value_name = "N")]
    kv_bits: Option<u32>,
    /// Elements of keys and values that share one scale: 32, 64 or 128 [default: 64]
    #[arg(long, value_name = "N", requires = "kv_bits")]
    kv_group_size: Option<u32>,
    /// Shows instead what its files say of stop tokens, and where they disagree
    #[arg(long, conflicts_with_all = ["context", "kv_bits"])]
    stop_tokens: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    format: &'static str,
    file_bytes: u64,
    footprint: Footprint,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<Prediction>,
}

/// Shows what the headers of a model tell.
pub(super) fn run(arguments: &Arguments, printer: &Printer, network: Network) -> Exit {
    let Arguments { kv_bits, kv_group_size, .. } = *arguments;
    let kv_bits = kv_bits.map(|bits| vec![bits]);
    let choices = Choices { kv_bits, kv_group_size, ..Choices::default() };
    if let Err(OutOfRange { name, rule }) = choices.check() {
        printer.error(format!("`--{}` must be {rule}", name.replace('_', "-")), None);
        return Exit::Usage;
    }
    let location = match downloads::locate(
        &arguments.model,
        arguments.revision.as_deref(),
        printer,
        network,
    ) {
        Ok(location) => location,
        Err(exit) => return exit,
    };
    if arguments.stop_tokens {
        return stops::show(location, arguments.json, printer);
    }
    let kv = choices.packings().first().copied().flatten();
    let shown = match read(location, arguments.context, kv) {
        Ok(shown) => shown,
        Err(error) => {
            printer.failure(&error, error.hint().as_deref());
            return Exit::No;
        }
    };
    if arguments.json {
        printer.line(serde_json::json!(shown));
    } else {
        printer.data(&text(&shown));
    }
    Exit::Ok
}

fn read(
    location: Location,
    context: Option<u32>,
    kv: Option<KvPacking>,
) -> Result<Shown, LoadError> {
    let description = Description::read(location)?;
    let footprint = Footprint::of(&description, kv)?;
    let context = context.or(footprint.context_length).map(u64::from);
    let location = description.location();
    Ok(Shown {
        id: location.id.clone(),
        revision: location.revision.clone(),
        format: location.format.name(),
        file_bytes: location.size_bytes(),
        prediction: context.and_then(|context| footprint.prediction(context)),
        footprint,
    })
}

/// Facts in two columns, then the weights by class, then caches and the prediction.
fn text(shown: &Shown) -> String {
    let Shown { footprint, .. } = shown;
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let facts = [
        ("model", Some(shown.id.clone())),
        ("family", Some(footprint.model_type.clone())),
        ("cannot run", footprint.obstacle.clone()),
        ("files", Some(format!("{}, {}", shown.format, size(shown.file_bytes)))),
        ("layers", number(footprint.layers)),
        ("width", number(footprint.width)),
        ("heads", list(&footprint.heads)),
        ("kv heads", list(&footprint.kv_heads)),
        ("vocabulary", number(footprint.vocabulary)),
        ("context", footprint.context_length.map(|n| n.to_string())),
        ("computes in", footprint.dtype.map(str::to_owned)),
        ("parameters", Some(millions(footprint.parameters))),
        ("active", footprint.active_parameters.map(millions)),
    ];
    let facts = facts.into_iter().filter(|(name, value)| value.is_some() || *name != "cannot run");
    let facts = facts.map(|(name, value)| {
        let value = value.unwrap_or_else(|| "–".to_owned());
        format!("{name:<12} {value}")
    });
    let mut lines: Vec<String> = facts.collect();
    lines.push("\nweights       parameters        size  stored as".to_owned());
    lines.extend(footprint.weights.iter().map(class));
    lines.extend(memory(shown));
    lines.push(String::new());
    lines.join("\n")
}

/// The line of one class of weights.
fn class(class: &Weights) -> String {
    let ways = class.packings.iter().map(|way| match &way.layers {
        Some(layers) if class.packings.len() > 1 => format!("{} (layers {layers})", way.how),
        _ => way.how.clone(),
    });
    let ways: Vec<_> = ways.collect();
    format!(
        "{:<12} {:>11} {:>11}  {}",
        class.class.name(),
        millions(class.parameters),
        size(class.bytes),
        ways.join("; "),
    )
}

/// What tokens leave behind, and what is held at the most.
fn memory(shown: &Shown) -> Vec<String> {
    let Some(caches) = &shown.footprint.caches else {
        let unknown = "\nwhat a token leaves behind is not known of a model that cannot be run";
        return vec![unknown.to_owned()];
    };
    let mut lines = vec!["\nkeys and values".to_owned()];
    lines.extend(caches.iter().map(cache));
    lines.extend(shown.prediction.map(|prediction| {
        format!(
            "\nmemory for {} tokens: {} (weights {}, keys and values {}, a step {})",
            prediction.context,
            size(prediction.total_bytes),
            size(prediction.weight_bytes),
            size(prediction.cache_bytes),
            size(prediction.allowance_bytes),
        )
    }));
    lines
}

/// The line of layers that keep alike what they have read.
fn cache(kind: &CacheKind) -> String {
    let CacheKind { keeps, layers, bytes_per_token, constant_bytes } = kind;
    let name = match keeps {
        Keeps::All => "full".to_owned(),
        Keeps::Latent => "latent".to_owned(),
        Keeps::Window(tokens) => format!("window {tokens}"),
        Keeps::Chunk(tokens) => format!("chunk {tokens}"),
        Keeps::State => {
            return format!("{:<12} {constant_bytes} bytes in {layers} layers", "state");
        }
    };
    format!("{name:<12} {bytes_per_token} bytes a token in {layers} layers")
}

fn list(numbers: &[u64]) -> Option<String> {
    let words: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn millions(count: u64) -> String {
    let count = count as f64;
    match count {
        _ if count >= 1e9 => format!("{:.2} B", count / 1e9),
        _ if count >= 1e6 => format!("{:.1} M", count / 1e6),
        _ => format!("{count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rounded_for_people() {
        assert_eq!(millions(7_241_732_096), "7.24 B");
        assert_eq!(millions(134_515_008), "134.5 M");
        assert_eq!(millions(24_576), "24576");
    }
}
