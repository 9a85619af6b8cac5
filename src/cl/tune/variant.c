/* SPDX-License-Identifier: Apache-2.0 */
/* The variants that there are: their names, which device has which, what they are built with and how they
 * share out the work. */
#include <stdio.h>
#include <strings.h>
#include "cl/driver/weight.h"
#include "cl/tune/tune.h"
#include "op/op.h"

enum {
	TILE_FROM = 9,        /* rows of x from which on more than a quarter of a tile is not empty */
	FEWEST_KEYS = 128,    /* of a split: twice a work-group's stride */
	FILLING_GROUPS = 512, /* work-groups that keep 64 to 128 compute units busy */
};

static const struct {
	const char *name;
	int tile;
} variants[PLUMB_CL_VARIANTS] = {
	[PLUMB_CL_MT1] = { "mt1", 1 },
	[PLUMB_CL_MT4] = { "mt4", 4 },
	[PLUMB_CL_MT8] = { "mt8", 8 },
	[PLUMB_CL_BLOCK] = { "block", 8 },
	[PLUMB_CL_CLBLAST] = { "clblast", 0 },
};
_Static_assert(PLUMB_CL_VARIANTS == PLUMB_TUNE_VARIANTS, "plumb/tune.h has room for them");

const char *plumb_tune_variant(int variant)
{
	return variant >= 0 && variant < PLUMB_CL_VARIANTS ? variants[variant].name : NULL;
}

int plumb_cl_variant_named(const char *name)
{
	for (int i = 0; name && i < PLUMB_CL_VARIANTS; i++)
		if (!strcasecmp(variants[i].name, name))
			return i;
	return -1;
}

int plumb_cl_variant_tile(enum plumb_cl_variant variant) { return variants[variant].tile; }

bool plumb_cl_variant_can(const struct plumb_cl_state *cl, enum plumb_cl_variant variant)
{
	/* Eight sums a work-item beside what unpacks leave a GPU too few registers. */
	return variant == PLUMB_CL_CLBLAST ? !cl->no_clblast && !plumb_clblast_missing()
									   : cl->cpu || variant != PLUMB_CL_MT8;
}

enum plumb_cl_variant plumb_cl_variant_fixed(const struct plumb_cl_state *cl, int64_t m)
{
	if (!cl->cpu)
		return m == 1 ? PLUMB_CL_MT1 : m < TILE_FROM ? PLUMB_CL_MT4 : PLUMB_CL_BLOCK;
	return m == 1 ? PLUMB_CL_MT1 : m <= 4 ? PLUMB_CL_MT4 : m <= 8 ? PLUMB_CL_MT8 : PLUMB_CL_BLOCK;
}

void plumb_cl_variant_options(const struct plumb_cl_state *cl, enum plumb_type type,
	enum plumb_cl_variant variant, char options[PLUMB_CL_OPTIONS])
{
	bool block = variant == PLUMB_CL_BLOCK; /* on a GPU its items keep as many rows as MT4's */
	int n = snprintf(options, PLUMB_CL_OPTIONS, "%s -DMT=%d", plumb_cl_pack_options(type),
		plumb_cl_variant_tile(block && !cl->cpu ? PLUMB_CL_MT4 : variant));
	if (block && cl->cpu && cl->wide)
		snprintf(options + n, PLUMB_CL_OPTIONS - (size_t)n, " -DAT_ONCE=%d", PLUMB_CL_AT_ONCE_WIDE);
}

/* Larger values amortise the sums of x that a work-item makes, smaller ones keep all compute units busy. */
int64_t plumb_cl_variant_groups(const struct plumb_cl_state *cl, int64_t groups)
{
	int64_t fair = cl->cpu ? groups / (4 * (int64_t)cl->device.info.units) : 1;
	return fair < 1 ? 1 : fair > PLUMB_CL_MOST_GROUPS ? PLUMB_CL_MOST_GROUPS : fair;
}

/* The rows of a block share the cost of unpacking: as many as work-items hold, evenly, in whole numbers of
 * those that a column of weights meets at once. */
int64_t plumb_cl_variant_rows(const struct plumb_cl_state *cl, int64_t m)
{
	int64_t blocks = (m + PLUMB_CL_BLOCK_ROWS - 1) / PLUMB_CL_BLOCK_ROWS,
			at_once = cl->wide ? PLUMB_CL_AT_ONCE_WIDE : PLUMB_CL_AT_ONCE;
	return ((m + blocks - 1) / blocks + at_once - 1) / at_once * at_once;
}

/* What fills a large GPU when there are few queries, and costs a small one little. */
int64_t plumb_cl_variant_splits(const struct plumb_call *call)
{
	int64_t n = call->in[0]->dim[0], groups = n * call->s.attn.heads;
	int64_t most = plumb_attn_keys(&call->s.attn, n) / FEWEST_KEYS,
			wanted = (FILLING_GROUPS + groups - 1) / groups;
	return most < 1 ? 1 : most < wanted ? most : wanted;
}
