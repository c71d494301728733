//! The metadata of a GGUF file: values by key.

use std::collections::BTreeMap;

use thiserror::Error;

/// Why a key is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// It is not there.
    #[error("key `{key}` is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// It holds another kind of value.
    #[error("key `{key}` does not hold {expected}")]
    Kind {
        /// The key.
        key: String,
        /// What it should hold, in words.
        expected: &'static str,
    },
}

/// A value of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Single(f32),
    Double(f64),
    Flag(bool),
    Text(String),
    List(Vec<Self>),
}

/// Values by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Metadata(pub(super) BTreeMap<String, Value>);

impl Metadata {
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, MetadataError> {
        self.read(key, "a text", Value::text)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, MetadataError> {
        self.read(key, "true or false", |value| {
            if let Value::Flag(flag) = value { Some(*flag) } else { None }
        })
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, MetadataError> {
        self.read(key, "a count", Value::count)
    }

    pub(super) fn single(&self, key: &str) -> Result<Option<f32>, MetadataError> {
        self.read(key, "a number in single precision", Value::single)
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, MetadataError> {
        self.read(key, "a list of texts", |value| value.list(Value::text))
    }

    pub(super) fn counts(&self, key: &str) -> Result<Option<Vec<u64>>, MetadataError> {
        self.read(key, "a list of counts", |value| value.list(Value::count))
    }

    pub(super) fn singles(&self, key: &str) -> Result<Option<Vec<f32>>, MetadataError> {
        self.read(key, "a list of numbers in single precision", |value| value.list(Value::single))
    }

    fn read<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, MetadataError> {
        let Some(value) = self.0.get(key) else {
            return Ok(None);
        };
        let kind = || MetadataError::Kind { key: key.to_owned(), expected };
        take(value).map(Some).ok_or_else(kind)
    }
}

impl Value {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn count(&self) -> Option<u64> {
        if let Self::Signed(count) = self {
            return u64::try_from(*count).ok();
        }
        if let Self::Unsigned(count) = self { Some(*count) } else { None }
    }

    fn single(&self) -> Option<f32> {
        if let Self::Single(number) = self { Some(*number) } else { None }
    }

    fn list<'a, T>(&'a self, take: impl Fn(&'a Self) -> Option<T>) -> Option<Vec<T>> {
        let Self::List(values) = self else {
            return None;
        };
        values.iter().map(take).collect()
    }
}

/// What was looked up under `key`, which has to be there.
pub(super) fn needed<T>(found: Option<T>, key: &str) -> Result<T, MetadataError> {
    found.ok_or_else(|| MetadataError::Missing { key: key.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_kind_is_an_error_and_a_missing_one_is_none() {
        let values = [("n", Value::Signed(-1)), ("t", Value::List(vec![Value::Flag(true)]))];
        let metadata = Metadata(values.map(|(key, value)| (key.to_owned(), value)).into());
        assert_eq!(metadata.count("n").unwrap_err().to_string(), "key `n` does not hold a count");
        assert!(metadata.texts("t").is_err());
        assert_eq!(metadata.text("x"), Ok(None));
        assert_eq!(needed::<u64>(None, "x").unwrap_err().to_string(), "key `x` is missing");
    }
}
