/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products with rows of F32, F16 or BF16 in AVX2, straight from where the weights lie. For avx2.c alone.
 */
#ifndef PLUMB_AVX2_PLAIN_H
#define PLUMB_AVX2_PLAIN_H

#include <math.h>
#include "core/core.h"
#include "native/simd/avx2_blocks.h"
#include "native/simd/simd.h"

#define AT_ONCE 2               /* rows that share what is loaded of x; four sums each keep the adders busy */
#define FAR ((int64_t)32 << 10) /* bytes ahead: what any second-level cache has room for */

INLINE __m256 load_plain(enum plumb_type type, const char *w, int64_t i)
{
	if (type == PLUMB_F32)
		return _mm256_loadu_ps((const float *)(const void *)w + i);
	__m128i h = load16((const uint8_t *)w + 2 * i);
	return type == PLUMB_F16 ? _mm256_cvtph_ps(h)
							 : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* The next 32 elements, `ahead` bytes before they are used. Pages of a mapped file end what the hardware
 * follows every 4 KB: without this a core reads at half the speed. */
INLINE void prefetch_plain(enum plumb_type type, const char *w, int64_t i, int64_t ahead)
{
	uintptr_t at = (uintptr_t)w + (uintptr_t)((type == PLUMB_F32 ? 4 : 2) * i + ahead);
	_mm_prefetch((const char *)at, _MM_HINT_T1);
	if (type == PLUMB_F32)
		_mm_prefetch((const char *)(at + 64), _MM_HINT_T1);
}

/* The sum of the last k - i < 32 elements joins those of the four sums. */
INLINE float end_plain(enum plumb_type type, const char *w, const float *x, int64_t i, int64_t k, __m256 s[4])
{
	for (; i + 8 <= k; i += 8)
		s[0] = _mm256_fmadd_ps(load_plain(type, w, i), _mm256_loadu_ps(x + i), s[0]);
	float sum = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3]))), last;
	for (; i < k; i++) {
		plumb_type_to_f32(type, w + plumb_type_bytes(type) * (size_t)i, &last, 1);
		sum = fmaf(last, x[i], sum);
	}
	return sum;
}

/* `rows` is a constant: 1 or AT_ONCE. The order of a row's sum is the same beside another and alone. */
INLINE void rows_plain(
	enum plumb_type type, const struct plumb_dot *a, int64_t first, int rows, int64_t ahead)
{
	const char *w = (const char *)a->w + a->stride * (size_t)first;
	__m256 s[AT_ONCE][4];
	int64_t i = 0;
	for (int r = 0; r < rows; r++)
		for (int j = 0; j < 4; j++)
			s[r][j] = _mm256_setzero_ps();
	for (; i + 32 <= a->k; i += 32) {
		for (int r = 0; r < rows; r++)
			prefetch_plain(type, w + a->stride * (size_t)r, i, ahead);
		for (int j = 0; j < 4; j++) {
			__m256 x = _mm256_loadu_ps(a->x + i + 8 * j);
			for (int r = 0; r < rows; r++)
				s[r][j] = _mm256_fmadd_ps(load_plain(type, w + a->stride * (size_t)r, i + 8 * j), x, s[r][j]);
		}
	}
	for (int r = 0; r < rows; r++)
		a->y[first + r] = end_plain(type, w + a->stride * (size_t)r, a->x, i, a->k, s[r]);
}

INLINE void dot_plain(const struct plumb_dot *a, enum plumb_type type)
{
	/* Whole steps ahead, so that what one step prefetches no later one does. */
	int64_t step = AT_ONCE * (int64_t)a->stride, ahead = FAR < 4 * step ? FAR / step * step : 4 * step, r = 0;
	if (ahead < step)
		ahead = step;
	for (; r + AT_ONCE <= a->rows; r += AT_ONCE)
		rows_plain(type, a, r, AT_ONCE, ahead);
	for (; r < a->rows; r++)
		rows_plain(type, a, r, 1, ahead);
}

#endif
