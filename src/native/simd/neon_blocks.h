/* SPDX-License-Identifier: Apache-2.0 */
/* The block formats in NEON: a block's bytes to 32 small integers in order, as two vectors of 16, and the
 * block's scales. As in avx2_blocks.h. */
#ifndef PLUMB_NEON_BLOCKS_H
#define PLUMB_NEON_BLOCKS_H

#include <arm_neon.h>
#include <string.h>
#include "core/core.h"

#define INLINE static inline __attribute__((always_inline))

INLINE float half_at(const uint8_t *p)
{
	float16_t h;
	memcpy(&h, p, sizeof h);
	return (float)h;
}

INLINE int8x16x2_t nibbles(const uint8_t *p)
{
	uint8x16_t q = vld1q_u8(p);
	return (int8x16x2_t){ { vreinterpretq_s8_u8(vandq_u8(q, vdupq_n_u8(15))),
		vreinterpretq_s8_u8(vshrq_n_u8(q, 4)) } };
}

/* 16 bytes: 16 where the bit of the two bytes at p is set, else 0. */
INLINE uint8x16_t fifth(const uint8_t *p)
{
	static const uint8_t bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
	uint8x16_t b = vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1]));
	return vandq_u8(vtstq_u8(b, vld1q_u8(bit)), vdupq_n_u8(16));
}

INLINE int8x16x2_t five(const uint8_t *high, const uint8_t *low)
{
	int8x16x2_t q = nibbles(low);
	q.val[0] = vorrq_s8(q.val[0], vreinterpretq_s8_u8(fifth(high)));
	q.val[1] = vorrq_s8(q.val[1], vreinterpretq_s8_u8(fifth(high + 2)));
	return q;
}

INLINE int8x16x2_t less(int8x16x2_t q, int8_t by)
{
	q.val[0] = vsubq_s8(q.val[0], vdupq_n_s8(by));
	q.val[1] = vsubq_s8(q.val[1], vdupq_n_s8(by));
	return q;
}

/* 16 bytes of codes to what they stand for. */
INLINE int8x16x2_t codes(const uint8_t *p, const int8_t values[16])
{
	uint8x16_t q = vld1q_u8(p);
	int8x16_t v = vld1q_s8(values);
	return (int8x16x2_t){ { vqtbl1q_s8(v, vandq_u8(q, vdupq_n_u8(15))), vqtbl1q_s8(v, vshrq_n_u8(q, 4)) } };
}

/* The scale of a small type. */
INLINE float small_scale(enum plumb_type type, const uint8_t *b)
{
	return type == PLUMB_MXFP4 ? plumb_type_e8m0_half(b[0]) : half_at(b);
}

INLINE int8x16x2_t ints_small(enum plumb_type type, const uint8_t *b)
{
	switch (type) {
	case PLUMB_Q8_0: return vld1q_s8_x2((const int8_t *)b + 2);
	case PLUMB_Q4_0: return less(nibbles(b + 2), 8);
	case PLUMB_Q4_1: return nibbles(b + 4);
	case PLUMB_Q5_0: return less(five(b + 2, b + 6), 16);
	case PLUMB_IQ4_NL: return codes(b + 2, plumb_type_iq4_values);
	case PLUMB_MXFP4: return codes(b + 1, plumb_type_mxfp4_values);
	default: return five(b + 4, b + 8); /* Q5_1 */
	}
}

/* Sub-block j (32 elements) of a K block. */
INLINE int8x16x2_t ints_k(enum plumb_type type, const uint8_t *b, int j)
{
	int8x16x2_t out;
	for (int i = 0; i < 2; i++) {
		const uint8_t *p = type == PLUMB_Q6_K ? b + j / 4 * 64 + j % 2 * 32
			: type == PLUMB_Q5_K              ? b + 48 + j / 2 * 32
											  : b + 16 + j / 2 * 32;
		uint8x16_t q = vld1q_u8(p + 16 * i);
		q = (type == PLUMB_Q6_K ? j % 4 >= 2 : j % 2) ? vshrq_n_u8(q, 4) : vandq_u8(q, vdupq_n_u8(15));
		if (type == PLUMB_Q5_K) {
			uint8x16_t high = vshlq_u8(
				vld1q_u8(b + 16 + 16 * i), vdupq_n_s8((int8_t)(4 - j))); /* bit j to bit 4 */
			q = vorrq_u8(q, vandq_u8(high, vdupq_n_u8(16)));
		}
		if (type == PLUMB_Q6_K) {
			uint8x16_t high = vshlq_u8(
				vld1q_u8(b + 128 + j / 4 * 32 + 16 * i), vdupq_n_s8((int8_t)(4 - j % 4 * 2)));
			q = vorrq_u8(q, vandq_u8(high, vdupq_n_u8(0x30)));
		}
		out.val[i] = vreinterpretq_s8_u8(q);
	}
	return type == PLUMB_Q6_K ? less(out, 32) : out;
}

