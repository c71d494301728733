//! Projections and embeddings, dense or packed as the checkpoint has them.

use mlx_rs::{Array, ops::addmm};

use super::{
    Format, Matrices, MlxError, Result,
    ledger::{note_lookup, note_product, note_table},
};
use crate::{
    checkpoint::{LoadError, Quantization, Scope},
    ffi::{self, Product},
};

/// A matrix `[outputs, inputs]`, or a stack of them, `[experts, outputs, inputs]`.
pub(super) enum Weight {
    Dense {
        /// The transpose, `[…, inputs, outputs]`: a view, made once.
        transposed: Array,
        table: Array,
    },
    Packed(Packed),
}

pub(super) struct Packed {
    pub(super) weight: Array,
    pub(super) scales: Array,
    pub(super) biases: Option<Array>,
    pub(super) quantization: Quantization,
}

impl Weight {
    /// Takes the matrix, whose last axis is `inputs`, behind axes of `outer` sizes.
    pub(super) fn load(
        scope: &Scope<'_>,
        outer: &[i32],
        inputs: i32,
    ) -> std::result::Result<Self, LoadError> {
        let shape = |last| [outer, &[last]].concat();
        let elements = shape(inputs).into_iter().map(i64::from).product::<i64>();
        let elements = usize::try_from(elements).unwrap_or(0);
        let Some(quantization) = scope.quantization(inputs)? else {
            let table = scope.take_shaped("weight", &shape(inputs))?;
            scope.record(&table, elements);
            let transposed = table.swap_axes(-1, -2).map_err(|e| LoadError::Mlx(e.into()))?;
            return Ok(Self::Dense { transposed, table });
        };
        let groups = shape(inputs / quantization.group_size);
        let weight = scope.take_shaped("weight", &shape(inputs * quantization.bits / 32))?;
        let scales = scope.take_shaped("scales", &groups)?;
        let biases = if quantization.mode.has_biases() {
            Some(scope.take_shaped("biases", &groups)?)
        } else {
            None
        };
        scope.record(&weight, elements);
        scope.record(&scales, 0);
        if let Some(biases) = &biases {
            scope.record(biases, 0);
        }
        Ok(Self::Packed(Packed { weight, scales, biases, quantization }))
    }

    /// How it is stored.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Dense { table, .. } => Format::Dense(table.dtype()),
            Self::Packed(packed) => Format::Packed(packed.quantization, packed.scales.dtype()),
        }
    }

    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |array: &Array| array.nbytes() as u64;
        match self {
            Self::Dense { table, .. } => bytes(table),
            Self::Packed(Packed { weight, scales, biases, .. }) => {
                bytes(weight) + bytes(scales) + biases.as_ref().map_or(0, bytes)
            }
        }
    }

    /// Length of an axis other than the last.
    pub(super) fn dim(&self, axis: i32) -> i32 {
        match self {
            Self::Dense { table, .. } => table.dim(axis),
            Self::Packed(packed) => packed.weight.dim(axis),
        }
    }

    /// Numbers of a row.
    pub(super) fn inputs(&self) -> i32 {
        match self {
            Self::Dense { table, .. } => table.dim(-1),
            Self::Packed(Packed { weight, quantization, .. }) => {
                weight.dim(-1) * 32 / quantization.bits.max(1)
            }
        }
    }

    /// What a pass multiplies that reads so many bytes of it.
    pub(super) fn matrices(&self, bytes: u64) -> Matrices {
        Matrices { format: self.format(), rows: self.dim(-2), columns: self.inputs(), bytes }
    }

    /// Notes that `x` is multiplied with all of it.
    pub(super) fn note(&self, x: &Array) {
        let inputs = x.dim(-1);
        let rows = x.size() as u64 / u64::from(inputs.unsigned_abs()).max(1);
        note_product((inputs, rows), self.dim(-2), || self.matrices(self.bytes()));
    }
}

impl Packed {
    pub(super) fn apply(&self, x: &Array) -> Result<Array> {
        Ok(match (&self.biases, self.quantization) {
            (Some(biases), how) => mlx_rs::ops::quantized_matmul(
                x,
                &self.weight,
                &self.scales,
                biases,
                true,
                how.group_size,
                how.bits,
            )?,
            (None, how) => {
                let packed = (&self.weight, &self.scales, None);
                ffi::quantized_matmul(x, packed, Product::Transposed, how.packing())?
            }
        })
    }

    fn rows(&self, ids: &Array) -> Result<Array> {
        let biases = self.biases.as_ref().map(|biases| biases.take_axis(ids, 0)).transpose()?;
        let (weight, scales) = (self.weight.take_axis(ids, 0)?, self.scales.take_axis(ids, 0)?);
        Ok(self.quantization.dequantize(&weight, &scales, biases.as_ref())?)
    }
}

/// `y = x Wᵀ + b`, dense or packed as the checkpoint has it.
pub struct Linear {
    weight: Weight,
    bias: Option<Array>,
}

impl Linear {
    /// Loads a projection from `inputs` to `outputs` dimensions; it has a bias where the checkpoint has one.
    ///
    /// # Errors
    ///
    /// When the weight is missing, or a tensor is of another shape.
    pub fn load(
        scope: &Scope<'_>,
        outputs: i32,
        inputs: i32,
    ) -> std::result::Result<Self, LoadError> {
        let weight = Weight::load(scope, &[outputs], inputs)?;
        let bias = scope.take_shaped_if_present("bias", &[outputs])?;
        if let Some(bias) = &bias {
            scope.record(bias, bias.size());
        }
        Ok(Self { weight, bias })
    }

    /// Applies the projection to the last axis of `x`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        self.weight.note(x);
        Ok(match (&self.weight, &self.bias) {
            (Weight::Dense { transposed, .. }, Some(bias)) => addmm(bias, x, transposed, 1.0, 1.0)?,
            (Weight::Dense { transposed, .. }, None) => x.matmul(transposed)?,
            (Weight::Packed(packed), Some(bias)) => packed.apply(x)?.add(bias)?,
            (Weight::Packed(packed), None) => packed.apply(x)?,
        })
    }
}

/// A table of token vectors, `[vocabulary, width]`, that may double as the output head.
pub struct Embedding(Weight);

impl Embedding {
    /// Loads the table.
    ///
    /// # Errors
    ///
    /// When it is missing or of another shape.
    pub fn load(
        scope: &Scope<'_>,
        vocabulary: i32,
        width: i32,
    ) -> std::result::Result<Self, LoadError> {
        Weight::load(scope, &[vocabulary], width).map(Self)
    }

    /// Looks `ids` (`[batch, n]`) up: `[batch, n, width]`.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(&self, ids: &Array) -> Result<Array> {
        let rows = u64::from(self.0.dim(0).unsigned_abs());
        note_lookup(self.place(), || self.0.bytes(), (rows, ids.size() as u64));
        match &self.0 {
            Weight::Dense { table, .. } => Ok(table.take_axis(ids, 0)?),
            Weight::Packed(packed) => packed.rows(ids),
        }
    }

    /// Scores `x` (`[batch, n, width]`) against every token: `[batch, n, vocabulary]`.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn as_head(&self, x: &Array) -> Result<Array> {
        note_table(self.place(), || self.0.bytes());
        self.0.note(x);
        match &self.0 {
            Weight::Dense { transposed, .. } => x.matmul(transposed).map_err(MlxError::from),
            Weight::Packed(packed) => packed.apply(x),
        }
    }

    /// Where it lies in this process, which tells it from others.
    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
