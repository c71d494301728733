//! Products with the packed matrices of chosen experts.

use mlx_rs::{Array, Stream, error::Exception};

use super::{Packing, c_string, finished, optional};

/// `x[…] W[e]ᵀ` for each expert `e` of `experts`, with packed `W` `[experts, outputs, inputs]`, in any of MLX's encodings.
///
/// # Errors
///
/// When MLX refuses shapes, types or the encoding.
pub fn gather_quantized_matmul(
    x: &Array,
    (weight, scales, biases): (&Array, &Array, Option<&Array>),
    experts: &Array,
    are_sorted: bool,
    packing: Packing<'_>,
) -> Result<Array, Exception> {
    let stream = Stream::thread_local_or_default();
    let mode = c_string(packing.mode)?;
    // SAFETY: every handle outlives the call, and the result is owned by the `Array` made of it.
    unsafe {
        let none = mlx_sys::mlx_array_new();
        let mut result = mlx_sys::mlx_array_new();
        let status = mlx_sys::mlx_gather_qmm(
            &raw mut result,
            x.as_ptr(),
            weight.as_ptr(),
            scales.as_ptr(),
            biases.map_or(none, Array::as_ptr),
            none,
            experts.as_ptr(),
            true,
            optional(packing.group_size),
            optional(packing.bits),
            mode.as_ptr(),
            are_sorted,
            stream.as_ptr(),
        );
        mlx_sys::mlx_array_free(none);
        finished(status, result, "gathered quantized matrix product")
    }
}
