/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of weights that cl/weights.cl reads: groups of eight rows side by side, bits planar, scales
 * apart, the file's own values. */
#include <string.h>
#include "cl/driver/weight.h"

#define LANES 8
#define COLUMNS 32 /* of a record */

/* As the macros of cl/weights.cl. */
static const struct pack_layout {
	const char *options;
	int dense, bits, sub, min, half; /* dense: bytes of an element; 0: records */
} pack_layouts[PLUMB_TYPE_COUNT] = {
	[PLUMB_F32] = { "-DDENSE=32", 4, 0, 0, 0, 0 },
	[PLUMB_F16] = { "-DDENSE=16", 2, 0, 0, 0, 0 },
	[PLUMB_BF16] = { "-DDENSE=17", 2, 0, 0, 0, 0 },
	[PLUMB_Q8_0] = { "-DBITS=8 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=1", 0, 8, 1, 0, 1 },
	[PLUMB_Q4_0] = { "-DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=8 -DHALF_SCALE=1", 0, 4, 1, 0, 1 },
	[PLUMB_Q4_1] = { "-DBITS=4 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=1", 0, 4, 1, 1, 1 },
	[PLUMB_Q5_0] = { "-DBITS=5 -DSUB=1 -DMIN=0 -DOFFSET=16 -DHALF_SCALE=1", 0, 5, 1, 0, 1 },
	[PLUMB_Q5_1] = { "-DBITS=5 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=1", 0, 5, 1, 1, 1 },
	[PLUMB_Q4_K] = { "-DBITS=4 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=0", 0, 4, 1, 1, 0 },
	[PLUMB_Q5_K] = { "-DBITS=5 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=0", 0, 5, 1, 1, 0 },
	[PLUMB_Q6_K] = { "-DBITS=6 -DSUB=2 -DMIN=0 -DOFFSET=32 -DHALF_SCALE=0", 0, 6, 2, 0, 0 },
	[PLUMB_Q2_K] = { "-DBITS=2 -DSUB=2 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=0", 0, 2, 2, 1, 0 },
	[PLUMB_Q3_K] = { "-DBITS=3 -DSUB=2 -DMIN=0 -DOFFSET=4 -DHALF_SCALE=0", 0, 3, 2, 0, 0 },
	[PLUMB_IQ4_NL] = { "-DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=1 -DCODES=1", 0, 4, 1, 0, 1 },
	[PLUMB_IQ4_XS] = { "-DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=0 -DCODES=1", 0, 4, 1, 0, 0 },
	[PLUMB_MXFP4] = { "-DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=0 -DCODES=2", 0, 4, 1, 0, 0 },
};

const char *plumb_cl_pack_options(enum plumb_type type) { return pack_layouts[type].options; }

/* As many minima as scales, if any. */
static size_t pack_scale_bytes(const struct pack_layout *l)
{
	return (size_t)(l->sub * (1 + l->min)) * (l->half ? 16 : 32);
}

static size_t pack_record_bytes(const struct pack_layout *l)
{
	return pack_scale_bytes(l) + (size_t)l->bits * 32;
}

int64_t plumb_cl_pack_groups(int64_t rows) { return (rows + LANES - 1) / LANES; }

size_t plumb_cl_pack_bytes(enum plumb_type type, int64_t k)
{
	const struct pack_layout *l = &pack_layouts[type];
	return l->dense ? (size_t)k * LANES * (size_t)l->dense : (size_t)(k / COLUMNS) * pack_record_bytes(l);
}

/* --- one row of one record: q + offset (0 ... 2^bits - 1), scales, minima --- */

struct pack_record {
	uint8_t q[COLUMNS];
	float scale[2], min[2];
	uint16_t half_scale, half_min;
};

