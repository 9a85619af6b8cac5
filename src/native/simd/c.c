/* SPDX-License-Identifier: Apache-2.0 */
/* Portable micro-kernels: plain C that a compiler can vectorise, multiply and add rounded
 * apart (fmaf is a slow library call without hardware). The measure for the other sets. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* -O2 hardly vectorises; CFLAGS come after ours, so a flag would lose */
#endif
#include <math.h>
#include <string.h>
#include "core/core.h"
#include "native/simd/simd.h"

#define MR 4
#define NR 8
#define CHUNK 256 /* elements dequantised at a time; whole blocks of every type */
#define LANES 8

static void c_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	plumb_type_to_f32(type, src, dst, n);
}

static void c_to_f16(const float *src, uint16_t *dst, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		dst[i] = plumb_f32_to_f16(src[i]);
}

static void c_dot_chunk(const float *w, const float *x, int64_t n, float *sum)
{
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (int l = 0; l < LANES; l++)
			sum[l] += w[i + l] * x[i + l];
	for (; i < n; i++)
		sum[i % LANES] += w[i] * x[i];
}

static void c_dot(const struct plumb_dot *a)
{
	float w[CHUNK];
	int64_t block = plumb_type_block(a->type);
	size_t bytes = plumb_type_bytes(a->type);
	for (int64_t r = 0; r < a->rows; r++) {
		const char *row = (const char *)a->w + a->stride * (size_t)r;
		float s[LANES] = { 0 };
		for (int64_t k = 0; k < a->k; k += CHUNK) {
			int64_t n = a->k - k < CHUNK ? a->k - k : CHUNK;
			plumb_type_to_f32(a->type, row + (size_t)(k / block) * bytes, w, n);
			c_dot_chunk(w, a->x + k, n, s);
		}
		a->y[r] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
	}
}

static void c_pack(const float *w, int64_t ldw, int rows, int64_t k, float *panel)
{
	for (int64_t i = 0; i < k; i++)
		for (int r = 0; r < NR; r++)
			panel[i * NR + r] = r < rows ? w[r * ldw + i] : 0;
}

static void c_gemm_rows(const struct plumb_tile *t, int m)
{
	float sum[MR][NR] = { { 0 } };
	for (int64_t k = 0; k < t->k; k++)
		for (int i = 0; i < m; i++)
			for (int j = 0; j < NR; j++)
				sum[i][j] += t->x[i * t->ldx + k] * t->panel[k * t->ldp + j];
	for (int i = 0; i < m; i++)
		for (int j = 0; j < NR; j++)
			t->c[i * t->ldc + j] = t->add ? t->c[i * t->ldc + j] + sum[i][j] : sum[i][j];
}

static void c_gemm(const struct plumb_tile *t)
{
	if (t->m == MR)
		c_gemm_rows(t, MR); /* the constant lets the compiler keep the sums in registers */
	else
		c_gemm_rows(t, t->m);
}

static float c_max(const float *x, int64_t n)
{
	float m = -INFINITY;
	for (int64_t i = 0; i < n; i++)
		m = x[i] > m ? x[i] : m;
	return m;
}

static float c_exp_sum(float *y, const float *x, float shift, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += y[i] = expf(x[i] - shift);
	return (float)sum;
}

static double c_sum_sq(const float *x, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sum;
}

static void c_norm(float *y, const float *x, const float *w, float scale, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] * scale * w[i];
}

static void c_scale(float *y, float by, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] *= by;
}

static void c_add(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = a[i] + b[i];
}

static void c_swiglu(float *y, const float *gate, const float *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

/* 1 + tanh(z) is 2 / (1 + exp(-2 z)), which loses nothing where tanh is near -1. */
static void c_geglu(float *y, const float *gate, const float *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float g = gate[i], z2 = g * (PLUMB_GELU_LINEAR + PLUMB_GELU_CUBIC * (g * g));
		y[i] = g / (1 + expf(-z2)) * up[i];
	}
}

const struct plumb_simd plumb_simd_c = {
	.name = "c", .mr = MR, .nr = NR,
	.to_f32 = {
		[PLUMB_F32] = c_to_f32, [PLUMB_F16] = c_to_f32, [PLUMB_BF16] = c_to_f32, [PLUMB_Q8_0] = c_to_f32,
		[PLUMB_Q4_0] = c_to_f32, [PLUMB_Q4_1] = c_to_f32, [PLUMB_Q5_0] = c_to_f32, [PLUMB_Q5_1] = c_to_f32,
		[PLUMB_Q4_K] = c_to_f32, [PLUMB_Q5_K] = c_to_f32, [PLUMB_Q6_K] = c_to_f32,
		[PLUMB_Q2_K] = c_to_f32, [PLUMB_Q3_K] = c_to_f32, [PLUMB_IQ4_NL] = c_to_f32,
		[PLUMB_IQ4_XS] = c_to_f32, [PLUMB_MXFP4] = c_to_f32,
	},
	.to_f16 = c_to_f16,
	.dot = {
		[PLUMB_F32] = c_dot, [PLUMB_F16] = c_dot, [PLUMB_BF16] = c_dot, [PLUMB_Q8_0] = c_dot,
		[PLUMB_Q4_0] = c_dot, [PLUMB_Q4_1] = c_dot, [PLUMB_Q5_0] = c_dot, [PLUMB_Q5_1] = c_dot,
		[PLUMB_Q4_K] = c_dot, [PLUMB_Q5_K] = c_dot, [PLUMB_Q6_K] = c_dot,
		[PLUMB_Q2_K] = c_dot, [PLUMB_Q3_K] = c_dot, [PLUMB_IQ4_NL] = c_dot,
		[PLUMB_IQ4_XS] = c_dot, [PLUMB_MXFP4] = c_dot,
	},
	.pack = c_pack, .gemm = c_gemm, .max = c_max, .exp_sum = c_exp_sum, .sum_sq = c_sum_sq, .norm = c_norm,
	.scale = c_scale, .add = c_add, .swiglu = c_swiglu, .geglu = c_geglu, .packed = &plumb_packed_c,
};
