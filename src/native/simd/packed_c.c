/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels in portable C, element by element as packed.h describes the layout: the definition that
 * the other instruction sets are tested against, bit for bit, and what runs where there is none of them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif
#include "core/core.h"
#include "native/simd/packed_x16.h"

#define TILE 4

/* Column c of row r in a block. */
static int packed_c_number(enum plumb_type type, const uint8_t *q, int r, int c)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const int low = f.bits < 4 ? 0 : 4, above = f.bits - low;
	int i = c / 4, at = 4 * r + c % 4, v = 0;
	if (f.bits == 8)
		return q[64 * i + at] - f.offset;
	if (low)
		v = i < 4 ? q[64 * i + at] & 15 : q[64 * (i - 4) + at] >> 4;
	q += 64 * low + at;
	if (above >= 2)
		v |= (q[64 * (i / 4)] >> i % 4 * 2 & 3) << low;
	if (above % 2)
		v |= (q[above >= 2 ? 128 : 0] >> i & 1) << (f.bits - 1);
	return f.values ? f.values[v] : v - f.offset;
}

static float packed_c_half(const uint8_t *p, int r)
{
	return plumb_f16_to_f32((uint16_t)(p[2 * r] | p[2 * r + 1] << 8));
}

static float packed_c_scale_of(
	enum plumb_type type, const uint8_t *scales, int64_t block, int sub_block, int r)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *p = scales + (size_t)(f.k ? block / 8 : block) * plumb_packed_scale(type);
	if (!f.k)
		return f.scales == PLUMB_SCALE_E8M0 ? plumb_type_e8m0_half(p[r]) : packed_c_half(p, r);
	uint8_t s = p[(f.min ? 64 : 32) + ((int)(block % 8) * f.sub + sub_block) * 16 + r];
	return packed_c_half(p, r) *
		(float)(f.scales == PLUMB_SCALE_I8        ? (int8_t)s
				: f.scales == PLUMB_SCALE_NIBBLES ? s & 15
												  : s);
}

static float packed_c_add_of(enum plumb_type type, const uint8_t *scales, int64_t block, int sub_block, int r)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *p = scales + (size_t)(f.k ? block / 8 : block) * plumb_packed_scale(type);
	if (!f.k)
		return packed_c_half(p + 32, r);
	return packed_c_half(p + 32, r) *
		(float)(f.scales == PLUMB_SCALE_NIBBLES ? p[64 + ((int)(block % 8) * f.sub + sub_block) * 16 + r] >> 4
												: p[64 + 128 + (int)(block % 8) * 16 + r]);
}

/* The quads of x are in the order 0, 2, 1, 3, and so are the numbers of a panel. */
static const int order[4] = { 0, 2, 1, 3 };

static void packed_c_unpack(enum plumb_type type, bool bytes, const struct plumb_unpack *a)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	int64_t first = a->from / PLUMB_BLOCK;
	for (int64_t b = 0; b < a->n / PLUMB_BLOCK; b++)
		for (int r = 0; r < PLUMB_PANEL; r++) {
			const uint8_t *scales = a->w + a->stride * (size_t)(r / PLUMB_GROUP);
			const uint8_t *q = scales + plumb_packed_scales(type, a->k) +
				(size_t)(first + b) * plumb_packed_quants(type);
			int row = r % PLUMB_GROUP;
			for (int c = 0; c < PLUMB_BLOCK && bytes; c++)
				((uint8_t *)a->q)[((b * 8 + c / 4) * PLUMB_PANEL + r) * 4 + c % 4] =
					(uint8_t)(packed_c_number(type, q, row, c) + f.offset);
			for (int c = 0; c < PLUMB_BLOCK && !bytes; c++)
				a->q[((b * 16 + c / 2) * PLUMB_PANEL + r) * 2 + c % 2] = (int16_t)packed_c_number(
					type, q, row, c / 4 * 4 + order[c % 4]);
			for (int sub_block = 0; sub_block < f.sub; sub_block++) {
				const int64_t at = (b * f.sub + sub_block) * PLUMB_PANEL + r;
				a->scale[at] = packed_c_scale_of(type, scales, first + b, sub_block, row);
				if (f.min)
					a->add[at] = packed_c_add_of(type, scales, first + b, sub_block, row);
			}
		}
}

