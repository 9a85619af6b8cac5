/* SPDX-License-Identifier: Apache-2.0 */
/* The block formats in AVX2: a block's bytes to vectors of small integers, exact in float32,
 * and the block's scales. avx2.c makes dequantisation and dot products of them. */
#ifndef PLUMB_AVX2_BLOCKS_H
#define PLUMB_AVX2_BLOCKS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include "core/core.h"

#define INLINE static inline __attribute__((always_inline))

INLINE float half_at(const uint8_t *p)
{
	uint16_t h;
	memcpy(&h, p, sizeof h);
	return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

INLINE __m256i load32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
INLINE __m128i load16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }

INLINE float sum8(__m256 v)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* 32 signed bytes to floats, in order. */
INLINE void widen(__m256i q, __m256 v[4])
{
	__m128i lo = _mm256_castsi256_si128(q), hi = _mm256_extracti128_si256(q, 1);
	v[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(lo));
	v[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(lo, lo)));
	v[2] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(hi));
	v[3] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(hi, hi)));
}

/* 32 signed bytes to floats times 2^24, out of order: lane j of v[s] is byte 4 j + s. Cheaper than
 * widen; order_x brings the other factor into the same order. */
INLINE void spread(__m256i q, __m256 v[4])
{
	const __m256i top = _mm256_set1_epi32((int)0xff000000);
	v[0] = _mm256_cvtepi32_ps(_mm256_slli_epi32(q, 24));
	v[1] = _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_slli_epi32(q, 16), top));
	v[2] = _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_slli_epi32(q, 8), top));
	v[3] = _mm256_cvtepi32_ps(_mm256_and_si256(q, top));
}

/* 32 floats to the order of spread. */
INLINE void order_x(const float *x, float *y)
{
	__m256 a[4], b[4];
	for (int i = 0; i < 4; i++)
		a[i] = _mm256_set_m128(_mm_loadu_ps(x + 16 + 4 * i), _mm_loadu_ps(x + 4 * i));
	b[0] = _mm256_unpacklo_ps(a[0], a[1]);
	b[1] = _mm256_unpackhi_ps(a[0], a[1]);
	b[2] = _mm256_unpacklo_ps(a[2], a[3]);
	b[3] = _mm256_unpackhi_ps(a[2], a[3]);
	_mm256_storeu_ps(y, _mm256_shuffle_ps(b[0], b[2], 0x44));
	_mm256_storeu_ps(y + 8, _mm256_shuffle_ps(b[0], b[2], 0xee));
	_mm256_storeu_ps(y + 16, _mm256_shuffle_ps(b[1], b[3], 0x44));
	_mm256_storeu_ps(y + 24, _mm256_shuffle_ps(b[1], b[3], 0xee));
}

/* The half at p in all lanes. */
INLINE __m256 halves_at(const uint8_t *p)
{
	int16_t h;
	memcpy(&h, p, sizeof h);
	return _mm256_cvtph_ps(_mm_set1_epi16(h));
}

/* 16 bytes to their 16 low, then 16 high nibbles. */
INLINE __m256i nibbles(const uint8_t *p)
{
	__m256i q = _mm256_broadcastsi128_si256(load16(p));
	q = _mm256_srlv_epi32(q, _mm256_set_epi32(4, 4, 4, 4, 0, 0, 0, 0));
	return _mm256_and_si256(q, _mm256_set1_epi8(15));
}

/* Expands the 32 bits at p to bytes: zero where the bit is 1, all ones where it is 0. */
INLINE __m256i bits_clear(const uint8_t *p)
{
	int32_t bits;
	memcpy(&bits, p, sizeof bits);
	const __m256i spread = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
	const __m256i one = _mm256_set1_epi64x((long long)0x8040201008040201);
	__m256i b = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread), one);
	return _mm256_cmpeq_epi8(b, _mm256_setzero_si256());
}

INLINE __m256i ints_q8_0(const uint8_t *b) { return load32(b + 2); }
INLINE __m256i ints_q4_0(const uint8_t *b) { return _mm256_sub_epi8(nibbles(b + 2), _mm256_set1_epi8(8)); }
INLINE __m256i ints_q4_1(const uint8_t *b) { return nibbles(b + 4); }

INLINE __m256i ints_q5_0(const uint8_t *b)
{
	/* 16 is subtracted where the fifth bit is clear: 0xf0 over a nibble. */
	return _mm256_or_si256(nibbles(b + 6), _mm256_and_si256(bits_clear(b + 2), _mm256_set1_epi8((char)0xf0)));
}

INLINE __m256i ints_q5_1(const uint8_t *b)
{
	return _mm256_or_si256(nibbles(b + 8), _mm256_andnot_si256(bits_clear(b + 4), _mm256_set1_epi8(16)));
}

/* Scales and minima of the 8 sub-blocks of a Q4_K or Q5_K block: 6 bits each in 12 bytes. */
INLINE void scales_k(const uint8_t *b, float scale[8], float min[8])
{
	uint32_t s[3], low, high;
	memcpy(s, b + 4, sizeof s);
	low = s[0] & 0x3f3f3f3f;
	high = (s[2] & 0x0f0f0f0f) | (s[0] >> 6 & 0x03030303) << 4;
	__m256 d = _mm256_set1_ps(half_at(b)), dmin = _mm256_set1_ps(half_at(b + 2));
	__m128i q = _mm_set_epi32(0, 0, (int)high, (int)low);
	_mm256_storeu_ps(scale, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(q))));
	low = s[1] & 0x3f3f3f3f;
	high = (s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 6 & 0x03030303) << 4;
	q = _mm_set_epi32(0, 0, (int)high, (int)low);
	_mm256_storeu_ps(min, _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(q))));
}

