//! Looks at the machine again and again beside a run, and writes a line for each look.
//!
//! The lines have the names and units of mlx-knife's `memmon.py`, so that its `memplot.py` draws them. What the machine
//! does not tell is absent. Each line is written as soon as it is known: a run that is killed loses none. The last line
//! holds the summary.
//!
//! Nothing here starts a process or touches MLX. Looks keep to a grid of the interval that was asked for, and one that
//! comes late is not made up for; the time that passed since the look before stands in each line.

mod apple;
mod gpu;
mod line;
mod linux;
#[cfg(target_os = "macos")]
mod macmon;
mod reading;
mod thread;

use std::{
    fs::File,
    io,
    sync::mpsc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use super::Health;
pub use line::{Event, Summary};
use reading::Source;
use thread::{Said, Work};

/// How the machine is doing, as far as one look tells.
pub(super) fn glance() -> Health {
    let reading = Source::new().read(None);
    Health {
        free_bytes: reading.free_bytes,
        swap_used_bytes: reading.swap_used_bytes,
        memory_pressure: reading.memory_pressure,
        load_average: reading.load.map(|[one, ..]| one),
        ..Health::default()
    }
}

/// Looks at the machine until it is told to end.
#[derive(Debug)]
pub struct Sampler {
    began: Instant,
    said: mpsc::Sender<Said>,
    thread: JoinHandle<Ended>,
}

/// What a sampler leaves.
#[derive(Debug)]
pub struct Ended {
    /// What all looks say together.
    pub summary: Summary,
    /// Why the file ends early, if it does.
    pub error: Option<io::Error>,
}

impl Sampler {
    /// Begins to look every `interval`, and to write to `file`, where there is one.
    ///
    /// # Errors
    ///
    /// When there can be no thread for it.
    pub fn begin(file: Option<File>, interval: Duration) -> io::Result<Self> {
        let (said, heard) = mpsc::channel();
        let began = Instant::now();
        let thread = Builder::new()
            .name("sampler".to_owned())
            .spawn(move || Work::new(heard, began, interval, file).run())?;
        Ok(Self { began, said, thread })
    }

    /// Looks at the process `id` too from now on; at none where there is none.
    pub fn watch(&self, id: Option<u32>) {
        self.say(Said::Watch(id));
    }

    /// Has the next line tell of `event`, which happens now.
    pub fn note(&self, event: Event) {
        self.say(Said::Event(event.at(SystemTime::now(), self.began.elapsed())));
    }

    /// Looks a last time, and writes the summary; `exit_code` is that of a command that was watched.
    pub fn end(self, exit_code: Option<u8>) -> Ended {
        self.say(Said::End { exit_code });
        self.thread.join().unwrap_or_else(|_| Ended {
            summary: Summary::default(),
            error: Some(io::Error::other("the thread that looked at the machine has died")),
        })
    }

    fn say(&self, said: Said) {
        // A thread that is gone is told of at the end.
        let _ = self.said.send(said);
    }
}
