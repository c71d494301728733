//! JSON as Python writes it: numbers may be `NaN` or `Infinity`.

use serde_json::Value;

/// Reads `text`; a number that JSON has no form for becomes `null`.
pub(crate) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&without_odd_numbers(text)).map_err(|_| error))
}

fn without_odd_numbers(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut quoted = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let odd = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|name| !quoted && rest.starts_with(name));
        let taken = if let Some(name) = odd {
            written.push_str("null");
            name.len()
        } else {
            let escape = usize::from(quoted && character == '\\');
            quoted ^= character == '"';
            let taken: usize = rest.chars().take(1 + escape).map(char::len_utf8).sum();
            written.extend(rest.get(..taken));
            taken
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    written
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn numbers_that_json_lacks_are_null() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity, 1], "c": "say \"NaN\", Infinity"}"#;
        let expected = json!({"a": null, "b": [null, null, 1], "c": "say \"NaN\", Infinity"});
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_json_either_way_is_reported_where_it_stands() {
        assert_eq!(parse("{\"a\": NaN,\n oops}").unwrap_err().line(), 1);
        assert_eq!(parse("{\"a\": 1,\n oops}").unwrap_err().line(), 2);
    }
}
