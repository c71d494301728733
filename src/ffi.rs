//! What `mlx-rs` leaves open: a few calls of MLX's C interface, and errors fit to be shown.
//!
//! The only unsafe code of the crate is here.

#![expect(unsafe_code, reason = "the C interface has no safe wrapper for these calls")]

mod experts;

pub use experts::gather_quantized_matmul;

use std::{
    env,
    ffi::{CStr, CString, c_char},
    path::Path,
    ptr,
};

use mlx_rs::{Array, Device, Stream, error::Exception};
use thiserror::Error;

/// MLX refused an operation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("MLX: {0}")]
pub struct MlxError(String);

impl MlxError {
    /// An error of our own about shapes or types, worded as MLX would.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<Exception> for MlxError {
    fn from(exception: Exception) -> Self {
        // The text ends in the source location of the wrapper that caught it, which helps nobody.
        let text = exception.what();
        Self(text.split(" at /").next().unwrap_or(text).to_owned())
    }
}

/// Makes `folder` the place for temporary files of this process, MLX's compiled code among them.
///
/// To be called before anything else: no other thread may exist yet.
pub fn use_temporary_folder(folder: &Path) {
    // SAFETY: the caller vouches that no other thread could read the environment at this time.
    unsafe { env::set_var("TMPDIR", folder) }
}

/// The version of the MLX library in use, such as `0.32.2`.
pub fn mlx_version() -> Option<String> {
    // SAFETY: the string is made, filled, read and freed here; MLX keeps no pointer to it.
    unsafe {
        let mut text = mlx_sys::mlx_string_new();
        let status = mlx_sys::mlx_version(&raw mut text);
        let version = (status == 0).then(|| owned(mlx_sys::mlx_string_data(text))).flatten();
        mlx_sys::mlx_string_free(text);
        version
    }
}

/// Makes errors of MLX arrive as values: until `mlx-rs` has made its first call, they end the process.
fn install_error_handler() {
    let _ = Device::try_default();
}

/// Whether this MLX has a GPU to run on.
pub fn has_gpu() -> bool {
    install_error_handler();
    let mut available = false;
    // SAFETY: the device is made and freed here, and the answer is written to a local.
    let status = unsafe {
        let device = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_GPU, 0);
        let status = mlx_sys::mlx_device_is_available(&raw mut available, device);
        mlx_sys::mlx_device_free(device);
        status
    };
    status == 0 && available
}

/// What MLX tells of the default device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name, such as `Apple M2 Max`.
    pub name: Option<String>,
    /// The largest working set that it recommends, in bytes; Metal only.
    pub working_set_bytes: Option<u64>,
}

/// Asks MLX about the default device.
pub fn device_info() -> DeviceInfo {
    install_error_handler();
    // SAFETY: device and info are made and freed here; strings are copied before the info is freed.
    unsafe {
        let mut device = mlx_sys::mlx_device_new();
        let mut info = mlx_sys::mlx_device_info_new();
        let mut answer = DeviceInfo::default();
        if mlx_sys::mlx_get_default_device(&raw mut device) == 0
            && mlx_sys::mlx_device_info_get(&raw mut info, device) == 0
        {
            answer.name = info_string(info, c"device_name");
            answer.working_set_bytes = info_size(info, c"max_recommended_working_set_size");
        }
        mlx_sys::mlx_device_info_free(info);
        mlx_sys::mlx_device_free(device);
        answer
    }
}

/// Whether `info` holds `key`, and as a string.
///
/// # Safety
///
/// `info` must be alive.
unsafe fn info_kind(info: mlx_sys::mlx_device_info, key: &CStr) -> Option<bool> {
    let (mut exists, mut is_string) = (false, false);
    // SAFETY: the caller vouches for `info`; both answers are written to locals.
    let known = unsafe {
        mlx_sys::mlx_device_info_has_key(&raw mut exists, info, key.as_ptr()) == 0
            && exists
            && mlx_sys::mlx_device_info_is_string(&raw mut is_string, info, key.as_ptr()) == 0
    };
    known.then_some(is_string)
}

