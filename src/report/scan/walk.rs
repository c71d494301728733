//! Goes through a line once, with a shape beside it.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{
    super::lint::{Finding, Names, leaking},
    Fact, Facts,
    shape::{Kind, Object, Others, Shape},
};

/// What is noted of a line of `shape`; none where it has another one, or is no JSON.
pub(super) fn line<'a>(
    text: &'a str,
    shape: &Shape,
    names: &Names,
) -> Option<(Facts<'a>, Vec<Finding>)> {
    let mut notes = Notes { names, path: Vec::new(), facts: Facts::default(), leaks: Vec::new() };
    let mut reader = serde_json::Deserializer::from_str(text);
    let walk = Walk { shape: Some(shape), notes: &mut notes };
    walk.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some((notes.facts, notes.leaks))
}

/// What was seen so far.
struct Notes<'a, 'n> {
    names: &'n Names,
    /// The way to the value in hand.
    path: Vec<Step<'a>>,
    facts: Facts<'a>,
    leaks: Vec<Finding>,
}

enum Step<'a> {
    Key(Cow<'a, str>),
    Item(usize),
}

impl Notes<'_, '_> {
    fn look(&mut self, text: &str) {
        if let Some((rule, message)) = leaking(text, self.names) {
            let mut pointer = String::new();
            for step in &self.path {
                pointer.push('/');
                match step {
                    Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                    Step::Item(at) => pointer.push_str(&at.to_string()),
                }
            }
            self.leaks.push(Finding::new(rule, &pointer, message));
        }
    }
}

/// Reads one value; where there is no shape, any.
struct Walk<'w, 'a, 'n> {
    shape: Option<&'w Shape>,
    notes: &'w mut Notes<'a, 'n>,
}

impl<'a> Walk<'_, 'a, '_> {
    fn note(&mut self, fact: Fact<'a>) {
        if let Some(place) = self.shape.and_then(|shape| shape.place) {
            self.notes.facts.note(place, fact);
        }
    }

    /// Whether there is no shape, or one of which `fits` is true.
    fn check<E: Error>(&self, fits: impl FnOnce(&Kind) -> bool) -> Result<(), E> {
        let is_fit = self.shape.is_none_or(|Shape { kind, .. }| {
            let is_open = matches!(kind, Kind::Object(keys) if keys.others == Others::Anything);
            is_open || *kind == Kind::Any || fits(kind)
        });
        if is_fit { Ok(()) } else { Err(E::custom("another shape")) }
    }

    fn number<E: Error>(&mut self, value: f64, is_whole: bool) -> Result<(), E> {
        self.check(|kind| {
            let (Kind::Number { least } | Kind::Integer { least }) = kind else {
                return false;
            };
            let is_of_type = is_whole || matches!(kind, Kind::Number { .. });
            is_of_type && least.is_none_or(|least| value >= least)
        })?;
        self.note(Fact::Number(value));
        Ok(())
    }

    fn text<E: Error>(&mut self, text: Cow<'a, str>) -> Result<(), E> {
        self.check(|kind| {
            if let Kind::Text(choices) = kind {
                return choices.is_empty() || choices.iter().any(|name| *name == text);
            }
            *kind == Kind::Version && begins_with_version(&text)
        })?;
        self.notes.look(&text);
        self.note(Fact::Text(text));
        Ok(())
    }
}

fn begins_with_version(text: &str) -> bool {
    let mut parts = text.splitn(3, '.');
    let mut is_number = || {
        let part = parts.next().unwrap_or_default();
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_number()
        && is_number()
        && parts.next().is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

impl<'a> DeserializeSeed<'a> for Walk<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Walk<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.check(|_| false)?;
        self.note(Fact::Other);
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.check(|kind| *kind == Kind::Flag)?;
        self.note(Fact::Other);
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.number(value as f64, true)
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.number(value as f64, true)
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.number(value, false)
    }

    fn visit_borrowed_str<E: Error>(mut self, text: &'a str) -> Result<(), E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.text(Cow::Owned(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.check(|kind| matches!(kind, Kind::List(_)))?;
        self.note(Fact::Other);
        let shape = self.shape.and_then(|shape| {
            if let Kind::List(items) = &shape.kind { Some(&**items) } else { None }
        });
        let mut at = 0;
        self.notes.path.push(Step::Item(at));
        while items.next_element_seed(Walk { shape, notes: self.notes })?.is_some() {
            at += 1;
            if let Some(last) = self.notes.path.last_mut() {
                *last = Step::Item(at);
            }
        }
        self.notes.path.pop();
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, keys: A) -> Result<(), A::Error> {
        self.check(|kind| matches!(kind, Kind::Object(_)))?;
        self.note(Fact::Other);
        match self.shape.map(|shape| &shape.kind) {
            Some(Kind::Object(object)) => shaped(object, self.notes, keys),
            _ => open(self.notes, keys),
        }
    }
}

fn open<'a, A: MapAccess<'a>>(notes: &mut Notes<'a, '_>, mut keys: A) -> Result<(), A::Error> {
    while let Some(key) = keys.next_key_seed(Key)? {
        notes.path.push(Step::Key(key));
        keys.next_value_seed(Walk { shape: None, notes })?;
        notes.path.pop();
    }
    Ok(())
}

fn shaped<'a, A: MapAccess<'a>>(
    object: &Object,
    notes: &mut Notes<'a, '_>,
    mut keys: A,
) -> Result<(), A::Error> {
    let mut seen = 0;
    let mut next = 0;
    while let Some(key) = keys.next_key_seed(Key)? {
        let position = object.position(&key, next);
        let shape = match position {
            Some(position) => {
                let bit = Object::bit(position).unwrap_or_default();
                // A key that comes twice is read as its last one.
                if seen & bit != 0 {
                    return Err(A::Error::custom("a key comes twice"));
                }
                seen |= bit;
                next = position + 1;
                object.properties.get(position).map(|(_, shape)| shape)
            }
            None if object.others == Others::Refused => {
                return Err(A::Error::custom("an unknown key"));
            }
            None => None,
        };
        notes.path.push(Step::Key(key));
        keys.next_value_seed(Walk { shape, notes })?;
        notes.path.pop();
    }
    if seen & object.required == object.required {
        Ok(())
    } else {
        Err(A::Error::custom("a key is missing"))
    }
}

/// Reads the name of a key.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
