//! A benchmark harness for language models on MLX, and the parts it is made of.
//!
//! ```text
//! cli        what a user types; the only module that prints
//! plan       what will be measured: a manifest becomes a plan of cells
//! host       which machine this is, and how it is doing
//! measure    a cell becomes an outcome: the child process, its stamps, the figures
//! report     an outcome becomes a published line
//! generate   the token loop
//! text       ids and text: tokenizer, chat template, stop tokens
//! models     architectures, as recipes
//! nn         inference-only layers
//! checkpoint a model on disk
//! ffi        the few calls that `mlx-rs` does not wrap
//! ```
//!
//! Arrows point downwards in this list. `plan`, `host`, `report` and all of `measure` but its
//! `mlx` file know nothing of MLX.

pub mod checkpoint;
pub mod cli;
pub mod ffi;
pub mod generate;
pub mod host;
pub mod measure;
pub mod models;
pub mod nn;
pub mod plan;
pub mod report;
pub mod text;
