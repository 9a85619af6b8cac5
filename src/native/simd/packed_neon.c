/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels for 64-bit Arm: 4 rows in a vector. smlal multiplies 16-bit numbers, so any aarch64 runs
 * this; sdot multiplies four times as many bytes (packed_neondot.c). */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#pragma GCC optimize("O3")
#endif
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>
#include "native/simd/packed.h"
#include "native/simd/simd.h"

#define INLINE static inline __attribute__((always_inline))
#define LANES 4
#define TILE 4
#define SLICES 2
#define AHEAD 2048

typedef uint16x8_t VI;
typedef float32x4_t VF;
typedef struct {
	int32x4_t low, high;
} ACC; /* rows 0 and 1, rows 2 and 3; two lanes each. Of bytes: all four rows in low */

INLINE VI vi_load(const void *p) { return vreinterpretq_u16_u8(vld1q_u8(p)); }
INLINE void vi_store(void *p, VI v) { vst1q_u8(p, vreinterpretq_u8_u16(v)); }
INLINE VI vi_low16(VI v) { return vandq_u16(v, vdupq_n_u16(0xff)); }
INLINE VI vi_high16(VI v) { return vshrq_n_u16(v, 8); }
INLINE VI vi_nibble_low(VI v) { return vandq_u16(v, vdupq_n_u16(0x0f0f)); }
INLINE VI vi_nibble_high(VI v) { return vandq_u16(vshrq_n_u16(v, 4), vdupq_n_u16(0x0f0f)); }
INLINE VI vi_left(VI v, int n) { return vshlq_u16(v, vdupq_n_s16((int16_t)n)); }
INLINE VI vi_right(VI v, int n) { return vshlq_u16(v, vdupq_n_s16((int16_t)-n)); }
INLINE VI vi_mask(VI v, int mask) { return vandq_u16(v, vdupq_n_u16((uint16_t)(mask * 0x0101))); }
INLINE VI vi_table(const int8_t *values)
{
	return veorq_u16(vreinterpretq_u16_s8(vld1q_s8(values)), vdupq_n_u16(0x8080));
}
INLINE VI vi_lookup(VI table, VI v)
{
	return vreinterpretq_u16_u8(vqtbl1q_u8(vreinterpretq_u8_u16(table), vreinterpretq_u8_u16(v)));
}
INLINE VI vi_insert(VI low, VI high, int mask)
{
	return vorrq_u16(low, vandq_u16(high, vdupq_n_u16((uint16_t)(mask * 0x0101))));
}
INLINE VI vi_minus16(VI v, int n) { return vsubq_u16(v, vdupq_n_u16((uint16_t)n)); }
INLINE VI vi_four(const void *x)
{
	uint32_t bytes;
	memcpy(&bytes, x, sizeof bytes);
	return vreinterpretq_u16_u32(vdupq_n_u32(bytes));
}
INLINE ACC acc_start(int32_t v, bool bytes)
{
	if (bytes)
		return (ACC){ vdupq_n_s32(v), vdupq_n_s32(0) };
	int32x4_t s = vsetq_lane_s32(v, vsetq_lane_s32(v, vdupq_n_s32(0), 0), 2);
	return (ACC){ s, s };
}
INLINE ACC acc_add(ACC acc, VI w, VI x)
{
	int16x8_t a = vreinterpretq_s16_u16(w), b = vreinterpretq_s16_u16(x);
	return (ACC){ vmlal_s16(acc.low, vget_low_s16(a), vget_low_s16(b)), vmlal_high_s16(acc.high, a, b) };
}
INLINE VF acc_float(ACC acc, bool bytes)
{
	return vcvtq_f32_s32(bytes ? acc.low : vpaddq_s32(acc.low, acc.high));
}
#ifdef PLUMB_SET_NEONDOT
#define BYTES
#define SIGNED
INLINE VI vi_flip(VI v) { return veorq_u16(v, vdupq_n_u16(0x8080)); }
INLINE ACC acc_add8(ACC acc, VI w, VI x)
{
	return (ACC){ vdotq_s32(acc.low, vreinterpretq_s8_u16(w), vreinterpretq_s8_u16(x)), acc.high };
}
INLINE ACC acc_join(ACC high, ACC low)
{
	return (ACC){ vaddq_s32(vshlq_n_s32(high.low, 8), low.low), low.high };
}
#endif
INLINE VF vf_load(const float *p) { return vld1q_f32(p); }
INLINE void vf_store(float *p, VF v) { vst1q_f32(p, v); }
INLINE VF vf_zero(void) { return vdupq_n_f32(0); }
INLINE VF vf_all(float v) { return vdupq_n_f32(v); }
INLINE VF vf_mul(VF a, VF b) { return vmulq_f32(a, b); }
INLINE VF vf_fma(VF a, VF b, VF c) { return vfmaq_f32(c, a, b); }
INLINE VF vf_half(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
INLINE uint16x4_t four(const uint8_t *p)
{
	uint32_t bytes;
	memcpy(&bytes, p, sizeof bytes);
	return vget_low_u16(vmovl_u8(vcreate_u8(bytes)));
}
INLINE VF vf_u8(const uint8_t *p) { return vcvtq_f32_u32(vmovl_u16(four(p))); }
INLINE VF vf_i8(const uint8_t *p)
{
	uint32_t bytes;
	memcpy(&bytes, p, sizeof bytes);
	return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(bytes)))));
}

INLINE VF vf_nibbles(const uint8_t *p, bool high)
{
	uint16x4_t v = four(p);
	return vcvtq_f32_u32(vmovl_u16(high ? vshr_n_u16(v, 4) : vand_u16(v, vdup_n_u16(15))));
}
INLINE VF vf_e8m0(const uint8_t *p)
{
	uint32x4_t e = vmovl_u16(four(p)), normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23),
			   subnormal = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
	return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), subnormal, normal));
}

#include "native/simd/packed_kernels.h"

#ifdef PLUMB_SET_NEONDOT
static const struct plumb_packed_kernels packed = PACKED_KERNELS;
const struct plumb_simd plumb_simd_neondot = { .name = "neondot", .packed = &packed };
#else
const struct plumb_packed_kernels plumb_packed_neon = PACKED_KERNELS;
#endif
