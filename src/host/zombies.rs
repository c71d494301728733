//! Processes that ended and were not collected.

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Zombies {
    /// All of them, whosever they are. mlx-knife counts all too, by the word `<defunct>`.
    pub(super) all: u32,
    /// Those that a program of MLX left: `mlx` is in the command line of the parent. The dead have none any more.
    pub(super) of_mlx: u32,
}

/// Counts zombies by their parents, whose command lines `command` tells.
pub(super) fn count(
    parents: impl Iterator<Item = u32>,
    command: impl Fn(u32) -> Option<String>,
) -> Option<Zombies> {
    let mut zombies = Zombies::default();
    for parent in parents {
        let is_mlx = command(parent).is_some_and(|line| line.to_lowercase().contains("mlx"));
        zombies.all = zombies.all.checked_add(1)?;
        zombies.of_mlx = zombies.of_mlx.checked_add(u32::from(is_mlx))?;
    }
    Some(zombies)
}
