/* SPDX-License-Identifier: Apache-2.0 */
/* Before a kernel's first real use on a device, a slice of that use is compared with the truth. A wrong kernel is put
 * aside: its operator goes to the next driver. The verdict is kept with the binaries, under device, driver version and
 * source, so it is reached once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/cl.h"

enum { UNKNOWN, GOOD, BAD, UNJUDGED /* there was no memory for it, now */ };

/* What a kernel is chosen by: the operator, the types of its weights, or of a cache, or of the output, and the way that it goes. */
struct plumb_cl_verdict { int op, way; enum plumb_type type[3]; int verdict; };

static struct plumb_cl_verdict kind_of(const struct plumb_call *call, int way)
{
	const struct plumb_op_desc *desc = plumb_op_table[call->op];
	struct plumb_cl_verdict v = { .op = (int)call->op, .way = way, .type = { call->out->type, PLUMB_TYPE_COUNT, PLUMB_TYPE_COUNT } };
	bool cache = call->op == PLUMB_OP_attn_scores || call->op == PLUMB_OP_attn_mix || call->op == PLUMB_OP_attention;
	if (cache)
		v.type[0] = call->in[1]->type;
	for (int i = 0, count = 0; i < PLUMB_MAX_INPUTS && count < 3; i++)
		if (desc->weights >> i & 1)
			v.type[count++] = call->in[i]->type;
	return v;
}

/* Its row in the list, which is short; NULL: no memory. */
static struct plumb_cl_verdict *row_of(struct plumb_cl_state *cl, const struct plumb_cl_verdict *v)
{
	for (int i = 0; i < cl->verdict_count; i++) {
		struct plumb_cl_verdict *row = &cl->verdicts[i];
		if (row->op == v->op && row->way == v->way && !memcmp(row->type, v->type, sizeof v->type))
			return row;
	}
	struct plumb_cl_verdict *more = realloc(cl->verdicts, (size_t)(cl->verdict_count + 1) * sizeof *more);
	if (!more)
		return NULL;
	cl->verdicts = more;
	more[cl->verdict_count] = *v;
	return &more[cl->verdict_count++];
}

/* "q5_0", or "q5_0 q5_0 q8_0" of a fused operator's weights. */
static const char *types_text(const struct plumb_cl_verdict *v, char text[48])
{
	int at = 0;
	for (int i = 0; i < 3 && v->type[i] < PLUMB_TYPE_COUNT; i++)
		at += snprintf(text + at, 48 - (size_t)at, "%s%s", i ? " " : "", plumb_type_name(v->type[i]));
	return text;
}

/* All kernel text that the operator may run: its own file, and for a fused one those of its parts, which may be steps of it. */
static char *sources(const struct plumb_cl_state *cl, enum plumb_op op)
{
	char *all = NULL, *text, *more;
	for (int i = 0; i < PLUMB_OP_COUNT; i++) {
		bool own = i == (int)op && op != PLUMB_OP_matmul_add; /* which has matmul's */
		if (!own && !(plumb_op_table[op]->parts >> i & 1))
			continue;
		if (plumb_cl_source(cl, plumb_op_name(i), &text)) {
			free(all);
			return NULL;
		}
		size_t had = all ? strlen(all) : 0, size = strlen(text) + 1;
		if ((more = realloc(all, had + size)))
			memcpy(more + had, text, size);
		else
			free(all);
		free(text);
		if (!(all = more))
			return NULL;
	}
	return all;
}

static bool by_clblast(const struct plumb_cl_verdict *v) { return plumb_op_table[v->op]->weights && v->way == PLUMB_CL_CLBLAST; }

static char *verdict_key(const struct plumb_cl_state *cl, const struct plumb_cl_verdict *v)
{
	char what[512], types[48], *text = sources(cl, (enum plumb_op)v->op), *key = NULL;
	snprintf(what, sizeof what, "canary %s %s way %d %s%s %s", plumb_op_name(v->op), types_text(v, types), v->way, cl->cpu ? "cpu" : "gpu",
		cl->subgroups ? " sub-groups" : "", by_clblast(v) ? plumb_cl_clblast_version() : "");
	if (text)
		key = plumb_cl_cache_key(&cl->device, plumb_op_name(v->op), what, text);
	free(text);
	return key;
}

