//! Reads JSON as Python writes it: with `Infinity`, `-Infinity`, `NaN` and numbers of any size.
//!
//! mlx-knife's files hold such tokens (a model that does not fit has size `Infinity`), and its own
//! tools read them back.

use serde_json::Value;

/// A number outside JSON, as long as only its type and its sign matter: no schema here asks more.
const FRACTION: &str = "0.5";
/// The same for a whole number too large for any type of ours.
const WHOLE: &str = "1";

/// What stands in a line.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The line, with a stand-in of the same type and sign where a number is none of JSON's. Types
    /// may be judged by it; a stand-in is no value.
    pub(super) value: Value,
    /// Where the stand-ins are, as JSON pointers, and what was written there.
    pub(super) strange: Vec<(String, String)>,
}

impl Written {
    /// The line without what is no number of JSON: that is not known.
    pub(super) fn known(mut self) -> Value {
        for (pointer, _) in self.strange.iter().rev() {
            remove(&mut self.value, pointer);
        }
        self.value
    }
}

/// Takes what `pointer` names out of an object; in an array `null` is left, so that nothing moves.
pub(super) fn remove(value: &mut Value, pointer: &str) {
    let Some((above, name)) = pointer.rsplit_once('/') else {
        *value = Value::Null;
        return;
    };
    match value.pointer_mut(above) {
        Some(Value::Object(keys)) => {
            keys.shift_remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Some(item) = name.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

/// Reads `text` as Python would.
///
/// # Errors
///
/// Where Python would not read it either.
pub(super) fn read(text: &str) -> Result<Written, serde_json::Error> {
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(Written { value, strange: Vec::new() }),
        Err(error) => error,
    };
    let tame = replaced(text, stand_in);
    if tame == text {
        return Err(error);
    }
    let value: Value = serde_json::from_str(&tame)?;
    let quoted = serde_json::from_str(&replaced(text, in_quotes))?;
    let mut strange = Vec::new();
    collect(&value, &quoted, "", &mut strange);
    Ok(Written { value, strange })
}

/// Where `quoted` has a text and `value` a number, and the text.
fn collect(value: &Value, quoted: &Value, at: &str, strange: &mut Vec<(String, String)>) {
    match (value, quoted) {
        (Value::Number(_), Value::String(token)) => strange.push((at.to_owned(), token.clone())),
        (Value::Array(values), Value::Array(texts)) => {
            for (index, (value, text)) in values.iter().zip(texts).enumerate() {
                collect(value, text, &format!("{at}/{index}"), strange);
            }
        }
        (Value::Object(values), Value::Object(texts)) => {
            for (key, value) in values {
                let key_text = key.replace('~', "~0").replace('/', "~1");
                if let Some(text) = texts.get(key) {
                    collect(value, text, &format!("{at}/{key_text}"), strange);
                }
            }
        }
        _ => {}
    }
}

/// A token that only Python takes for a number, as a text.
fn in_quotes(token: &str) -> String {
    if stand_in(token) == token { token.to_owned() } else { format!("\"{token}\"") }
}

/// `text` with each token outside strings as `replace` has it.
fn replaced(text: &str, replace: fn(&str) -> String) -> String {
    tokens(text).map(replace).collect::<Vec<_>>().concat()
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

    fn parse(text: &str) -> Result<Value, serde_json::Error> {
        read(text).map(|written| written.value)
    }

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
    fn what_was_written_is_told_with_its_place_and_is_no_value() {
        let text = r#"{"a/b": {"c": [1, NaN]}, "d": -Infinity, "e": "Infinity", "f": 2}"#;
        let written = read(text).unwrap();
        let strange = [("/a~1b/c/1", "NaN"), ("/d", "-Infinity")];
        let strange = strange.map(|(place, token)| (place.to_owned(), token.to_owned()));
        assert_eq!(written.strange, strange);
        let known = json!({"a/b": {"c": [1, null]}, "e": "Infinity", "f": 2});
        assert_eq!(written.known(), known);
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in ["", "{", "inf", "nan", "+Infinity", "-NaN", "Infinityx", "01", "[1,]", "'a'"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
