//! The values of a manifest, each with the place where it was written.

use clap::ValueEnum;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Problem;

/// Where something stands in a file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The place of byte `offset` of `text`.
    pub(super) fn of(offset: usize, text: &str) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub place: Place,
}

/// What is wrong with a manifest, and at which byte.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) offset: usize,
    pub(super) problem: Problem,
}

/// The fields of `table` in the order they were written.
pub(super) fn fields<'a>(table: &'a DeTable<'a>) -> Vec<Field<'a>> {
    let mut fields: Vec<_> = table
        .iter()
        .map(|(key, value)| Field { key: key.get_ref(), key_offset: key.span().start, value })
        .collect();
    fields.sort_by_key(|field| field.key_offset);
    fields
}

/// A key, its value, and where both stand.
pub(super) struct Field<'a> {
    pub(super) key: &'a str,
    pub(super) key_offset: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Field<'a> {
    pub(super) fn offset(&self) -> usize {
        self.value.span().start
    }

    pub(super) fn text(&self) -> Result<String, Wrong> {
        match self.value.get_ref().as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.expected("a string")),
        }
    }

    pub(super) fn switch(&self) -> Result<bool, Wrong> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("`true` or `false`"))
    }

    /// A whole number that fits `T`.
    pub(super) fn count<T: TryFrom<u64>>(&self) -> Result<T, Wrong> {
        let integer =
            self.value.get_ref().as_integer().ok_or_else(|| self.expected("a whole number"))?;
        if integer.as_str().starts_with('-') {
            return Err(self.expected("a whole number of 0 or more"));
        }
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.expected("a smaller number"))
    }

    pub(super) fn number(&self) -> Result<f32, Wrong> {
        let value = self.value.get_ref();
        let digits = match (value.as_float(), value.as_integer()) {
            (Some(float), _) => float.as_str(),
            (None, Some(integer)) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(self.expected("a number")),
        };
        digits.parse().map_err(|_| self.expected("a number"))
    }

    /// One of the names of `T`.
    pub(super) fn name<T: ValueEnum>(&self) -> Result<T, Wrong> {
        let text = self.text()?;
        T::from_str(&text, false).map_err(|_| {
            let known = T::value_variants()
                .iter()
                .filter_map(|variant| {
                    Some(format!("`{}`", variant.to_possible_value()?.get_name()))
                })
                .collect::<Vec<_>>()
                .join(", ");
            self.wrong(Problem::UnknownName { key: self.key.to_owned(), name: text, known })
        })
    }

    /// The elements of a list, each read by `read`.
    pub(super) fn list<T>(
        &self,
        read: impl Fn(&Self) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        let elements = self.value.get_ref().as_array().ok_or_else(|| self.expected("a list"))?;
        elements.iter().map(|value| read(&Self { value, ..*self })).collect()
    }

    /// A list as [`Self::list`] reads it, or its only element without brackets.
    pub(super) fn one_or_list<T>(
        &self,
        read: impl Fn(&Self) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        if self.value.get_ref().as_array().is_some() {
            self.list(read)
        } else {
            Ok(vec![read(self)?])
        }
    }

    pub(super) fn table(&self) -> Result<&'a DeTable<'a>, Wrong> {
        self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))
    }

    /// This, with where it was written in `text`.
    pub(super) fn written<T>(&self, value: T, text: &str) -> Written<T> {
        Written { value, place: Place::of(self.offset(), text) }
    }

    pub(super) fn wrong(&self, problem: Problem) -> Wrong {
        Wrong { offset: self.offset(), problem }
    }

    fn expected(&self, expected: &'static str) -> Wrong {
        let value = self.value.get_ref();
        let found = match value {
            DeValue::Integer(integer) => format!("`{integer}`"),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => format!("a {}", value.type_str()),
        };
        self.wrong(Problem::WrongType { key: self.key.to_owned(), expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nä = 2";
        assert_eq!(Place::of(0, text), Place { line: 1, column: 1 });
        // `ä` takes two bytes: byte 9 is the `=`.
        assert_eq!(Place::of(9, text), Place { line: 2, column: 3 });
    }

    #[test]
    fn an_offset_behind_the_end_is_the_end() {
        assert_eq!(Place::of(99, "a\nbc"), Place { line: 2, column: 3 });
    }
}
