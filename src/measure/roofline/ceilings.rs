//! What a machine can give, measured through MLX itself.

use serde::{Deserialize, Serialize};

/// An operation whose speed is a ceiling of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// One array becomes another: as many bytes are read as written.
    Copy,
    /// Two arrays become a third, as STREAM's add and triad do.
    Add,
    /// A matrix meets a vector, as every weight does when a token is made.
    MatrixVector,
}

impl Kernel {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Add => "add",
            Self::MatrixVector => "matrix-vector",
        }
    }
}

/// How fast one operation moved bytes, at its best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// The operation.
    pub kernel: Kernel,
    /// How its numbers are stored, such as `bfloat16` or `4-bit affine, group 64`.
    pub format: String,
    /// Bytes that it goes through before it meets one again.
    pub working_set_bytes: u64,
    /// Bytes a second, those read and those written.
    pub bytes_per_s: f64,
}

/// How fast large matrices were multiplied, at their best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// How the second matrix is stored.
    pub format: String,
    /// Rows and columns of the largest that time allowed for.
    pub size: u32,
    /// Floating-point operations a second, an addition and a multiplication counted as two.
    pub flops_per_s: f64,
}

/// The ceilings of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Of memory.
    pub bandwidths: Vec<Bandwidth>,
    /// Of the processor.
    pub compute: Vec<Compute>,
}

impl Ceilings {
    /// The fastest way to move bytes.
    pub fn bandwidth(&self) -> Option<&Bandwidth> {
        let known = self.bandwidths.iter().filter(|one| one.bytes_per_s.is_finite());
        known.max_by(|a, b| a.bytes_per_s.total_cmp(&b.bytes_per_s))
    }

    /// The fastest way to multiply.
    pub fn compute(&self) -> Option<&Compute> {
        let known = self.compute.iter().filter(|one| one.flops_per_s.is_finite());
        known.max_by(|a, b| a.flops_per_s.total_cmp(&b.flops_per_s))
    }

    /// Matrix-vector products.
    pub fn products(&self) -> impl Iterator<Item = &Bandwidth> {
        self.bandwidths.iter().filter(|one| one.kernel == Kernel::MatrixVector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_the_best_of_all() {
        let one = |kernel, bytes_per_s| Bandwidth {
            kernel,
            format: String::new(),
            working_set_bytes: 1,
            bytes_per_s,
        };
        let ceilings = Ceilings {
            bandwidths: vec![
                one(Kernel::Copy, 2.0),
                one(Kernel::MatrixVector, 3.0),
                one(Kernel::Add, f64::INFINITY),
            ],
            compute: Vec::new(),
        };
        assert_eq!(ceilings.bandwidth().map(|one| one.kernel), Some(Kernel::MatrixVector));
        assert_eq!(ceilings.compute(), None);
    }
}
