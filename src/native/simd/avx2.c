/* SPDX-License-Identifier: Apache-2.0 */
/* Micro-kernels for AVX2 with FMA and F16C: dequantisation, dot products and the packed tile; those with
 * plain floats are in avx2_plain.h, rows of elements in avx2_rows.h. Only this file is compiled with those
 * flags. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* -O2 does not unroll the tile's loops, and CFLAGS come after our flags */
#endif
#include <math.h>
#include "native/simd/avx2_blocks.h"
#include "native/simd/avx2_plain.h"
#include "native/simd/avx2_rows.h"
#include "core/core.h"
#include "native/simd/simd.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8") /* else the sums go to memory in each step */
#endif
#define MR 6
#define NR 16
#define AHEAD 2048 /* bytes prefetched before use */

/* --- dequantisation: multiply and add rounded apart, as in core/type.c --- */

static void avx2_f32_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	(void)type;
	memcpy(dst, src, sizeof *dst * (size_t)n);
}

static void avx2_f16_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint16_t *p = src;
	int64_t i = 0;
	for (; i + 8 <= n; i += 8) {
		__m128i h = load16((const uint8_t *)(p + i));
		_mm256_storeu_ps(dst + i, _mm256_cvtph_ps(h));
		/* The hardware makes NaN quiet, the definition keeps its bits. */
		const __m128i top = _mm_set1_epi16(0x7c00);
		if (_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_and_si128(h, top), top)))
			plumb_type_to_f32(type, p + i, dst + i, 8);
	}
	plumb_type_to_f32(type, p + i, dst + i, n - i);
}

static void avx2_bf16_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint16_t *p = src;
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_si256((__m256i *)(void *)(dst + i),
			_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16((const uint8_t *)(p + i))), 16));
	plumb_type_to_f32(type, p + i, dst + i, n - i);
}

/* 32 elements: q * scale, or q * scale + add. */
INLINE void put32(float *dst, __m256i q, float scale)
{
	__m256 v[4], s = _mm256_set1_ps(scale);
	widen(q, v);
	for (int i = 0; i < 4; i++)
		_mm256_storeu_ps(dst + 8 * i, _mm256_mul_ps(v[i], s));
}

INLINE void put32_add(float *dst, __m256i q, float scale, float add)
{
	__m256 v[4], s = _mm256_set1_ps(scale), a = _mm256_set1_ps(add);
	widen(q, v);
	for (int i = 0; i < 4; i++)
		_mm256_storeu_ps(dst + 8 * i, _mm256_add_ps(_mm256_mul_ps(v[i], s), a));
}

static void avx2_small_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint8_t *b = src;
	size_t bytes = plumb_type_bytes(type);
	for (; n > 0; n -= 32, dst += 32, b += bytes)
		switch (type) {
		case PLUMB_Q8_0: put32(dst, ints_q8_0(b), half_at(b)); break;
		case PLUMB_Q4_0: put32(dst, ints_q4_0(b), half_at(b)); break;
		case PLUMB_Q4_1: put32_add(dst, ints_q4_1(b), half_at(b), half_at(b + 2)); break;
		case PLUMB_Q5_0: put32(dst, ints_q5_0(b), half_at(b)); break;
		case PLUMB_IQ4_NL: put32(dst, ints_codes(b + 2, plumb_type_iq4_values), half_at(b)); break;
		case PLUMB_MXFP4:
			put32(dst, ints_codes(b + 1, plumb_type_mxfp4_values), plumb_type_e8m0_half(b[0]));
			break;
		default: put32_add(dst, ints_q5_1(b), half_at(b), half_at(b + 2)); /* Q5_1 */
		}
}

static void avx2_k_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint8_t *b = src;
	float scale[8], min[8];
	for (; n > 0; n -= 256, b += plumb_type_bytes(type)) {
		scales_k(b, scale, min);
		for (int j = 0; j < 8; j++, dst += 32) /* a - b is a + -b, bit for bit */
			put32_add(dst, type == PLUMB_Q4_K ? ints_q4_k(b, j) : ints_q5_k(b, j), scale[j], -min[j]);
	}
}

