//! What takes fuel for the work that the engine does for nothing.

use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, escape_formatter, filters,
    formatting::FormatStyle,
    value::{Kwargs, ObjectRepr, Rest, StringInput, ValueOrKwargs},
};
use minijinja_contrib::pycompat;

use crate::text::guard::guarded;

/// A filter that charges for all that lies in a value and gives the value back.
///
/// No template can write the names of these filters.
pub(super) const WEIGH: &str = "(weigh)";

/// A filter that charges for all that lies in a value as often as it has bytes, and gives the value back: for what is gone
/// through for each item of a list, of which nobody knows how many there are.
pub(super) const FOR_EACH: &str = "(each)";

/// A filter that makes a promised list a real one, and charges for its items.
pub(super) const WHOLE: &str = "(whole)";

/// A filter that charges for the characters of a text and gives the value back.
pub(super) const TEXT: &str = "(text)";

/// A filter that charges for looking for an item and gives it back.
pub(super) const ITEM: &str = "(item)";

/// Bytes that one unit of fuel pays for.
const BYTES: usize = 64;

/// What an item costs, as that many bytes.
const ITEM_BYTES: usize = 32;

/// The widest field, and the most digits of a number: with some more the engine panics.
const WIDEST: usize = 1 << 15;

/// Values that may lie in each other.
const DEEPEST: usize = 100;

/// Has `environment` charge for what is walked through.
///
/// What Python's Jinja does not have goes where it cannot be charged for.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.set_formatter(write);
    environment.set_unknown_method_callback(method);
    environment.add_filter(WEIGH, |state: &State<'_, '_>, value: &Value| {
        weigh(state, value)?;
        Ok::<_, Error>(value.clone())
    });
    environment.add_filter(FOR_EACH, |state: &State<'_, '_>, value: &Value| {
        let bytes = bytes_in(state, value)?;
        charge(state, bytes.saturating_mul(bytes))?;
        Ok::<_, Error>(value.clone())
    });
    environment.add_filter(WHOLE, whole);
    environment.add_filter(TEXT, |value: &Value| value.clone());
    environment.add_filter(ITEM, item);
    environment.add_filter("string", string);
    environment.add_filter("trim", trimmed);
    environment.add_filter("sum", sum);
    environment.add_filter("format", |state: &State<'_, '_>, text: &Value, args| {
        formatted(state, FormatStyle::Printf, text, &args_of(args))
    });
    for name in ["chain", "lines", "split"] {
        environment.remove_filter(name);
    }
    for name in ["endingwith", "startingwith"] {
        environment.remove_test(name);
    }
    environment.remove_global("debug");
    let globals = environment.globals().map(|(name, value)| (name.to_owned(), value));
    let weighing = globals.filter(|(name, _)| ["dict", "namespace"].contains(&name.as_str()));
    for (name, function) in weighing.collect::<Vec<_>>() {
        environment.add_function(name, move |state: &mut State<'_, '_>, args| {
            let args = args_of(args);
            args.iter().try_for_each(|arg| weigh(state, arg))?;
            function.call(state, &args)
        });
    }
}

fn args_of(args: Rest<ValueOrKwargs>) -> Vec<Value> {
    args.into_values()
}

/// Charges for all that lies in `value`, at every level; a text or a number costs nothing.
///
/// # Errors
///
/// The fuel running out, which values do that lie in each other too deep, or in themselves.
pub(super) fn weigh(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.as_object().is_none() {
        return Ok(());
    }
    let mut scale = Scale { state, bytes: 0, unpaid: 0 };
    scale.put(value, DEEPEST)?;
    scale.pay(BYTES)
}

/// The bytes of a text, or of all that lies in `value`, which are charged for.
fn bytes_in(state: &State<'_, '_>, value: &Value) -> Result<usize, Error> {
    let mut scale = Scale { state, bytes: 0, unpaid: 0 };
    scale.put(value, DEEPEST)?;
    scale.pay(BYTES)?;
    Ok(scale.bytes)
}

struct Scale<'a> {
    state: &'a State<'a, 'a>,
    /// Bytes on it so far.
    bytes: usize,
    /// Those of them that were not charged for yet.
    unpaid: usize,
}

impl Scale<'_> {
    fn put(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let bytes = value.as_str().map_or(0, str::len).saturating_add(ITEM_BYTES);
        self.bytes = self.bytes.saturating_add(bytes);
        self.unpaid = self.unpaid.saturating_add(bytes);
        let Some(object) = value.as_object() else { return Ok(()) };
        let below = depth.checked_sub(1).ok_or(ErrorKind::OutOfFuel)?;
        let has_keys = object.repr() == ObjectRepr::Map;
        for (key, item) in object.try_iter_pairs().into_iter().flatten() {
            if has_keys {
                self.put(&key, below)?;
            }
            self.put(&item, below)?;
            // Not each for itself, which would take longer than the walk.
            self.pay(64 * BYTES)?;
        }
        Ok(())
    }

    /// Charges for what was not charged for, where that is at least `least` bytes.
    fn pay(&mut self, least: usize) -> Result<(), Error> {
        if self.unpaid < least {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.unpaid);
        charge(self.state, bytes)
    }
}

fn charge(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes / BYTES).unwrap_or(u64::MAX))
}

fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    weigh(state, value)?;
    escape_formatter(out, state, value)
}

fn string(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    weigh(state, value)?;
    Ok(if value.as_str().is_some() { value.clone() } else { Value::from(value.to_string()) })
}

