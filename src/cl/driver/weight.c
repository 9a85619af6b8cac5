/* SPDX-License-Identifier: Apache-2.0 */
/* Weights on the device, in the layout that cl/weights.cl reads: eight rows side by side, bits planar, the file's own
 * values. A matrix larger than the device's largest buffer is split by rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/cl.h"

#define LANES 8
#define COLUMNS 32 /* of a record */

/* As the macros of cl/weights.cl. */
static const struct layout {
	const char *options;
	int dense, bits, sub, min, half; /* dense: bytes of an element; 0: records */
} layouts[PLUMB_TYPE_COUNT] = {
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
};

const char *plumb_cl_weight_options(enum plumb_type type) { return layouts[type].options; }

static size_t record_bytes(const struct layout *l)
{
	size_t scales = (size_t)(l->sub + l->min) * (l->half ? 16 : 32);
	return scales + (l->bits == 8 ? 256 : 128 + (size_t)(l->bits - 4) * 32);
}

/* Bytes of eight rows. */
static size_t group_bytes(enum plumb_type type, int64_t k)
{
	const struct layout *l = &layouts[type];
	return l->dense ? (size_t)k * LANES * (size_t)l->dense : (size_t)(k / COLUMNS) * record_bytes(l);
}

/* --- one row of one record: q + offset (0 ... 2^bits - 1), scales, minima --- */

struct part { uint8_t q[COLUMNS]; float scale[2], min; uint16_t half_scale, half_min; };