/* Sub-block j of Q2_K or Q3_K. */
INLINE int8x16x2_t ints_two(enum plumb_type type, const uint8_t *b, int j)
{
	int8x16x2_t out;
	for (int i = 0; i < 2; i++) {
		uint8x16_t q = vshlq_u8(vld1q_u8(b + (type == PLUMB_Q3_K ? 32 : 16) + j / 4 * 32 + 16 * i),
			vdupq_n_s8((int8_t)(-2 * (j % 4))));
		q = vandq_u8(q, vdupq_n_u8(3));
		if (type == PLUMB_Q3_K) {
			uint8x16_t high = vshlq_u8(
				vld1q_u8(b + 16 * i), vdupq_n_s8((int8_t)(2 - j))); /* bit j to bit 2 */
			q = vorrq_u8(q, vandq_u8(high, vdupq_n_u8(4)));
		}
		out.val[i] = vreinterpretq_s8_u8(q);
	}
	return type == PLUMB_Q3_K ? less(out, 4) : out;
}

/* The types whose scale may be another one after 16 elements; Q2_K has minima as well. */
INLINE int8x16x2_t ints_half(enum plumb_type type, const uint8_t *b, int j)
{
	return type == PLUMB_Q6_K  ? ints_k(type, b, j)
		: type == PLUMB_IQ4_XS ? codes(b + 8 + 16 * j, plumb_type_iq4_values)
							   : ints_two(type, b, j);
}

INLINE void widen16(int8x16_t q, float32x4_t v[4])
{
	int16x8_t lo = vmovl_s8(vget_low_s8(q)), hi = vmovl_high_s8(q);
	v[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo)));
	v[1] = vcvtq_f32_s32(vmovl_high_s16(lo));
	v[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi)));
	v[3] = vcvtq_f32_s32(vmovl_high_s16(hi));
}

/* The 16 scales of such a block, times its d; and of Q2_K its minima. */
INLINE void scales_half(enum plumb_type type, const uint8_t *b, float scale[16], float min[16])
{
	float d = half_at(b +
		(type == PLUMB_Q6_K          ? 208
				: type == PLUMB_Q3_K ? 108
				: type == PLUMB_Q2_K ? 80
									 : 0));
	for (int j = 0; j < 16; j++) {
		int s = type == PLUMB_Q6_K ? (int8_t)b[192 + j]
			: type == PLUMB_Q3_K   ? plumb_type_q3_k_scale(b, j)
			: type == PLUMB_Q2_K   ? b[j] & 15
								   : plumb_type_iq4_xs_scale(b, j / 2);
		scale[j] = d * (float)s;
		min[j] = type == PLUMB_Q2_K ? half_at(b + 82) * (float)(b[j] >> 4) : 0;
	}
}

/* Scales and minima of the 8 sub-blocks of a Q4_K or Q5_K block: 6 bits each in 12 bytes. */
INLINE void scales_k(const uint8_t *b, float scale[8], float min[8])
{
	float d = half_at(b), dmin = half_at(b + 2);
	const uint8_t *s = b + 4;
	for (int j = 0; j < 4; j++) {
		scale[j] = d * (float)(s[j] & 63);
		min[j] = dmin * (float)(s[j + 4] & 63);
		scale[j + 4] = d * (float)((s[j + 8] & 15) | s[j] >> 6 << 4);
		min[j + 4] = dmin * (float)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
	}
}

#endif
