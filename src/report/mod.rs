//! An outcome becomes a published line.

pub mod family;
pub mod journal;
mod lenient;
pub mod provenance;
pub mod record;
pub mod redact;
pub mod schema;
pub mod sections;
pub mod validate;
pub mod version;
