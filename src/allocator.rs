//! The allocator of the whole process, MLX's library included, on Linux.
//!
//! MLX allocates many small objects for every operation of a graph, and glibc frees them slowly where another thread made
//! them. `build.rs` has the program export the symbols, so that MLX finds these rather than glibc's.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;
