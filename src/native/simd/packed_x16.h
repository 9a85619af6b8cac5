/* SPDX-License-Identifier: Apache-2.0 */
/* Activations to 16-bit integers. Plain C that each instruction set compiles with its own flags;
 * every operation is one IEEE rounding, so all of them give the same bits. */
#ifndef PLUMB_PACKED_X16_H
#define PLUMB_PACKED_X16_H

#include <math.h>
#include <string.h>
#include "native/simd/packed.h"

#define X16_MOST 32639.0f /* 127 * 256 + 127: the high byte stays a byte */
#define X8_MOST 127.0f
#define X16_TINY 0x1p-100f  /* below it the inverse of the step would overflow: such a block counts as 0 */
#define X16_ROUND 0x1.8p23f /* adding it rounds to an integer, ties to even */

static inline int32_t x16_bits(float f)
{
	int32_t i;
	memcpy(&i, &f, sizeof i);
	return i;
}

/* Integers of a block in the order of the columns to q, their sums, and the scale. */
static inline void x16_put(
	const int32_t *v, float scale, const struct plumb_x16 *x, int64_t row, int64_t block)
{
	int16_t *q = x->q + row * x->k + block * PLUMB_BLOCK;
	int32_t *sum = x->sum + row * (x->k / 16) + block * 2, s[2] = { 0, 0 };
	uint64_t quad[PLUMB_BLOCK / 4];
	int16_t narrow[PLUMB_BLOCK];
	for (int i = 0; i < PLUMB_BLOCK; i++)
		narrow[i] = (int16_t)v[i];
	for (int i = 0; i < 16; i++) {
		s[0] += v[i];
		s[1] += v[16 + i];
	}
	memcpy(quad, narrow, sizeof quad);
	for (int i = 0; i < PLUMB_BLOCK / 4; i++) /* the middle two change places, in either byte order */
		quad[i] = (quad[i] & UINT64_C(0xffff00000000ffff)) | (quad[i] >> 16 & UINT64_C(0xffff0000)) |
			(quad[i] & UINT64_C(0xffff0000)) << 16;
	memcpy(q, quad, sizeof quad);
	for (int i = 0; i < PLUMB_BLOCK && x->high; i++) {
		int32_t high = (v[i] + 128) >> 8;
		x->high[row * x->k + block * PLUMB_BLOCK + i] = (int8_t)high;
		x->low[row * x->k + block * PLUMB_BLOCK + i] = (int8_t)(v[i] - high * 256);
	}
	sum[0] = s[0];
	sum[1] = s[1];
	x->scale[row * (x->k / PLUMB_BLOCK) + block] = scale;
	x->total[row * (x->k / PLUMB_BLOCK) + block] = scale * (float)(s[0] + s[1]);
}

/* As integers the sizes are in order, NaN above all. */
static inline int32_t x16_top(const float *x)
{
	int32_t top = 0;
	for (int i = 0; i < PLUMB_BLOCK; i++) {
		int32_t size = x16_bits(x[i]) & 0x7fffffff;
		top = size > top ? size : top;
	}
	return top;
}

/* The step of a block whose largest size has the bits `top`, and its inverse; both 0 where all is 0 or
 * something is not finite: then *most tells. */
static inline float x16_step(int32_t top, float range, float *by, float *most)
{
	memcpy(most, &top, sizeof *most);
	bool some = *most >= X16_TINY && *most < INFINITY;
	*by = some ? range / *most : 0;
	return some ? *most / range : 0;
}

static inline void x16_round(const float *x, float by, int32_t *v)
{
	for (int i = 0; i < PLUMB_BLOCK; i++)
		v[i] = by == 0 ? 0 : x16_bits(x[i] * by + X16_ROUND) - x16_bits(X16_ROUND);
}

/* Errors are uniform in a step: their squares have the mean step^2 / 12. Sixteen sums in a fixed order. */
static inline bool x16_quantise(const float *x, const struct plumb_x16 *x16, int64_t row, float limit)
{
	float square[16] = { 0 }, steps = 0, total = 0;
	for (int64_t b = 0; b < x16->k / PLUMB_BLOCK; b++, x += PLUMB_BLOCK) {
		int32_t v[PLUMB_BLOCK];
		float by, most, step = x16_step(x16_top(x), X16_MOST, &by, &most);
		x16_round(x, by, v);
		x16_put(v, by == 0 && !(most < 1) ? NAN : step, x16, row, b);
		for (int i = 0; i < PLUMB_BLOCK; i++)
			square[i % 16] += x[i] * x[i];
		steps += step * step;
	}
	for (int i = 0; i < 16; i++)
		total += square[i];
	return steps * (PLUMB_BLOCK / 12.0f) > limit * limit * total;
}

static inline void x16_rest(const float *x, const struct plumb_x16 *x16, int64_t row)
{
	for (int64_t b = 0; b < x16->k / PLUMB_BLOCK; b++, x += PLUMB_BLOCK) {
		int32_t v[PLUMB_BLOCK];
		float left[PLUMB_BLOCK], by, most, step = x16_step(x16_top(x), X16_MOST, &by, &most);
		x16_round(x, by, v);
		for (int i = 0; i < PLUMB_BLOCK; i++)
			left[i] = by == 0 ? 0 : fmaf(-(float)v[i], step, x[i]);
		x16_round(left, by * 0x1p15f, v); /* at most half a step is left: 15 bits more */
		x16_put(v, step * 0x1p-15f, x16, row, b);
	}
}

static inline void x8_quantise(const float *x, const struct plumb_x16 *x16, int64_t row)
{
	int64_t blocks = x16->k / PLUMB_BLOCK;
	int8_t *q = (int8_t *)x16->q + row * x16->k;
	for (int64_t b = 0; b < blocks; b++, x += PLUMB_BLOCK, q += PLUMB_BLOCK) {
		int32_t v[PLUMB_BLOCK], *sum = x16->sum + (row * blocks + b) * 2;
		float by, most, step = x16_step(x16_top(x), X8_MOST, &by, &most),
						scale = by == 0 && !(most < 1) ? NAN : step;
		x16_round(x, by, v);
		sum[0] = sum[1] = 0;
		for (int i = 0; i < PLUMB_BLOCK; i++) {
			q[i] = (int8_t)v[i];
			sum[i / 16] += v[i];
		}
		x16->scale[row * blocks + b] = scale;
		x16->total[row * blocks + b] = scale * (float)(sum[0] + sum[1]);
	}
}

/* Scale times the sum of q, of a block's columns or of half of them; block: of all rows. */
static inline float x16_total(const struct plumb_x16 *x, int64_t block, int sub, int sub_block)
{
	return sub == 1 ? x->total[block] : x->scale[block] * (float)x->sum[2 * block + sub_block];
}

#endif