INLINE void half_to_f32(enum plumb_type type, const uint8_t *b, float *dst, int64_t n)
{
	float scale[16], min[16];
	for (; n > 0; n -= 256, b += plumb_type_bytes(type)) {
		scales_half(type, b, scale, min);
		for (int j = 0; j < 8; j++, dst += 32) {
			__m256 v[4];
			widen(ints_half(type, b, j), v);
			for (int i = 0; i < 4; i++) {
				__m256 product = _mm256_mul_ps(_mm256_set1_ps(scale[2 * j + i / 2]), v[i]);
				_mm256_storeu_ps(dst + 8 * i,
					type == PLUMB_Q2_K ? _mm256_sub_ps(product, _mm256_set1_ps(min[2 * j + i / 2]))
									   : product);
			}
		}
	}
}

static void avx2_half_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	switch (type) { /* constants, so that each has its own loop */
	case PLUMB_Q6_K: half_to_f32(PLUMB_Q6_K, src, dst, n); break;
	case PLUMB_Q3_K: half_to_f32(PLUMB_Q3_K, src, dst, n); break;
	case PLUMB_Q2_K: half_to_f32(PLUMB_Q2_K, src, dst, n); break;
	default: half_to_f32(PLUMB_IQ4_XS, src, dst, n);
	}
}

