/* SPDX-License-Identifier: Apache-2.0 */
/* Micro-kernels for 64-bit Arm with NEON (Advanced SIMD, part of every ARMv8-A). Structured as
 * avx2.c is, with 4 lanes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* -O2 does not unroll the tile's loops, and CFLAGS come after our flags */
#endif
#include "native/simd/neon_blocks.h"
#include "native/simd/neon_rows.h"
#include "core/core.h"
#include "native/simd/simd.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define MR 6
#define NR 16

/* --- dequantisation: multiply and add rounded apart, as in core/type.c --- */

static void neon_plain_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	int64_t i = 0;
	if (type == PLUMB_F32) {
		memcpy(dst, src, sizeof *dst * (size_t)n);
		return;
	}
	for (const uint16_t *p = src; i + 8 <= n; i += 8) {
		uint16x8_t h = vld1q_u16(p + i), top = vdupq_n_u16(0x7c00);
		if (type == PLUMB_BF16) {
			vst1q_u32((uint32_t *)(void *)(dst + i), vshll_n_u16(vget_low_u16(h), 16));
			vst1q_u32((uint32_t *)(void *)(dst + i + 4), vshll_n_u16(vget_high_u16(h), 16));
		} else if (vmaxvq_u16(vceqq_u16(vandq_u16(h, top),
					   top))) /* the hardware makes NaN quiet, the definition keeps its bits */
			plumb_type_to_f32(type, p + i, dst + i, 8);
		else {
			vst1q_f32(dst + i, vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(h))));
			vst1q_f32(dst + i + 4, vcvt_high_f32_f16(vreinterpretq_f16_u16(h)));
		}
	}
	plumb_type_to_f32(type, (const uint16_t *)src + i, dst + i, n - i);
}

INLINE void put32(float *dst, int8x16x2_t q, float scale_lo, float scale_hi)
{
	float32x4_t v[4];
	for (int i = 0; i < 2; i++) {
		widen16(q.val[i], v);
		for (int j = 0; j < 4; j++)
			vst1q_f32(dst + 16 * i + 4 * j, vmulq_n_f32(v[j], i ? scale_hi : scale_lo));
	}
}

INLINE void put32_add(float *dst, int8x16x2_t q, float scale_lo, float scale_hi, float add_lo, float add_hi)
{
	float32x4_t v[4];
	for (int i = 0; i < 2; i++) {
		widen16(q.val[i], v);
		for (int j = 0; j < 4; j++)
			vst1q_f32(dst + 16 * i + 4 * j,
				vaddq_f32(vmulq_n_f32(v[j], i ? scale_hi : scale_lo), vdupq_n_f32(i ? add_hi : add_lo)));
	}
}

static void neon_small_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint8_t *b = src;
	for (; n > 0; n -= 32, dst += 32, b += plumb_type_bytes(type))
		if (type == PLUMB_Q4_1 || type == PLUMB_Q5_1)
			put32_add(dst, ints_small(type, b), half_at(b), half_at(b), half_at(b + 2), half_at(b + 2));
		else
			put32(dst, ints_small(type, b), small_scale(type, b), small_scale(type, b));
}

static void neon_k_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint8_t *b = src;
	float scale[8], min[8];
	for (; n > 0; n -= 256, b += plumb_type_bytes(type)) {
		scales_k(b, scale, min);
		for (int j = 0; j < 8; j++, dst += 32)
			put32_add(dst, ints_k(type, b, j), scale[j], scale[j], -min[j],
				-min[j]); /* a - b is a + -b, bit for bit */
	}
}

static void neon_half_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	const uint8_t *b = src;
	float scale[16], min[16];
	for (; n > 0; n -= 256, b += plumb_type_bytes(type)) {
		scales_half(type, b, scale, min);
		for (int j = 0; j < 8; j++, dst += 32) {
			const float *s = scale + 2 * j, *m = min + 2 * j;
			if (type == PLUMB_Q2_K)
				put32_add(dst, ints_half(type, b, j), s[0], s[1], -m[0], -m[1]);
			else
				put32(dst, ints_half(type, b, j), s[0], s[1]);
		}
	}
}

static void neon_to_f16(const float *src, uint16_t *dst, int64_t n)
{
	int64_t i = 0;
	for (; i + 4 <= n; i += 4)
		vst1_u16(dst + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(src + i))));
	for (; i < n; i++)
		dst[i] = plumb_f32_to_f16(src[i]);
}

