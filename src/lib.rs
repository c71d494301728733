//! A benchmark harness for language models on MLX, and the parts it is made of.
//!
//! ```text
//! cli        what a user types; the only module that prints
//! report     an outcome becomes a published line
//! measure    a cell becomes an outcome: the child process, its stamps, the figures
//! generate   the token loop
//! convert    a model becomes a folder
//! text       ids and text: tokenizer, chat template, stop tokens
//! footprint  what a model is and what memory it will take, from headers alone
//! models     architectures, as recipes
//! nn         inference-only layers
//! checkpoint a model on disk
//! ffi        the few calls that `mlx-rs` does not wrap
//! host       which machine this is, and how it is doing
//! plan       what will be measured: a manifest becomes a plan of cells
//! stops      stop tokens: what is in force, what came, what leaked, judged from ids and text
//! hub        models of the Hugging Face hub, brought into the local cache
//! files      what strangers wrote, read up to a length and believed only where it is sound
//! ```
//!
//! Arrows point downwards in this list. `files`, `hub`, `stops`, `plan`, `host`, `report` and all of `measure` but its
//! `mlx` file know nothing of MLX.

pub mod checkpoint;
pub mod cli;
pub mod convert;
pub mod ffi;
pub mod files;
pub mod footprint;
pub mod generate;
pub mod host;
pub mod hub;
pub mod measure;
pub mod models;
pub mod nn;
pub mod plan;
pub mod report;
pub mod stops;
pub mod text;