static uint16_t pack_half(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static void pack_small(enum plumb_type type, const uint8_t *b, struct pack_record *p) /* blocks of 32 */
{
	bool min = type == PLUMB_Q4_1 || type == PLUMB_Q5_1, five = type == PLUMB_Q5_0 || type == PLUMB_Q5_1;
	const uint8_t *high = b + (min ? 4 : type == PLUMB_MXFP4 ? 1 : 2), *low = high + (five ? 4 : 0);
	p->scale[0] = plumb_type_e8m0_half(b[0]); /* of MXFP4 */
	p->half_scale = pack_half(b);
	p->half_min = min ? pack_half(b + 2) : 0;
	if (type == PLUMB_Q8_0) {
		memcpy(p->q, b + 2, COLUMNS);
		return;
	}
	uint32_t bits = five
		? (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 | (uint32_t)high[3] << 24
		: 0;
	for (int i = 0; i < 16; i++) {
		p->q[i] = (uint8_t)((low[i] & 15) | (bits >> i & 1) << 4);
		p->q[i + 16] = (uint8_t)(low[i] >> 4 | (bits >> (i + 16) & 1) << 4);
	}
}

static void pack_k45(
	enum plumb_type type, const uint8_t *b, int j, struct pack_record *p) /* sub-block j of 8 */
{
	const uint8_t *s = b + 4, *high = b + 16, *q = b + (type == PLUMB_Q5_K ? 48 : 16) + j / 2 * 32;
	int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4,
		min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
	p->scale[0] = plumb_f16_to_f32(pack_half(b)) * (float)scale;
	p->min[0] = plumb_f16_to_f32(pack_half(b + 2)) * (float)min;
	for (int i = 0; i < COLUMNS; i++) {
		int low = j % 2 ? q[i] >> 4 : q[i] & 15;
		p->q[i] = (uint8_t)(type == PLUMB_Q5_K ? low | (high[i] >> j & 1) << 4 : low);
	}
}

static void pack_k6(const uint8_t *b, int j, struct pack_record *p) /* columns 32 j ... of 256 */
{
	int half = j / 4, quarter = j % 4;
	float d = plumb_f16_to_f32(pack_half(b + 208));
	for (int i = 0; i < 2; i++)
		p->scale[i] = d * (float)(int8_t)b[192 + half * 8 + quarter * 2 + i];
	for (int i = 0; i < COLUMNS; i++) {
		uint8_t low = b[half * 64 + quarter % 2 * 32 + i];
		p->q[i] = (uint8_t)((quarter < 2 ? low & 15 : low >> 4) |
			(b[128 + half * 32 + i] >> quarter * 2 & 3) << 4);
	}
}

static void pack_k23(enum plumb_type type, const uint8_t *b, int j, struct pack_record *p)
{
	const bool three = type == PLUMB_Q3_K;
	const uint8_t *q = b + (three ? 32 : 16) + j / 4 * 32;
	const float d = plumb_f16_to_f32(pack_half(b + (three ? 108 : 80)));
	for (int i = 0; i < 2; i++) {
		p->scale[i] = d * (float)(three ? plumb_type_q3_k_scale(b, 2 * j + i) : b[2 * j + i] & 15);
		p->min[i] = three ? 0 : plumb_f16_to_f32(pack_half(b + 82)) * (float)(b[2 * j + i] >> 4);
	}
	for (int i = 0; i < COLUMNS; i++)
		p->q[i] = (uint8_t)((q[i] >> j % 4 * 2 & 3) | (three ? b[i] >> j & 1 : 0) << 2);
}

static void pack_iq4_xs(const uint8_t *b, int j, struct pack_record *p)
{
	p->scale[0] = plumb_f16_to_f32(pack_half(b)) * (float)plumb_type_iq4_xs_scale(b, j);
	for (int i = 0; i < COLUMNS; i++)
		p->q[i] = b[8 + 16 * j + i % 16] >> i / 16 * 4 & 15;
}

static void pack_put_scales(
	uint8_t *record, const struct pack_layout *l, int lane, const struct pack_record *p)
{
	uint16_t *halves = (uint16_t *)(void *)record;
	float *floats = (float *)(void *)record;
	if (l->half) {
		halves[lane] = p->half_scale;
		if (l->min) { /* the kernel subtracts what Q4_1 and Q5_1 add */
			halves[LANES + lane] = p->half_min ^ 0x8000;
		}
		return;
	}
	for (int i = 0; i < l->sub; i++)
		floats[i * LANES + lane] = p->scale[i];
	for (int i = 0; i < l->sub && l->min; i++)
		floats[(l->sub + i) * LANES + lane] = p->min[i];
}

static void pack_put(uint8_t *record, const struct pack_layout *l, int lane, const struct pack_record *p)
{
	const int low = l->bits < 4 ? 0 : 4, above = l->bits - low, top = l->bits - 1;
	uint8_t *plane = record + pack_scale_bytes(l);
	uint32_t *high = (uint32_t *)(void *)(plane + 32 * low);
	pack_put_scales(record, l, lane, p);
	if (l->bits == 8) {
		for (int c = 0; c < COLUMNS; c++)
			plane[c * LANES + lane] = p->q[c];
		return;
	}
	/* Bit numbers of the planes above: see cl/weights.cl. */
	uint32_t two[2] = { 0, 0 }, one = 0;
	for (int j = 0; j < 16; j++) {
		int i = j / 4, b = j % 4;
		if (low)
			plane[(i * LANES + lane) * 4 + b] = (uint8_t)((p->q[j] & 15) | (p->q[j + 16] & 15) << 4);
		for (int h = 0; h < 2; h++)
			two[h] |= (uint32_t)(p->q[j + 16 * h] >> low & 3) << (8 * b + 2 * i);
		one |= (uint32_t)(p->q[j] >> top & 1) << (8 * b + i) |
			(uint32_t)(p->q[j + 16] >> top & 1) << (8 * b + 4 + i);
	}
	for (int h = 0; h < 2 && above >= 2; h++, high += LANES)
		high[lane] = two[h];
	if (above % 2)
		high[lane] = one;
}

/* --- a matrix --- */

static void pack_dense_row(const struct plumb_cl_pack *p, const uint8_t *from, int lane, uint8_t *to)
{
	size_t size = (size_t)pack_layouts[p->type].dense;
	for (int64_t c = 0; c < p->k; c++)
		memcpy(to + ((size_t)c * LANES + (size_t)lane) * size, from + (size_t)c * size, size);
}

static void pack_record_row(const struct plumb_cl_pack *p, const uint8_t *from, int lane, uint8_t *to)
{
	const struct pack_layout *l = &pack_layouts[p->type];
	int64_t block = plumb_type_block(p->type);
	size_t bytes = plumb_type_bytes(p->type), size = pack_record_bytes(l);
	struct pack_record r = { .min = { 0, 0 } };
	for (int64_t c = 0; c < p->k; c += COLUMNS, to += size) {
		const uint8_t *b = from + (size_t)(c / block) * bytes;
		int j = (int)(c % block / COLUMNS);
		if (block == COLUMNS)
			pack_small(p->type, b, &r);
		else if (p->type == PLUMB_Q6_K)
			pack_k6(b, j, &r);
		else if (p->type == PLUMB_Q2_K || p->type == PLUMB_Q3_K)
			pack_k23(p->type, b, j, &r);
		else if (p->type == PLUMB_IQ4_XS)
			pack_iq4_xs(b, j, &r);
		else
			pack_k45(p->type, b, j, &r);
		pack_put(to, l, lane, &r);
	}
}

static void pack_group(void *arg, int64_t g, int thread)
{
	const struct plumb_cl_pack *p = arg;
	size_t bytes = plumb_cl_pack_bytes(p->type, p->k);
	uint8_t *to = p->to + (size_t)g * bytes;
	(void)thread;
	if (p->rows - g * LANES < LANES)
		memset(to, 0, bytes); /* lanes without a row */
	for (int lane = 0; lane < LANES && g * LANES + lane < p->rows; lane++) {
		const uint8_t *from = p->from + (size_t)(g * LANES + lane) * p->row;
		if (pack_layouts[p->type].dense)
			pack_dense_row(p, from, lane, to);
		else
			pack_record_row(p, from, lane, to);
	}
}

void plumb_cl_pack(const struct plumb_cl_pack *pack, struct plumb_pool *pool)
{
	struct plumb_cl_pack p = *pack;
	plumb_pool_run(pool, pack_group, &p, plumb_cl_pack_groups(p.rows));
}