/// The string `key` of `info`.
///
/// # Safety
///
/// `info` must be alive.
unsafe fn info_string(info: mlx_sys::mlx_device_info, key: &CStr) -> Option<String> {
    let mut text = ptr::null();
    // SAFETY: the caller vouches for `info`; the pointer lives as long as it and is copied at once.
    unsafe {
        (info_kind(info, key)?
            && mlx_sys::mlx_device_info_get_string(&raw mut text, info, key.as_ptr()) == 0)
            .then(|| owned(text))
            .flatten()
    }
}

/// The size `key` of `info`.
///
/// # Safety
///
/// `info` must be alive.
unsafe fn info_size(info: mlx_sys::mlx_device_info, key: &CStr) -> Option<u64> {
    let mut size = 0;
    // SAFETY: the caller vouches for `info`; the answer is written to a local.
    unsafe {
        (!info_kind(info, key)?
            && mlx_sys::mlx_device_info_get_size(&raw mut size, info, key.as_ptr()) == 0)
            .then_some(size as u64)
    }
}

/// Copies a C string.
///
/// # Safety
///
/// `text` must be null or a valid C string.
unsafe fn owned(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller vouches for the rest.
    let text = unsafe { CStr::from_ptr(text) };
    let text = text.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}

/// Waits until all work on the default stream is done.
///
/// # Errors
///
/// When that work failed.
pub fn synchronize() -> Result<(), Exception> {
    install_error_handler();
    // SAFETY: takes no argument and keeps none.
    let status = unsafe { mlx_sys::mlx_synchronize_default() };
    match status {
        0 => Ok(()),
        _ => Err(Exception::custom("work on the device failed")),
    }
}

/// How packed weights are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing<'a> {
    /// Elements that share one scale.
    pub group_size: i32,
    /// Bits an element takes.
    pub bits: i32,
    /// MLX's name of the encoding, such as `affine` or `mxfp4`.
    pub mode: &'a str,
}

/// Which way round a packed matrix is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// `x Wᵀ`, as projections are.
    Transposed,
    /// `x W`.
    Plain,
}

/// `x Wᵀ` or `x W` with a packed `W`, in any of MLX's encodings.
///
/// # Errors
///
/// When MLX refuses shapes, types or the encoding.
pub fn quantized_matmul(
    x: &Array,
    (weight, scales, biases): (&Array, &Array, Option<&Array>),
    product: Product,
    packing: Packing<'_>,
) -> Result<Array, Exception> {
    let stream = Stream::thread_local_or_default();
    let mode = c_string(packing.mode)?;
    // SAFETY: every handle outlives the call, and the result is owned by the `Array` made of it.
    unsafe {
        let none = mlx_sys::mlx_array_new();
        let mut result = mlx_sys::mlx_array_new();
        let status = mlx_sys::mlx_quantized_matmul(
            &raw mut result,
            x.as_ptr(),
            weight.as_ptr(),
            scales.as_ptr(),
            biases.map_or(none, Array::as_ptr),
            product == Product::Transposed,
            optional(packing.group_size),
            optional(packing.bits),
            mode.as_ptr(),
            stream.as_ptr(),
        );
        mlx_sys::mlx_array_free(none);
        finished(status, result, "quantized matrix product")
    }
}

/// The dense form of packed weights, in any of MLX's encodings.
///
/// # Errors
///
/// When MLX refuses shapes, types or the encoding.
pub fn dequantize(
    weight: &Array,
    scales: &Array,
    biases: Option<&Array>,
    packing: Packing<'_>,
) -> Result<Array, Exception> {
    let stream = Stream::thread_local_or_default();
    let mode = c_string(packing.mode)?;
    // SAFETY: every handle outlives the call, and the result is owned by the `Array` made of it.
    unsafe {
        let none = mlx_sys::mlx_array_new();
        let mut result = mlx_sys::mlx_array_new();
        let status = mlx_sys::mlx_dequantize(
            &raw mut result,
            weight.as_ptr(),
            scales.as_ptr(),
            biases.map_or(none, Array::as_ptr),
            optional(packing.group_size),
            optional(packing.bits),
            mode.as_ptr(),
            none,
            mlx_sys::mlx_optional_dtype {
                value: mlx_sys::mlx_dtype__MLX_FLOAT32,
                has_value: false,
            },
            stream.as_ptr(),
        );
        mlx_sys::mlx_array_free(none);
        finished(status, result, "dequantization")
    }
}

