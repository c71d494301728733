//! How a GGUF file stores the elements of a tensor.

/// Elements that share the scale of a packed block.
pub(super) const BLOCK: u64 = 32;

/// An encoding that MLX can hold without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TensorType {
    F32,
    F16,
    BF16,
    /// Blocks of 32: a half-precision scale, then 4 bits an element, from -8.
    Q4_0,
    /// Blocks of 32: a half-precision scale and minimum, then 4 bits an element.
    Q4_1,
    /// Blocks of 32: a half-precision scale, then 8 bits an element, signed.
    Q8_0,
}

impl TensorType {
    /// The encoding with this number; else its name, for people.
    pub(super) fn from_id(id: u32) -> Result<Self, String> {
        match id {
            0 => Ok(Self::F32),
            1 => Ok(Self::F16),
            2 => Ok(Self::Q4_0),
            3 => Ok(Self::Q4_1),
            8 => Ok(Self::Q8_0),
            30 => Ok(Self::BF16),
            _ => Err(foreign_name(id).map_or_else(|| format!("number {id}"), str::to_owned)),
        }
    }

    /// Elements of a block, and the bytes it takes.
    pub(super) const fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (BLOCK, 2 + 16),
            Self::Q4_1 => (BLOCK, 4 + 16),
            Self::Q8_0 => (BLOCK, 2 + 32),
        }
    }

    /// Bits an element is packed into; none where it is a float of its own.
    pub(super) const fn packed_bits(self) -> Option<u32> {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => None,
            Self::Q4_0 | Self::Q4_1 => Some(4),
            Self::Q8_0 => Some(8),
        }
    }
}

/// Names of encodings that are known, but not read.
fn foreign_name(id: u32) -> Option<&'static str> {
    Some(match id {
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        12 => "Q4_K",
        13 => "Q5_K",
        14 => "Q6_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_that_is_not_read_is_known_by_name() {
        assert_eq!(TensorType::from_id(12), Err("Q4_K".to_owned()));
        assert_eq!(TensorType::from_id(14), Err("Q6_K".to_owned()));
        assert_eq!(TensorType::from_id(1000), Err("number 1000".to_owned()));
    }
}
