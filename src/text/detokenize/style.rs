//! The ways in which tokenizers make text of tokens.

use serde_json::Value;

/// How a tokenizer makes text of tokens, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::text) enum Style {
    /// Every token is a string of bytes, spelled in printable characters.
    ByteLevel,
    /// Tokens are text, with a sign for spaces and tokens for single bytes.
    ByteFallback {
        /// The sign for a space, and what it becomes.
        space: (String, String),
        /// A character, and how many of it are cut off the beginning.
        cut: Option<(char, usize)>,
    },
    /// Anything else.
    Other,
}

impl Style {
    /// Tells the style from the decoder as `tokenizer.json` writes it.
    pub(in crate::text) fn of(tokenizer: &tokenizers::Tokenizer) -> Self {
        let decoder = tokenizer.get_decoder().map(serde_json::to_value);
        decoder.and_then(Result::ok).map_or(Self::Other, |decoder| Self::of_decoder(&decoder))
    }

    fn of_decoder(decoder: &Value) -> Self {
        let kind = |decoder: &Value| text(decoder, "type").map(str::to_owned);
        let steps = match decoder.get("decoders").and_then(Value::as_array) {
            Some(steps) => steps.clone(),
            None => vec![decoder.clone()],
        };
        let kinds: Vec<Option<String>> = steps.iter().map(kind).collect();
        let kinds: Vec<&str> = kinds.iter().flatten().map(String::as_str).collect();
        match (kinds.as_slice(), steps.first(), steps.last()) {
            (["ByteLevel"], ..) => Self::ByteLevel,
            (["Replace", "ByteFallback", "Fuse"], Some(replace), _) => {
                space(replace).map_or(Self::Other, |space| Self::ByteFallback { space, cut: None })
            }
            (["Replace", "ByteFallback", "Fuse", "Strip"], Some(replace), Some(strip)) => {
                match (space(replace), cut(strip)) {
                    (Some(space), Some(cut)) => Self::ByteFallback { space, cut: Some(cut) },
                    _ => Self::Other,
                }
            }
            _ => Self::Other,
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn space(replace: &Value) -> Option<(String, String)> {
    let sign = text(replace.get("pattern")?, "String").filter(|sign| !sign.is_empty())?;
    Some((sign.to_owned(), text(replace, "content")?.to_owned()))
}

fn cut(strip: &Value) -> Option<(char, usize)> {
    let content = text(strip, "content")?.chars().next()?;
    let start = usize::try_from(strip.get("start")?.as_u64()?).ok()?;
    (strip.get("stop")? == 0).then_some((content, start))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decoder_of_another_make_is_another_style() {
        let replace = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
        let steps = |more: &[Value]| {
            let first = [replace.clone(), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
            let steps = [&first, more].concat();
            Style::of_decoder(&json!({"type": "Sequence", "decoders": steps}))
        };
        assert!(matches!(steps(&[]), Style::ByteFallback { cut: None, .. }));
        let strip = |stop: u32| json!({"type": "Strip", "content": " ", "start": 1, "stop": stop});
        assert!(matches!(steps(&[strip(0)]), Style::ByteFallback { cut: Some((' ', 1)), .. }));
        assert_eq!(steps(&[strip(1)]), Style::Other);
        assert_eq!(Style::of_decoder(&json!({"type": "Metaspace"})), Style::Other);
    }
}
