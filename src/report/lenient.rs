//! Reads JSON as Python writes it: with `Infinity`, `-Infinity`, `NaN` and numbers of any size.
//!
//! mlx-knife's files hold such tokens (a model that does not fit has size `Infinity`), and its own
//! tools read them back.

use serde_json::Value;

/// A number outside JSON, as long as only its type and its sign matter: no schema here asks more.
const FRACTION: &str = "0.5";
/// The same for a whole number too large for any type of ours.
const WHOLE: &str = "1";

/// Reads `text`, with stand-ins of the same type and sign where a number is none of JSON's.
///
/// Only a judgement of types may be made of the result; the stand-ins are no values.
///
/// # Errors
///
/// Where Python would not read it either.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let tame = with_stand_ins(text);
        if tame == text { Err(error) } else { serde_json::from_str(&tame) }
    })
}

/// `text` with a stand-in for each token outside strings that only Python takes for a number.
fn with_stand_ins(text: &str) -> String {
    tokens(text).map(stand_in).collect()
}

/// Strings, words and numbers of `text`, and each other character by itself; together they are `text`.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match first {
            '"' => string_length(rest),
            _ if is_of_token(first) => rest.find(|next| !is_of_token(next)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+-.".contains(character)
}

/// Bytes of the string at the start of `text`, its quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn stand_in(token: &str) -> String {
    let (sign, size) = match token.strip_prefix('-') {
        Some(size) => ("-", size),
        None => ("", token),
    };
    let is_number = size.starts_with(|first: char| first.is_ascii_digit());
    let overflows = is_number && size.parse().is_ok_and(f64::is_infinite);
    match token {
        "NaN" => FRACTION.to_owned(),
        "Infinity" | "-Infinity" => format!("{sign}{FRACTION}"),
        _ if overflows && size.contains(['.', 'e', 'E']) => format!("{sign}{FRACTION}"),
        _ if overflows => format!("{sign}{WHOLE}"),
        _ => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_of_python_read_as_numbers_of_the_same_sign() {
        let text = r#"{"a": Infinity, "b": [-Infinity, NaN], "c": 1e999, "d": -1e999}"#;
        let expected = json!({"a": 0.5, "b": [-0.5, 0.5], "c": 0.5, "d": -0.5});
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_whole_number_of_any_length_stays_whole() {
        let text = format!("[1{}]", "0".repeat(400));
        assert_eq!(parse(&text).unwrap(), json!([1]));
    }

    #[test]
    fn texts_keep_such_words() {
        let text = r#"["Infinity", "a \" NaN", Infinity, "ß"]"#;
        assert_eq!(parse(text).unwrap(), json!(["Infinity", "a \" NaN", 0.5, "ß"]));
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in ["", "{", "inf", "nan", "+Infinity", "-NaN", "Infinityx", "01", "[1,]", "'a'"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
