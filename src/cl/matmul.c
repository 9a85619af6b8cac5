/* SPDX-License-Identifier: Apache-2.0 */
/* matmul on OpenCL: which way a product goes, and one launch per buffer that holds a part of the weight. What was measured
 * is in choice.c, CLBlast in clblast.c. */
#include <stdio.h>
#include "cl/cl.h"

enum { MOST_ROWS = 96, BLOCK_GROUPS = 2, MOST_GROUPS = 8 }; /* BLOCK of cl/matmul.cl; eights of weight rows of a work-item */
enum { TILE_GROUPS = 8, TILE_ROWS = 32, TILE_FROM = 9 }; /* of cl/matmul.cl; rows of x from which on more than a quarter of a tile is not empty */
static const int tiles[PLUMB_CL_WAYS] = { [PLUMB_CL_MT1] = 1, [PLUMB_CL_MT4] = 4, [PLUMB_CL_MT8] = 8, [PLUMB_CL_BLOCK] = 8 };

bool plumb_cl_way_can(const struct plumb_cl_state *cl, enum plumb_cl_way way)
{
	/* Eight sums a work-item beside what unpacks leave a GPU too few registers. */
	return way == PLUMB_CL_CLBLAST ? !plumb_cl_clblast_missing() : cl->cpu || way != PLUMB_CL_MT8;
}

enum plumb_cl_way plumb_cl_way_fixed(const struct plumb_cl_state *cl, int64_t m)
{
	if (!cl->cpu)
		return m == 1 ? PLUMB_CL_MT1 : m < TILE_FROM ? PLUMB_CL_MT4 : PLUMB_CL_BLOCK;
	return m == 1 ? PLUMB_CL_MT1 : m <= 4 ? PLUMB_CL_MT4 : m <= 8 ? PLUMB_CL_MT8 : PLUMB_CL_BLOCK;
}

/* Eights of weight rows of a work-item that has one row: more share what x costs, but no compute unit should wait. */
static int64_t groups_per_item(const struct plumb_cl_state *cl, int64_t groups)
{
	int64_t fair = groups / (4 * (int64_t)cl->device.info.units);
	return fair < 1 ? 1 : fair > MOST_GROUPS ? MOST_GROUPS : fair;
}

/* Rows of x that share what unpacking costs: as many as work-items hold, evenly, and whole numbers of those that go at once. */
static int64_t rows_per_block(const struct plumb_cl_state *cl, int64_t m)
{
	int64_t blocks = (m + MOST_ROWS - 1) / MOST_ROWS, at_once = cl->wide ? 8 : 6;
	return ((m + blocks - 1) / blocks + at_once - 1) / at_once * at_once;
}

static enum plumb_status run_piece(struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_part *part, enum plumb_cl_way way)
{
	const struct plumb_tensor *y = call->out, *x = call->in[0];
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	bool block = cl->cpu && way == PLUMB_CL_BLOCK, tile = !cl->cpu && way == PLUMB_CL_BLOCK, one = cl->cpu && way == PLUMB_CL_MT1;
	int64_t m = x->dim[0], rows = block ? rows_per_block(cl, m) : tile ? TILE_ROWS : tiles[way], groups = (part->end - part->first + 7) / 8;
	int64_t wide = block ? BLOCK_GROUPS : tile ? TILE_GROUPS : one ? groups_per_item(cl, groups) : 1;
	char options[160];
	snprintf(options, sizeof options, "%s -DMT=%d%s", plumb_cl_weight_options(part->weight->type), tiles[tile ? PLUMB_CL_MT4 : way], block && cl->wide ? " -DAT_ONCE=8" : "");
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	plumb_cl_tensor(&a, y);
	plumb_cl_tensor(&a, x);
	plumb_cl_mem(&a, part->mem);
	plumb_cl_tensor(&a, call->in[2]);
	plumb_cl_int(&a, m);
	plumb_cl_int(&a, y->dim[1]);
	plumb_cl_int(&a, part->weight->k);
	plumb_cl_int(&a, part->column);
	plumb_cl_int(&a, part->first % part->weight->piece_rows / 8);
	plumb_cl_int(&a, groups);
	if (one || block)
		plumb_cl_int(&a, one ? wide : rows);
	size_t items = cl->cpu ? 1 : PLUMB_CL_GROUP;
	size_t global[2] = { (size_t)((groups + wide - 1) / wide) * items, (size_t)((m + rows - 1) / rows) }, local[2] = { items, 1 };
	return plumb_cl_launch(&a, "matmul", block ? "matmul_block" : tile ? "matmul_tile" : one ? "matmul_one" : "matmul", options, 2, global, local);
}

static enum plumb_status run(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way way)
{
	struct plumb_cl_part part = { .end = 0 };
	int64_t first, n = call->in[1]->dim[0];
	PLUMB_TRY(plumb_cl_weight_of(driver, call->in[1], &part.weight, &first));
	for (int64_t at = first; at < first + n; at = part.end) {
		part.end = (at / part.weight->piece_rows + 1) * part.weight->piece_rows;
		if (part.end > first + n)
			part.end = first + n;
		part.mem = part.weight->piece[at / part.weight->piece_rows];
		part.first = at;
		part.column = at - first;
		PLUMB_TRY(way == PLUMB_CL_CLBLAST ? plumb_cl_clblast(driver, call, &part) : run_piece(driver, call, &part, way));
	}
	return PLUMB_OK;
}

enum plumb_status plumb_cl_matmul(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_cl_way way;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice(driver, call, &way));
	enum plumb_status s = run(driver, call, way);
	/* What a tuning file chose must not be what stops a model. */
	if (s == PLUMB_E_DEVICE && way == PLUMB_CL_CLBLAST && plumb_cl_state(driver)->only < 0 && !plumb_env(PLUMB_ENV_CL_MATMUL))
		s = run(driver, call, plumb_cl_way_fixed(plumb_cl_state(driver), call->in[0]->dim[0]));
	return s;
}