/* Row r of a panel against row t of x: one block after the other. */
static float packed_c_sum_row(bool bytes, const struct plumb_tile16 *a, int t, int r)
{
	int64_t blocks = a->x.k / PLUMB_BLOCK, first = (a->row + t) * blocks + a->from / PLUMB_BLOCK;
	float sum = a->sum ? a->sum[t * a->lds + r] : 0;
	for (int64_t b = 0; b < a->n / PLUMB_BLOCK; b++) {
		const int16_t *x = a->x.q + (first + b) * PLUMB_BLOCK, *w = a->q + (b * 16 * PLUMB_PANEL + r) * 2;
		const int8_t *x8 = (const int8_t *)a->x.q + (first + b) * PLUMB_BLOCK;
		const uint8_t *w8 = (const uint8_t *)a->q + b * 8 * PLUMB_PANEL * 4;
		int n = PLUMB_BLOCK / a->sub;
		for (int sub_block = 0; sub_block < a->sub; sub_block++) {
			int32_t whole = 0;
			for (int c = sub_block * n; c < (sub_block + 1) * n; c++)
				whole += bytes ? x8[c] * (w8[(c / 4 * PLUMB_PANEL + r) * 4 + c % 4] - a->offset)
							   : x[c] * w[c / 2 * PLUMB_PANEL * 2 + c % 2];
			sum = fmaf((float)whole,
				a->scale[(b * a->sub + sub_block) * PLUMB_PANEL + r] * a->x.scale[first + b], sum);
		}
	}
	for (int64_t b = 0; a->min && b < a->n / PLUMB_BLOCK; b++)
		for (int sub_block = 0; sub_block < a->sub; sub_block++)
			sum = fmaf(a->add[(b * a->sub + sub_block) * PLUMB_PANEL + r],
				x16_total(&a->x, first + b, a->sub, sub_block), sum);
	return sum;
}

static void packed_c_multiply_any(bool bytes, const struct plumb_tile16 *a)
{
	for (int t = 0; t < a->rows; t++)
		for (int r = 0; r < PLUMB_PANEL; r++)
			a->y[t * a->ldy + r] = packed_c_sum_row(bytes, a, t, r);
}

static void packed_c_multiply(const struct plumb_tile16 *a) { packed_c_multiply_any(false, a); }
static void packed_c_multiply8(const struct plumb_tile16 *a) { packed_c_multiply_any(true, a); }

/* A block or 256 columns at a time through a panel: the same sums in the same order. */
static void packed_c_small_batch(enum plumb_type type, const struct plumb_small_batch *a)
{
	enum { N = 256 };
	const struct plumb_packed_format f = plumb_packed_formats[type];
	int16_t q[N * PLUMB_PANEL];
	float scale[N / PLUMB_BLOCK * 2 * PLUMB_PANEL], add[N / PLUMB_BLOCK * 2 * PLUMB_PANEL],
		y[PLUMB_SMALL_BATCH * PLUMB_PANEL];
	for (int64_t g = 0; g < a->groups; g++) {
		for (int64_t from = 0; from < a->x.k; from += N) {
			int64_t n = a->x.k - from < N ? a->x.k - from : N;
			/* the second group of the panel is the first again */
			packed_c_unpack(type, false,
				&(struct plumb_unpack){ a->w + a->stride * (size_t)g, 0, a->x.k, from, n, q, scale, add });
			packed_c_multiply(&(struct plumb_tile16){ q, scale, add, f.sub, f.min, 0, a->x, a->row, from, n,
				a->rows, from ? y : NULL, PLUMB_PANEL, y, PLUMB_PANEL });
		}
		for (int t = 0; t < a->rows; t++)
			memcpy(a->y + t * a->ldy + g * PLUMB_GROUP, y + t * PLUMB_PANEL, sizeof *y * PLUMB_GROUP);
	}
}

#define TYPE_OF(type, name) \
	static void small_batch_##name(const struct plumb_small_batch *a) \
	{ \
		packed_c_small_batch(PLUMB_##type, a); \
	} \
	static void unpack_##name(const struct plumb_unpack *a) { packed_c_unpack(PLUMB_##type, false, a); } \
	static void unpack8_##name(const struct plumb_unpack *a) { packed_c_unpack(PLUMB_##type, true, a); }
PLUMB_PACKED_TYPES(TYPE_OF)

const struct plumb_packed_kernels plumb_packed_c = {
	.tile = TILE,
	.quantise = x16_quantise,
	.rest = x16_rest,
	.multiply = packed_c_multiply,
	.quantise8 = x8_quantise,
	.multiply8 = packed_c_multiply8,
#define SMALL_BATCH(type, name) [PLUMB_##type] = small_batch_##name,
	.small_batch = { PLUMB_PACKED_TYPES(SMALL_BATCH) },
#define UNPACK(type, name) [PLUMB_##type] = unpack_##name,
	.unpack = { PLUMB_PACKED_TYPES(UNPACK) },
#define UNPACK8(type, name) [PLUMB_##type] = unpack8_##name,
	.unpack8 = { PLUMB_PACKED_TYPES(UNPACK8) },
};
