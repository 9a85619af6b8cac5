/* SPDX-License-Identifier: Apache-2.0 */
/* Before a kernel's first real use on a device, a slice of that use is compared with the truth. A wrong
 * kernel is disabled: its operator goes to the next driver. The verdict is kept with the binaries, under
 * device, driver version and source, so it is reached once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/canary.h"
#include "cl/driver/kernel.h"
#include "cl/tune/tune.h"

enum { UNKNOWN, GOOD, BAD, UNJUDGED /* there was no memory for it, now */ };

/* What a kernel is chosen by: the operator, the types of its weights, or of a cache, or of the output, the
 * variant, and the activation at the end of gate_up. */
struct plumb_cl_verdict {
	int op, variant;
	enum plumb_type type[3];
	bool gelu;
	int verdict;
};

static struct plumb_cl_verdict canary_kind(const struct plumb_call *call, int variant)
{
	const struct plumb_op_desc *desc = plumb_op_table[call->op];
	struct plumb_cl_verdict v = { .op = (int)call->op,
		.variant = variant,
		.type = { call->out->type, PLUMB_TYPE_COUNT, PLUMB_TYPE_COUNT },
		.gelu = call->op == PLUMB_OP_gate_up && call->s.activation == PLUMB_GELU_TANH };
	if (desc->caches)
		v.type[0] = call->in[__builtin_ctz(desc->caches)]->type;
	for (int i = 0, count = 0; i < PLUMB_MAX_INPUTS && count < 3; i++)
		if (desc->weights >> i & 1)
			v.type[count++] = call->in[i]->type;
	return v;
}

/* Its row in the list, which is short; NULL: no memory. */
static struct plumb_cl_verdict *canary_row(struct plumb_cl_state *cl, const struct plumb_cl_verdict *v)
{
	for (int i = 0; i < cl->verdict_count; i++) {
		struct plumb_cl_verdict *row = &cl->verdicts[i];
		if (row->op == v->op && row->variant == v->variant && row->gelu == v->gelu &&
			!memcmp(row->type, v->type, sizeof v->type))
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
static const char *canary_types(const struct plumb_cl_verdict *v, char text[48])
{
	int at = 0;
	for (int i = 0; i < 3 && v->type[i] < PLUMB_TYPE_COUNT; i++)
		at += snprintf(text + at, 48 - (size_t)at, "%s%s", i ? " " : "", plumb_type_name(v->type[i]));
	return text;
}

/* All kernel text that the operator may run: its own file, and for a fused one those of the basic ones that
 * it may run. */
static char *canary_sources(const struct plumb_cl_state *cl, enum plumb_op op)
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

static bool canary_by_clblast(const struct plumb_cl_verdict *v)
{
	return plumb_op_table[v->op]->weights && v->variant == PLUMB_CL_CLBLAST;
}

static char *canary_key(const struct plumb_cl_state *cl, const struct plumb_cl_verdict *v)
{
	char what[512], types[48], *text = canary_sources(cl, (enum plumb_op)v->op), *key = NULL;
	snprintf(what, sizeof what, "canary %s %s variant %d %s%s%s %s", plumb_op_name(v->op),
		canary_types(v, types), v->variant, cl->cpu ? "cpu" : "gpu", cl->subgroups ? " sub-groups" : "",
		v->gelu ? " gelu" : "", canary_by_clblast(v) ? plumb_clblast_version() : "");
	if (text)
		key = plumb_cl_cache_key(&cl->device, plumb_op_name(v->op), what, text);
	free(text);
	return key;
}

static int canary_remembered(const struct plumb_cl_state *cl, const char *key)
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

static enum plumb_status canary_judge(struct plumb_driver *driver, const struct plumb_call *call,
	const char *types, const char *key, int *verdict)
{
	double error, allowed;
	enum plumb_status s = plumb_op_canary(driver, call, &error, &allowed);
	if (s == PLUMB_E_DEVICE) { /* it does not build or run; not kept, since a driver update may fix it */
		plumb_notice(driver->ctx, "cl: %s (%s) fails on %s and is disabled: %s", plumb_op_name(call->op),
			types, plumb_cl_state(driver)->device.info.name, plumb_last_error());
		*verdict = BAD;
		return PLUMB_OK;
	}
	if (s == PLUMB_E_MEMORY || s == PLUMB_E_LIMIT) { /* the call itself may fit */
		plumb_notice(driver->ctx, "cl: %s (%s) is not compared with the truth: %s", plumb_op_name(call->op),
			types, plumb_last_error());
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
		plumb_notice(driver->ctx,
			"cl: %s (%s) is wrong on %s (relative error %.2g, allowed %.2g) and is disabled",
			plumb_op_name(call->op), types, plumb_cl_state(driver)->device.info.name, error, allowed);
	return PLUMB_OK;
}

/* Of operators that have several kernels; 0 of others. */
static enum plumb_status canary_variant(
	struct plumb_driver *driver, const struct plumb_call *call, int *variant)
{
	const struct plumb_op_desc *desc = plumb_op_table[call->op];
	struct plumb_cl_choice choice = { .variant = 0 };
	if (call->op == PLUMB_OP_matmul || (desc->fused && desc->weights))
		PLUMB_TRY(plumb_cl_choice_product(driver, call, &choice));
	*variant = call->op == PLUMB_OP_attention ? (int)plumb_cl_choice_attention(plumb_cl_state(driver), call)
											  : (int)choice.variant;
	return PLUMB_OK;
}

/* What is known of a kernel, or, when nothing is, what its numbers say. */
static enum plumb_status canary_find(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_verdict *row)
{
	char types[48], *key = canary_key(plumb_cl_state(driver), row);
	struct plumb_call same = *call;
	enum plumb_status s = PLUMB_OK;
	int found = canary_remembered(plumb_cl_state(driver), key);
	same.variant = 1 + row->variant; /* the slice has few rows, and would take another one */
	if (found == UNKNOWN)
		s = canary_judge(driver, &same, canary_types(row, types), key, &found);
	free(key);
	if (!s)
		row->verdict = found;
	return s;
}

enum plumb_status plumb_cl_canary(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	int variant;
	char types[48];
	if (!cl->canary || call->out->type == PLUMB_F64)
		return PLUMB_OK;
	PLUMB_TRY(canary_variant(driver, call, &variant));
	const struct plumb_cl_verdict kind = canary_kind(call, variant);
	struct plumb_cl_verdict *row = canary_row(cl, &kind);
	if (!row)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a verdict");
	if (row->verdict == UNKNOWN)
		PLUMB_TRY(canary_find(driver, call, row));
	if (row->verdict == GOOD || row->verdict == UNJUDGED)
		return PLUMB_OK;
	if (canary_by_clblast(row) && !cl->set.matmul) { /* there are other variants than what tuning chose */
		plumb_notice(driver->ctx, "cl: products on %s do without CLBlast", cl->device.info.name);
		cl->no_clblast = true;
		return plumb_cl_canary(driver, call);
	}
	if (cl->subgroups) { /* perhaps those alone are at fault */
		plumb_notice(driver->ctx, "cl: kernels on %s do without sub-groups", cl->device.info.name);
		cl->subgroups = 0;
		cl->verdict_count = 0;
		plumb_cl_programs_forget(cl);
		return plumb_cl_canary(driver, call);
	}
	return plumb_fail(PLUMB_E_UNSUPPORTED, "its kernel for %s does not work on %s", canary_types(row, types),
		cl->device.info.name);
}
