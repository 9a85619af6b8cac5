/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels of an instruction set against those in portable C, bit for bit: rounding of activations,
 * few rows, panels and tiles. Packed bytes are random, for any are valid as long as the scales are finite. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "random.h"
#include "simd_compare.h"

static char text[256];

/* The same bits, or both NaN. */
static bool same(const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (memcmp(&a[i], &b[i], sizeof *a) && !(isnan(a[i]) && isnan(b[i])))
			return false;
	return true;
}

static struct plumb_x16 x16_new(int64_t rows, int64_t k)
{
	return (struct plumb_x16){ .q = calloc((size_t)(rows * k), sizeof(int16_t)),
		.high = calloc((size_t)(rows * k), 1),
		.low = calloc((size_t)(rows * k), 1),
		.scale = calloc((size_t)(rows * k / 32), sizeof(float)),
		.total = calloc((size_t)(rows * k / 32), sizeof(float)),
		.sum = calloc((size_t)(rows * k / 16), sizeof(int32_t)),
		.k = k };
}

static void x16_free(struct plumb_x16 *x)
{
	free(x->q);
	free(x->high);
	free(x->low);
	free(x->scale);
	free(x->total);
	free(x->sum);
}

static bool x16_same(const struct plumb_x16 *a, const struct plumb_x16 *b, int64_t rows)
{
	return !memcmp(a->q, b->q, sizeof *a->q * (size_t)(rows * a->k)) &&
		!memcmp(a->high, b->high, (size_t)(rows * a->k)) && !memcmp(a->low, b->low, (size_t)(rows * a->k)) &&
		same(a->scale, b->scale, rows * a->k / 32) && same(a->total, b->total, rows * a->k / 32) &&
		!memcmp(a->sum, b->sum, sizeof *a->sum * (size_t)(rows * a->k / 16));
}

/* Ordinary rows, and blocks that are zero, tiny, massive, NaN or infinite. */
static void draw_row(float *x, int64_t k, bool finite)
{
	static const float odd[] = { 0, 0x1p-149f, 1e-35f, 3e4f, 1e30f, NAN, INFINITY };
	for (int64_t i = 0; i < k; i++)
		x[i] = uniform(2);
	for (int64_t b = 0; b < k; b += 32)
		if (!(random_bits() % 4)) {
			float v = odd[random_bits() % (finite ? 4 : 7)];
			x[b + random_bits() % 32] = v;
			for (int64_t i = b; i < b + 32 && fabsf(v) < 1e-30f; i++)
				x[i] = v;
		}
}

/* What 16 bits and the rest hold together is x within 2^-30 of the block's largest. */
static bool holds(const struct plumb_x16 *x, const float *want)
{
	static const int order[4] = { 0, 2, 1, 3 };
	for (int64_t i = 0; i < x->k; i++) {
		int64_t b = i / 32, at = i / 4 * 4 + order[i % 4];
		double have = (double)x->scale[b] * x->q[at] + (double)x->scale[x->k / 32 + b] * x->q[x->k + at];
		if (isfinite(x->scale[b]) &&
			!(fabs(have - want[i]) <= 32639 * (double)x->scale[b] * 0x1p-30 + 0x1p-100))
			return false;
	}
	return true;
}

const char *simd_packed_rows(const struct plumb_simd *simd, uint64_t seed)
{
	const struct plumb_packed_kernels *p = simd->packed, *c = &plumb_packed_c;
	const char *bad = NULL;
	rng = seed * 2 + 1;
	for (int round = 0; round < 400 && !bad; round++) {
		int64_t k = 32 * (1 + round % 9);
		float limit = round % 3 ? 4e-5f : 0, *x = malloc(sizeof *x * (size_t)k);
		struct plumb_x16 have = x16_new(2, k), want = x16_new(2, k);
		draw_row(x, k, round % 2);
		bool more = p->quantise(x, &have, 0, limit), right = c->quantise(x, &want, 0, limit);
		p->rest(x, &have, 1);
		c->rest(x, &want, 1);
		struct plumb_x16 have8 = x16_new(1, k), want8 = x16_new(1, k);
		if (p->quantise8) {
			p->quantise8(x, &have8, 0);
			c->quantise8(x, &want8, 0);
		}
		if (!x16_same(&have8, &want8, 1))
			bad = "rows of bytes differ from the portable ones";
		else if (more != right || !x16_same(&have, &want, 2))
			bad = "rows of integers differ from the portable ones";
		else if (!holds(&have, x))
			bad = "two rows of integers do not hold the numbers";
		x16_free(&have);
		x16_free(&want);
		x16_free(&have8);
		x16_free(&want8);
		free(x);
	}
	return bad;
}

