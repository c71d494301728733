//! How a family reads `config.json`, or the part of it that describes its text half.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Checkpoint, LoadError};

impl Checkpoint<'_> {
    /// Reads `config.json`, or the part that was entered, as `T`; keys that `T` does not name are passed over.
    ///
    /// # Errors
    ///
    /// When a key that `T` needs is absent or of another type.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        match self.part.borrow().as_ref() {
            Some(part) => self.parse(part),
            None => self.parse(self.description.config()),
        }
    }

    /// Reads the part `name` of `config.json` as `T`, where there is one.
    ///
    /// # Errors
    ///
    /// When a key that `T` needs is absent from it or of another type.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LoadError> {
        let part = self.description.config().get(name);
        part.map(|part| self.parse(part)).transpose()
    }

    /// Lets [`Self::config`] read the part `name` of `config.json` from now on, and `defaults` for what is absent
    /// there. Where there is no such part, nothing changes.
    ///
    /// # Errors
    ///
    /// When the part is something else than keys and values.
    pub fn enter(&self, name: &str, defaults: &[(&str, Value)]) -> Result<(), LoadError> {
        if let Some(mut part) = self.section::<Map<String, Value>>(name)? {
            for (key, value) in defaults {
                part.entry(*key).or_insert_with(|| value.clone());
            }
            self.part.replace(Some(Value::Object(part)));
        }
        Ok(())
    }

    fn parse<T: DeserializeOwned>(&self, value: &Value) -> Result<T, LoadError> {
        T::deserialize(value).map_err(|source| LoadError::Config {
            model_type: self.description.model_type().unwrap_or("unknown").to_owned(),
            source,
        })
    }
}
