//! Lists and mappings are written only up to a number of items.
//!
//! A list repeated by a number is lazy in minijinja and costs no fuel until it is written, which may then take minutes.

use minijinja::{Environment, Error, ErrorKind, Output, State, Value, escape_formatter};

/// Items that one value may hold, those of its items included, to be written.
const MOST: usize = 1 << 20;

/// Values that may lie in each other.
const DEEPEST: usize = 100;

/// Has `environment` write values, and make strings of them, up to the limit.
pub(super) fn bound_writing(environment: &mut Environment<'_>) {
    environment.set_formatter(format);
    environment.add_filter("string", |value: &Value| {
        check(value)?;
        Ok::<_, Error>(if value.as_str().is_some() {
            value.clone()
        } else {
            Value::from(value.to_string())
        })
    });
}

fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    check(value)?;
    escape_formatter(out, state, value)
}

fn check(value: &Value) -> Result<(), Error> {
    let mut left = MOST;
    spend(value, &mut left, DEEPEST).ok_or_else(|| ErrorKind::OutOfFuel.into())
}

/// Takes the items of `value` off those `left`, down to `depth` levels.
fn spend(value: &Value, left: &mut usize, depth: usize) -> Option<()> {
    let Some(object) = value.as_object() else { return Some(()) };
    let below = depth.checked_sub(1)?;
    *left = left.checked_sub(value.len().unwrap_or(0))?;
    for (key, item) in object.try_iter_pairs().into_iter().flatten() {
        spend(&key, left, below)?;
        spend(&item, left, below)?;
    }
    Some(())
}
