//! A folder of this user alone, for code that libraries compile while they run.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The folder for temporary files, made if need be; none where there is no home to make it in.
///
/// MLX on a CPU compiles fused operations with `g++`, keeps the objects below the temporary folder under a name that
/// anybody can guess, and loads what it finds there. In a folder of this user alone nobody else can put anything.
pub fn temporary_folder() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    let folder = cache.join("mlxk-harness").join("compiled");
    make_private(&folder).then_some(folder)
}

/// Makes `folder`, and sees to it that it belongs to the owner of its parent, who alone may enter.
fn make_private(folder: &Path) -> bool {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let is_closed = || {
        let metadata = fs::symlink_metadata(folder).ok()?;
        let parent = fs::metadata(folder.parent()?).ok()?;
        Some(
            metadata.is_dir() && metadata.uid() == parent.uid() && metadata.mode() & 0o777 == 0o700,
        )
    };
    if made.is_ok() && is_closed() == Some(false) && !folder.is_symlink() {
        // Somebody loosened it; what cannot be mended is told by the second look.
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    is_closed() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_closed_to_others() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/b");
        assert!(make_private(&folder));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_private(&folder));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_link_or_a_file_is_not_taken_for_it() {
        let home = tempfile::tempdir().unwrap();
        let (link, file) = (home.path().join("link"), home.path().join("file"));
        std::os::unix::fs::symlink("/", &link).unwrap();
        fs::write(&file, "").unwrap();
        assert!(!make_private(&link));
        assert!(!make_private(&file));
    }
}
