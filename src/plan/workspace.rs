//! Workspaces: models outside of the cache that mlx-knife keeps, told by the file that it leaves in each.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    files::{self, LONGEST_CONFIG},
    hub::is_id,
};

/// What mlx-knife leaves in each of its workspaces.
const SENTINEL: &str = ".mlxk_workspace.json";

/// The workspace below `MLXK_WORKSPACE_HOME` that `name` means: the one of that name, else the only one whose name holds
/// it, whatever the case.
///
/// mlx-knife takes the first of several, in the order that the system lists them; here they count as none.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let home = env::var_os("MLXK_WORKSPACE_HOME").filter(|home| !home.is_empty())?;
    find_below(Path::new(&home), name)
}

fn find_below(home: &Path, name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let exact = home.join(name);
    if exact.join(SENTINEL).is_file() {
        return Some(exact);
    }
    let wanted = name.to_lowercase();
    let holds = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        name.is_some_and(|name| name.contains(&wanted)) && path.join(SENTINEL).is_file()
    };
    let entries = fs::read_dir(home).ok()?.flatten().map(|entry| entry.path());
    let mut found = entries.filter(|path| holds(path));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The hub model that the workspace at `path` is a clone of; of what was converted the name of its folder says more.
pub(super) fn origin(path: &Path) -> Option<String> {
    /// What the file says; more than this.
    #[derive(Deserialize)]
    struct Sentinel {
        operation: String,
        source_repo: String,
    }
    let text = files::read_text(&path.join(SENTINEL), LONGEST_CONFIG).ok()?;
    let Sentinel { operation, source_repo } = serde_json::from_str(&text).ok()?;
    (operation == "clone" && is_id(&source_repo)).then_some(source_repo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(names: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(home.path().join(name)).unwrap();
            fs::write(home.path().join(name).join(SENTINEL), "{}").unwrap();
        }
        fs::create_dir(home.path().join("plain-folder")).unwrap();
        home
    }

    #[track_caller]
    fn finds(names: &[&str], name: &str, expected: Option<&str>) {
        let home = home(names);
        let found = find_below(home.path(), name);
        assert_eq!(found, expected.map(|name| home.path().join(name)));
    }

    #[test]
    fn a_workspace_is_found_by_its_name_or_by_a_part_that_no_other_has() {
        finds(&["Qwen3-4bit", "Qwen3-4bit-own"], "Qwen3-4bit", Some("Qwen3-4bit"));
        finds(&["Qwen3-4bit", "Llama-own"], "llama", Some("Llama-own"));
        finds(&["Qwen3-4bit", "Qwen3-8bit"], "qwen3", None);
        finds(&["Qwen3-4bit"], "plain", None);
        finds(&["Qwen3-4bit"], "", None);
        finds(&["Qwen3-4bit"], "../Qwen3-4bit", None);
    }

    #[test]
    fn a_clone_is_called_by_what_it_was_cloned_from() {
        let home = home(&["own"]);
        let path = home.path().join("own");
        let says = |text: &str| {
            fs::write(path.join(SENTINEL), text).unwrap();
            origin(&path)
        };
        let clone = r#"{"managed": true, "operation": "clone", "source_repo": "org/name"}"#;
        assert_eq!(says(clone).as_deref(), Some("org/name"));
        assert_eq!(says(&clone.replace("clone", "convert")), None);
        assert_eq!(says(&clone.replace("org/name", "/home/me/model")), None);
        assert_eq!(says("[]"), None);
        assert_eq!(origin(home.path()), None);
    }
}
