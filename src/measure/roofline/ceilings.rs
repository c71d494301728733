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
    /// Rows and columns of each matrix, where there were many of the sizes that a model has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<[u32; 2]>,
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

    /// The better of these and of `others`, which were measured at another moment: who else works on a machine can only
    /// make them lower.
    #[must_use]
    pub fn or_better(mut self, others: Self) -> Self {
        for other in others.bandwidths {
            let is_same = |one: &&mut Bandwidth| {
                (one.kernel, &one.format, one.shape) == (other.kernel, &other.format, other.shape)
            };
            match self.bandwidths.iter_mut().find(is_same) {
                Some(one) if one.bytes_per_s >= other.bytes_per_s => {}
                Some(one) => *one = other,
                None => self.bandwidths.push(other),
            }
        }
        for other in others.compute {
            match self.compute.iter_mut().find(|one| one.format == other.format) {
                Some(one) if one.flops_per_s >= other.flops_per_s => {}
                Some(one) => *one = other,
                None => self.compute.push(other),
            }
        }
        self
    }

    /// Matrix-vector products.
    pub fn products(&self) -> impl Iterator<Item = &Bandwidth> {
        self.bandwidths.iter().filter(|one| one.kernel == Kernel::MatrixVector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kernel: Kernel, bytes_per_s: f64) -> Bandwidth {
        Bandwidth { kernel, format: String::new(), shape: None, working_set_bytes: 1, bytes_per_s }
    }

    #[test]
    fn of_two_looks_the_better_counts_for_each_kernel() {
        let of = |copy, add, flops_per_s| Ceilings {
            bandwidths: vec![one(Kernel::Copy, copy), one(Kernel::Add, add)],
            compute: vec![Compute { format: String::new(), size: 1, flops_per_s }],
        };
        assert_eq!(of(1.0, 4.0, 5.0).or_better(of(2.0, 3.0, 6.0)), of(2.0, 4.0, 6.0));
        assert_eq!(Ceilings::default().or_better(of(2.0, 3.0, 6.0)), of(2.0, 3.0, 6.0));
    }

    #[test]
    fn matrices_of_other_sizes_are_looked_at_apart() {
        let shaped =
            |shape, speed| Bandwidth { shape: Some(shape), ..one(Kernel::MatrixVector, speed) };
        let of = |bandwidths| Ceilings { bandwidths, compute: Vec::new() };
        let first = of(vec![shaped([2, 1], 3.0), shaped([1, 2], 4.0)]);
        let second = of(vec![shaped([1, 2], 5.0), shaped([2, 1], 2.0)]);
        let better = of(vec![shaped([2, 1], 3.0), shaped([1, 2], 5.0)]);
        assert_eq!(first.or_better(second), better);
    }

    #[test]
    fn the_ceiling_is_the_best_of_all() {
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
