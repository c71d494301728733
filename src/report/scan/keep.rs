//! Reads of a line only the parts that somebody asks for.

use std::{fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The parts of a line that are asked for.
#[derive(Debug, Default)]
pub(in crate::report) struct Wanted {
    /// The keys that are gone into; none keeps everything.
    below: Vec<(String, Self)>,
}

impl Wanted {
    /// What the JSON pointers name. One that leads into a list means each of its items.
    pub(in crate::report) fn of<'p>(pointers: impl IntoIterator<Item = &'p str>) -> Self {
        let mut wanted = Self::default();
        for pointer in pointers {
            let mut at = &mut wanted;
            for key in pointer.split('/').skip(1) {
                let known = at.below.iter().position(|(name, _)| name == key);
                let place = known.unwrap_or_else(|| {
                    at.below.push((key.to_owned(), Self::default()));
                    at.below.len() - 1
                });
                let Some((_, below)) = at.below.get_mut(place) else {
                    break;
                };
                at = below;
            }
        }
        wanted
    }

    /// The wanted parts of `text`; none where it is no JSON. What is not wanted is only read over: that a number there
    /// is out of range is not seen.
    pub(in crate::report) fn read(&self, text: &str) -> Option<Value> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Keep(self).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }
}

/// Reads one value.
struct Keep<'w>(&'w Wanted);

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0.below.is_empty() {
            return PhantomData::<Value>.deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(Keep(self.0))? {
            kept.push(item);
        }
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<Value, A::Error> {
        let mut kept = Map::with_capacity(self.0.below.len().min(8));
        while let Some(found) = keys.next_key_seed(Find(self.0))? {
            match found {
                Some((name, below)) => {
                    let value = keys.next_value_seed(Keep(below))?;
                    kept.insert(name.clone(), value);
                }
                None => drop(keys.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(kept))
    }
}

/// Reads a key, and tells which of the wanted it is.
struct Find<'w>(&'w Wanted);

impl<'de, 'w> DeserializeSeed<'de> for Find<'w> {
    type Value = Option<&'w (String, Wanted)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Find<'w> {
    type Value = Option<&'w (String, Wanted)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.below.iter().find(|(name, _)| name == key))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let wanted = Wanted::of(["/a", "/b/c", "/d/e"]);
        let text = r#"{"a": {"x": [1]}, "b": {"c": 2, "y": 3}, "d": [{"e": 4, "z": 5}, 6], "f": {"c": 7}}"#;
        let kept = json!({"a": {"x": [1]}, "b": {"c": 2}, "d": [{"e": 4}, 6]});
        assert_eq!(wanted.read(text), Some(kept));
    }

    #[test]
    fn what_is_no_json_is_not_read_wherever_it_stands() {
        let wanted = Wanted::of(["/a"]);
        for value in ["NaN", "[1,]", "\"\n\"", "tru", "01"] {
            assert_eq!(wanted.read(&format!("{{\"a\": 1, \"b\": {value}}}")), None, "{value}");
            assert_eq!(wanted.read(&format!("{{\"a\": {value}}}")), None, "{value}");
        }
        assert_eq!(wanted.read("{\"a\": 1e999}"), None);
        assert_eq!(wanted.read("{\"a\": 1} 2"), None);
    }
}
