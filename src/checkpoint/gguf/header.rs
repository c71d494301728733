//! The header of a GGUF file, read without trusting any length in it.
//!
//! Reference: `docs/gguf.md` of the ggml project, versions 2 and 3, little-endian.

use std::io::{self, Read};

use thiserror::Error;

use super::{
    metadata::{Metadata, MetadataError},
    reader::Reader,
    tensor_info::{self, TensorInfo},
};

/// Why a file is not a usable GGUF file.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// The system could not read it.
    #[error("the header cannot be read")]
    Read(#[from] io::Error),
    /// It begins otherwise.
    #[error("the file does not begin with `GGUF`")]
    NotGguf,
    /// Its numbers have the other order of bytes.
    #[error("the file is big-endian")]
    BigEndian,
    /// It has a version that is not read.
    #[error("GGUF version {version} is not read, only 2 and 3")]
    Version {
        /// The version.
        version: u32,
    },
    /// It ends early.
    #[error("the file ends inside its header")]
    Truncated,
    /// A length is beyond all reason.
    #[error("a length of {length} in the header is beyond the limit of {limit}")]
    Excessive {
        /// The length.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A text is not UTF-8.
    #[error("a text in the header is not UTF-8")]
    NotText,
    /// A value has a kind that does not exist.
    #[error("key `{key}` has a value of the unknown kind {kind}")]
    ValueKind {
        /// The key.
        key: String,
        /// The number of the kind.
        kind: u32,
    },
    /// A key or a tensor comes twice.
    #[error("`{name}` comes twice")]
    Duplicate {
        /// Its name.
        name: String,
    },
    /// A key of the container itself is of no use.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Tensors are aligned in a way that cannot be.
    #[error("`general.alignment` is {alignment}, which is not a power of two")]
    Alignment {
        /// The alignment.
        alignment: u64,
    },
    /// The model is spread over several files.
    #[error("the model is split into {count} files, which is not supported")]
    Split {
        /// How many.
        count: u64,
    },
    /// A tensor has a shape that cannot be.
    #[error("tensor `{tensor}` has the impossible shape {shape:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape, rows first.
        shape: Vec<u64>,
    },
    /// A tensor is stored in a way that is not read.
    #[error(
        "tensor `{tensor}` is stored as {kind}; only F32, F16, BF16, Q4_0, Q4_1 and Q8_0 are read"
    )]
    TensorKind {
        /// The tensor.
        tensor: String,
        /// The name of its encoding.
        kind: String,
    },
    /// A tensor lies where no tensor can.
    #[error("tensor `{tensor}` lies at {offset}, which is not a multiple of {alignment}")]
    Misplaced {
        /// The tensor.
        tensor: String,
        /// Bytes from the beginning of the data.
        offset: u64,
        /// The alignment of the file.
        alignment: u64,
    },
    /// The data of a tensor goes on beyond the end of the file.
    #[error("tensor `{tensor}` ends at byte {end}, but the file has only {size}")]
    Cut {
        /// The tensor.
        tensor: String,
        /// The byte after its last.
        end: u64,
        /// Bytes of the file.
        size: u64,
    },
}

/// What a file says about itself.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<TensorInfo>,
}

impl Header {
    /// Reads the header of a file of `size` bytes from its beginning.
    pub(super) fn read(file: impl Read, size: u64) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(file, size);
        if &reader.bytes()? != b"GGUF" {
            return Err(HeaderError::NotGguf);
        }
        let version = reader.u32()?;
        if !(2..=3).contains(&version) {
            let is_swapped = (1..=3).contains(&version.swap_bytes());
            return Err(if is_swapped {
                HeaderError::BigEndian
            } else {
                HeaderError::Version { version }
            });
        }
        let tensors = reader.u64()?;
        let keys = reader.u64()?;
        reader.spend(tensors)?;
        reader.spend(keys)?;
        let metadata = reader.metadata(keys)?;
        if let Some(count) = metadata.count("split.count")?.filter(|&count| count > 1) {
            return Err(HeaderError::Split { count });
        }
        let alignment = metadata.count("general.alignment")?.unwrap_or(32);
        if !alignment.is_power_of_two() {
            return Err(HeaderError::Alignment { alignment });
        }
        let mut tensors = tensor_info::read(&mut reader, tensors)?;
        let data = (size - reader.left)
            .checked_next_multiple_of(alignment)
            .ok_or(HeaderError::Truncated)?;
        for tensor in &mut tensors {
            tensor.place(data, alignment, size)?;
        }
        Ok(Self { metadata, tensors })
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::gguf::sample::Sample;

    fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        Header::read(bytes, bytes.len() as u64)
    }

    #[track_caller]
    fn refused(sample: &Sample, expected: &str) {
        assert_eq!(read(&sample.bytes()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_gguf_of_ours_is_refused_by_name() {
        assert!(matches!(read(b"PK\x03\x04whatever").unwrap_err(), HeaderError::NotGguf));
        let with_version = |version| Sample::default().version(version);
        refused(&with_version(1), "GGUF version 1 is not read, only 2 and 3");
        refused(&with_version(4), "GGUF version 4 is not read, only 2 and 3");
        refused(&with_version(3 << 24), "the file is big-endian");
        refused(
            &Sample::default().count("split.count", 3),
            "the model is split into 3 files, which is not supported",
        );
        refused(&Sample::default().count("a", 1).count("a", 2), "`a` comes twice");
        refused(&Sample::default().raw("a", 13, &[]), "key `a` has a value of the unknown kind 13");
        refused(
            &Sample::default().raw("a", 8, &[1, 0, 0, 0, 0, 0, 0, 0, 255]),
            "a text in the header is not UTF-8",
        );
        refused(
            &Sample::default().count("general.alignment", 0),
            "`general.alignment` is 0, which is not a power of two",
        );
    }

    proptest! {
        #[test]
        fn a_cut_file_is_an_error_wherever_it_is_cut(at in 0usize..10_000) {
            let bytes = Sample::full().bytes();
            let at = at % bytes.len();
            prop_assert!(read(&bytes[..at]).is_err());
        }

        #[test]
        fn a_file_with_wrong_bytes_never_panics(changes in prop::collection::vec((0usize..10_000, any::<u8>()), 1..20)) {
            let mut bytes = Sample::full().bytes();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Ok(header) = read(&bytes) {
                for tensor in header.tensors {
                    prop_assert!(tensor.start + tensor.bytes <= bytes.len() as u64);
                }
            }
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = b"GGUF\x03\0\0\0".to_vec();
            bytes.extend(noise);
            let _ = read(&bytes);
        }
    }
}
