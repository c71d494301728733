/* Half-precision types for mlx-c where it defines none itself.
 *
 * mlx-c names `float16_t` and `bfloat16_t` on ARM only, and mlx-rs needs both everywhere. This file is read before
 * every mlx-c header and, by taking its include guard, in place of `mlx/c/half.h`. Both types are 16 bits wide and
 * only ever cross the border behind a pointer, so each side may name them as it likes.
 */
#if !defined(__cplusplus)
/* Read by bindgen, which turns `_Float16` into the type mlx-rs expects. */
#define MLX_HALF_H
#define HAS_FLOAT16
#define HAS_BFLOAT16
typedef _Float16 float16_t;
typedef unsigned short bfloat16_t;
#elif !defined(__aarch64__)
/* Read by the C++ compiler, where ARM's own headers do not define the names. */
#define MLX_HALF_H
#define HAS_FLOAT16
#define HAS_BFLOAT16
typedef unsigned short float16_t;
typedef unsigned short bfloat16_t;
#endif
