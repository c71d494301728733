//! Tells the linker where `cargo xtask mlx` put MLX; on macOS mlx-sys does that by itself.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Keys of `target.<triple>.mlx` in the generated configuration, which stands in for mlx-sys's own build script.
    if let Ok(folder) = env::var("DEP_MLX_RPATH") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
    if let Ok(library) = env::var("DEP_MLX_BLAS") {
        println!("cargo::rustc-link-arg=-Wl,--push-state,--no-as-needed,{library},--pop-state");
    }
}
