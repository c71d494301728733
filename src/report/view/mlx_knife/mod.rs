//! The Markdown layout of mlx-knife's own report (template 1.1), so that its history stays comparable.
//!
//! The page says what `generate_benchmark_report.py` says of the same file, line by line, but for the names
//! of the generator and the date. Where that script is known to go wrong the page is right instead, and a
//! section at its end names every correction that made a difference:
//!
//! - Shares of clean tests are of the tests whose health is known, not of all lines.
//! - Memory, swap or zombies that a line does not tell are not counted as 0, and both spellings are read.
//! - Failed tests are counted and listed.
//! - A passed test without duration, a model without id, lines of the memory monitor and lines that are no
//!   records break or spoil nothing.
//! - The time of a phase that was written by hand is not counted again in the total.
//! - The GPU during a test is what was seen before its end; theirs looks at the time after it. What a sample does
//!   not tell is not counted as 0, tests with one name are not mixed up, and the interval is the one that was.
//! - Models of a workspace are called by their folder, and schema files as they are called.

mod collect;
mod compare;
mod gpu;
mod models;
mod render;
mod samples;
mod tests_table;

use std::io::{self, BufRead};

use jiff::Timestamp;

pub use collect::Statistics;
pub use samples::Memory;

/// What a page is made of.
#[derive(Debug)]
pub struct Page<'a> {
    /// The file that is shown: its name and what is in it.
    pub primary: (&'a str, &'a Statistics),
    /// An older one that it is compared with.
    pub comparison: Option<(&'a str, &'a Statistics)>,
    /// What was seen of the machine during both.
    pub memory: [Option<&'a Memory>; 2],
    /// When the page is made.
    pub now: Timestamp,
}

/// Reads a file, whatever its lines are.
///
/// # Errors
///
/// Where it cannot be read.
pub fn read(file: impl BufRead) -> io::Result<Statistics> {
    Statistics::read(file)
}

/// Reads a file of the memory monitor, ours or mlx-knife's.
///
/// # Errors
///
/// Where it cannot be read.
pub fn read_memory(file: impl BufRead) -> io::Result<Memory> {
    Memory::read(file)
}

/// The page.
pub fn render(page: &Page<'_>) -> String {
    render::page(page)
}
