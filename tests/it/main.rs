//! One integration binary, so that MLX is linked once.

mod parity;
mod real;
mod weights;
