//! A child process and its three pipes.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{self, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Longest line that is believed: a trial of a million tokens has some 20 MB.
const LINE_LIMIT: u64 = 64 << 20;
/// Lines of standard error that are kept, the last ones.
const TAIL_LINES: usize = 20;
/// Bytes of each of them, the first ones.
const TAIL_LINE_LIMIT: u64 = 500;
/// Time in which a killed process goes, unless the system holds it.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// Time in which what a dead child wrote is still read: its own children may hold the pipes open for ever.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);

/// A child process, killed when it is dropped.
pub(super) struct Child {
    process: Process,
    lines: mpsc::Receiver<Line>,
    stderr: Stderr,
    /// When it was first seen that the process is gone while its standard output is still open.
    gone_since: Option<Instant>,
    /// Holds standard input open: the child ends when that is closed, so it cannot outlive this process.
    stdin: mpsc::Sender<&'static [u8]>,
}

/// What was read from standard output.
pub(super) enum Line {
    /// A line, without its end.
    Text(String),
    /// Something that is no line of text.
    Garbage(String),
}

/// What a look at a child found.
pub(super) enum Look {
    /// It said something.
    Said(Line),
    /// Nothing new.
    Silent,
    /// It closed its standard output and still lives.
    Closed,
    /// It is gone, and all it said was read.
    Gone(io::Result<ExitStatus>),
}

impl Child {
    /// Starts `command` and writes `input` to it, which may take as long as the child likes.
    ///
    /// It gets a process group of its own, so that Ctrl-C in a terminal reaches this process only.
    pub(super) fn start(command: &mut Command, input: Vec<u8>) -> io::Result<Self> {
        let mut process = Process(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()?,
        );
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.0.stdin.take(), process.0.stdout.take(), process.0.stderr.take())
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            process,
            lines: read_lines(stdout)?,
            stderr: Stderr::read(stderr)?,
            gone_since: None,
            stdin: write_and_hold(stdin, input)?,
        })
    }

    /// The id of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits at most `wait` for something to happen.
    pub(super) fn look(&mut self, wait: Duration) -> Look {
        match self.lines.recv_timeout(wait) {
            Ok(line) => Look::Said(line),
            Err(mpsc::RecvTimeoutError::Timeout) => match self.process.wait(Duration::ZERO) {
                Ok(None) => Look::Silent,
                Ok(Some(_)) if self.gone_for() < DRAIN_GRACE => Look::Silent,
                Ok(Some(status)) => Look::Gone(Ok(status)),
                Err(error) => Look::Gone(Err(error)),
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => match self.process.wait(wait) {
                Ok(None) => Look::Closed,
                Ok(Some(status)) => Look::Gone(Ok(status)),
                Err(error) => Look::Gone(Err(error)),
            },
        }
    }

    /// Writes `line` to it, which may take as long as the child likes.
    pub(super) fn tell(&self, line: &'static [u8]) {
        // A child that is gone need not hear it, and that it is gone is seen elsewhere.
        let _ = self.stdin.send(line);
    }

    /// Kills it; what it had said can still be read with [`Self::look`].
    pub(super) fn kill(&mut self) {
        self.process.kill();
    }

    /// The last lines of its standard error.
    pub(super) fn last_words(&self) -> Vec<String> {
        self.stderr.tail()
    }

    fn gone_for(&mut self) -> Duration {
        self.gone_since.get_or_insert_with(Instant::now).elapsed()
    }
}

/// A process that does not outlive its owner.
struct Process(process::Child);

impl Process {
    fn kill(&mut self) {
        // An error means that it is gone already.
        let _ = self.0.kill();
    }

    /// Waits at most `time` for its end.
    fn wait(&mut self, time: Duration) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let status = self.0.try_wait()?;
            if status.is_some() || began.elapsed() >= time {
                return Ok(status);
            }
            thread::sleep(TICK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Bounded, since a process inside a driver may not go; there is nothing else to be done about it.
        let _ = self.wait(KILL_GRACE);
    }
}