/// A list as it is, or made of what was promised.
fn whole(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let is_promised = value.as_object().is_some_and(|object| {
        let is_list = value.is_tuple() || value.downcast_object_ref::<Vec<Value>>().is_some();
        let is_sequence = matches!(object.repr(), ObjectRepr::Iterable | ObjectRepr::Seq);
        is_sequence && !is_list
    });
    if !is_promised {
        return Ok(value.clone());
    }
    let length = value.len();
    if let Some(length) = length {
        state.consume_fuel(length.try_into().unwrap_or(u64::MAX))?;
    }
    let mut items = Vec::new();
    for item in value.try_iter()?.checked() {
        state.consume_fuel(length.is_none().into())?;
        items.push(item?);
    }
    Ok(Value::from(items))
}

fn item(state: &State<'_, '_>, value: &Value, key: &Value) -> Result<Value, Error> {
    weigh(state, key)?;
    charge(state, key.as_str().map_or(0, str::len))?;
    if value.as_object().is_some_and(|object| object.repr() == ObjectRepr::Iterable) {
        charge(state, value.len().unwrap_or(0).saturating_mul(ITEM_BYTES))?;
    }
    value.get_item(key)
}

/// `value|trim(characters)`: every character of the text is looked for among them.
fn trimmed(state: &State<'_, '_>, value: &Value, chars: Option<&str>) -> Result<Value, Error> {
    charge_for_search(state, value, chars)?;
    Ok(filters::trim(StringInput::new(state, value)?, chars.map(Into::into)))
}

fn charge_for_search(
    state: &State<'_, '_>,
    value: &Value,
    chars: Option<&str>,
) -> Result<(), Error> {
    let text = value.as_str().map_or(0, str::len);
    let chars = chars.map_or(0, str::len);
    charge(state, chars.saturating_add(text.saturating_mul(chars / 16)))
}

/// `values|sum(attribute, start)`: lists and texts are copied for each that is added to them.
fn sum(
    state: &State<'_, '_>,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let begin = match &start {
        Some(start) => Some(start.clone()),
        None => options.get::<Option<Value>>("start")?,
    };
    if begin.is_some_and(|begin| !begin.is_number()) {
        let copies = values.len().unwrap_or(0);
        charge(state, bytes_in(state, &values)?.saturating_mul(copies) / 2)?;
    }
    filters::sum(state, values, attribute, start, options).and_then(|sum| whole(state, &sum))
}

/// Calls one of Python's methods.
fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    for arg in args {
        weigh(state, arg)?;
        charge(state, arg.as_str().map_or(0, str::len))?;
    }
    match (name, value.as_str()) {
        ("format", Some(_)) => return formatted(state, FormatStyle::StrFormat, value, args),
        ("strip" | "lstrip" | "rstrip", Some(_)) => {
            charge_for_search(state, value, args.first().and_then(Value::as_str))?;
        }
        ("split" | "splitlines", Some(text)) => {
            let mark =
                if name == "split" { args.first().and_then(Value::as_str) } else { Some("\n") };
            ensure_pieces(state, text, mark)?;
        }
        ("count", None) => weigh(state, value)?,
        _ => {}
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// Checks that there is fuel for the pieces of `text` between each `mark`, or between spaces.
///
/// The engine charges for them once they are there.
fn ensure_pieces(state: &State<'_, '_>, text: &str, mark: Option<&str>) -> Result<(), Error> {
    let left = state.fuel_levels().map_or(u64::MAX, |(_, left)| left);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    // No text has more, and few are long enough for more than there is fuel for.
    let most = text.len() / mark.map_or(1, |mark| mark.len().max(1));
    if most < left {
        return Ok(());
    }
    let pieces = match mark {
        Some(mark) => text.matches(mark).count(),
        None => text.split_whitespace().count(),
    };
    if pieces < left { Ok(()) } else { Err(ErrorKind::OutOfFuel.into()) }
}

/// `text % args` or `text.format(args)`, in which a field may be wide, and any may be any of the arguments.
fn formatted(
    state: &State<'_, '_>,
    style: FormatStyle,
    text: &Value,
    args: &[Value],
) -> Result<Value, Error> {
    let text = text
        .as_str()
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "only a text can be formatted"))?;
    let mut longest = 0_usize;
    for arg in args {
        longest = longest.saturating_add(bytes_in(state, arg)?);
    }
    for field in fields(style, text) {
        let width = width(field);
        charge(state, longest.saturating_add(width))?;
        if width > WIDEST {
            return Err(Error::new(ErrorKind::InvalidOperation, "a field is too wide"));
        }
    }
    // The engine panics at some names in a form that are not ASCII.
    let written = guarded(|| Ok(minijinja::formatting::format(style, text, args)));
    let unreadable = |_| Error::new(ErrorKind::InvalidOperation, "this form cannot be read");
    written.map_err(unreadable)?.map(Value::from)
}

/// What is written about the form of each field.
fn fields(style: FormatStyle, text: &str) -> impl Iterator<Item = &str> {
    let mark = if style == FormatStyle::Printf { '%' } else { '{' };
    text.split(mark).skip(1).map(move |rest| {
        if style == FormatStyle::Printf {
            let form = rest.strip_prefix('(').and_then(|key| key.split_once(')'));
            let form = form.map_or(rest, |(_, form)| form);
            form.split(|symbol: char| symbol.is_alphabetic()).next().unwrap_or(form)
        } else {
            let field = rest.split('}').next().unwrap_or(rest);
            field.split_once(':').map_or("", |(_, form)| form)
        }
    })
}

/// The greatest number in `form`: a width or a precision.
fn width(form: &str) -> usize {
    let numbers = form.split(|symbol: char| !symbol.is_ascii_digit());
    let widths = numbers.filter(|number| !number.is_empty());
    widths.map(|number| number.parse().unwrap_or(usize::MAX)).max().unwrap_or(0)
}