static void avx2_to_f16(const float *src, uint16_t *dst, int64_t n)
{
	int64_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm_storeu_si128((__m128i *)(void *)(dst + i),
			_mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
	for (; i < n; i++)
		dst[i] = plumb_f32_to_f16(src[i]);
}

/* --- dot products of one row. x is in the order of spread, and sums are 2^24 too large. --- */

/* sum += scale * (q x), in two short chains: what waits in the scheduler sets the pace here. */
INLINE void dot32(__m256i q, const float *x, __m256 scale, __m256 sum[2])
{
	__m256 v[4];
	spread(q, v);
	__m256 a = _mm256_mul_ps(v[0], _mm256_loadu_ps(x)), b = _mm256_mul_ps(v[1], _mm256_loadu_ps(x + 8));
	a = _mm256_fmadd_ps(v[2], _mm256_loadu_ps(x + 16), a);
	b = _mm256_fmadd_ps(v[3], _mm256_loadu_ps(x + 24), b);
	sum[0] = _mm256_fmadd_ps(a, scale, sum[0]);
	sum[1] = _mm256_fmadd_ps(b, scale, sum[1]);
}

/* sum of (q * scale + add) * x; add is 2^24 times the format's. */
INLINE void dot32_add(__m256i q, const float *x, __m256 scale, __m256 add, __m256 sum[2])
{
	__m256 v[4];
	spread(q, v);
	for (int i = 0; i < 4; i++)
		sum[i % 2] = _mm256_fmadd_ps(
			_mm256_fmadd_ps(v[i], scale, add), _mm256_loadu_ps(x + 8 * i), sum[i % 2]);
}

/* Rows follow each other in memory, but the hardware's prefetcher falls behind on long ones. */
INLINE void prefetch(const uint8_t *b) { _mm_prefetch((const char *)((uintptr_t)b + AHEAD), _MM_HINT_T0); }

INLINE void row_small(enum plumb_type type, const uint8_t *b, const float *x, int64_t k, __m256 sum[2])
{
	const __m256 up = _mm256_set1_ps(0x1p24f);
	size_t bytes = type == PLUMB_Q8_0                ? 34
		: type == PLUMB_Q4_0 || type == PLUMB_IQ4_NL ? 18
		: type == PLUMB_Q4_1                         ? 20
		: type == PLUMB_Q5_0                         ? 22
		: type == PLUMB_MXFP4                        ? 17
													 : 24;
	for (; k > 0; k -= 32, x += 32, b += bytes) {
		prefetch(b);
		switch (type) {
		case PLUMB_Q8_0: dot32(ints_q8_0(b), x, halves_at(b), sum); break;
		case PLUMB_Q4_0: dot32(ints_q4_0(b), x, halves_at(b), sum); break;
		case PLUMB_Q5_0: dot32(ints_q5_0(b), x, halves_at(b), sum); break;
		case PLUMB_IQ4_NL: dot32(ints_codes(b + 2, plumb_type_iq4_values), x, halves_at(b), sum); break;
		case PLUMB_MXFP4:
			dot32(ints_codes(b + 1, plumb_type_mxfp4_values), x, _mm256_set1_ps(plumb_type_e8m0_half(b[0])),
				sum);
			break;
		case PLUMB_Q4_1:
			dot32_add(ints_q4_1(b), x, halves_at(b), _mm256_mul_ps(halves_at(b + 2), up), sum);
			break;
		default:
			dot32_add(ints_q5_1(b), x, halves_at(b), _mm256_mul_ps(halves_at(b + 2), up), sum); /* Q5_1 */
		}
	}
}

INLINE void row_k(enum plumb_type type, const uint8_t *b, const float *x, int64_t k, __m256 sum[2])
{
	float scale[8], min[8];
	for (; k > 0; k -= 256, x += 256, b += type == PLUMB_Q4_K ? 144 : 176) {
		for (int j = 0; j < 192; j += 64)
			prefetch(b + j);
		scales_k(b, scale, min);
		_mm256_storeu_ps(min, _mm256_mul_ps(_mm256_loadu_ps(min), _mm256_set1_ps(-0x1p24f)));
		for (int j = 0; j < 8; j++)
			dot32_add(type == PLUMB_Q4_K ? ints_q4_k(b, j) : ints_q5_k(b, j), x + 32 * j,
				_mm256_broadcast_ss(&scale[j]), _mm256_broadcast_ss(&min[j]), sum);
	}
}

INLINE void row_half(enum plumb_type type, const uint8_t *b, const float *x, int64_t k, __m256 sum[2])
{
	const int bytes = type == PLUMB_Q6_K ? 210 : type == PLUMB_Q3_K ? 110 : type == PLUMB_Q2_K ? 84 : 136;
	const __m256 up = _mm256_set1_ps(-0x1p24f);
	float scale[16], min[16] = { 0 };
	for (; k > 0; k -= 256, b += bytes) {
		for (int j = 0; j < bytes; j += 64)
			prefetch(b + j);
		scales_half(type, b, scale, min);
		__m256 lo = _mm256_loadu_ps(scale), hi = _mm256_loadu_ps(scale + 8),
			   min_lo = _mm256_mul_ps(_mm256_loadu_ps(min), up),
			   min_hi = _mm256_mul_ps(_mm256_loadu_ps(min + 8), up);
		for (int j = 0; j < 8; j++, x += 32) {
			/* lanes 0 to 3 are the first 16 elements of the 32 */
			__m256i two = _mm256_add_epi32(
				_mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0), _mm256_set1_epi32(j % 4 * 2));
			__m256 by = _mm256_permutevar8x32_ps(j < 4 ? lo : hi, two);
			if (type == PLUMB_Q2_K)
				dot32_add(ints_half(type, b, j), x, by,
					_mm256_permutevar8x32_ps(j < 4 ? min_lo : min_hi, two), sum);
			else
				dot32(ints_half(type, b, j), x, by, sum);
		}
	}
}

