//! A file of lines, read one at a time: a report may be larger than memory.

use std::io::{self, BufRead, Read};

use super::validate::LineError;

/// Bytes of the longest line that is read; a record with every stamp of a long answer has far fewer.
const LONGEST: usize = 64 << 20;

/// The lines of a file that are not blank, with their numbers.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    bytes: Vec<u8>,
    number: u64,
}

/// A line of a file.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its number in the file, counted from 1.
    pub number: u64,
    /// Its text without blanks at its end, or why it has none.
    pub text: Result<&'a str, LineError>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `source`.
    pub fn new(source: R) -> Self {
        Self { source, bytes: Vec::new(), number: 0 }
    }

    /// The next line that is not blank; none at the end.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.bytes.clear();
            let mut part = self.source.by_ref().take(LONGEST as u64 + 1);
            if part.read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.bytes.len() > LONGEST && !self.bytes.ends_with(b"\n") {
                self.source.skip_until(b'\n')?;
                return Ok(Some(Line { number: self.number, text: Err(LineError::TooLong) }));
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let text = match std::str::from_utf8(&self.bytes) {
            Ok(text) => Ok(text.trim_end()),
            Err(error) => Err(LineError::NotText(error.valid_up_to() + 1)),
        };
        Ok(Some(Line { number: self.number, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_counted_and_left_out() {
        let mut lines = Lines::new(&b"a\r\n\n  \nb \n\xff\nc"[..]);
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let text = line.text.map_or_else(|error| error.to_string(), str::to_owned);
            read.push(format!("{}:{text}", line.number));
        }
        assert_eq!(read, ["1:a", "4:b", "5:byte 1 is not UTF-8", "6:c"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_the_longest() {
        let endless = io::repeat(b'x').take(LONGEST as u64 + 10);
        let mut lines = Lines::new(io::BufReader::new(endless.chain(&b"\nb"[..])));
        let line = lines.next_line().unwrap().unwrap();
        assert!(matches!(line.text, Err(LineError::TooLong)), "{line:?}");
        let line = lines.next_line().unwrap().unwrap();
        assert_eq!((line.number, line.text.unwrap()), (2, "b"));
    }
}
