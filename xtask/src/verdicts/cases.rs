//! Lines to be judged: every property of a schema with every kind of value, and what else may go wrong.
//!
//! The list depends on nothing but the schema, so a second run gives the same lines.

use std::collections::HashSet;

use serde_json::Value;

use super::line::{
    ENDINGS, LINES, NEEDED, NUMBERS, PROGRAM_VERSIONS, SCHEMA_VERSIONS, STRANGERS, TIMESTAMPS,
    VALUES, object, with,
};

/// A line and what it tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The property that is tried, such as `system.hardware_profile.chip`, or a topic in brackets.
    pub(crate) place: String,
    /// The line.
    pub(crate) line: String,
}

/// All cases for the properties of `schema`, each line once.
pub(crate) fn all(schema: &Value) -> Vec<Case> {
    let mut properties = Vec::new();
    collect(schema, &mut Vec::new(), &mut properties);
    let mut cases = Vec::new();
    for property in &properties {
        of_property(property, &mut cases);
    }
    of_whole_sections(schema, &properties, &mut cases);
    of_needed(&mut cases);
    of_versions(&properties, &mut cases);
    of_readers(&mut cases);
    for line in LINES {
        push(&mut cases, "[line]", line.to_owned());
    }
    let mut lines = HashSet::new();
    cases.retain(|case| lines.insert(case.line.clone()));
    cases
}

/// A declared property.
struct Property<'a> {
    path: Vec<&'a str>,
    schema: &'a Value,
}

impl Property<'_> {
    fn place(&self) -> String {
        self.path.join(".")
    }

    fn has_type(&self, name: &str) -> bool {
        self.schema.get("type").and_then(Value::as_str) == Some(name)
    }

    /// A line that has this property, and nothing else but what is needed.
    fn line(&self, value: &str) -> String {
        let Some((root, below)) = self.path.split_first() else {
            return value.to_owned();
        };
        let value =
            below.iter().rev().fold(value.to_owned(), |value, key| object(&[(*key, &value)]));
        with(&[(root, &value)])
    }

    /// A value that fits.
    fn sample(&self) -> String {
        let choices = self.schema.get("enum").and_then(Value::as_array);
        if let Some(first) = choices.and_then(|choices| choices.first()) {
            return first.to_string();
        }
        if let Some(items) = self.schema.get("items") {
            let item = Property { path: Vec::new(), schema: items };
            return format!("[{}]", item.sample());
        }
        let needed = NEEDED.iter().find(|(key, _)| self.path == [*key]);
        match self.schema.get("type").and_then(Value::as_str) {
            Some("integer") => "3".to_owned(),
            Some("number") => "1.5".to_owned(),
            Some("boolean") => "false".to_owned(),
            Some("object") => "{}".to_owned(),
            Some(_) | None => needed.map_or(r#""text""#, |(_, value)| value).to_owned(),
        }
    }
}

/// Properties in the order of their names, each before what lies in it.
fn collect<'a>(schema: &'a Value, path: &mut Vec<&'a str>, into: &mut Vec<Property<'a>>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let mut sorted: Vec<_> = properties.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    for (name, schema) in sorted {
        path.push(name);
        into.push(Property { path: path.clone(), schema });
        collect(schema, path, into);
        path.pop();
    }
}

