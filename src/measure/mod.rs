//! A cell becomes an outcome: in a child process, by stamps of a monotonic clock.

pub mod engine;
pub mod message;
pub mod outcome;
pub mod trial;
