//! The `tojson` filter, writing what Python's `json.dumps` writes.

use std::fmt::Write;

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, ValueKind},
};

/// Containers inside containers, beyond which a value is refused.
const DEEPEST: usize = 100;

/// Bytes written that one unit of fuel pays for.
const BYTES: usize = 4;

/// `value|tojson(ensure_ascii, indent, separators, sort_keys)`.
///
/// Unlike the filter of the same name that Jinja ships, nothing is escaped for HTML and other
/// alphabets are kept.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands the options over")]
pub(super) fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<String, Error> {
    let ensure_ascii = match ensure_ascii {
        Some(given) => given,
        None => options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let indent = match indent {
        Some(given) => Some(given),
        None => options.get("indent")?,
    };
    let indent =
        indent.filter(|value| !value.is_none()).map(|value| indentation(&value)).transpose()?;
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let separators = options.get::<Option<Value>>("separators")?.filter(|value| !value.is_none());
    options.assert_all_used()?;
    let (item, key) = match separators {
        Some(pair) => (separator(&pair, 0)?, separator(&pair, 1)?),
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let text = String::new();
    let mut writer =
        Writer { state, text, unpaid: 0, ensure_ascii, indent, item, key, sort_keys, depth: 0 };
    writer.value(value)?;
    Ok(writer.text)
}

fn indentation(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(" ".repeat(u8::try_from(value.clone())?.into())),
    }
}

fn separator(pair: &Value, index: usize) -> Result<String, Error> {
    let part = pair.get_item_by_index(index)?;
    part.as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "`separators` must be two strings"))
}

struct Writer<'a> {
    state: &'a State<'a, 'a>,
    text: String,
    /// Bytes that no fuel was taken for.
    unpaid: usize,
    ensure_ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
    depth: usize,
}

impl Writer<'_> {
    /// Takes fuel for `bytes` that will be written.
    fn pay(&mut self, bytes: usize) -> Result<(), Error> {
        self.unpaid = self.unpaid.saturating_add(bytes);
        let fuel = self.unpaid / BYTES;
        self.unpaid %= BYTES;
        self.state.consume_fuel(fuel.try_into().unwrap_or(u64::MAX))
    }

    fn value(&mut self, value: &Value) -> Result<(), Error> {
        self.pay(1)?;
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&number(value)?),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => self.list(value)?,
            ValueKind::Map => self.map(value)?,
            kind @ (ValueKind::Undefined
            | ValueKind::Bytes
            | ValueKind::Plain
            | ValueKind::Invalid
            | _) => {
                return Err(Error::new(
                    ErrorKind::BadSerialization,
                    format!("JSON has no form for a value of kind `{kind}`"),
                ));
            }
        }
        Ok(())
    }

    fn list(&mut self, value: &Value) -> Result<(), Error> {
        let items: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
        self.between('[', ']', &items, Self::value)
    }

    fn map(&mut self, value: &Value) -> Result<(), Error> {
        let mut pairs = Vec::new();
        for key in value.try_iter()?.checked() {
            let key = key?;
            let item = value.get_item(&key)?;
            pairs.push((name(&key)?, item));
        }
        if self.sort_keys {
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
        }
        self.between('{', '}', &pairs, |writer, (name, item)| {
            writer.string(name)?;
            writer.pay(writer.key.len())?;
            writer.text.push_str(&writer.key.clone());
            writer.value(item)
        })
    }

    fn between<T>(
        &mut self,
        open: char,
        close: char,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.depth >= DEEPEST {
            return Err(Error::new(
                ErrorKind::BadSerialization,
                "lists and maps are nested too deep",
            ));
        }
        self.text.push(open);
        self.depth += 1;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.pay(self.item.len())?;
                self.text.push_str(&self.item.clone());
            }
            self.line()?;
            write(self, item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.line()?;
        }
        self.text.push(close);
        Ok(())
    }

    fn line(&mut self) -> Result<(), Error> {
        let bytes = self.indent.as_ref().map_or(0, String::len).saturating_mul(self.depth);
        self.pay(bytes)?;
        if let Some(indent) = &self.indent {
            self.text.push('\n');
            self.text.push_str(&indent.repeat(self.depth));
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.pay(text.len())?;
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                ' '..='~' => self.text.push(character),
                _ if self.ensure_ascii || character < ' ' => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        // Writing into a string cannot fail.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('"');
        Ok(())
    }
}

