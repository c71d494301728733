//! How queries grow with their position, so that attention stays sharp over long texts.

use mlx_rs::{Array, Dtype, ops::arange};

use super::recipe::QueryGrowth;
use crate::nn;

/// The factors of one forward pass: layers whose queries grow alike share theirs.
#[derive(Default)]
pub(super) struct Growths(Vec<(QueryGrowth, Option<Array>)>);

impl Growths {
    /// What queries of `n` tokens after `offset` others are multiplied by, where they are: `[n, 1]`. The stream is in
    /// `dtype`.
    pub(super) fn of(
        &mut self,
        growth: QueryGrowth,
        (offset, n): (i32, i32),
        dtype: Dtype,
    ) -> nn::Result<Option<Array>> {
        if let Some((_, factors)) = self.0.iter().find(|(known, _)| *known == growth) {
            return Ok(factors.clone());
        }
        let factors = match growth {
            QueryGrowth::None => None,
            QueryGrowth::Stepwise { rate, step } => {
                Some(factors(rate, step, (offset, n))?.as_dtype(dtype)?)
            }
            QueryGrowth::Counted { rate, step } => Some(factors(rate, step, (offset + 1, n))?),
        };
        self.0.push((growth, factors.clone()));
        Ok(factors)
    }
}

/// `1 + rate · ln(1 + ⌊p / step⌋)` for `n` numbers `p` from `first` on: `[n, 1]`, float32.
fn factors(rate: f32, step: f32, (first, n): (i32, i32)) -> nn::Result<Array> {
    let float = |value: f32| Array::from_slice(&[value], &[]);
    let steps = arange::<i32, i32>(first, first + n, 1)?.divide(float(step))?.floor()?;
    let factors = float(1.0).add(steps)?.log()?.multiply(float(rate))?.add(float(1.0))?;
    Ok(factors.expand_dims(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(growth: QueryGrowth, expected: [f32; 3]) {
        let factors = Growths::default().of(growth, (1, 3), Dtype::Float32);
        let factors = factors.unwrap().unwrap();
        assert_eq!(factors.shape(), [3, 1]);
        for (found, expected) in factors.try_as_slice::<f32>().unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn queries_grow_with_every_step() {
        let (rate, step) = (0.5, 2.0);
        // Positions 1, 2 and 3: ln 1 = 0, then twice ln 2 = 0.693147.
        let expected = [1.0, 1.346_573_6, 1.346_573_6];
        case(QueryGrowth::Stepwise { rate, step }, expected);
        // Counted from one they are 2, 3 and 4: twice ln 2, then ln 3 = 1.098612.
        let expected = [1.346_573_6, 1.346_573_6, 1.549_306_1];
        case(QueryGrowth::Counted { rate, step }, expected);
    }
}