/// Packs a dense matrix in any of MLX's encodings: weight, scales, and biases where the encoding has them.
///
/// # Errors
///
/// When MLX refuses shapes, types or the encoding.
pub fn quantize(
    dense: &Array,
    packing: Packing<'_>,
) -> Result<(Array, Array, Option<Array>), Exception> {
    let stream = Stream::thread_local_or_default();
    let mode = c_string(packing.mode)?;
    // SAFETY: every handle outlives the call; the vector is freed here and its elements are counted references.
    unsafe {
        let none = mlx_sys::mlx_array_new();
        let mut parts = mlx_sys::mlx_vector_array_new();
        let status = mlx_sys::mlx_quantize(
            &raw mut parts,
            dense.as_ptr(),
            optional(packing.group_size),
            optional(packing.bits),
            mode.as_ptr(),
            none,
            stream.as_ptr(),
        );
        mlx_sys::mlx_array_free(none);
        let part = |index| {
            let mut element = mlx_sys::mlx_array_new();
            let status = mlx_sys::mlx_vector_array_get(&raw mut element, parts, index);
            finished(status, element, "quantization")
        };
        let answer = match (status, mlx_sys::mlx_vector_array_size(parts)) {
            (0, 2) => Ok((part(0)?, part(1)?, None)),
            (0, 3) => Ok((part(0)?, part(1)?, Some(part(2)?))),
            _ => Err(Exception::custom("MLX refused a quantization")),
        };
        mlx_sys::mlx_vector_array_free(parts);
        answer
    }
}

fn optional(value: i32) -> mlx_sys::mlx_optional_int {
    mlx_sys::mlx_optional_int { value, has_value: true }
}

fn c_string(text: &str) -> Result<CString, Exception> {
    CString::new(text).map_err(|_| Exception::custom("a name holds a null byte"))
}

/// Takes over `result`, or says which operation failed.
///
/// # Safety
///
/// `result` must be a handle that nobody else frees.
unsafe fn finished(
    status: i32,
    result: mlx_sys::mlx_array,
    operation: &str,
) -> Result<Array, Exception> {
    if status == 0 {
        // SAFETY: the caller hands over the only handle.
        return Ok(unsafe { Array::from_ptr(result) });
    }
    // SAFETY: as above.
    unsafe { mlx_sys::mlx_array_free(result) };
    Err(Exception::custom(format!("MLX refused a {operation}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_mlx_loses_the_place_in_the_wrapper() {
        let x = Array::from_slice(&[1f32, 2.0], &[1, 2]);
        let error = MlxError::from(x.matmul(&x).unwrap_err());
        assert!(error.to_string().contains("(1,2)"), "{error}");
        assert!(!error.to_string().contains(" at /"), "{error}");
    }

    #[test]
    fn packed_and_unpacked_again_is_near() {
        let values: Vec<f32> = (0..64).map(|i: u8| f32::from(i) / 8.0).collect();
        let dense = Array::from_slice(&values, &[1, 64]);
        for (mode, bits, tolerance) in [("affine", 8, 0.02), ("mxfp8", 8, 0.3)] {
            let packing = Packing { group_size: 32, bits, mode };
            let (weight, scales, biases) = quantize(&dense, packing).unwrap();
            let again = dequantize(&weight, &scales, biases.as_ref(), packing).unwrap();
            let gap = again.subtract(&dense).unwrap().abs().unwrap().max(None).unwrap();
            let gap = gap.try_item_cast::<f32>().unwrap();
            assert!(gap <= tolerance, "{mode}: {gap}");
        }
    }
}
