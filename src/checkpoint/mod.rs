//! To come.

pub mod gguf;
