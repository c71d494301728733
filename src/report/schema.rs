//! The schemas in `schemas/`, made from the types of a record.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

use super::{record::Record, version::SchemaVersion};

/// The schema that judges lines of `version`, in draft 7 of JSON Schema.
pub fn of(version: SchemaVersion) -> Value {
    let version = version.schema();
    let settings = SchemaSettings::draft07().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.transforms.push(Box::new(Tidy));
    });
    let mut schema = settings.into_generator().into_root_schema_for::<Record>().to_value();
    if let Some(root) = schema.as_object_mut() {
        keep_declared(root, version);
        root.insert("title".into(), title(version).into());
        root.insert("description".into(), description(version).into());
        sort(root);
    }
    let names: Vec<_> = version.admits().iter().map(|version| version.name()).collect();
    if let Some(own) =
        schema.pointer_mut("/properties/schema_version").and_then(Value::as_object_mut)
    {
        own.insert("enum".into(), json!(names));
    }
    schema
}

/// The text of the schema file, as it lies in `schemas/`.
pub fn text(version: SchemaVersion) -> String {
    format!("{:#}\n", of(version))
}

fn title(version: SchemaVersion) -> String {
    format!("Benchmark report line v{version}")
}

fn description(version: SchemaVersion) -> String {
    let admits = version.admits().iter();
    let older: Vec<_> = admits.skip(1).map(|version| version.name()).collect();
    match older.as_slice() {
        [] => "One line of a benchmark report as mlx-knife defines it.".to_owned(),
        older => format!(
            "One line of a benchmark report as mlx-knife defines it. Lines of {} fit as well.",
            older.join(", ")
        ),
    }
}

/// Drops what `version` does not declare yet, all the way down, and the marks that told so.
fn keep_declared(object: &mut Map<String, Value>, version: SchemaVersion) {
    object.shift_remove("since");
    let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    properties.retain(|_, property| since(property) <= version);
    if properties.is_empty() {
        object.shift_remove("properties");
        return;
    }
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        keep_declared(property, version);
    }
}

fn since(property: &Value) -> SchemaVersion {
    property["since"].as_str().and_then(|name| name.parse().ok()).unwrap_or(SchemaVersion::V0_1_0)
}

/// Takes away what Rust's types say and the format does not.
#[derive(Clone)]
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            name_choices(object);
            refuse_null(object);
            // Beside a number, `format` names a type of Rust.
            if object.get("type") != Some(&json!("string")) {
                object.shift_remove("format");
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            sort(object);
        }
        transform_subschemas(self, schema);
    }
}

/// An enum with documented variants comes as one schema a variant; the format just lists them.
fn name_choices(object: &mut Map<String, Value>) {
    let choices = object.get("oneOf").and_then(Value::as_array);
    let Some(names) = choices.and_then(|choices| {
        let names = choices.iter().map(|choice| choice.get("const").cloned());
        names.collect::<Option<Vec<_>>>()
    }) else {
        return;
    };
    object.shift_remove("oneOf");
    object.insert("type".into(), "string".into());
    object.insert("enum".into(), names.into());
}

/// `None` is an absent key, so an optional property has the schema of its content.
fn refuse_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get("type") {
        let content = types.iter().find(|name| *name != "null").cloned();
        object.insert("type".into(), content.into());
    }
    if let Some(Value::Array(choices)) = object.shift_remove("anyOf") {
        let content = choices.into_iter().find(|choice| choice["type"] != "null");
        for (key, value) in content.as_ref().and_then(Value::as_object).into_iter().flatten() {
            object.entry(key).or_insert_with(|| value.clone());
        }
        name_choices(object);
    }
}

/// What a reader wants to know first comes first.
fn sort(object: &mut Map<String, Value>) {
    const ORDER: [&str; 11] = [
        "$schema",
        "title",
        "description",
        "type",
        "enum",
        "format",
        "pattern",
        "minimum",
        "items",
        "required",
        "properties",
    ];
    let mut unsorted = std::mem::take(object);
    object.extend(ORDER.iter().filter_map(|key| unsorted.shift_remove_entry(*key)));
    object.extend(unsorted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn property(version: SchemaVersion, pointer: &str) -> Value {
        of(version).pointer(pointer).cloned().unwrap_or_default()
    }

    #[test]
    fn a_property_appears_with_its_version() {
        let start = "/properties/test_start_ts";
        assert!(property(SchemaVersion::V0_2_0, start).is_null());
        assert_eq!(property(SchemaVersion::V0_2_2, start)["type"], "number");

        let load = "/properties/performance/properties/model_load_time_s";
        assert!(property(SchemaVersion::V0_1_0, load).is_null());
        assert_eq!(property(SchemaVersion::V0_2_0, load)["minimum"], 0);
    }

    #[test]
    fn no_schema_mentions_null_or_our_marks() {
        for version in SchemaVersion::ALL {
            let text = text(version);
            assert!(!text.contains("\"null\""), "{version}");
            assert!(!text.contains("\"since\""), "{version}");
        }
    }

    #[test]
    fn spellings_that_only_readers_know_are_not_declared() {
        let text = text(SchemaVersion::CURRENT);
        for name in ["swap_used_mb", "zombie_processes", "cores_physical", "mlxk_harness"] {
            assert!(!text.contains(name), "{name}");
        }
    }

    #[test]
    fn an_optional_enum_lists_its_names() {
        let modality =
            property(SchemaVersion::CURRENT, "/properties/metadata/properties/inference_modality");
        assert_eq!(modality["enum"], json!(["vision", "text", "audio", "video"]));
        assert_eq!(modality["type"], "string");
    }
}
