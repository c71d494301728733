//! The parent, as its child knows it: who gives the job, reads the answers and must not be outlived.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    ops::ControlFlow,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::Loader;
use crate::{
    measure::message::{Job, Message},
    plan::Settings,
};

/// What the parent writes after the job to ask for an end.
pub const STOP: &[u8] = b"stop\n";

/// Time that the exit handlers of libraries have when the parent is gone.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// The one who reads.
pub(super) struct Parent<'a> {
    pub(super) out: &'a mut dyn Write,
}

impl Parent<'_> {
    /// Says that this child lives, or breaks off where it has no MLX to live on.
    pub(super) fn greet(
        &mut self,
        loader: &mut dyn Loader,
        settings: &Settings,
    ) -> io::Result<ControlFlow<()>> {
        match loader.runtime(settings) {
            Ok(runtime) => {
                self.tell(&Message::Started { runtime })?;
                Ok(ControlFlow::Continue(()))
            }
            Err(failure) => {
                self.tell(&Message::LoadFailed { failure })?;
                Ok(ControlFlow::Break(()))
            }
        }
    }

    /// Writes a line and lets it go at once.
    pub(super) fn tell(&mut self, message: &Message) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

/// Reads a job from the first line of `input`. From then on anything more sets what is given with the job, and the end of
/// `input` ends this process.
pub(super) fn receive(input: impl Read + Send + 'static) -> io::Result<(Job, Arc<AtomicBool>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let (sender, job) = mpsc::channel();
    thread::Builder::new().name("parent".to_owned()).spawn(move || {
        let mut input = BufReader::new(input);
        let mut line = String::new();
        let job = match input.read_line(&mut line) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => serde_json::from_str(&line).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        let is_job = job.is_ok();
        // The receiver waits for exactly this.
        let _ = sender.send(job);
        if is_job {
            // An error means the same as an end: no parent can be heard any more.
            while input.read_line(&mut line).is_ok_and(|read| read > 0) {
                asked.store(true, Ordering::SeqCst);
            }
            leave();
        }
    })?;
    let job = job.recv().map_err(|_| io::ErrorKind::UnexpectedEof)??;
    Ok((job, stop))
}

/// Ends this process while another thread may be deep inside MLX.
#[expect(clippy::exit, reason = "no one is left to return to")]
fn leave() -> ! {
    // Exit handlers may wait for work that never ends. Without this thread they have all the time they want.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(EXIT_GRACE);
        process::abort()
    });
    process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_job_is_refused() {
        assert!(receive(io::Cursor::new(b"{}\n")).is_err());
        assert!(receive(io::empty()).is_err());
    }
}