/// Writes `input` to a child, then what the sender is given, and keeps its standard input open until that is dropped.
fn write_and_hold(
    mut stdin: impl Write + Send + 'static,
    input: Vec<u8>,
) -> io::Result<mpsc::Sender<&'static [u8]>> {
    let (sender, lines) = mpsc::channel();
    spawn("stdin", move || {
        let mut write = |line: &[u8]| stdin.write_all(line).and_then(|()| stdin.flush());
        // A child that does not read its job cannot answer it, which is noticed there.
        if write(&input).is_ok() {
            while lines.recv().is_ok_and(|line| write(line).is_ok()) {}
        }
    })?;
    Ok(sender)
}

/// Reads lines until there are no more; without a bound, so that a slow reader never holds up a measurement.
fn read_lines(stdout: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<Line>> {
    let (sender, lines) = mpsc::channel();
    spawn("stdout", move || {
        let mut stdout = BufReader::new(stdout);
        while let Some(line) = next_line(&mut stdout, LINE_LIMIT) {
            let is_garbage = matches!(line, Line::Garbage(_));
            if sender.send(line).is_err() || is_garbage {
                return;
            }
        }
    })?;
    Ok(lines)
}

/// The next line; a last one without an end is left out, for it was torn by the child's death.
fn next_line(input: &mut impl BufRead, limit: u64) -> Option<Line> {
    let mut bytes = Vec::new();
    input.take(limit).read_until(b'\n', &mut bytes).ok()?;
    if bytes.pop_if(|last| *last == b'\n').is_none() {
        let is_long = bytes.len() as u64 == limit;
        return is_long.then(|| Line::Garbage(format!("a line of more than {limit} bytes")));
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => Line::Text(text),
        Err(_) => Line::Garbage("a line that is not UTF-8".to_owned()),
    })
}

/// Reads standard error to its end, so that the child never waits, and keeps the last lines.
struct Stderr {
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Stderr {
    fn read(stderr: impl Read + Send + 'static) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_LINES)));
        let kept = Arc::clone(&tail);
        let reader = spawn("stderr", move || {
            let mut stderr = BufReader::new(stderr);
            while let Some(line) = next_tail_line(&mut stderr) {
                let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
        })?;
        Ok(Self { tail, reader })
    }

    fn tail(&self) -> Vec<String> {
        let began = Instant::now();
        while !self.reader.is_finished() && began.elapsed() < DRAIN_GRACE {
            thread::sleep(TICK);
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().cloned().collect()
    }
}

/// The beginning of the next line that is not empty.
fn next_tail_line(input: &mut impl BufRead) -> Option<String> {
    loop {
        let mut bytes = Vec::new();
        input.take(TAIL_LINE_LIMIT).read_until(b'\n', &mut bytes).ok().filter(|read| *read > 0)?;
        if !bytes.ends_with(b"\n") {
            input.skip_until(b'\n').ok()?;
        }
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if !line.is_empty() {
            return Some(line);
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut input = bytes;
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, 8) {
            match line {
                Line::Text(text) => lines.push(text),
                Line::Garbage(what) => {
                    lines.push(format!("garbage: {what}"));
                    break;
                }
            }
        }
        lines
    }

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(lines(b"one\n\ntwo\n"), ["one", "", "two"]);
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        assert_eq!(lines(b"one\ntw"), ["one"]);
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        assert_eq!(lines(b"one\n123456789"), ["one", "garbage: a line of more than 8 bytes"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_garbage() {
        assert_eq!(lines(b"\xff\xfe\n"), ["garbage: a line that is not UTF-8"]);
    }

    #[test]
    fn standard_error_keeps_the_beginning_of_each_line() {
        let long = format!("{}\n\nnext\nlast", "x".repeat(1_200));
        let mut input = long.as_bytes();
        assert_eq!(next_tail_line(&mut input), Some("x".repeat(500)));
        assert_eq!(next_tail_line(&mut input), Some("next".to_owned()));
        assert_eq!(next_tail_line(&mut input), Some("last".to_owned()));
        assert_eq!(next_tail_line(&mut input), None);
    }
}
