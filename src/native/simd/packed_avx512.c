/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels for AVX-512 with VNNI: 16 rows in a vector, two products in each lane. Only this file is
 * compiled with those flags. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#pragma GCC optimize("O3")
#endif
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include "native/simd/packed_x16.h"
#include "native/simd/simd.h"

#define INLINE static inline __attribute__((always_inline))
#define LANES 16
#define TILE 6
#define SLICES 2
#define AHEAD 16384

typedef __m512i VI;
typedef __m512 VF;
typedef __m512i ACC;

INLINE VI vi_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void vi_store(void *p, VI v) { _mm512_storeu_si512(p, v); }
INLINE VI vi_low16(VI v) { return _mm512_and_si512(v, _mm512_set1_epi16(0xff)); }
INLINE VI vi_high16(VI v) { return _mm512_srli_epi16(v, 8); }
INLINE VI vi_nibble_low(VI v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
INLINE VI vi_nibble_high(VI v) { return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15)); }
INLINE VI vi_left(VI v, int n) { return _mm512_slli_epi16(v, (unsigned)n); }
INLINE VI vi_right(VI v, int n) { return _mm512_srli_epi16(v, (unsigned)n); }
INLINE VI vi_mask(VI v, char mask) { return _mm512_and_si512(v, _mm512_set1_epi8(mask)); }
INLINE VI vi_table(const int8_t *values)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)values);
	return _mm512_xor_si512(_mm512_broadcast_i32x4(v), _mm512_set1_epi8((char)0x80));
}
INLINE VI vi_lookup(VI table, VI v) { return _mm512_shuffle_epi8(table, v); }
INLINE VI vi_insert(VI low, VI high, char mask)
{
	return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8(mask), 0xf8);
}
INLINE VI vi_minus16(VI v, int n) { return n ? _mm512_sub_epi16(v, _mm512_set1_epi16((short)n)) : v; }
INLINE VI vi_four(const void *x)
{
	int32_t four;
	memcpy(&four, x, sizeof four);
	return _mm512_set1_epi32(four);
}
INLINE ACC acc_start(int32_t v, bool bytes)
{
	(void)bytes;
	return _mm512_set1_epi32(v);
}
INLINE ACC acc_add(ACC acc, VI w, VI x) { return _mm512_dpwssd_epi32(acc, w, x); }
#define BYTES
INLINE ACC acc_add8(ACC acc, VI w, VI x) { return _mm512_dpbusd_epi32(acc, w, x); }
INLINE ACC acc_join(ACC high, ACC low) { return _mm512_add_epi32(_mm512_slli_epi32(high, 8), low); }
INLINE VF acc_float(ACC acc, bool bytes)
{
	(void)bytes;
	return _mm512_cvtepi32_ps(acc);
}
INLINE VF vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vf_store(float *p, VF v) { _mm512_storeu_ps(p, v); }
INLINE VF vf_zero(void) { return _mm512_setzero_ps(); }
INLINE VF vf_all(float v) { return _mm512_set1_ps(v); }
INLINE VF vf_mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
INLINE VF vf_fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
INLINE VF vf_half(const uint8_t *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
INLINE VF vf_u8(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
INLINE VF vf_i8(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
INLINE VF vf_nibbles(const uint8_t *p, bool high)
{
	VI v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
	return _mm512_cvtepi32_ps(high ? _mm512_srli_epi32(v, 4) : _mm512_and_si512(v, _mm512_set1_epi32(15)));
}
INLINE VF vf_e8m0(const uint8_t *p)
{
	VI e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
	VI normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
	__mmask16 small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
	return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(normal, small, _mm512_set1_epi32(0x00200000), e));
}

INLINE int32_t top_of(const __m512 v[2])
{
	const __m512i size = _mm512_set1_epi32(0x7fffffff);
	return _mm512_reduce_max_epi32(_mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(v[0]), size),
		_mm512_and_si512(_mm512_castps_si512(v[1]), size)));
}