INLINE float row(enum plumb_type type, const void *w, const float *x, int64_t k)
{
	__m256 sum[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
	switch (type) {
	case PLUMB_Q4_K:
	case PLUMB_Q5_K: row_k(type, w, x, k, sum); break;
	case PLUMB_Q6_K:
	case PLUMB_Q2_K:
	case PLUMB_Q3_K:
	case PLUMB_IQ4_XS: row_half(type, w, x, k, sum); break;
	default: row_small(type, w, x, k, sum);
	}
	return sum8(_mm256_add_ps(sum[0], sum[1])) * 0x1p-24f;
}

INLINE void dot(const struct plumb_dot *a, enum plumb_type type)
{
	for (int64_t r = 0; r < a->rows; r++)
		a->y[r] = row(type, (const char *)a->w + a->stride * (size_t)r, a->x, a->k);
}

static void avx2_dot_f32(const struct plumb_dot *a) { dot_plain(a, PLUMB_F32); }
static void avx2_dot_f16(const struct plumb_dot *a) { dot_plain(a, PLUMB_F16); }
static void avx2_dot_bf16(const struct plumb_dot *a) { dot_plain(a, PLUMB_BF16); }
static void avx2_dot_q8_0(const struct plumb_dot *a) { dot(a, PLUMB_Q8_0); }
static void avx2_dot_q4_0(const struct plumb_dot *a) { dot(a, PLUMB_Q4_0); }
static void avx2_dot_q4_1(const struct plumb_dot *a) { dot(a, PLUMB_Q4_1); }
static void avx2_dot_q5_0(const struct plumb_dot *a) { dot(a, PLUMB_Q5_0); }
static void avx2_dot_q5_1(const struct plumb_dot *a) { dot(a, PLUMB_Q5_1); }
static void avx2_dot_q4_k(const struct plumb_dot *a) { dot(a, PLUMB_Q4_K); }
static void avx2_dot_q5_k(const struct plumb_dot *a) { dot(a, PLUMB_Q5_K); }
static void avx2_dot_q6_k(const struct plumb_dot *a) { dot(a, PLUMB_Q6_K); }
static void avx2_dot_q2_k(const struct plumb_dot *a) { dot(a, PLUMB_Q2_K); }
static void avx2_dot_q3_k(const struct plumb_dot *a) { dot(a, PLUMB_Q3_K); }
static void avx2_dot_iq4_nl(const struct plumb_dot *a) { dot(a, PLUMB_IQ4_NL); }
static void avx2_dot_iq4_xs(const struct plumb_dot *a) { dot(a, PLUMB_IQ4_XS); }
static void avx2_dot_mxfp4(const struct plumb_dot *a) { dot(a, PLUMB_MXFP4); }

static void avx2_order(const float *x, float *y, int64_t k)
{
	for (int64_t i = 0; i < k; i += 32)
		order_x(x + i, y + i);
}

/* --- the packed tile --- */

/* 8 rows of w, 8 columns, to 8 rows of the panel. */
INLINE void transpose8(const float *w, int64_t ldw, float *panel)
{
	__m256 a[8], b[8];
	for (int i = 0; i < 8; i++)
		a[i] = _mm256_loadu_ps(w + i * ldw);
	for (int i = 0; i < 8; i += 2) {
		b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
		b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
	}
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++) {
			a[4 * i + 2 * j] = _mm256_shuffle_ps(b[4 * i + j], b[4 * i + 2 + j], 0x44);
			a[4 * i + 2 * j + 1] = _mm256_shuffle_ps(b[4 * i + j], b[4 * i + 2 + j], 0xee);
		}
	for (int i = 0; i < 4; i++) {
		_mm256_storeu_ps(panel + i * NR, _mm256_permute2f128_ps(a[i], a[4 + i], 0x20));
		_mm256_storeu_ps(panel + (i + 4) * NR, _mm256_permute2f128_ps(a[i], a[4 + i], 0x31));
	}
}

static void avx2_pack(const float *w, int64_t ldw, int rows, int64_t k, float *panel)
{
	int64_t i = 0;
	if (rows == NR)
		for (; i + 8 <= k; i += 8) {
			transpose8(w + i, ldw, panel + i * NR);
			transpose8(w + 8 * ldw + i, ldw, panel + i * NR + 8);
		}
	for (; i < k; i++)
		for (int r = 0; r < NR; r++)
			panel[i * NR + r] = r < rows ? w[r * ldw + i] : 0;
}

INLINE void put8(float *c, __m256 sum, bool add)
{
	_mm256_storeu_ps(c, add ? _mm256_add_ps(_mm256_loadu_ps(c), sum) : sum);
}