/* Sub-block j (32 elements) of a K block. */
INLINE __m256i ints_q4_k(const uint8_t *b, int j)
{
	__m256i q = load32(b + 16 + j / 2 * 32);
	return _mm256_and_si256(j % 2 ? _mm256_srli_epi16(q, 4) : q, _mm256_set1_epi8(15));
}

INLINE __m256i ints_q5_k(const uint8_t *b, int j)
{
	__m256i q = load32(b + 48 + j / 2 * 32), high = load32(b + 16);
	q = _mm256_and_si256(j % 2 ? _mm256_srli_epi16(q, 4) : q, _mm256_set1_epi8(15));
	/* bit j of each byte to bit 4; a 16-bit shift is harmless under the mask */
	high = j < 4 ? _mm256_slli_epi16(high, 4 - j) : _mm256_srli_epi16(high, j - 4);
	return _mm256_or_si256(q, _mm256_and_si256(high, _mm256_set1_epi8(16)));
}

INLINE __m256i ints_q6_k(const uint8_t *b, int j)
{
	int part = j / 4, quarter = j % 4;
	__m256i q = load32(b + part * 64 + quarter % 2 * 32), high = load32(b + 128 + part * 32);
	q = _mm256_and_si256(quarter < 2 ? q : _mm256_srli_epi16(q, 4), _mm256_set1_epi8(15));
	high = quarter == 0 ? _mm256_slli_epi16(high, 4)
		: quarter == 1  ? _mm256_slli_epi16(high, 2)
		: quarter == 2  ? high
						: _mm256_srli_epi16(high, 2);
	q = _mm256_or_si256(q, _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
	return _mm256_sub_epi8(q, _mm256_set1_epi8(32));
}

/* Of the 2 bits of Q2_K and Q3_K, which begin at p. */
INLINE __m256i ints_two(const uint8_t *p, int j)
{
	__m256i q = _mm256_srlv_epi32(load32(p + j / 4 * 32), _mm256_set1_epi32(j % 4 * 2));
	return _mm256_and_si256(q, _mm256_set1_epi8(3));
}

INLINE __m256i ints_q3_k(const uint8_t *b, int j)
{
	/* 4 is subtracted where the third bit is clear: all bits of a byte but two */
	__m256i high = _mm256_srlv_epi32(load32(b), _mm256_set1_epi32(j));
	__m256i clear = _mm256_cmpeq_epi8(_mm256_and_si256(high, _mm256_set1_epi8(1)), _mm256_setzero_si256());
	return _mm256_or_si256(ints_two(b + 32, j), _mm256_and_si256(clear, _mm256_set1_epi8((char)0xfc)));
}

/* 16 bytes of codes to what they stand for. */
INLINE __m256i ints_codes(const uint8_t *p, const int8_t values[16])
{
	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16((const uint8_t *)values)), nibbles(p));
}

/* The types whose scale may be another one after 16 elements; Q2_K has minima as well. */
INLINE __m256i ints_half(enum plumb_type type, const uint8_t *b, int j)
{
	return type == PLUMB_Q6_K ? ints_q6_k(b, j)
		: type == PLUMB_Q3_K  ? ints_q3_k(b, j)
		: type == PLUMB_Q2_K  ? ints_two(b + 16, j)
							  : ints_codes(b + 8 + 16 * j, plumb_type_iq4_values); /* IQ4_XS */
}

/* 16 signed bytes times d. */
INLINE void scales_put(float scale[16], __m128i q, float d)
{
	__m256 all = _mm256_set1_ps(d);
	_mm256_storeu_ps(scale, _mm256_mul_ps(all, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q))));
	_mm256_storeu_ps(
		scale + 8, _mm256_mul_ps(all, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(q, q)))));
}

/* The 16 scales of such a block, times its d; and of Q2_K its minima. */
INLINE void scales_half(enum plumb_type type, const uint8_t *b, float scale[16], float min[16])
{
	const __m128i low = _mm_set1_epi8(15);
	int8_t s[16];
	if (type == PLUMB_Q6_K)
		scales_put(scale, load16(b + 192), half_at(b + 208));
	else if (type == PLUMB_Q2_K) {
		__m128i q = load16(b);
		scales_put(scale, _mm_and_si128(q, low), half_at(b + 80));
		scales_put(min, _mm_and_si128(_mm_srli_epi16(q, 4), low), half_at(b + 82));
	} else {
		for (int j = 0; j < 16; j++)
			s[j] = (int8_t)(type == PLUMB_Q3_K ? plumb_type_q3_k_scale(b, j)
											   : plumb_type_iq4_xs_scale(b, j / 2));
		scales_put(scale, load16((const uint8_t *)s), half_at(b + (type == PLUMB_Q3_K ? 108 : 0)));
	}
}

#endif
