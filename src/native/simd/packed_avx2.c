/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels for AVX2: 8 rows in a vector. Compiled a second time for AVX-VNNI (packed_avxvnni.c),
 * which multiplies and adds in one instruction. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#pragma GCC optimize("O3")
#endif
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include "native/simd/simd.h"

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define TILE 6
#define SLICES 2
#define AHEAD 16384

typedef __m256i VI;
typedef __m256 VF;
typedef __m256i ACC;

INLINE VI vi_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void vi_store(void *p, VI v) { _mm256_storeu_si256((__m256i *)p, v); }
INLINE VI vi_low16(VI v) { return _mm256_and_si256(v, _mm256_set1_epi16(0xff)); }
INLINE VI vi_high16(VI v) { return _mm256_srli_epi16(v, 8); }
INLINE VI vi_nibble_low(VI v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
INLINE VI vi_nibble_high(VI v) { return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)); }
INLINE VI vi_left(VI v, int n) { return _mm256_slli_epi16(v, n); }
INLINE VI vi_right(VI v, int n) { return _mm256_srli_epi16(v, n); }
INLINE VI vi_mask(VI v, char mask) { return _mm256_and_si256(v, _mm256_set1_epi8(mask)); }
INLINE VI vi_table(const int8_t *values)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)values);
	return _mm256_xor_si256(_mm256_broadcastsi128_si256(v), _mm256_set1_epi8((char)0x80));
}
INLINE VI vi_lookup(VI table, VI v) { return _mm256_shuffle_epi8(table, v); }
INLINE VI vi_insert(VI low, VI high, char mask)
{
	return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(mask)));
}
INLINE VI vi_minus16(VI v, int n) { return n ? _mm256_sub_epi16(v, _mm256_set1_epi16((short)n)) : v; }
INLINE VI vi_four(const void *x)
{
	int32_t four;
	memcpy(&four, x, sizeof four);
	return _mm256_set1_epi32(four);
}
INLINE ACC acc_start(int32_t v, bool bytes)
{
	(void)bytes;
	return _mm256_set1_epi32(v);
}
#ifdef PLUMB_SET_AVXVNNI
#define BYTES
INLINE ACC acc_add(ACC acc, VI w, VI x) { return _mm256_dpwssd_avx_epi32(acc, w, x); }
INLINE ACC acc_add8(ACC acc, VI w, VI x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }
INLINE ACC acc_join(ACC high, ACC low) { return _mm256_add_epi32(_mm256_slli_epi32(high, 8), low); }
#else
INLINE ACC acc_add(ACC acc, VI w, VI x)
{
	acc = _mm256_add_epi32(acc, _mm256_madd_epi16(w, x));
	__asm__("" : "+x"(acc)); /* else GCC makes all products first, and all of them go to memory */
	return acc;
}
#endif
INLINE VF acc_float(ACC acc, bool bytes)
{
	(void)bytes;
	return _mm256_cvtepi32_ps(acc);
}
INLINE VF vf_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vf_store(float *p, VF v) { _mm256_storeu_ps(p, v); }
INLINE VF vf_zero(void) { return _mm256_setzero_ps(); }
INLINE VF vf_all(float v) { return _mm256_set1_ps(v); }
INLINE VF vf_mul(VF a, VF b) { return _mm256_mul_ps(a, b); }
INLINE VF vf_fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
INLINE VF vf_half(const uint8_t *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
INLINE VF vf_u8(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
INLINE VF vf_i8(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

INLINE VF vf_nibbles(const uint8_t *p, bool high)
{
	VI v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
	return _mm256_cvtepi32_ps(high ? _mm256_srli_epi32(v, 4) : _mm256_and_si256(v, _mm256_set1_epi32(15)));
}
INLINE VF vf_e8m0(const uint8_t *p)
{
	VI e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
	VI normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23),
	   subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
	return _mm256_castsi256_ps(
		_mm256_blendv_epi8(normal, subnormal, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
}

#include "native/simd/packed_kernels.h"

#ifdef PLUMB_SET_AVXVNNI
static const struct plumb_packed_kernels packed = PACKED_KERNELS;
const struct plumb_simd plumb_simd_avxvnni = { .name = "avxvnni", .packed = &packed };
#else
const struct plumb_packed_kernels plumb_packed_avx2 = PACKED_KERNELS;
#endif