/* --- dot products of one row --- */

/* sum += (q * scale [+ add]) * x; without add, integers times x are summed first. */
INLINE void dot16(int8x16_t q, const float *x, float scale, float add, bool has_add, float32x4_t sum[4])
{
	float32x4_t v[4];
	widen16(q, v);
	for (int i = 0; i < 4; i++)
		if (has_add)
			sum[i] = vfmaq_f32(sum[i], vfmaq_n_f32(vdupq_n_f32(add), v[i], scale), vld1q_f32(x + 4 * i));
		else
			v[i] = vmulq_f32(v[i], vld1q_f32(x + 4 * i));
	if (!has_add)
		for (int i = 0; i < 2; i++)
			sum[i] = vfmaq_n_f32(sum[i], vaddq_f32(v[i], v[i + 2]), scale);
}

INLINE float total(const float32x4_t sum[4])
{
	return vaddvq_f32(vaddq_f32(vaddq_f32(sum[0], sum[1]), vaddq_f32(sum[2], sum[3])));
}

INLINE float row_small(enum plumb_type type, const uint8_t *b, const float *x, int64_t k)
{
	float32x4_t sum[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
	const bool has_add = type == PLUMB_Q4_1 || type == PLUMB_Q5_1;
	size_t bytes = type == PLUMB_Q8_0                ? 34
		: type == PLUMB_Q4_0 || type == PLUMB_IQ4_NL ? 18
		: type == PLUMB_Q4_1                         ? 20
		: type == PLUMB_Q5_0                         ? 22
		: type == PLUMB_MXFP4                        ? 17
													 : 24;
	for (; k > 0; k -= 32, x += 32, b += bytes) {
		int8x16x2_t q = ints_small(type, b);
		float d = small_scale(type, b), m = has_add ? half_at(b + 2) : 0;
		dot16(q.val[0], x, d, m, has_add, sum);
		dot16(q.val[1], x + 16, d, m, has_add, sum);
	}
	return total(sum);
}

INLINE float row_k(enum plumb_type type, const uint8_t *b, const float *x, int64_t k)
{
	float32x4_t sum[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
	float scale[8], min[8];
	for (; k > 0; k -= 256, b += type == PLUMB_Q4_K ? 144 : 176) {
		scales_k(b, scale, min);
		for (int j = 0; j < 8; j++, x += 32) {
			int8x16x2_t q = ints_k(type, b, j);
			for (int i = 0; i < 2; i++)
				dot16(q.val[i], x + 16 * i, scale[j], -min[j], true, sum);
		}
	}
	return total(sum);
}

INLINE float row_half(enum plumb_type type, const uint8_t *b, const float *x, int64_t k)
{
	const int bytes = type == PLUMB_Q6_K ? 210 : type == PLUMB_Q3_K ? 110 : type == PLUMB_Q2_K ? 84 : 136;
	float32x4_t sum[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
	float scale[16], min[16];
	for (; k > 0; k -= 256, b += bytes) {
		scales_half(type, b, scale, min);
		for (int j = 0; j < 8; j++, x += 32) {
			int8x16x2_t q = ints_half(type, b, j);
			for (int i = 0; i < 2; i++)
				dot16(q.val[i], x + 16 * i, scale[2 * j + i], -min[2 * j + i], type == PLUMB_Q2_K, sum);
		}
	}
	return total(sum);
}

INLINE float32x4_t load_plain(enum plumb_type type, const void *w, int64_t i)
{
	if (type == PLUMB_F32)
		return vld1q_f32((const float *)w + i);
	uint16x4_t h = vld1_u16((const uint16_t *)w + i);
	return type == PLUMB_F16 ? vcvt_f32_f16(vreinterpret_f16_u16(h))
							 : vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

INLINE float row_plain(enum plumb_type type, const void *w, const float *x, int64_t k)
{
	float32x4_t s[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
	int64_t i = 0;
	for (; i + 16 <= k; i += 16)
		for (int j = 0; j < 4; j++)
			s[j] = vfmaq_f32(s[j], load_plain(type, w, i + 4 * j), vld1q_f32(x + i + 4 * j));
	float sum = total(s), last;
	for (; i < k; i++) {
		plumb_type_to_f32(type, (const char *)w + plumb_type_bytes(type) * (size_t)i, &last, 1);
		sum = fmaf(last, x[i], sum);
	}
	return sum;
}

INLINE float row(enum plumb_type type, const void *w, const float *x, int64_t k)
{
	switch (type) {
	case PLUMB_F32:
	case PLUMB_F16:
	case PLUMB_BF16: return row_plain(type, w, x, k);
	case PLUMB_Q4_K:
	case PLUMB_Q5_K: return row_k(type, w, x, k);
	case PLUMB_Q6_K:
	case PLUMB_Q2_K:
	case PLUMB_Q3_K:
	case PLUMB_IQ4_XS: return row_half(type, w, x, k);
	default: return row_small(type, w, x, k);
	}
}

INLINE void dot(const struct plumb_dot *a, enum plumb_type type)
{
	for (int64_t r = 0; r < a->rows; r++)
		a->y[r] = row(type, (const char *)a->w + a->stride * (size_t)r, a->x, a->k);
}

static void neon_dot_f32(const struct plumb_dot *a) { dot(a, PLUMB_F32); }
static void neon_dot_f16(const struct plumb_dot *a) { dot(a, PLUMB_F16); }
static void neon_dot_bf16(const struct plumb_dot *a) { dot(a, PLUMB_BF16); }
static void neon_dot_q8_0(const struct plumb_dot *a) { dot(a, PLUMB_Q8_0); }
static void neon_dot_q4_0(const struct plumb_dot *a) { dot(a, PLUMB_Q4_0); }
static void neon_dot_q4_1(const struct plumb_dot *a) { dot(a, PLUMB_Q4_1); }
static void neon_dot_q5_0(const struct plumb_dot *a) { dot(a, PLUMB_Q5_0); }
static void neon_dot_q5_1(const struct plumb_dot *a) { dot(a, PLUMB_Q5_1); }
static void neon_dot_q4_k(const struct plumb_dot *a) { dot(a, PLUMB_Q4_K); }
static void neon_dot_q5_k(const struct plumb_dot *a) { dot(a, PLUMB_Q5_K); }
static void neon_dot_q6_k(const struct plumb_dot *a) { dot(a, PLUMB_Q6_K); }
static void neon_dot_q2_k(const struct plumb_dot *a) { dot(a, PLUMB_Q2_K); }
static void neon_dot_q3_k(const struct plumb_dot *a) { dot(a, PLUMB_Q3_K); }
static void neon_dot_iq4_nl(const struct plumb_dot *a) { dot(a, PLUMB_IQ4_NL); }
static void neon_dot_iq4_xs(const struct plumb_dot *a) { dot(a, PLUMB_IQ4_XS); }
static void neon_dot_mxfp4(const struct plumb_dot *a) { dot(a, PLUMB_MXFP4); }

/* --- the packed tile --- */

static void neon_pack(const float *w, int64_t ldw, int rows, int64_t k, float *panel)
{
	int64_t i = 0;
	if (rows == NR)
		for (; i + 4 <= k; i += 4)
			for (int r = 0; r < NR; r += 4) {
				float32x4_t a = vld1q_f32(w + r * ldw + i), b = vld1q_f32(w + (r + 1) * ldw + i);
				float32x4_t c = vld1q_f32(w + (r + 2) * ldw + i), d = vld1q_f32(w + (r + 3) * ldw + i);
				float64x2_t ac = vreinterpretq_f64_f32(vtrn1q_f32(a, b)),
							bd = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
				float64x2_t ce = vreinterpretq_f64_f32(vtrn1q_f32(c, d)),
							df = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
				float *p = panel + i * NR + r;
				vst1q_f32(p, vreinterpretq_f32_f64(vtrn1q_f64(ac, ce)));
				vst1q_f32(p + NR, vreinterpretq_f32_f64(vtrn1q_f64(bd, df)));
				vst1q_f32(p + 2 * NR, vreinterpretq_f32_f64(vtrn2q_f64(ac, ce)));
				vst1q_f32(p + 3 * NR, vreinterpretq_f32_f64(vtrn2q_f64(bd, df)));
			}
	for (; i < k; i++)
		for (int r = 0; r < NR; r++)
			panel[i * NR + r] = r < rows ? w[r * ldw + i] : 0;
}

INLINE void put4(float *c, float32x4_t sum, bool add)
{
	vst1q_f32(c, add ? vaddq_f32(vld1q_f32(c), sum) : sum);
}

/* Sums start at zero and meet what c holds at the end: that keeps c out of the loop's registers. */
INLINE void gemm_rows(const struct plumb_tile *t, int m)
{
	float32x4_t s0[MR], s1[MR], s2[MR], s3[MR];
	const float *x[MR], *p = t->panel;
	const int64_t ldp = t->ldp, n = t->k;
	UNROLL
	for (int i = 0; i < m; i++) {
		x[i] = t->x + i * t->ldx;
		s0[i] = s1[i] = s2[i] = s3[i] = vdupq_n_f32(0);
	}
	for (int64_t k = 0; k < n; k++, p += ldp) {
		float32x4_t p0 = vld1q_f32(p), p1 = vld1q_f32(p + 4), p2 = vld1q_f32(p + 8), p3 = vld1q_f32(p + 12);
		UNROLL
		for (int i = 0; i < m; i++) {
			float b = x[i][k];
			s0[i] = vfmaq_n_f32(s0[i], p0, b);
			s1[i] = vfmaq_n_f32(s1[i], p1, b);
			s2[i] = vfmaq_n_f32(s2[i], p2, b);
			s3[i] = vfmaq_n_f32(s3[i], p3, b);
		}
	}
	UNROLL
	for (int i = 0; i < m; i++) {
		float *c = t->c + i * t->ldc;
		put4(c, s0[i], t->add);
		put4(c + 4, s1[i], t->add);
		put4(c + 8, s2[i], t->add);
		put4(c + 12, s3[i], t->add);
	}
}

static void neon_gemm(const struct plumb_tile *t)
{
	switch (t->m) { /* constants, so that sums stay in registers */
	case 1: gemm_rows(t, 1); break;
	case 2: gemm_rows(t, 2); break;
	case 3: gemm_rows(t, 3); break;
	case 4: gemm_rows(t, 4); break;
	case 5: gemm_rows(t, 5); break;
	default: gemm_rows(t, 6);
	}
}

const struct plumb_simd plumb_simd_neon = {
	.name = "neon", .mr = MR, .nr = NR,
	.to_f32 = {
		[PLUMB_F32] = neon_plain_to_f32, [PLUMB_F16] = neon_plain_to_f32, [PLUMB_BF16] = neon_plain_to_f32,
		[PLUMB_Q8_0] = neon_small_to_f32,
		[PLUMB_Q4_0] = neon_small_to_f32, [PLUMB_Q4_1] = neon_small_to_f32, [PLUMB_Q5_0] = neon_small_to_f32,
		[PLUMB_Q5_1] = neon_small_to_f32,
		[PLUMB_Q4_K] = neon_k_to_f32, [PLUMB_Q5_K] = neon_k_to_f32, [PLUMB_Q6_K] = neon_half_to_f32,
		[PLUMB_Q2_K] = neon_half_to_f32, [PLUMB_Q3_K] = neon_half_to_f32, [PLUMB_IQ4_NL] = neon_small_to_f32,
		[PLUMB_IQ4_XS] = neon_half_to_f32, [PLUMB_MXFP4] = neon_small_to_f32,
	},
	.to_f16 = neon_to_f16,
	.dot = {
		[PLUMB_F32] = neon_dot_f32, [PLUMB_F16] = neon_dot_f16, [PLUMB_BF16] = neon_dot_bf16,
		[PLUMB_Q8_0] = neon_dot_q8_0,
		[PLUMB_Q4_0] = neon_dot_q4_0, [PLUMB_Q4_1] = neon_dot_q4_1, [PLUMB_Q5_0] = neon_dot_q5_0,
		[PLUMB_Q5_1] = neon_dot_q5_1,
		[PLUMB_Q4_K] = neon_dot_q4_k, [PLUMB_Q5_K] = neon_dot_q5_k, [PLUMB_Q6_K] = neon_dot_q6_k,
		[PLUMB_Q2_K] = neon_dot_q2_k, [PLUMB_Q3_K] = neon_dot_q3_k, [PLUMB_IQ4_NL] = neon_dot_iq4_nl,
		[PLUMB_IQ4_XS] = neon_dot_iq4_xs, [PLUMB_MXFP4] = neon_dot_mxfp4,
	},
	.pack = neon_pack, .gemm = neon_gemm, .exp_sum = exp_sum, .sum_sq = sum_sq,
	.swiglu = swiglu, .geglu = geglu, .packed = &plumb_packed_neon,
};