fn of_property(property: &Property<'_>, cases: &mut Vec<Case>) {
    let place = property.place();
    for value in VALUES {
        push(cases, &place, property.line(value));
    }
    push(cases, &place, property.line(&property.sample()));
    if property.has_type("number") || property.has_type("integer") {
        for value in NUMBERS {
            push(cases, &place, property.line(value));
        }
    }
    let items = property.schema.get("items").and_then(|items| items.get("enum"));
    let own = property.schema.get("enum").or(items).and_then(Value::as_array);
    for choice in own.into_iter().flatten() {
        push(cases, &place, property.line(&choice.to_string()));
        push(cases, &place, property.line(&format!("[{choice}]")));
        push(cases, &place, property.line(&format!("[{choice},{choice},\"degraded_ram\"]")));
        push(cases, &place, property.line(&choice.to_string().to_uppercase()));
    }
    if property.has_type("object") {
        push(cases, &place, property.line(r#"{"a stranger":{"x":1}}"#));
        push(cases, &place, property.line(r#"{"a stranger":null}"#));
    }
}

/// Each section with all that it declares, and with all but one.
fn of_whole_sections(schema: &Value, properties: &[Property<'_>], cases: &mut Vec<Case>) {
    let mut whole = Vec::new();
    for section in properties.iter().filter(|property| property.has_type("object")) {
        let inner: Vec<_> = properties
            .iter()
            .filter(|property| property.path.len() == section.path.len() + 1)
            .filter(|property| property.path.starts_with(&section.path))
            .map(|property| (property.path.last().copied().unwrap_or_default(), property.sample()))
            .collect();
        push(cases, &section.place(), section.line(&fields(&inner, None)));
        for at in 0..inner.len() {
            push(cases, &section.place(), section.line(&fields(&inner, Some(at))));
        }
        if section.path.len() == 1 {
            whole.push((section.path.concat(), fields(&inner, None)));
        }
    }
    let names = schema.pointer("/properties/schema_version/enum").and_then(Value::as_array);
    for version in names.into_iter().flatten() {
        let version = version.to_string();
        let mut all = vec![("schema_version", version.as_str())];
        all.extend(whole.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        push(cases, "[everything]", with(&all));
    }
}

fn fields(inner: &[(&str, String)], without: Option<usize>) -> String {
    let kept = inner.iter().enumerate().filter(|(at, _)| Some(*at) != without);
    let kept: Vec<_> = kept.map(|(_, (key, value))| (*key, value.as_str())).collect();
    object(&kept)
}

/// What is needed, missing; what must have a form, in others; and keys that nobody knows.
fn of_needed(cases: &mut Vec<Case>) {
    for (missing, _) in NEEDED {
        let kept: Vec<_> = NEEDED.into_iter().filter(|(key, _)| *key != missing).collect();
        push(cases, missing, object(&kept));
    }
    let forms: [(&str, &[&str]); 4] = [
        ("schema_version", &SCHEMA_VERSIONS),
        ("mlx_knife_version", &PROGRAM_VERSIONS),
        ("timestamp", &TIMESTAMPS),
        ("outcome", &ENDINGS),
    ];
    for (key, values) in forms {
        for value in values {
            push(cases, key, with(&[(key, &format!("{value:?}"))]));
        }
    }
    for stranger in STRANGERS {
        push(cases, "[stranger]", with(&[(stranger, "1")]));
        push(cases, "[stranger]", with(&[(stranger, "{}")]));
    }
    let twice = with(&[("outcome", r#""done""#)]).replace('}', r#","outcome":"failed"}"#);
    push(cases, "[line]", twice);
    push(cases, "[line]", format!("  {} \t", with(&[])));
    push(cases, "[line]", with(&[("test", r#""\u00e9 \ud83d\ude00 Infinity""#)]));
}

/// Every property at the root, in every version.
fn of_versions(properties: &[Property<'_>], cases: &mut Vec<Case>) {
    for version in SCHEMA_VERSIONS {
        let version = format!("{version:?}");
        for property in properties.iter().filter(|property| property.path.len() == 1) {
            let place = property.place();
            if place != "schema_version" {
                let sample = property.sample();
                push(cases, &place, with(&[("schema_version", &version), (&place, &sample)]));
            }
        }
    }
}

/// Lines that fit, and may still be more than mlx-knife's report can read.
fn of_readers(cases: &mut Vec<Case>) {
    let model = r#"{"id":"org/model"}"#;
    for more in [
        &[("model", model)] as &[_],
        &[("model", model), ("duration", "0.1")],
        &[("model", "{}")],
        &[("model", r#"{"id":"org/model","size_gb":Infinity}"#)],
        &[("outcome", r#""failed""#), ("model", "{}")],
        &[("outcome", r#""skipped""#), ("model", model)],
        &[("system_health", r#"{"swap_gb":3,"zombies_detected":2}"#)],
        &[("system_health", r#"{"swap_used_mb":3000,"zombie_processes":2}"#)],
    ] {
        push(cases, "[reader]", with(more));
    }
}

fn push(cases: &mut Vec<Case>, place: &str, line: String) {
    let place = place.to_owned();
    cases.push(Case { place, line });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_property_is_tried_where_it_lies() {
        let schema = json!({"properties": {"a": {"type": "object", "properties": {"b": {"type": "number"}}}}});
        let cases = all(&schema);
        let tried = r#","duration":1.5,"a":{"b":null}}"#;
        let found = cases.iter().find(|case| case.line.ends_with(tried));
        assert_eq!(found.map(|case| case.place.as_str()), Some("a.b"));
    }

    #[test]
    fn no_line_is_judged_twice() {
        let schema = json!({"properties": {"outcome": {"type": "string", "enum": ["passed"]}}});
        let cases = all(&schema);
        let lines: HashSet<_> = cases.iter().map(|case| &case.line).collect();
        assert_eq!(lines.len(), cases.len());
    }
}
