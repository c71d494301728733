//! How busy the GPU is and what power it takes, looked at beside the sampler; only macOS tells.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

#[cfg(target_os = "macos")]
use super::macmon::open;

/// A reading that is older tells of another time.
const FRESH: Duration = Duration::from_secs(3);

/// The GPU in one second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gpu {
    /// Time in which it did something, in percent.
    pub(super) busy_percent: f64,
    /// Power, in watts.
    pub(super) watts: f64,
}

/// Looks at the GPU from a thread of its own, since a look takes a whole second.
#[derive(Debug)]
pub(super) struct Watcher {
    latest: Arc<Mutex<Option<(Instant, Gpu)>>>,
}

impl Watcher {
    /// Begins to look, where the system tells.
    pub(super) fn begin() -> Option<Self> {
        if cfg!(target_os = "macos") { Self::of(open) } else { None }
    }

    /// Looks by what `open` gives, which takes a second each time, until it tells nothing or this is dropped.
    fn of<Look>(open: impl FnOnce() -> Option<Look> + Send + 'static) -> Option<Self>
    where
        Look: FnMut() -> Option<Gpu>,
    {
        let latest = Arc::new(Mutex::new(None));
        let told = Arc::downgrade(&latest);
        let work = move || {
            let Some(mut look) = open() else { return };
            while let Some(gpu) = look() {
                let Some(told) = told.upgrade() else { return };
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), gpu));
            }
        };
        thread::Builder::new().name("gpu".to_owned()).spawn(work).ok()?;
        Some(Self { latest })
    }

    /// What was seen last, unless that is long ago.
    pub(super) fn latest(&self) -> Option<Gpu> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, gpu)| gpu)
    }
}

#[cfg(not(target_os = "macos"))]
fn open() -> Option<fn() -> Option<Gpu>> {
    None
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_latest_second_is_told() {
        let (sender, seconds) = mpsc::channel();
        let watcher = Watcher::of(move || Some(move || seconds.recv().ok())).unwrap();
        assert_eq!(watcher.latest(), None, "nothing was seen yet");
        let gpu = Gpu { busy_percent: 40.0, watts: 12.5 };
        sender.send(gpu).unwrap();
        while watcher.latest().is_none() {
            thread::yield_now();
        }
        assert_eq!(watcher.latest(), Some(gpu));
    }

    #[test]
    fn a_system_that_does_not_tell_is_not_asked_again() {
        let watcher = Watcher::of(|| None::<fn() -> Option<Gpu>>).unwrap();
        assert_eq!(watcher.latest(), None);
        assert_eq!(Watcher::begin().is_some(), cfg!(target_os = "macos"));
    }
}
