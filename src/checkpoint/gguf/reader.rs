//! Values of a GGUF header, read without trusting any length among them.

use std::{collections::BTreeMap, io::Read};

use super::{
    header::HeaderError,
    metadata::{Metadata, Value},
};

/// Keys, tensors and list items that a file may have, all taken together.
const MOST_ITEMS: u64 = 4_000_000;
/// Bytes of a text.
const LONGEST_TEXT: u64 = 16_000_000;
/// Lists inside lists.
const DEEPEST: u32 = 4;
/// Reads little-endian values, never more than the file or the limits have.
pub(super) struct Reader<R> {
    file: R,
    pub(super) left: u64,
    items_left: u64,
}

impl<R: Read> Reader<R> {
    /// Reads a file of `size` bytes from its beginning.
    pub(super) fn new(file: R, size: u64) -> Self {
        Self { file, left: size, items_left: MOST_ITEMS }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), HeaderError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(HeaderError::Truncated)?;
        Ok(self.file.read_exact(bytes)?)
    }

    pub(super) fn u32(&mut self) -> Result<u32, HeaderError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, HeaderError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Takes `count` off the items that the file may still have.
    pub(super) fn spend(&mut self, count: u64) -> Result<(), HeaderError> {
        let excessive = HeaderError::Excessive { length: count, limit: MOST_ITEMS };
        self.items_left = self.items_left.checked_sub(count).ok_or(excessive)?;
        Ok(())
    }

    pub(super) fn text(&mut self) -> Result<String, HeaderError> {
        let length = self.u64()?;
        if length > LONGEST_TEXT {
            return Err(HeaderError::Excessive { length, limit: LONGEST_TEXT });
        }
        if length > self.left {
            return Err(HeaderError::Truncated);
        }
        let length = usize::try_from(length).map_err(|_| HeaderError::Truncated)?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| HeaderError::NotText)
    }

    pub(super) fn metadata(&mut self, count: u64) -> Result<Metadata, HeaderError> {
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let key = self.text()?;
            let kind = self.u32()?;
            let value = self.value(&key, kind, DEEPEST)?;
            if values.contains_key(&key) {
                return Err(HeaderError::Duplicate { name: key });
            }
            values.insert(key, value);
        }
        Ok(Metadata(values))
    }

    fn value(&mut self, key: &str, kind: u32, depth: u32) -> Result<Value, HeaderError> {
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.bytes()?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Single(f32::from_le_bytes(self.bytes()?)),
            7 => Value::Flag(u8::from_le_bytes(self.bytes()?) != 0),
            8 => Value::Text(self.text()?),
            9 if depth > 0 => {
                let kind = self.u32()?;
                let length = self.u64()?;
                self.spend(length)?;
                let items = (0..length).map(|_| self.value(key, kind, depth - 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Double(f64::from_le_bytes(self.bytes()?)),
            _ => {
                return Err(HeaderError::ValueKind { key: key.to_owned(), kind });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::gguf::{header::Header, sample::Sample};

    fn read(sample: &Sample) -> Result<Metadata, HeaderError> {
        let bytes = sample.bytes();
        Header::read(bytes.as_slice(), bytes.len() as u64).map(|header| header.metadata)
    }

    #[track_caller]
    fn refused(sample: &Sample, expected: &str) {
        assert_eq!(read(sample).unwrap_err().to_string(), expected);
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let values = read(&Sample::full()).unwrap().0;
        let list = Value::List(vec![Value::List(vec![Value::Signed(1), Value::Signed(-1)])]);
        let expected = [
            ("u8", Value::Unsigned(200)),
            ("i8", Value::Signed(-1)),
            ("u16", Value::Unsigned(513)),
            ("i16", Value::Signed(-2)),
            ("u32", Value::Unsigned(70_000)),
            ("i32", Value::Signed(-5)),
            ("f32", Value::Single(1.5)),
            ("bool", Value::Flag(true)),
            ("text", Value::Text("Grüße".to_owned())),
            ("list", list),
            ("u64", Value::Unsigned(u64::MAX)),
            ("i64", Value::Signed(i64::MIN)),
            ("f64", Value::Double(0.1)),
        ];
        assert_eq!(values, expected.map(|(key, value)| (key.to_owned(), value)).into());
    }

    #[test]
    fn lengths_that_lie_cost_nothing() {
        let huge = [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
        refused(
            &Sample::default().raw("a", 9, &huge),
            "a length of 18446744073709551615 in the header is beyond the limit of 4000000",
        );
        refused(
            &Sample::default().raw("a", 8, &u64::MAX.to_le_bytes()),
            "a length of 18446744073709551615 in the header is beyond the limit of 16000000",
        );
        let long = Sample::default().raw("a", 8, &15_000_000u64.to_le_bytes());
        refused(&long, "the file ends inside its header");
    }

    #[test]
    fn lists_in_lists_have_an_end() {
        let level = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
        refused(
            &Sample::default().raw("a", 9, &level.repeat(100)),
            "key `a` has a value of the unknown kind 9",
        );
    }
}
