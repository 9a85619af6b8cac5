/* SPDX-License-Identifier: Apache-2.0 */
/* Products with weights on OpenCL: which way one goes, and one launch per buffer that holds a part of the weight. What was
 * measured is in choice.c, CLBlast in clblast.c; with a norm before or swiglu behind: qkv.c, gate_up.c. */
#include <stdio.h>
#include "cl/cl.h"

enum { TILE_FROM = 9 }; /* rows of x from which on more than a quarter of a tile is not empty */
static const int tiles[PLUMB_CL_WAYS] = { [PLUMB_CL_MT1] = 1, [PLUMB_CL_MT4] = 4, [PLUMB_CL_MT8] = 8, [PLUMB_CL_BLOCK] = 8 };

bool plumb_cl_way_can(const struct plumb_cl_state *cl, enum plumb_cl_way way)
{
	/* Eight sums a work-item beside what unpacks leave a GPU too few registers. */
	return way == PLUMB_CL_CLBLAST ? !cl->no_clblast && !plumb_cl_clblast_missing() : cl->cpu || way != PLUMB_CL_MT8;
}

enum plumb_cl_way plumb_cl_way_fixed(const struct plumb_cl_state *cl, int64_t m)
{
	if (!cl->cpu)
		return m == 1 ? PLUMB_CL_MT1 : m < TILE_FROM ? PLUMB_CL_MT4 : PLUMB_CL_BLOCK;
	return m == 1 ? PLUMB_CL_MT1 : m <= 4 ? PLUMB_CL_MT4 : m <= 8 ? PLUMB_CL_MT8 : PLUMB_CL_BLOCK;
}

/* Eights of weight rows of a work-item that has one row, on a CPU: more share what x costs, but no compute unit should wait. */
int64_t plumb_cl_groups_each(const struct plumb_cl_state *cl, int64_t groups)
{
	int64_t fair = cl->cpu ? groups / (4 * (int64_t)cl->device.info.units) : 1;
	return fair < 1 ? 1 : fair > PLUMB_CL_MOST_GROUPS ? PLUMB_CL_MOST_GROUPS : fair;
}

/* Rows of x that share what unpacking costs: as many as work-items hold, evenly, and whole numbers of those that go at once. */
int64_t plumb_cl_block_rows(const struct plumb_cl_state *cl, int64_t m)
{
	int64_t blocks = (m + PLUMB_CL_BLOCK_ROWS - 1) / PLUMB_CL_BLOCK_ROWS, at_once = cl->wide ? PLUMB_CL_AT_ONCE_WIDE : PLUMB_CL_AT_ONCE;
	return ((m + blocks - 1) / blocks + at_once - 1) / at_once * at_once;
}

void plumb_cl_product_options(const struct plumb_cl_state *cl, enum plumb_type type, enum plumb_cl_way way, char options[PLUMB_CL_OPTIONS])
{
	bool block = way == PLUMB_CL_BLOCK; /* on a GPU its items keep as many rows as MT4's */
	int n = snprintf(options, PLUMB_CL_OPTIONS, "%s -DMT=%d", plumb_cl_weight_options(type), tiles[block && !cl->cpu ? PLUMB_CL_MT4 : way]);
	if (block && cl->cpu && cl->wide)
		snprintf(options + n, PLUMB_CL_OPTIONS - (size_t)n, " -DAT_ONCE=%d", PLUMB_CL_AT_ONCE_WIDE);
}

static enum plumb_status run_piece(struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_part *part, enum plumb_cl_way way)
{
	const struct plumb_tensor *y = call->out, *x = call->in[0], *b = call->in[2];
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	bool block = cl->cpu && way == PLUMB_CL_BLOCK, tile = !cl->cpu && way == PLUMB_CL_BLOCK, one = cl->cpu && way == PLUMB_CL_MT1;
	int64_t m = x->dim[0], rows = block ? plumb_cl_block_rows(cl, m) : tile ? PLUMB_CL_TILE_ROWS : tiles[way], groups = (part->end - part->first + 7) / 8;
	int64_t wide = block ? PLUMB_CL_BLOCK_GROUPS : tile ? PLUMB_CL_TILE_GROUPS : one ? plumb_cl_groups_each(cl, groups) : 1;
	char options[PLUMB_CL_OPTIONS];
	plumb_cl_product_options(cl, part->weight->type, way, options);
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	plumb_cl_tensor(&a, y);
	plumb_cl_tensor(&a, x);
	plumb_cl_mem(&a, part->mem);
	plumb_cl_tensor(&a, b);
	plumb_cl_int(&a, b && b->rank == 2 ? y->dim[1] : 0);
	plumb_cl_int(&a, m);
	plumb_cl_int(&a, y->dim[1]);
	plumb_cl_int(&a, part->weight->k);
	plumb_cl_int(&a, part->column);
	plumb_cl_int(&a, part->first % part->weight->piece_rows / 8);
	plumb_cl_int(&a, groups);
	if (one || block)
		plumb_cl_int(&a, one ? wide : rows);
	return plumb_cl_launch_rows(&a, "matmul", block ? "matmul_block" : tile ? "matmul_tile" : one ? "matmul_one" : "matmul", options, (groups + wide - 1) / wide, (m + rows - 1) / rows);
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

enum plumb_status plumb_cl_product(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way way)
{
	enum plumb_status s = run(driver, call, way);
	/* What a tuning file chose must not be what stops a model. But a residual that is y may have grown by some columns. */
	if ((s == PLUMB_E_DEVICE || s == PLUMB_E_MEMORY) && way == PLUMB_CL_CLBLAST && plumb_cl_state(driver)->only < 0 && !plumb_cl_state(driver)->set.matmul &&
		plumb_call_repeatable(driver, call))
		s = run(driver, call, plumb_cl_way_fixed(plumb_cl_state(driver), call->in[0]->dim[0]));
	return s;
}

enum plumb_status plumb_cl_matmul(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_cl_way way;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice(driver, call, &way));
	return plumb_cl_product(driver, call, way);
}