static uint16_t half_bits(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static void part_small(enum plumb_type type, const uint8_t *b, struct part *p) /* blocks of 32 */
{
	bool min = type == PLUMB_Q4_1 || type == PLUMB_Q5_1, five = type == PLUMB_Q5_0 || type == PLUMB_Q5_1;
	const uint8_t *high = b + (min ? 4 : 2), *low = high + (five ? 4 : 0);
	p->half_scale = half_bits(b);
	p->half_min = min ? half_bits(b + 2) : 0;
	if (type == PLUMB_Q8_0) {
		memcpy(p->q, b + 2, COLUMNS);
		return;
	}
	uint32_t bits = five ? (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 | (uint32_t)high[3] << 24 : 0;
	for (int i = 0; i < 16; i++) {
		p->q[i] = (uint8_t)((low[i] & 15) | (bits >> i & 1) << 4);
		p->q[i + 16] = (uint8_t)(low[i] >> 4 | (bits >> (i + 16) & 1) << 4);
	}
}

static void part_k45(enum plumb_type type, const uint8_t *b, int j, struct part *p) /* sub-block j of 8 */
{
	const uint8_t *s = b + 4, *high = b + 16, *q = b + (type == PLUMB_Q5_K ? 48 : 16) + j / 2 * 32;
	int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4, min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
	p->scale[0] = plumb_f16_to_f32(half_bits(b)) * (float)scale;
	p->min = plumb_f16_to_f32(half_bits(b + 2)) * (float)min;
	for (int i = 0; i < COLUMNS; i++) {
		int low = j % 2 ? q[i] >> 4 : q[i] & 15;
		p->q[i] = (uint8_t)(type == PLUMB_Q5_K ? low | (high[i] >> j & 1) << 4 : low);
	}
}

static void part_k6(const uint8_t *b, int j, struct part *p) /* columns 32 j ... of 256 */
{
	int half = j / 4, quarter = j % 4;
	float d = plumb_f16_to_f32(half_bits(b + 208));
	for (int i = 0; i < 2; i++)
		p->scale[i] = d * (float)(int8_t)b[192 + half * 8 + quarter * 2 + i];
	for (int i = 0; i < COLUMNS; i++) {
		uint8_t low = b[half * 64 + quarter % 2 * 32 + i];
		p->q[i] = (uint8_t)((quarter < 2 ? low & 15 : low >> 4) | (b[128 + half * 32 + i] >> quarter * 2 & 3) << 4);
	}
}

static void put_scales(uint8_t *record, const struct layout *l, int lane, const struct part *p)
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
	if (l->min)
		floats[l->sub * LANES + lane] = p->min;
}

static void put_part(uint8_t *record, const struct layout *l, int lane, const struct part *p)
{
	uint8_t *plane = record + (l->sub + l->min) * (l->half ? 16 : 32);
	uint32_t *high = (uint32_t *)(void *)(plane + 128);
	put_scales(record, l, lane, p);
	if (l->bits == 8) {
		for (int c = 0; c < COLUMNS; c++)
			plane[c * LANES + lane] = p->q[c];
		return;
	}
	/* Bit numbers of the planes above: see cl/weights.cl. */
	uint32_t bits[2] = { 0, 0 };
	for (int j = 0; j < 16; j++) {
		int i = j / 4, b = j % 4;
		plane[(i * LANES + lane) * 4 + b] = (uint8_t)((p->q[j] & 15) | (p->q[j + 16] & 15) << 4);
		if (l->bits == 5)
			bits[0] |= (uint32_t)(p->q[j] >> 4 & 1) << (8 * b + i) | (uint32_t)(p->q[j + 16] >> 4 & 1) << (8 * b + 4 + i);
		if (l->bits == 6) {
			bits[0] |= (uint32_t)(p->q[j] >> 4 & 3) << (8 * b + 2 * i);
			bits[1] |= (uint32_t)(p->q[j + 16] >> 4 & 3) << (8 * b + 2 * i);
		}
	}
	for (int i = 0; i < l->bits - 4; i++)
		high[i * LANES + lane] = bits[i];
}

/* --- a matrix --- */

struct job { enum plumb_type type; const uint8_t *src; size_t row; int64_t rows, k; uint8_t *dst; };

static void dense_row(const struct job *job, const uint8_t *src, int lane, uint8_t *dst)
{
	size_t size = (size_t)layouts[job->type].dense;
	for (int64_t c = 0; c < job->k; c++)
		memcpy(dst + ((size_t)c * LANES + (size_t)lane) * size, src + (size_t)c * size, size);
}

static void record_row(const struct job *job, const uint8_t *src, int lane, uint8_t *dst)
{
	const struct layout *l = &layouts[job->type];
	int64_t block = plumb_type_block(job->type);
	size_t bytes = plumb_type_bytes(job->type), record = record_bytes(l);
	struct part p = { .min = 0 };
	for (int64_t c = 0; c < job->k; c += COLUMNS, dst += record) {
		const uint8_t *b = src + (size_t)(c / block) * bytes;
		int j = (int)(c % block / COLUMNS);
		if (block == COLUMNS)
			part_small(job->type, b, &p);
		else if (job->type == PLUMB_Q6_K)
			part_k6(b, j, &p);
		else
			part_k45(job->type, b, j, &p);
		put_part(dst, l, lane, &p);
	}
}

static void group(void *arg, int64_t g, int thread)
{
	const struct job *job = arg;
	size_t bytes = group_bytes(job->type, job->k);
	(void)thread;
	if (job->rows - g * LANES < LANES)
		memset(job->dst + (size_t)g * bytes, 0, bytes); /* lanes without a row */
	for (int lane = 0; lane < LANES && g * LANES + lane < job->rows; lane++) {
		const uint8_t *src = job->src + (size_t)(g * LANES + lane) * job->row;
		if (layouts[job->type].dense)
			dense_row(job, src, lane, job->dst + (size_t)g * bytes);
		else
			record_row(job, src, lane, job->dst + (size_t)g * bytes);
	}
}

static enum plumb_status make_piece(struct plumb_driver *driver, struct plumb_cl_weight *w, const struct job *whole, int64_t first, cl_mem *piece,
	struct plumb_chunk **chunk)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	struct job job = *whole;
	cl_int code;
	job.src += (size_t)first * job.row;
	job.rows = whole->rows - first < w->piece_rows ? whole->rows - first : w->piece_rows;
	int64_t groups = (job.rows + LANES - 1) / LANES;
	size_t bytes = (size_t)groups * group_bytes(job.type, job.k);
	/* A CPU takes them where they are, so they may as well be in huge pages. */
	void *host = strcmp(cl->device.info.type, "cpu") ? NULL : plumb_chunk_take(&cl->chunks, bytes, chunk);
	*piece = plumb_cl.clCreateBuffer(cl->context, CL_MEM_READ_ONLY | (host ? CL_MEM_USE_HOST_PTR : cl->place), bytes, host, &code);
	if (code)
		return plumb_cl_fail(code, "a weight buffer of %.1f MB on %s", (double)bytes / 1e6, cl->device.info.name);
	job.dst = plumb_cl.clEnqueueMapBuffer(cl->queue, *piece, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0, bytes, 0, NULL, NULL, &code);
	if (code)
		return plumb_cl_fail(code, "mapping a weight buffer on %s", cl->device.info.name);
	plumb_pool_run(driver->ctx->pool, group, &job, groups);
	code = plumb_cl.clEnqueueUnmapMemObject(cl->queue, *piece, job.dst, 0, NULL, NULL);
	return code ? plumb_cl_fail(code, "unmapping a weight buffer on %s", cl->device.info.name) : PLUMB_OK;
}