struct problem {
	enum plumb_type type;
	int64_t k, groups;
	size_t stride;
	uint8_t *w;
	struct plumb_x16 x, x8;
	int rows;
};

static void draw(struct problem *p)
{
	const struct plumb_packed_format f = plumb_packed_formats[p->type];
	size_t halves = f.k ? (f.min ? 64 : 32) : plumb_packed_scale(p->type);
	p->stride = plumb_packed_group(p->type, p->k);
	p->w = malloc(p->stride * (size_t)p->groups);
	for (size_t i = 0; i < p->stride * (size_t)p->groups; i++)
		p->w[i] = (uint8_t)(random_bits() >> 13);
	for (int64_t g = 0; g < p->groups; g++)
		for (int64_t b = 0; b < p->k / (f.k ? 256 : 32); b++)
			for (size_t i = 0; i < halves && f.scales != PLUMB_SCALE_E8M0; i += 2) {
				uint16_t h = plumb_f32_to_f16(
					random_bits() & 7 ? uniform(0.05f) : uniform(0x1p-18f)); /* some subnormal */
				uint8_t *to = p->w + p->stride * (size_t)g + (size_t)b * plumb_packed_scale(p->type) + i;
				to[0] = (uint8_t)h;
				to[1] = (uint8_t)(h >> 8);
			}
	for (int64_t g = 0; g < p->groups && f.scales == PLUMB_SCALE_E8M0; g++)
		for (int64_t i = 0; i < p->k / 32 * 16; i++) /* some subnormal */
			p->w[p->stride * (size_t)g + (size_t)i] = (uint8_t)(random_bits() & 7 ? 100 + i % 40 : i % 3);
	float *x = malloc(sizeof *x * (size_t)p->k);
	p->x = x16_new(p->rows, p->k);
	p->x8 = x16_new(p->rows, p->k);
	for (int64_t i = 0; i < p->rows; i++) {
		draw_row(x, p->k, i % 2);
		plumb_packed_c.quantise(x, &p->x, i, 0);
		plumb_packed_c.quantise8(x, &p->x8, i);
	}
	free(x);
}

/* Weights, then activations, at the ends of their ranges: no sum may overflow or saturate. */
static void draw_extreme(struct problem *p)
{
	for (int64_t i = 0; i < p->rows * p->k; i++)
		p->x.q[i] = (int16_t)(257 * (p->x.high[i] = p->x.low[i] = i % 64 < 48 ? 127 : -127));
	for (int64_t i = 0; i < p->rows * p->k; i++)
		((int8_t *)p->x8.q)[i] = i % 64 < 48 ? 127 : -127;
	for (int64_t b = 0; b < p->rows * p->k / 16; b++) {
		p->x.sum[b] = b % 4 < 3 ? 16 * 32639 : -16 * 32639;
		p->x8.sum[b] = b % 4 < 3 ? 16 * 127 : -16 * 127;
	}
	for (int64_t g = 0; g < p->groups; g++)
		memset(p->w + p->stride * (size_t)g + plumb_packed_scales(p->type, p->k), g % 2 ? 0 : 0xff,
			p->stride - plumb_packed_scales(p->type, p->k));
}

static const char *few_case(const struct plumb_simd *simd, struct problem *p)
{
	int64_t ld = p->groups * PLUMB_GROUP + 3, n = ld * p->rows;
	float *have = malloc(sizeof *have * (size_t)n), *want = malloc(sizeof *want * (size_t)n);
	struct plumb_small_batch a = {
		.w = p->w, .stride = p->stride, .groups = p->groups, .x = p->x, .rows = p->rows, .ldy = ld
	};
	for (int64_t i = 0; i < n; i++)
		have[i] = want[i] = 77;
	a.y = have;
	simd->packed->small_batch[p->type](&a);
	a.y = want;
	plumb_packed_c.small_batch[p->type](&a);
	bool right = same(have, want, n);
	free(have);
	free(want);
	return right ? NULL : "few rows";
}