/// A key, which JSON wants as a string.
fn name(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::Number => number(key),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::String
        | ValueKind::Undefined
        | ValueKind::Bytes
        | ValueKind::Seq
        | ValueKind::Map
        | ValueKind::Iterable
        | ValueKind::Plain
        | ValueKind::Invalid
        | _ => key.as_str().map(str::to_owned).ok_or_else(|| {
            Error::new(ErrorKind::BadSerialization, format!("`{key}` cannot be a key in JSON"))
        }),
    }
}

/// A number as Python prints it: floats keep a point or an exponent of two digits.
fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    let float = f64::try_from(value.clone())?;
    if float.is_nan() {
        return Ok("NaN".to_owned());
    }
    if float.is_infinite() {
        return Ok(if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned());
    }
    if float == 0.0 || (1e-4..1e16).contains(&float.abs()) {
        return Ok(format!("{float:?}"));
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    Ok(format!("{digits}e{sign}{exponent:0>2}"))
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;

    use super::tojson;

    /// Everything that Python and this filter might write differently.
    const VALUE: &str = r#"{"a": [1, 2.5, true, none, "é<b>'\"\n\t😀"], "b": {}, "c": [],
        "z": {"k": [{"x": 1e16}, 0.00001, 1.5e-7, 123456.0]}}"#;

    #[track_caller]
    fn case(filter: &str, expected: &str) {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        let text = environment.render_str(&format!("{{{{ {VALUE}|{filter} }}}}"), ());
        assert_eq!(text.unwrap(), expected);
    }

    #[test]
    fn the_form_is_that_of_python() {
        // The right-hand sides are what Python 3.11 prints for the same value.
        case(
            "tojson",
            r#"{"a": [1, 2.5, true, null, "é<b>'\"\n\t😀"], "b": {}, "c": [], "z": {"k": [{"x": 1e+16}, 1e-05, 1.5e-07, 123456.0]}}"#,
        );
        case(
            "tojson(ensure_ascii=true)",
            r#"{"a": [1, 2.5, true, null, "\u00e9<b>'\"\n\t\ud83d\ude00"], "b": {}, "c": [], "z": {"k": [{"x": 1e+16}, 1e-05, 1.5e-07, 123456.0]}}"#,
        );
        case(
            "tojson(separators=(',', ':'), sort_keys=true)",
            r#"{"a":[1,2.5,true,null,"é<b>'\"\n\t😀"],"b":{},"c":[],"z":{"k":[{"x":1e+16},1e-05,1.5e-07,123456.0]}}"#,
        );
    }

    #[test]
    fn an_indented_value_has_an_item_a_line_and_empty_containers_closed() {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        let source = r#"{{ {"a": [1], "b": {}, "c": []}|tojson(indent=2) }}"#;
        let expected = "{\n  \"a\": [\n    1\n  ],\n  \"b\": {},\n  \"c\": []\n}";
        assert_eq!(environment.render_str(source, ()).unwrap(), expected);
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        let text = environment
            .render_str("{{ x|tojson }}", minijinja::context!(x => "\u{1}\u{8}\u{c}\r\\\u{7f}"));
        assert_eq!(text.unwrap(), "\"\\u0001\\b\\f\\r\\\\\u{7f}\"");
    }

    #[test]
    fn a_value_without_a_form_is_an_error() {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        for source in ["{{ nothing|tojson }}", "{{ [nothing]|tojson }}", "{{ 1|tojson(indnt=2) }}"]
        {
            assert!(environment.render_str(source, ()).is_err(), "{source}");
        }
    }
}
