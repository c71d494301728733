//! A schema as something that a line can be held against while it is read.

use serde_json::{Map, Value};

use super::{super::version::SchemaVersion, Place};

/// The one pattern of the schemas: three numbers with points between them, then anything.
const VERSION_PATTERN: &str = r"^\d+\.\d+\.\d+";
/// Keys of a schema that ask for nothing.
const SILENT: [&str; 4] = ["$schema", "title", "description", "format"];

/// What may stand in a place, and whether it is noted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) place: Option<Place>,
}

/// What may stand in a place. Less may be accepted than the schema takes, never more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Any,
    Flag,
    /// A text; one of the choices where there are any.
    Text(Vec<String>),
    /// A text that begins with three numbers.
    Version,
    Number {
        least: Option<f64>,
    },
    Integer {
        least: Option<f64>,
    },
    List(Box<Shape>),
    Object(Object),
}

/// The keys of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    /// At most 64.
    pub(super) properties: Vec<(String, Shape)>,
    /// A bit for each property that must be there.
    pub(super) required: u64,
    pub(super) others: Others,
}

/// What an object may hold beside its properties, or be instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Others {
    /// No other key.
    Refused,
    /// Any other key.
    Open,
    /// Any other key; and it may also be no object at all.
    #[default]
    Anything,
}

impl Shape {
    const ANY: Self = Self { kind: Kind::Any, place: None };

    /// That of the lines of `version`; none where its schema asks for something that is not known here.
    pub(super) fn of_version(version: SchemaVersion) -> Option<Self> {
        let schema = match version.schema() {
            SchemaVersion::V0_1_0 => include_str!("../../../schemas/report-v0.1.schema.json"),
            SchemaVersion::V0_2_0 => include_str!("../../../schemas/report-v0.2.schema.json"),
            SchemaVersion::V0_2_1 | SchemaVersion::V0_2_2 => {
                include_str!("../../../schemas/report-v0.2.2.schema.json")
            }
        };
        let mut shape = Self::of(serde_json::from_str::<Value>(schema).ok()?.as_object()?)?;
        shape.note_places();
        Some(shape)
    }

    /// That of the samples of the memory monitor.
    pub(super) fn of_monitor() -> Self {
        let mut shape = Self { kind: Kind::Object(Object::default()), place: None };
        shape.note_places();
        shape
    }

    fn of(schema: &Map<String, Value>) -> Option<Self> {
        let mut left: Vec<_> = schema.keys().map(String::as_str).collect();
        left.retain(|key| !SILENT.contains(key) && *key != "type");
        let mut take = |key: &str| {
            left.retain(|known| *known != key);
            schema.get(key)
        };
        let least =
            |value: Option<&Value>| value.map_or(Some(None), |least| Some(Some(least.as_f64()?)));
        let kind = match schema.get("type")?.as_str()? {
            "boolean" => Kind::Flag,
            "number" => Kind::Number { least: least(take("minimum"))? },
            "integer" => Kind::Integer { least: least(take("minimum"))? },
            "array" => Kind::List(Box::new(match take("items") {
                Some(items) => Self::of(items.as_object()?)?,
                None => Self::ANY,
            })),
            "string" => match take("pattern") {
                Some(pattern) => (pattern == VERSION_PATTERN).then_some(Kind::Version)?,
                None => Kind::Text(choices(take("enum"))?),
            },
            "object" => Kind::Object(Object::of(
                take("properties"),
                take("required"),
                take("additionalProperties"),
            )?),
            _ => return None,
        };
        left.is_empty().then_some(Self { kind, place: None })
    }

    fn note_places(&mut self) {
        for place in Place::ALL {
            self.note(place.pointer().trim_start_matches('/'), place);
        }
    }

    /// Has what stands at `path` noted, also where the schema says nothing of it.
    fn note(&mut self, path: &str, place: Place) {
        if path.is_empty() {
            self.place = Some(place);
            return;
        }
        let (key, rest) = path.split_once('/').unwrap_or((path, ""));
        if self.kind == Kind::Any {
            self.kind = Kind::Object(Object::default());
        }
        let Kind::Object(object) = &mut self.kind else {
            return;
        };
        if let Some((_, below)) = object.properties.iter_mut().find(|(name, _)| name == key) {
            below.note(rest, place);
        } else if object.others != Others::Refused {
            let mut below = Self::ANY;
            below.note(rest, place);
            object.properties.push((key.to_owned(), below));
        }
    }
}

impl Object {
    fn of(
        properties: Option<&Value>,
        required: Option<&Value>,
        additional: Option<&Value>,
    ) -> Option<Self> {
        let mut object = Self { others: Others::Open, ..Self::default() };
        if let Some(additional) = additional {
            object.others = if additional.as_bool()? { Others::Open } else { Others::Refused };
        }
        if let Some(properties) = properties {
            for (name, schema) in properties.as_object()? {
                object.properties.push((name.clone(), Shape::of(schema.as_object()?)?));
            }
        }
        for name in choices(required)? {
            object.required |= Self::bit(object.position(&name, 0)?)?;
        }
        // Places may add some more.
        (object.properties.len() + Place::ALL.len() <= 64).then_some(object)
    }

    /// Where the property `key` stands, looked for from `from` on: writers keep the order of the schema.
    pub(super) fn position(&self, key: &str, from: usize) -> Option<usize> {
        let (before, after) = self.properties.split_at_checked(from)?;
        let is_it = |(name, _): &(String, Shape)| name == key;
        let later = after.iter().position(is_it).and_then(|at| at.checked_add(from));
        later.or_else(|| before.iter().position(is_it))
    }

    /// The bit of the property at `position`.
    pub(super) fn bit(position: usize) -> Option<u64> {
        1u64.checked_shl(u32::try_from(position).ok()?)
    }
}

fn choices(names: Option<&Value>) -> Option<Vec<String>> {
    let Some(names) = names else {
        return Some(Vec::new());
    };
    names.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}