void plumb_cl_unprepare(struct plumb_driver *driver, void *prepared)
{
	struct plumb_cl_weight *w = prepared;
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	for (int i = 0; i < w->pieces; i++) {
		if (w->chunk[i]) /* kernels may still read it */
			plumb_cl.clFinish(cl->queue);
		if (w->piece[i])
			plumb_cl.clReleaseMemObject(w->piece[i]);
		if (w->chunk[i])
			plumb_chunk_give(&cl->chunks, w->chunk[i]);
	}
	plumb_budget_give(driver->ctx, w->bytes);
	free(w);
}

static enum plumb_status lay_out(struct plumb_driver *driver, const struct plumb_tensor *t, struct plumb_cl_weight *w)
{
	size_t eight = group_bytes(t->type, w->k);
	const int most = (int)(sizeof w->piece / sizeof *w->piece);
	int64_t groups = (w->rows + LANES - 1) / LANES, fit = (int64_t)(plumb_cl_state(driver)->max_alloc / eight);
	struct job job = { t->type, t->buffer->host, plumb_tensor_bytes(t) / (size_t)w->rows, w->rows, w->k, NULL };
	if (fit < 1 || (groups + fit - 1) / fit > most)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "a weight of %.1f MB does not fit %d buffers of %.1f MB", (double)groups * (double)eight / 1e6, most,
			(double)plumb_cl_state(driver)->max_alloc / 1e6);
	w->piece_rows = (groups < fit ? groups : fit) * LANES;
	for (int64_t first = 0; first < w->rows; first += w->piece_rows) {
		int i = w->pieces++;
		PLUMB_TRY(make_piece(driver, w, &job, first, &w->piece[i], &w->chunk[i]));
	}
	return PLUMB_OK;
}

enum plumb_status plumb_cl_prepare(struct plumb_driver *driver, struct plumb_tensor *t)
{
	struct plumb_tensor whole = *t;
	PLUMB_TRY(plumb_buffer_to_host(t->buffer));
	/* The buffer's rows, not the view's: the layout belongs to the buffer. */
	size_t row;
	plumb_type_size(t->type, t->dim[1], &row);
	whole.offset = 0;
	whole.dim[0] = (int64_t)(t->buffer->bytes / row);
	struct plumb_cl_weight *w = calloc(1, sizeof *w);
	if (!w)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a weight");
	*w = (struct plumb_cl_weight){ .type = t->type, .rows = whole.dim[0], .k = t->dim[1] };
	size_t bytes = (size_t)((w->rows + LANES - 1) / LANES) * group_bytes(t->type, w->k);
	enum plumb_status s = plumb_budget_take(driver->ctx, bytes);
	if (s) {
		free(w);
		return s;
	}
	w->bytes = bytes;
	if ((s = lay_out(driver, &whole, w))) {
		plumb_cl_unprepare(driver, w);
		return s;
	}
	t->buffer->copy[driver->index].prepared = w;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_weight_of(struct plumb_driver *driver, const struct plumb_tensor *t, const struct plumb_cl_weight **weight, int64_t *first)
{
	struct plumb_copy *copy = &t->buffer->copy[driver->index];
	if (!copy->prepared) {
		struct plumb_tensor view = *t; /* prepare writes into the buffer, not into the tensor */
		PLUMB_TRY(plumb_cl_prepare(driver, &view));
	}
	struct plumb_cl_weight *w = copy->prepared;
	size_t row;
	plumb_type_size(t->type, t->dim[1], &row);
	if (w->type != t->type || w->k != t->dim[1] || t->offset % (row * LANES))
		return plumb_fail(PLUMB_E_UNSUPPORTED, "a view of weights that begins inside eight rows, or another shape of them");
	*weight = w;
	*first = (int64_t)(t->offset / row);
	return PLUMB_OK;
}
