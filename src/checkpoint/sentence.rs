//! Errors as people read them.

use std::{error::Error, iter};

/// An error and its causes on one line.
pub fn sentence(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
