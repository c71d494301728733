//! Which part of a file the system keeps in memory, and how it is made to let go of it.

#![expect(unsafe_code, reason = "no safe wrapper of `mincore` is at hand")]

use std::{fs::File, io, os::fd::AsRawFd, path::Path, ptr};

/// Bytes that are mapped at once; a multiple of every page size.
const WINDOW: u64 = 1 << 30;

/// Pages of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Those in memory.
    pub resident: u64,
    /// All of them.
    pub all: u64,
}

impl Pages {
    /// The pages of several files together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { resident: self.resident + other.resident, all: self.all + other.all }
    }

    /// The part that is in memory, from 0 to 1; nothing where there are no pages.
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.resident as f64 / self.all as f64)
    }
}

/// Counts the pages of the file at `path`.
///
/// Linux tells the truth only to who may write the file; to others all of it seems to be in memory.
///
/// # Errors
///
/// When it cannot be opened or mapped.
pub fn pages(path: &Path) -> io::Result<Pages> {
    let mut pages = Pages::default();
    each_window(&File::open(path)?, |window| {
        pages = pages.and(window.pages()?);
        Ok(())
    })?;
    Ok(pages)
}

/// Asks the system to let go of the file at `path`; whether it did, [`pages`] tells.
///
/// # Errors
///
/// When it cannot be opened, or the system does not want to.
pub fn evict(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // What is not on disk yet cannot be let go of.
    file.sync_all()?;
    evict_pages(&file)
}

fn evict_pages(file: &File) -> io::Result<()> {
    if cfg!(target_os = "linux") { give_up(file) } else { invalidate(file) }
}

#[cfg(target_os = "linux")]
fn give_up(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Only Linux has a call for it.
#[cfg(not(target_os = "linux"))]
fn give_up(file: &File) -> io::Result<()> {
    invalidate(file)
}

/// What `vmtouch -e` does on macOS, where this never ran yet.
fn invalidate(file: &File) -> io::Result<()> {
    each_window(file, |window| {
        // SAFETY: the range is mapped as long as the window lives.
        let code = unsafe { libc::msync(window.start, window.length, libc::MS_INVALIDATE) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    })
}

/// A part of a file, mapped to be looked at.
struct Window {
    start: *mut libc::c_void,
    length: usize,
}

impl Window {
    fn map(file: &File, offset: u64, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping touches no memory of ours, and nothing is read through it.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start, length })
    }

    fn pages(&self) -> io::Result<Pages> {
        let mut states = vec![0_u8; self.length.div_ceil(page_size())];
        // SAFETY: the range is mapped, and `states` has a byte for each of its pages.
        let code = unsafe { libc::mincore(self.start, self.length, states.as_mut_ptr().cast()) };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        let resident = states.iter().filter(|&&state| state & 1 == 1).count();
        Ok(Pages { resident: resident as u64, all: states.len() as u64 })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: this was mapped by `map` and nothing refers to it.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

fn each_window(file: &File, mut look: impl FnMut(&Window) -> io::Result<()>) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut offset = 0;
    while offset < size {
        let length = WINDOW.min(size - offset);
        look(&Window::map(file, offset, length)?)?;
        offset += length;
    }
    Ok(())
}

fn page_size() -> usize {
    // SAFETY: it only answers a question.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|&size| size > 0).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_in_memory_until_they_are_evicted() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("file");
        let length = 100 * page_size() + 1;
        std::fs::write(&path, vec![1; length]).unwrap();
        let warm = pages(&path).unwrap();
        assert_eq!((warm.all, warm.share()), (101, Some(1.0)));
        evict(&path).unwrap();
        assert!(pages(&path).unwrap().share().unwrap() < 0.01);
        std::fs::read(&path).unwrap();
        assert_eq!(pages(&path).unwrap(), warm);
    }

    #[test]
    fn a_file_without_bytes_has_no_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, "").unwrap();
        assert_eq!(pages(&path).unwrap().share(), None);
        assert!(pages(&folder.path().join("nothing")).is_err());
    }
}
