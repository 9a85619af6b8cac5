/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: a type, a shape and a place in memory. Shapes are written outermost
 * dimension first, as in PyTorch: {rows, columns}; the last dimension is contiguous.
 * (GGUF files store the reverse; the reader turns it round.) */
#ifndef PLUMB_TENSOR_H
#define PLUMB_TENSOR_H

#include <stddef.h>
#include <stdint.h>
#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Element types. Those from Q8_0 on are the block formats of GGUF, bit for bit; K types and IQ4_XS have
 * blocks of 256 elements, the others of 32. */
enum plumb_type {
	PLUMB_F32,
	PLUMB_F64,
	PLUMB_F16,
	PLUMB_BF16,
	PLUMB_I32,
	PLUMB_Q8_0,
	PLUMB_Q4_0,
	PLUMB_Q4_1,
	PLUMB_Q5_0,
	PLUMB_Q5_1,
	PLUMB_Q4_K,
	PLUMB_Q5_K,
	PLUMB_Q6_K,
	PLUMB_Q2_K,
	PLUMB_Q3_K,
	PLUMB_IQ4_NL,
	PLUMB_IQ4_XS,
	PLUMB_MXFP4,
	PLUMB_TYPE_COUNT
};

/* "f32", "q5_0" ...; "?" for a value outside the enum. */
PLUMB_API const char *plumb_type_name(enum plumb_type type);
/* Elements in one block (1 for plain types), and bytes of one block. 0 outside the enum. */
PLUMB_API int64_t plumb_type_block(enum plumb_type type);
PLUMB_API size_t plumb_type_bytes(enum plumb_type type);

/* Dequantise n elements (a multiple of the block) exactly as the format defines it; each
 * product is rounded to float32 once, as GGUF's own reference does. F64 is rounded to float32.
 * Fails with PLUMB_E_TYPE for I32, PLUMB_E_SHAPE when n is not whole blocks. */
PLUMB_API enum plumb_status plumb_type_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n);
/* Round n float32 values to F32, F64, F16 or BF16 (to nearest even); else PLUMB_E_TYPE. */
PLUMB_API enum plumb_status plumb_type_from_f32(enum plumb_type type, const float *src, void *dst, int64_t n);

#define PLUMB_MAX_RANK 4

struct plumb_context;
struct plumb_buffer; /* memory of one tensor: host copy, device copies, which is fresh */

/* Treat the fields as read-only; the functions below set them. */
struct plumb_tensor {
	enum plumb_type type;
	int rank;                    /* 1 .. PLUMB_MAX_RANK */
	int64_t dim[PLUMB_MAX_RANK]; /* outermost first; unused ones are 1 */
	size_t offset;               /* bytes from the start of the buffer */
	struct plumb_buffer *buffer; /* NULL: no memory yet */
};

/* Allocate a tensor, filled with zero bytes. The caller owns it and gives it back with
 * plumb_tensor_free before closing the context. PLUMB_E_SHAPE: a dimension below 1, the
 * last one not whole blocks, or a size that overflows. PLUMB_E_LIMIT: over the memory limit
 * (AR_HARDWARE_MEMORY_SCALE). On failure *t is zeroed. */
PLUMB_API enum plumb_status plumb_tensor_new(
	struct plumb_context *ctx, struct plumb_tensor *t, enum plumb_type type, int rank, const int64_t *dim);
/* Wrap the caller's memory (read only: weights of a mapped file). data must hold the tensor's
 * bytes and outlive it; nothing is copied for drivers that work in host memory. */
PLUMB_API enum plumb_status plumb_tensor_wrap(struct plumb_context *ctx, struct plumb_tensor *t,
	enum plumb_type type, int rank, const int64_t *dim, const void *data, size_t bytes);
/* Free; harmless on a zeroed tensor. Not to be called on a view. */
PLUMB_API void plumb_tensor_free(struct plumb_tensor *t);

/* Rows [first, first + count) of the outermost dimension. The view borrows t's memory: it
 * must not outlive t and is not freed. */
PLUMB_API enum plumb_status plumb_tensor_rows(
	struct plumb_tensor *view, const struct plumb_tensor *t, int64_t first, int64_t count);

PLUMB_API int64_t plumb_tensor_count(const struct plumb_tensor *t); /* elements */
PLUMB_API size_t plumb_tensor_bytes(const struct plumb_tensor *t);

/* Copy bytes out of or into the tensor; bytes must be exactly plumb_tensor_bytes. Waits for
 * the device that last wrote it. */
PLUMB_API enum plumb_status plumb_tensor_read(const struct plumb_tensor *t, void *dst, size_t bytes);
PLUMB_API enum plumb_status plumb_tensor_write(struct plumb_tensor *t, const void *src, size_t bytes);
/* Read any type as float32 or as float64 (n = plumb_tensor_count). */
PLUMB_API enum plumb_status plumb_tensor_read_f32(const struct plumb_tensor *t, float *dst, int64_t n);
PLUMB_API enum plumb_status plumb_tensor_read_f64(const struct plumb_tensor *t, double *dst, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
