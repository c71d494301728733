//! A cell becomes an outcome: in a child process, by stamps of a monotonic clock.

pub mod clock;
pub mod engine;
pub mod findings;
pub mod load;
pub mod message;
pub mod mlx;
pub mod outcome;
pub mod patience;
pub mod rates;
pub mod recorder;
pub mod roofline;
pub mod sampled;
pub mod schedule;
pub mod scripted;
pub mod statistics;
pub mod steadiness;
mod stop;
pub mod stop_answers;
pub mod supervise;
pub mod trial;
pub mod worker;

pub use stop::Stop;