/* Sums start at zero and meet what c holds at the end: that keeps c out of the loop's registers. */
INLINE void gemm_rows(const struct plumb_tile *t, int m)
{
	__m256 left[MR], right[MR];
	const float *x[MR], *p = t->panel;
	const int64_t ldp = t->ldp, n = t->k;
	UNROLL
	for (int i = 0; i < m; i++) {
		x[i] = t->x + i * t->ldx;
		left[i] = right[i] = _mm256_setzero_ps();
	}
	for (int64_t k = 0; k < n; k++, p += ldp) {
		__m256 p0 = _mm256_loadu_ps(p), p1 = _mm256_loadu_ps(p + 8);
		UNROLL
		for (int i = 0; i < m; i++) {
			__m256 b = _mm256_broadcast_ss(x[i] + k);
			left[i] = _mm256_fmadd_ps(b, p0, left[i]);
			right[i] = _mm256_fmadd_ps(b, p1, right[i]);
		}
	}
	UNROLL
	for (int i = 0; i < m; i++) {
		put8(t->c + i * t->ldc, left[i], t->add);
		put8(t->c + i * t->ldc + 8, right[i], t->add);
	}
}

static void avx2_gemm(const struct plumb_tile *t)
{
	switch (t->m) { /* constants, so that c stays in registers */
	case 1: gemm_rows(t, 1); break;
	case 2: gemm_rows(t, 2); break;
	case 3: gemm_rows(t, 3); break;
	case 4: gemm_rows(t, 4); break;
	case 5: gemm_rows(t, 5); break;
	default: gemm_rows(t, 6);
	}
}

const struct plumb_simd plumb_simd_avx2 = {
	.name = "avx2", .mr = MR, .nr = NR,
	.to_f32 = {
		[PLUMB_F32] = avx2_f32_to_f32, [PLUMB_F16] = avx2_f16_to_f32, [PLUMB_BF16] = avx2_bf16_to_f32,
		[PLUMB_Q8_0] = avx2_small_to_f32,
		[PLUMB_Q4_0] = avx2_small_to_f32, [PLUMB_Q4_1] = avx2_small_to_f32, [PLUMB_Q5_0] = avx2_small_to_f32,
		[PLUMB_Q5_1] = avx2_small_to_f32,
		[PLUMB_Q4_K] = avx2_k_to_f32, [PLUMB_Q5_K] = avx2_k_to_f32, [PLUMB_Q6_K] = avx2_half_to_f32,
		[PLUMB_Q2_K] = avx2_half_to_f32, [PLUMB_Q3_K] = avx2_half_to_f32, [PLUMB_IQ4_NL] = avx2_small_to_f32,
		[PLUMB_IQ4_XS] = avx2_half_to_f32, [PLUMB_MXFP4] = avx2_small_to_f32,
	},
	.to_f16 = avx2_to_f16,
	.dot = {
		[PLUMB_F32] = avx2_dot_f32, [PLUMB_F16] = avx2_dot_f16, [PLUMB_BF16] = avx2_dot_bf16,
		[PLUMB_Q8_0] = avx2_dot_q8_0,
		[PLUMB_Q4_0] = avx2_dot_q4_0, [PLUMB_Q4_1] = avx2_dot_q4_1, [PLUMB_Q5_0] = avx2_dot_q5_0,
		[PLUMB_Q5_1] = avx2_dot_q5_1,
		[PLUMB_Q4_K] = avx2_dot_q4_k, [PLUMB_Q5_K] = avx2_dot_q5_k, [PLUMB_Q6_K] = avx2_dot_q6_k,
		[PLUMB_Q2_K] = avx2_dot_q2_k, [PLUMB_Q3_K] = avx2_dot_q3_k, [PLUMB_IQ4_NL] = avx2_dot_iq4_nl,
		[PLUMB_IQ4_XS] = avx2_dot_iq4_xs, [PLUMB_MXFP4] = avx2_dot_mxfp4,
	},
	.order = avx2_order, .pack = avx2_pack, .gemm = avx2_gemm, .max = max, .exp_sum = exp_sum,
	.sum_sq = sum_sq, .norm = norm,
	.scale = scale, .add = add, .swiglu = swiglu, .geglu = geglu, .packed = &plumb_packed_avx2,
};
