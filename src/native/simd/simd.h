/* SPDX-License-Identifier: Apache-2.0 */
/* The micro-kernels that an instruction set provides, as one struct of function pointers.
 * No threads, no tensors, no checks here: callers give whole blocks and valid sizes. Every
 * kernel has one fixed order of summation for given sizes, whatever the caller splits. */
#ifndef PLUMB_SIMD_H
#define PLUMB_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/tensor.h>
#include "native/simd/packed.h"

#define PLUMB_SIMD_MR_MAX 16
#define PLUMB_SIMD_NR_MAX 32

/* y[r] = sum_k w[r][k] * x[k]; r < rows. */
struct plumb_dot {
	enum plumb_type type;
	const void *w;
	size_t stride; /* bytes from row to row of w */
	int64_t rows, k;
	const float *x;
	float *y;
};

/* c[i * ldc + j] (+)= sum_k x[i * ldx + k] * panel[k * ldp + j]; i < m <= mr, all j < nr. */
struct plumb_tile {
	int m;
	int64_t k, ldx, ldp, ldc;
	const float *x, *panel;
	float *c;
	bool add; /* start from what c holds */
};

typedef void (*plumb_to_f32_fn)(enum plumb_type type, const void *src, float *dst, int64_t n);
/* y = act(gate) * up. */
typedef void (*plumb_gated_fn)(float *y, const float *gate, const float *up, int64_t n);
typedef void (*plumb_dot_fn)(const struct plumb_dot *a);

/* gelu by tanh: x / (1 + exp(-x (LINEAR + CUBIC x^2))); 2 sqrt(2 / pi), and 0.044715 of that. */
#define PLUMB_GELU_LINEAR 1.5957691216057308f
#define PLUMB_GELU_CUBIC 0.07135481282760024f

struct plumb_simd {
	const char *name;
	int mr, nr; /* tile of gemm; given together with pack and gemm */
	/* Dequantise whole blocks: the bits of plumb_type_to_f32. */
	plumb_to_f32_fn to_f32[PLUMB_TYPE_COUNT];
	void (*to_f16)(const float *src, uint16_t *dst, int64_t n);
	plumb_dot_fn dot[PLUMB_TYPE_COUNT];
	/* NULL, or the arrangement in which dot wants its x when w is of blocks; y gets k floats, k a multiple
	 * of 32. A set with an order of its own has a dot for every block type. */
	void (*order)(const float *x, float *y, int64_t k);
	/* panel[k * nr + r] = w[r * ldw + k], zeros for rows <= r < nr. */
	void (*pack)(const float *w, int64_t ldw, int rows, int64_t k, float *panel);
	void (*gemm)(const struct plumb_tile *t);
	/* Largest element; NaN never wins, -inf when n is 0 or all are NaN. */
	float (*max)(const float *x, int64_t n);
	/* y = exp(x - shift); returns the sum of y. y may be x. */
	float (*exp_sum)(float *y, const float *x, float shift, int64_t n);
	double (*sum_sq)(const float *x, int64_t n);
	void (*norm)(float *y, const float *x, const float *w, float scale, int64_t n); /* y = (x * scale) * w */
	void (*scale)(float *y, float scale, int64_t n);
	void (*add)(float *y, const float *a, const float *b, int64_t n);
	plumb_gated_fn swiglu, geglu;
	const struct plumb_packed_kernels *packed;
};

extern const struct plumb_simd plumb_simd_c;
#ifdef PLUMB_HAVE_AVX2
extern const struct plumb_simd plumb_simd_avx2;
#endif
#ifdef PLUMB_HAVE_AVXVNNI
extern const struct plumb_simd plumb_simd_avxvnni;
#endif
#ifdef PLUMB_HAVE_AVX512
extern const struct plumb_simd plumb_simd_avx512;
#endif
#ifdef PLUMB_HAVE_NEON
extern const struct plumb_simd plumb_simd_neon;
#endif
#ifdef PLUMB_HAVE_NEONDOT
extern const struct plumb_simd plumb_simd_neondot;
#endif

/* Instruction sets of this build that the machine has, weakest first ("c"); NULL past the end. */
const char *plumb_simd_at(int index);
/* Instruction sets of this build that the machine lacks, weakest first; NULL past the end. */
const char *plumb_simd_missing(int index);
/* Compose kernels up to instruction set `cap` (NULL: the best): what a stronger set leaves
 * empty comes from the weaker ones. PLUMB_E_ARGUMENT lists the names there are. */
enum plumb_status plumb_simd_choose(struct plumb_simd *simd, const char *cap);

#endif
