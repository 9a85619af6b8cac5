/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of elements in AVX2: what softmax, RMSNorm, SwiGLU, GeGLU and the sums of rows are made of. For avx2.c
 * alone.
 */
#ifndef PLUMB_AVX2_ROWS_H
#define PLUMB_AVX2_ROWS_H

#include <math.h>
#include "native/simd/avx2_blocks.h"
#include "native/simd/simd.h"

static float max(const float *x, int64_t n)
{
	__m256 m = _mm256_set1_ps(-INFINITY);
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		m = _mm256_max_ps(_mm256_loadu_ps(x + i), m); /* the second operand when one is NaN */
	float lane[8], best = -INFINITY;
	_mm256_storeu_ps(lane, m);
	for (int j = 0; j < 8; j++)
		best = lane[j] > best ? lane[j] : best;
	for (; i < n; i++)
		best = x[i] > best ? x[i] : best;
	return best;
}

/* exp by 2^n * p(r), r in [-ln 2 / 2, ln 2 / 2]; polynomial of Cephes' expf. Within 2 ulp, also among
 * subnormals: 2^n is multiplied in two steps. Infinities and NaN come out as they should. */
INLINE __m256 exp8(__m256 x)
{
	x = _mm256_min_ps(_mm256_set1_ps(90), x); /* NaN passes: it is the second operand */
	x = _mm256_max_ps(_mm256_set1_ps(-105), x);
	__m256 n = _mm256_round_ps(
		_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	__m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e400p-1f), x);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
	__m256 p = _mm256_set1_ps(1.9875691500e-4f);
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
	p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1));
	__m256i e = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(e, 1), bias = _mm256_set1_epi32(127);
	__m256i one = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
	__m256i two = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(e, half), bias), 23);
	return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(one)), _mm256_castsi256_ps(two));
}

/* The last n < 8 elements as a vector, the rest `fill`. */
INLINE __m256 load_last(const float *x, int64_t n, float fill)
{
	float lane[8] = { fill, fill, fill, fill, fill, fill, fill, fill };
	memcpy(lane, x, sizeof *x * (size_t)n);
	return _mm256_loadu_ps(lane);
}

INLINE void store_last(float *y, __m256 v, int64_t n)
{
	float lane[8];
	_mm256_storeu_ps(lane, v);
	memcpy(y, lane, sizeof *y * (size_t)n);
}

static float exp_sum(float *y, const float *x, float shift, int64_t n)
{
	__m256 sum = _mm256_setzero_ps(), by = _mm256_set1_ps(shift);
	int64_t i = 0;
	for (; i + 8 <= n; i += 8) {
		__m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), by));
		_mm256_storeu_ps(y + i, e);
		sum = _mm256_add_ps(sum, e);
	}
	if (i < n) {
		__m256 e = exp8(_mm256_sub_ps(load_last(x + i, n - i, -INFINITY), by)); /* the rest adds 0 */
		store_last(y + i, e, n - i);
		sum = _mm256_add_ps(sum, e);
	}
	return sum8(sum);
}

static double sum_sq(const float *x, int64_t n)
{
	__m256d lo = _mm256_setzero_pd(), hi = _mm256_setzero_pd();
	for (int64_t i = 0; i < n; i += 8) {
		__m256 v = i + 8 <= n ? _mm256_loadu_ps(x + i) : load_last(x + i, n - i, 0);
		__m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(v)),
				b = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
		lo = _mm256_fmadd_pd(a, a, lo);
		hi = _mm256_fmadd_pd(b, b, hi);
	}
	double lane[4];
	_mm256_storeu_pd(lane, _mm256_add_pd(lo, hi));
	return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

static void norm(float *y, const float *x, const float *w, float by, int64_t n)
{
	__m256 s = _mm256_set1_ps(by);
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(
			y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), s), _mm256_loadu_ps(w + i)));
	for (; i < n; i++)
		y[i] = x[i] * by * w[i];
}

static void scale(float *y, float by, int64_t n)
{
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), _mm256_set1_ps(by)));
	for (; i < n; i++)
		y[i] *= by;
}

static void add(float *y, const float *a, const float *b, int64_t n)
{
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
	for (; i < n; i++)
		y[i] = a[i] + b[i];
}

INLINE __m256 swiglu8(__m256 gate, __m256 up)
{
	__m256 e = exp8(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));
	return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(e, _mm256_set1_ps(1))), up);
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, swiglu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
	if (i < n)
		store_last(y + i, swiglu8(load_last(gate + i, n - i, 0), load_last(up + i, n - i, 0)), n - i);
}

INLINE __m256 geglu8(__m256 gate, __m256 up)
{
	__m256 z = _mm256_fmadd_ps(
		_mm256_mul_ps(gate, gate), _mm256_set1_ps(PLUMB_GELU_CUBIC), _mm256_set1_ps(PLUMB_GELU_LINEAR));
	__m256 e = exp8(_mm256_mul_ps(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)), z));
	return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(e, _mm256_set1_ps(1))), up);
}

static void geglu(float *y, const float *gate, const float *up, int64_t n)
{
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, geglu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
	if (i < n)
		store_last(y + i, geglu8(load_last(gate + i, n - i, 0), load_last(up + i, n - i, 0)), n - i);
}

#endif