static int remembered(const struct plumb_cl_state *cl, const char *key)
{
	unsigned char *byte;
	size_t size;
	int verdict = UNKNOWN;
	if (key && plumb_cl_cache_load(cl, key, &byte, &size)) {
		verdict = size == 1 && (*byte == GOOD || *byte == BAD) ? *byte : UNKNOWN;
		free(byte);
	}
	return verdict;
}

static enum plumb_status judge(struct plumb_driver *driver, const struct plumb_call *call, const char *types, const char *key, int *verdict)
{
	double error, allowed;
	enum plumb_status s = plumb_op_canary(driver, call, &error, &allowed);
	if (s == PLUMB_E_DEVICE) { /* does not build or run; that may be mended by tomorrow, so it is not remembered */
		plumb_notice(driver->ctx, "cl: %s (%s) fails on %s and is put aside: %s", plumb_op_name(call->op), types,
			plumb_cl_state(driver)->device.info.name, plumb_last_error());
		*verdict = BAD;
		return PLUMB_OK;
	}
	if (s == PLUMB_E_MEMORY || s == PLUMB_E_LIMIT) { /* the call itself may fit */
		plumb_notice(driver->ctx, "cl: %s (%s) is not compared with the truth: %s", plumb_op_name(call->op), types, plumb_last_error());
		*verdict = UNJUDGED;
		return PLUMB_OK;
	}
	if (s)
		return s;
	*verdict = error <= allowed ? GOOD : BAD;
	unsigned char byte = (unsigned char)*verdict;
	if (key)
		plumb_cl_cache_store(plumb_cl_state(driver), key, &byte, 1);
	if (*verdict == BAD)
		plumb_notice(driver->ctx, "cl: %s (%s) is wrong on %s (relative error %.2g, allowed %.2g) and is put aside", plumb_op_name(call->op),
			types, plumb_cl_state(driver)->device.info.name, error, allowed);
	return PLUMB_OK;
}

/* The way of operators that have several. */
static enum plumb_status way_of(struct plumb_driver *driver, const struct plumb_call *call, int *way)
{
	enum plumb_cl_way choice = 0;
	if (call->op == PLUMB_OP_matmul || (plumb_op_table[call->op]->fused && plumb_op_table[call->op]->weights))
		PLUMB_TRY(plumb_cl_choice(driver, call, &choice));
	*way = call->op == PLUMB_OP_attention ? (int)plumb_cl_attention_way(plumb_cl_state(driver), call) : (int)choice;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_trust(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	int way;
	char types[48];
	if (!cl->canary || call->out->type == PLUMB_F64)
		return PLUMB_OK;
	PLUMB_TRY(way_of(driver, call, &way));
	const struct plumb_cl_verdict kind = kind_of(call, way);
	struct plumb_cl_verdict *row = row_of(cl, &kind);
	if (!row)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a verdict");
	if (row->verdict == GOOD || row->verdict == UNJUDGED)
		return PLUMB_OK;
	types_text(row, types);
	if (row->verdict == UNKNOWN) {
		char *key = verdict_key(cl, row);
		int found = remembered(cl, key);
		cl->only = way; /* the slice has few rows, and would go another */
		enum plumb_status s = found == UNKNOWN ? judge(driver, call, types, key, &found) : PLUMB_OK;
		cl->only = -1;
		free(key);
		if (s)
			return s;
		row->verdict = found;
	}
	if (row->verdict == BAD && by_clblast(row) && !cl->set.matmul) { /* there are other ways than what tuning chose */
		plumb_notice(driver->ctx, "cl: products on %s do without CLBlast", cl->device.info.name);
		cl->no_clblast = true;
		return plumb_cl_trust(driver, call);
	}
	if (row->verdict == BAD && cl->subgroups) { /* perhaps those alone are at fault */
		plumb_notice(driver->ctx, "cl: kernels on %s do without sub-groups", cl->device.info.name);
		cl->subgroups = 0;
		cl->verdict_count = 0;
		plumb_cl_programs_forget(cl);
		return plumb_cl_trust(driver, call);
	}
	return row->verdict != BAD ? PLUMB_OK : plumb_fail(PLUMB_E_UNSUPPORTED, "its kernel for %s does not work on %s", types, cl->device.info.name);
}