/* As x16_quantise, bit for bit. */
static bool packed_avx512_quantise(const float *x, const struct plumb_x16 *x16, int64_t row, float limit)
{
	__m512 square = _mm512_setzero_ps();
	float steps = 0, total = 0, lane[16];
	int64_t blocks = x16->k / PLUMB_BLOCK;
	int16_t *q = x16->q + row * x16->k;
	for (int64_t b = 0; b < blocks; b++, x += PLUMB_BLOCK, q += PLUMB_BLOCK) {
		__m512 v[2] = { _mm512_loadu_ps(x), _mm512_loadu_ps(x + 16) };
		float by, most, step = x16_step(top_of(v), X16_MOST, &by, &most);
		int32_t sum[2];
		for (int i = 0; i < 2; i++) {
			__m512i n = _mm512_maskz_cvtps_epi32(
				by == 0 ? 0 : 0xffff, _mm512_mul_ps(v[i], _mm512_set1_ps(by)));
			__m256i narrow = _mm512_cvtepi32_epi16(n);
			narrow = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(narrow, 0xd8), 0xd8); /* 0, 2, 1, 3 */
			_mm256_storeu_si256((__m256i *)(void *)(q + 16 * i), narrow);
			if (x16->high) {
				__m128i *high = (__m128i *)(void *)(x16->high + row * x16->k + b * PLUMB_BLOCK),
						*low = (__m128i *)(void *)(x16->low + row * x16->k + b * PLUMB_BLOCK);
				_mm_storeu_si128(high + i,
					_mm512_cvtepi32_epi8(_mm512_srai_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(128)), 8)));
				_mm_storeu_si128(low + i, _mm512_cvtepi32_epi8(n)); /* its low bits, with a sign */
			}
			sum[i] = _mm512_reduce_add_epi32(n);
			x16->sum[(row * blocks + b) * 2 + i] = sum[i];
			square = _mm512_add_ps(square, _mm512_mul_ps(v[i], v[i]));
		}
		float scale = by == 0 && !(most < 1) ? NAN : step;
		x16->scale[row * blocks + b] = scale;
		x16->total[row * blocks + b] = scale * (float)(sum[0] + sum[1]);
		steps += step * step;
	}
	_mm512_storeu_ps(lane, square);
	for (int i = 0; i < 16; i++)
		total += lane[i];
	return steps * (PLUMB_BLOCK / 12.0f) > limit * limit * total;
}

/* As x8_quantise, bit for bit. */
static void packed_avx512_quantise8(const float *x, const struct plumb_x16 *x16, int64_t row)
{
	int64_t blocks = x16->k / PLUMB_BLOCK;
	int8_t *q = (int8_t *)x16->q + row * x16->k;
	for (int64_t b = 0; b < blocks; b++, x += PLUMB_BLOCK, q += PLUMB_BLOCK) {
		__m512 v[2] = { _mm512_loadu_ps(x), _mm512_loadu_ps(x + 16) };
		int32_t *sum = x16->sum + (row * blocks + b) * 2;
		float by, most, step = x16_step(top_of(v), X8_MOST, &by, &most),
						scale = by == 0 && !(most < 1) ? NAN : step;
		for (int i = 0; i < 2; i++) {
			__m512i n = _mm512_maskz_cvtps_epi32(
				by == 0 ? 0 : 0xffff, _mm512_mul_ps(v[i], _mm512_set1_ps(by)));
			_mm_storeu_si128((__m128i *)(void *)(q + 16 * i), _mm512_cvtepi32_epi8(n));
			sum[i] = _mm512_reduce_add_epi32(n);
		}
		x16->scale[row * blocks + b] = scale;
		x16->total[row * blocks + b] = scale * (float)(sum[0] + sum[1]);
	}
}

#define QUANTISE packed_avx512_quantise
#define QUANTISE8 packed_avx512_quantise8
#include "native/simd/packed_kernels.h"

static const struct plumb_packed_kernels packed = PACKED_KERNELS;
const struct plumb_simd plumb_simd_avx512 = { .name = "avx512", .packed = &packed };
