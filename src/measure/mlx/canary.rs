//! A fixed piece of work on the device: a chain of products of matrices, the same in every call.

use std::time::{Duration, Instant};

use mlx_rs::{Array, ops::tile, transforms::eval};

use crate::nn::Result;

/// Rows and columns of each matrix: 1 MiB of float32.
const SIDE: i32 = 512;

/// The least that one piece takes on a device at its best.
const LEAST: Duration = Duration::from_millis(30);

/// More products than any device needs for that.
const MOST_PRODUCTS: u32 = 1 << 14;

/// The work, found once and then left as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Canary {
    products: Option<u32>,
}

impl Canary {
    /// Does the work; the first call finds how many products take 30 ms, trying twice as many each time.
    ///
    /// # Errors
    ///
    /// When MLX refuses a product.
    pub(super) fn run(&mut self) -> Result<()> {
        if let Some(products) = self.products {
            return chain(products);
        }
        // The first product waits for a kernel.
        chain(1)?;
        let mut products = 1;
        loop {
            let began = Instant::now();
            chain(products)?;
            if began.elapsed() >= LEAST || products >= MOST_PRODUCTS {
                break;
            }
            products *= 2;
        }
        self.products = Some(products);
        Ok(())
    }
}

/// Multiplies a matrix so many times by one whose rows sum to 1, so that its numbers stay where they are.
fn chain(products: u32) -> Result<()> {
    let row: Vec<f32> = (0..SIDE).map(|_| 1.0 / SIDE as f32).collect();
    let by = tile(Array::from_slice(&row, &[1, SIDE]), &[SIDE, 1])?;
    let mut product = by.clone();
    for _ in 0..products {
        product = product.matmul(&by)?;
    }
    eval([&product])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_found_once() {
        let mut canary = Canary::default();
        canary.run().expect("MLX multiplies");
        let found = canary.products.expect("it was found");
        assert!(found >= 1);
        canary.run().expect("MLX multiplies");
        assert_eq!(canary.products, Some(found));
    }
}
