/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of elements in NEON, as in avx2_rows.h; max, norm, scale and add are left to c.c, which compilers
 * vectorise. For neon.c alone. */
#ifndef PLUMB_NEON_ROWS_H
#define PLUMB_NEON_ROWS_H

#include <math.h>
#include "native/simd/neon_blocks.h"
#include "native/simd/simd.h"

/* As exp8 of avx2_rows.h. */
INLINE float32x4_t exp4(float32x4_t x)
{
	x = vminq_f32(vdupq_n_f32(90), vmaxq_f32(vdupq_n_f32(-105), x)); /* NaN stays NaN */
	float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 0x1.715476p+0f));
	float32x4_t r = vfmsq_n_f32(vfmsq_n_f32(x, n, 0x1.62e400p-1f), n, 0x1.7f7d1cp-20f);
	float32x4_t p = vdupq_n_f32(1.9875691500e-4f);
	p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
	p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
	p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
	p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
	p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
	p = vaddq_f32(vfmaq_f32(r, p, vmulq_f32(r, r)), vdupq_n_f32(1));
	int32x4_t e = vcvtq_s32_f32(n), half = vshrq_n_s32(e, 1), bias = vdupq_n_s32(127);
	float32x4_t one = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
	float32x4_t two = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(e, half), bias), 23));
	return vmulq_f32(vmulq_f32(p, one), two);
}

INLINE float32x4_t load_last(const float *x, int64_t n, float fill)
{
	float lane[4] = { fill, fill, fill, fill };
	memcpy(lane, x, sizeof *x * (size_t)n);
	return vld1q_f32(lane);
}

INLINE void store_last(float *y, float32x4_t v, int64_t n)
{
	float lane[4];
	vst1q_f32(lane, v);
	memcpy(y, lane, sizeof *y * (size_t)n);
}

static float exp_sum(float *y, const float *x, float shift, int64_t n)
{
	float32x4_t sum = vdupq_n_f32(0), by = vdupq_n_f32(shift);
	int64_t i = 0;
	for (; i + 4 <= n; i += 4) {
		float32x4_t e = exp4(vsubq_f32(vld1q_f32(x + i), by));
		vst1q_f32(y + i, e);
		sum = vaddq_f32(sum, e);
	}
	if (i < n) {
		float32x4_t e = exp4(vsubq_f32(load_last(x + i, n - i, -INFINITY), by)); /* the rest adds 0 */
		store_last(y + i, e, n - i);
		sum = vaddq_f32(sum, e);
	}
	return vaddvq_f32(sum);
}

static double sum_sq(const float *x, int64_t n)
{
	float64x2_t lo = vdupq_n_f64(0), hi = vdupq_n_f64(0);
	for (int64_t i = 0; i < n; i += 4) {
		float32x4_t v = i + 4 <= n ? vld1q_f32(x + i) : load_last(x + i, n - i, 0);
		float64x2_t a = vcvt_f64_f32(vget_low_f32(v)), b = vcvt_high_f64_f32(v);
		lo = vfmaq_f64(lo, a, a);
		hi = vfmaq_f64(hi, b, b);
	}
	return vaddvq_f64(vaddq_f64(lo, hi));
}

INLINE float32x4_t swiglu4(float32x4_t gate, float32x4_t up)
{
	return vmulq_f32(vdivq_f32(gate, vaddq_f32(exp4(vnegq_f32(gate)), vdupq_n_f32(1))), up);
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
	int64_t i = 0;
	for (; i + 4 <= n; i += 4)
		vst1q_f32(y + i, swiglu4(vld1q_f32(gate + i), vld1q_f32(up + i)));
	if (i < n)
		store_last(y + i, swiglu4(load_last(gate + i, n - i, 0), load_last(up + i, n - i, 0)), n - i);
}

INLINE float32x4_t geglu4(float32x4_t gate, float32x4_t up)
{
	float32x4_t z = vfmaq_n_f32(vdupq_n_f32(PLUMB_GELU_LINEAR), vmulq_f32(gate, gate), PLUMB_GELU_CUBIC);
	return vmulq_f32(vdivq_f32(gate, vaddq_f32(exp4(vmulq_f32(vnegq_f32(gate), z)), vdupq_n_f32(1))), up);
}

static void geglu(float *y, const float *gate, const float *up, int64_t n)
{
	int64_t i = 0;
	for (; i + 4 <= n; i += 4)
		vst1q_f32(y + i, geglu4(vld1q_f32(gate + i), vld1q_f32(up + i)));
	if (i < n)
		store_last(y + i, geglu4(load_last(gate + i, n - i, 0), load_last(up + i, n - i, 0)), n - i);
}

#endif
