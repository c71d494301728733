//! JSON pointers into a line.

use serde_json::{Map, Value};

/// A key as a part of a pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Puts `value` where `pointer` says, and makes the objects above it that are missing.
pub(super) fn set(line: &mut Value, pointer: &str, value: Value) {
    let mut at = line;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        // What is no object has no such place; nothing above a derived field is any else.
        let Some(keys) = at.as_object_mut() else {
            return;
        };
        at = keys.entry(key).or_insert(Value::Null);
    }
    *at = value;
}

/// `pointer`, or that of the array where it names an item of one: an array goes whole.
pub(super) fn without_index(line: &Value, pointer: &str) -> String {
    let mut pointer = pointer;
    while let Some((above, _)) = pointer.rsplit_once('/') {
        if !line.pointer(above).is_some_and(Value::is_array) {
            break;
        }
        pointer = above;
    }
    pointer.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_on_the_way_are_made() {
        let mut line = json!({"a": {"b": 1}});
        set(&mut line, "/a/c~1d/e", json!(2));
        set(&mut line, "/a/b/x", json!(3));
        assert_eq!(line, json!({"a": {"b": 1, "c/d": {"e": 2}}}));
    }

    #[test]
    fn an_item_is_part_of_its_array() {
        let line = json!({"a": {"b": [[1]]}});
        assert_eq!(without_index(&line, "/a/b/0/0"), "/a/b");
        assert_eq!(without_index(&line, "/a/b"), "/a/b");
        assert_eq!(without_index(&line, ""), "");
    }
}
