/* SPDX-License-Identifier: Apache-2.0 */
/* rope on an OpenCL device. Angles, cosines and sines are computed here, in float64, because devices without
 * it exist; a table of them by position is kept in the driver and grows by doubling, one for each of the few
 * ways in which the layers of a model rotate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cl/op/op.h"

#define FEWEST 128 /* positions of a table */

/* Per position the cosines of all pairs, then their sines. */
static void rope_fill(float *table, int64_t positions, const struct plumb_rope *r, const float *freqs)
{
	int64_t pairs = r->rotated / 2;
	for (int64_t j = 0; j < pairs; j++) {
		double rate = pow(r->base, -2.0 * (double)j / (double)r->rotated),
			   slower = r->factor * (freqs ? (double)freqs[j] : 1);
		for (int64_t p = 0; p < positions; p++) {
			double angle = (double)p / slower * rate;
			table[2 * p * pairs + j] = (float)(cos(angle) * r->scale);
			table[(2 * p + 1) * pairs + j] = (float)(sin(angle) * r->scale);
		}
	}
}

void plumb_cl_rope_forget(struct plumb_cl_state *cl)
{
	for (int i = 0; i < PLUMB_CL_ROPES; i++) {
		if (cl->rope[i].table)
			plumb_cl.clReleaseMemObject(cl->rope[i].table);
		free(cl->rope[i].freqs);
		cl->rope[i] = (struct plumb_cl_rope){ .table = NULL };
	}
}

static bool rope_same(const struct plumb_cl_rope *t, const struct plumb_rope *r, const float *freqs)
{
	size_t bytes = sizeof *freqs * (size_t)(r->rotated / 2);
	return t->table && t->rotated == r->rotated && t->base == r->base && t->factor == r->factor &&
		t->scale == r->scale && !t->freqs == !freqs && (!freqs || !memcmp(t->freqs, freqs, bytes));
}

/* The table for this way of rotating; else the place of the one that was not used for longest. */
static struct plumb_cl_rope *rope_find(
	struct plumb_cl_state *cl, const struct plumb_rope *r, const float *freqs)
{
	struct plumb_cl_rope *oldest = &cl->rope[0];
	for (int i = 0; i < PLUMB_CL_ROPES; i++) {
		if (rope_same(&cl->rope[i], r, freqs))
			return &cl->rope[i];
		if (cl->rope[i].used < oldest->used)
			oldest = &cl->rope[i];
	}
	return oldest;
}

/* How many positions a table gets that shall hold `positions`, and its size. */
static enum plumb_status rope_size(const struct plumb_cl_state *cl, int64_t positions,
	const struct plumb_rope *r, int64_t *have, size_t *bytes)
{
	*have = FEWEST;
	while (*have < positions && *have < INT32_MAX)
		*have *= 2;
	if (*have < positions ||
		__builtin_mul_overflow((size_t)*have * sizeof(float), (size_t)r->rotated, bytes) ||
		*bytes > cl->max_alloc)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"the table of %lld positions and %lld rotated elements is over the device's limit",
			(long long)positions, (long long)r->rotated);
	return PLUMB_OK;
}

/* A table into its place: numbers first, then the device's memory, then what it is of. */
static enum plumb_status rope_make(struct plumb_cl_state *cl, struct plumb_cl_rope *t, int64_t positions,
	const struct plumb_rope *r, const float *freqs)
{
	const size_t freq_bytes = freqs ? sizeof *freqs * (size_t)(r->rotated / 2) : 0;
	int64_t have;
	size_t bytes = 0;
	cl_int code;
	PLUMB_TRY(rope_size(cl, positions, r, &have, &bytes));
	float *table = malloc(bytes), *mine = freqs ? malloc(freq_bytes) : NULL;
	if (!table || (freqs && !mine)) {
		free(table);
		free(mine);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the angles of %lld positions", (long long)have);
	}
	rope_fill(table, have, r, freqs);
	cl_mem mem = plumb_cl.clCreateBuffer(
		cl->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, table, &code);
	free(table);
	if (code) {
		free(mine);
		return plumb_cl_fail(code, "the angles of %lld positions", (long long)have);
	}
	if (t->table)
		plumb_cl.clReleaseMemObject(t->table); /* lives on until the kernels that use it have ended */
	free(t->freqs);
	if (freqs)
		memcpy(mine, freqs, freq_bytes);
	*t = (struct plumb_cl_rope){ mem, have, r->rotated, r->base, r->factor, r->scale, mine, 0 };
	return PLUMB_OK;
}

/* A table of at least that many positions. */
static enum plumb_status rope_need_table(
	struct plumb_cl_state *cl, int64_t positions, const struct plumb_call *call, struct plumb_cl_rope **table)
{
	const struct plumb_rope *r = &call->s.rope;
	const float *freqs = NULL;
	if (call->in[1]) {
		PLUMB_TRY(plumb_buffer_to_host(call->in[1]->buffer));
		freqs = plumb_host(call->in[1]);
	}
	*table = rope_find(cl, r, freqs);
	if (!rope_same(*table, r, freqs) || (*table)->positions < positions)
		PLUMB_TRY(rope_make(cl, *table, positions, r, freqs));
	(*table)->used = ++cl->rope_uses;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_rope(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_rope *r = &call->s.rope;
	int64_t n = call->out->dim[0], heads = call->out->dim[1] / r->head_dim, pairs = r->rotated / 2;
	struct plumb_cl_rope *table;
	if (r->pos > INT32_MAX - n)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "position %lld is beyond 32 bits", (long long)r->pos);
	PLUMB_TRY(rope_need_table(cl, r->pos + n, call, &table));
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_mem(&a, table->table);
	plumb_cl_int(&a, r->pos);
	plumb_cl_int(&a, heads);
	plumb_cl_int(&a, pairs);
	plumb_cl_int(&a, r->head_dim - r->rotated);
	plumb_cl_int(&a, r->pairs == PLUMB_ROPE_INTERLEAVED);
	if (cl->cpu)
		return plumb_cl_launch_rows(&a, "rope", "rope", "", n, 1);
	return plumb_cl_launch(&a, "rope", "rope", "", 2,
		(size_t[]){ (size_t)(heads * (r->head_dim - pairs)), (size_t)n }, (size_t[]){ PLUMB_CL_GROUP, 1 });
}
