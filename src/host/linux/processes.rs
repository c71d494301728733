//! Zombies, as `/proc` lists them.

use std::{fs, path::Path};

use crate::host::zombies::{self, Zombies};

/// How many processes below `root` ended and were not collected.
pub(super) fn zombies(root: &Path) -> Option<Zombies> {
    let folder = root.join("proc");
    let parents = fs::read_dir(&folder).ok()?.flatten().filter_map(|entry| {
        // A process may end while this looks at it; then it is none.
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        parent_of_dead(&fs::read_to_string(entry.path().join("stat")).ok()?)
    });
    let command = |id: u32| {
        let bytes = fs::read(folder.join(id.to_string()).join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    zombies::count(parents, command)
}

/// The parent of a process in state `Z`. State and parent follow the name, which stands in parentheses and may hold
/// any character.
fn parent_of_dead(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    if words.next()? != "Z" {
        return None;
    }
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_pass_for_a_state() {
        assert_eq!(parent_of_dead("7 (sh) Z 1 7 7 0"), Some(1));
        assert_eq!(parent_of_dead("7 (a) Z (b) S 1 7 7 0"), None);
        assert_eq!(parent_of_dead("7 (x"), None);
    }

    #[test]
    fn zombies_belong_to_whoever_started_them() {
        let root = tempfile::tempdir().unwrap();
        let process = |id: u32, stat: &str, command: &str| {
            let folder = root.path().join(format!("proc/{id}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("stat"), stat).unwrap();
            fs::write(folder.join("cmdline"), command).unwrap();
        };
        process(1, "1 (init) S 0 1 1 0", "/sbin/init\0");
        process(40, "40 (python) S 1 40 40 0", "python\0-m\0mlx_lm.server\0");
        process(41, "41 (python) Z 40 40 40 0", "");
        process(42, "42 (sleep) Z 1 42 42 0", "");
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        assert_eq!(zombies(root.path()), Some(Zombies { all: 2, of_mlx: 1 }));
    }
}
