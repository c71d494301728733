//! One integration binary, so that MLX is linked once.
