//! Tells the linker where `cargo xtask mlx` put MLX; on macOS mlx-sys does that by itself.

use std::env;

/// What the program's allocator stands in for.
const ALLOCATION: [&str; 8] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "aligned_alloc",
    "memalign",
    "posix_memalign",
    "malloc_usable_size",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Keys of `target.<triple>.mlx` in the generated configuration, which stands in for mlx-sys's own build script.
    if let Ok(folder) = env::var("DEP_MLX_RPATH") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
    if let Ok(library) = env::var("DEP_MLX_BLAS") {
        println!("cargo::rustc-link-arg=-Wl,--push-state,--no-as-needed,{library},--pop-state");
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // A shared library finds only what the program exports: without these MLX would keep glibc's allocator.
        for symbol in ALLOCATION {
            println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol={symbol}");
        }
    }
}
