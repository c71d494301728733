//! Projections of a mixture: a stack of matrices, of which each token meets those of its own experts.
//!
//! Reference: `mlx_lm.models.switch_layers`. From 64 pairs of token and expert on, pairs are sorted by expert, so that
//! MLX may read each matrix once; the two ways differ in the last bits.

use mlx_rs::{
    Array,
    ops::{argsort_axis, gather_mm},
};

use super::{
    Activation, MlxError, Result,
    ledger::{chosen, note_choice, note_product},
    linear::Weight,
};
use crate::{
    checkpoint::{LoadError, Scope},
    ffi,
};

/// Pairs of token and expert from which on sorting pays.
const SORTED_FROM: usize = 64;

/// Experts, each its own: `down(activation(gate(x)) · up(x))`, or `down(activation(up(x)))` without a gate.
pub struct Experts {
    gate: Option<Stack>,
    up: Stack,
    down: Stack,
    activation: Activation,
}

impl Experts {
    /// Loads `count` experts of `width` dimensions, `inner` between their projections.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or of another shape.
    pub fn load(
        scope: &Scope<'_>,
        (count, inner): (i32, i32),
        width: i32,
        activation: Activation,
    ) -> std::result::Result<Self, LoadError> {
        let stack = |name, outputs, inputs| Stack::load(&scope.at(name), count, outputs, inputs);
        Ok(Self {
            gate: Some(stack("gate_proj", inner, width)?),
            up: stack("up_proj", inner, width)?,
            down: stack("down_proj", width, inner)?,
            activation,
        })
    }

    /// The same without gates.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or of another shape.
    pub fn load_plain(
        scope: &Scope<'_>,
        (count, inner): (i32, i32),
        width: i32,
        activation: Activation,
    ) -> std::result::Result<Self, LoadError> {
        let stack = |name, outputs, inputs| Stack::load(&scope.at(name), count, outputs, inputs);
        Ok(Self {
            gate: None,
            up: stack("up_proj", inner, width)?,
            down: stack("down_proj", width, inner)?,
            activation,
        })
    }

    /// Shows each token of `x` (`[…, n, width]`) to its experts `chosen` (`[…, n, k]`): `[…, n, k, width]`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn forward(&self, x: &Array, chosen: &Array) -> Result<Array> {
        let tokens = x.expand_dims_axes(&[-2, -3])?;
        let y = if chosen.size() < SORTED_FROM {
            self.pass(&tokens, chosen, Order::AsChosen)?
        } else {
            let sorted = Sorted::new(&tokens, chosen)?;
            let y = self.pass(&sorted.tokens, &sorted.experts, Order::ByExpert)?;
            sorted.restore(&y, chosen.shape())?
        };
        Ok(y.squeeze_axes(&[-2])?)
    }

    fn pass(&self, x: &Array, experts: &Array, order: Order) -> Result<Array> {
        let up = self.up.forward(x, experts, order)?;
        let hidden = match &self.gate {
            Some(gate) => self.activation.gate(&gate.forward(x, experts, order)?, &up)?,
            None => self.activation.forward(&up)?,
        };
        self.down.forward(&hidden, experts, order)
    }
}

/// How pairs of token and expert lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As the router chose.
    AsChosen,
    /// Experts ascending.
    ByExpert,
}

/// Pairs of token and expert, sorted by expert.
struct Sorted {
    /// `[pairs, 1, width]`.
    tokens: Array,
    /// `[pairs]`.
    experts: Array,
    /// Where each pair went, `[pairs]`.
    places: Array,
}

impl Sorted {
    fn new(tokens: &Array, chosen: &Array) -> Result<Self> {
        let each = u32::try_from(chosen.dim(-1))
            .map_err(|_| MlxError::new("a token has a negative number of experts"))?;
        let experts = chosen.flatten(None, None)?;
        let order = argsort_axis(&experts, -1)?;
        let token = order.floor_divide(Array::from_slice(&[each], &[]))?;
        Ok(Self {
            tokens: tokens.flatten(0, -3)?.take_axis(token, 0)?,
            experts: experts.take_axis(&order, 0)?,
            places: argsort_axis(&order, -1)?,
        })
    }

    /// Puts `y` (`[pairs, 1, width]`) back in the order of `shape`.
    fn restore(&self, y: &Array, shape: &[i32]) -> Result<Array> {
        let shape = [shape, &[1, y.dim(-1)]].concat();
        Ok(y.take_axis(&self.places, 0)?.reshape(&shape)?)
    }
}

/// One projection of every expert, dense or packed as the checkpoint has it.
struct Stack {
    weight: Weight,
    /// `[experts, outputs]`.
    bias: Option<Array>,
}

impl Stack {
    fn load(
        scope: &Scope<'_>,
        count: i32,
        outputs: i32,
        inputs: i32,
    ) -> std::result::Result<Self, LoadError> {
        let weight = Weight::load(scope, &[count, outputs], inputs)?;
        let bias = scope.take_shaped_if_present("bias", &[count, outputs])?;
        if let Some(bias) = &bias {
            scope.record(bias, bias.size());
        }
        Ok(Self { weight, bias })
    }

    fn forward(&self, x: &Array, experts: &Array, order: Order) -> Result<Array> {
        let are_sorted = order == Order::ByExpert;
        self.note(x, experts);
        let y = match &self.weight {
            Weight::Dense { transposed, .. } => {
                gather_mm(x, transposed, None, Some(experts), are_sorted)?
            }
            Weight::Packed(packed) => ffi::gather_quantized_matmul(
                x,
                (&packed.weight, &packed.scales, packed.biases.as_ref()),
                experts,
                are_sorted,
                packed.quantization.packing(),
            )?,
        };
        match &self.bias {
            None => Ok(y),
            Some(bias) => Ok(y.add(bias.take_axis(experts, 0)?.expand_dims(-2)?)?),
        }
    }

    /// Notes that `x` meets `experts`, which may be several for each of its rows.
    fn note(&self, x: &Array, experts: &Array) {
        let (pairs, count) = (experts.size() as u64, u64::from(self.weight.dim(0).unsigned_abs()));
        let bias = || self.bias.as_ref().map_or(0, |bias| bias.nbytes() as u64);
        note_choice(|| self.weight.bytes() + bias(), count, pairs);
        let read = || self.weight.matrices(chosen(self.weight.bytes(), count, pairs));
        note_product((x.dim(-1), pairs), self.weight.dim(-2), read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_pairs_find_their_way_back() {
        // Two tokens, 7 and 8, of two experts each.
        let tokens = Array::from_slice(&[7f32, 8.0], &[1, 2, 1, 1, 1]);
        let chosen = Array::from_slice(&[2u32, 0, 1, 0], &[1, 2, 2]);
        let sorted = Sorted::new(&tokens, &chosen).unwrap();
        let experts = sorted.experts.try_as_slice::<u32>().unwrap().to_vec();
        assert_eq!(experts, [0, 0, 1, 2]);
        let restored = sorted.restore(&sorted.tokens, chosen.shape()).unwrap();
        assert_eq!(restored.shape(), [1, 2, 2, 1, 1]);
        let flat = restored.flatten(None, None).unwrap();
        assert_eq!(flat.try_as_slice::<f32>().unwrap(), [7.0, 7.0, 8.0, 8.0]);
    }
}