static const char *tile_case(const struct plumb_simd *simd, const struct problem *p, bool bytes)
{
	const struct plumb_packed_format f = plumb_packed_formats[p->type];
	const int64_t from = f.k ? 0 : p->k / 64 * 32, n = p->k - from < 256 ? p->k - from : 256,
				  numbers = n * PLUMB_PANEL, scales = n / 16 * PLUMB_PANEL;
	int16_t *q[2] = { calloc((size_t)numbers, 2), calloc((size_t)numbers, 2) };
	float *scale[2] = { calloc((size_t)scales, 4), calloc((size_t)scales, 4) },
		  *add[2] = { calloc((size_t)scales, 4), calloc((size_t)scales, 4) };
	float y[2][PLUMB_TILE_MAX * (PLUMB_PANEL + 1)];
	const struct plumb_packed_kernels *kernels[2] = { simd->packed, &plumb_packed_c };
	const char *bad = NULL;
	for (int i = 0; i < 2; i++)
		(bytes ? kernels[i]->unpack8 : kernels[i]->unpack)[p->type](
			&(struct plumb_unpack){ p->w, p->stride, p->k, from, n, q[i], scale[i], add[i] });
	if (memcmp(q[0], q[1], 2 * (size_t)numbers) || !same(scale[0], scale[1], n / 32 * f.sub * PLUMB_PANEL) ||
		(f.min && !same(add[0], add[1], n / 32 * f.sub * PLUMB_PANEL)))
		bad = "panel";
	for (int first = 0; first < 2 && !bad; first++) {
		for (int i = 0; i < (int)(sizeof y[0] / sizeof *y[0]); i++)
			y[0][i] = y[1][i] = (float)i;
		for (int i = 0; i < 2; i++)
			(bytes ? kernels[i]->multiply8 : kernels[i]->multiply)(
				&(struct plumb_tile16){ q[1], scale[1], add[1], f.sub, f.min, f.offset, bytes ? p->x8 : p->x,
					0, from, n, p->rows, first ? NULL : y[i], PLUMB_PANEL + 1, y[i], PLUMB_PANEL + 1 });
		if (!same(y[0], y[1], sizeof y[0] / sizeof *y[0]))
			bad = "tile";
	}
	for (int i = 0; i < 2; i++) {
		free(q[i]);
		free(scale[i]);
		free(add[i]);
	}
	return bad;
}

const char *simd_packed_products(const struct plumb_simd *simd, uint64_t seed)
{
	static const int64_t ks[] = { 32, 64, 96, 160, 256, 288, 512, 768 };
	const char *bad = NULL;
	rng = seed * 2 + 3;
	if (simd->packed->tile < 1 || simd->packed->tile > PLUMB_TILE_MAX)
		return "the size of its tile";
	for (int t = 0; t < PLUMB_TYPE_COUNT; t++)
		for (size_t i = 0; plumb_packed_formats[t].bits && i < sizeof ks / sizeof *ks; i++)
			for (int rows = 1;
				 rows <= PLUMB_TILE_MAX && ks[i] % plumb_type_block((enum plumb_type)t) == 0 && !bad; rows++)
				for (int extreme = 0; extreme < 2 && !bad; extreme++) {
					struct problem p = {
						.type = (enum plumb_type)t, .k = ks[i], .groups = 2 + rows % 2, .rows = rows
					};
					draw(&p);
					if (extreme)
						draw_extreme(&p);
					if (rows <= PLUMB_SMALL_BATCH)
						bad = few_case(simd, &p);
					if (rows <= simd->packed->tile && !bad)
						bad = tile_case(simd, &p, false);
					if (rows <= simd->packed->tile && simd->packed->multiply8 && !bad)
						bad = tile_case(simd, &p, true) ? "bytes" : NULL;
					if (bad) {
						snprintf(text, sizeof text,
							"%s of %s, k %lld, %d rows%s: other bits than in portable C", bad,
							plumb_type_name(p.type), (long long)p.k, rows,
							extreme ? ", extreme numbers" : "");
						bad = text;
					}
					free(p.w);
					x16_free(&p.x);
					x16_free(&p.x8);
				}
	return bad;
}
