/* SPDX-License-Identifier: Apache-2.0 */
/* Before a kernel's first real use on a device, a slice of that use is compared with the truth. A wrong kernel is put
 * aside: its operator goes to the next driver. The verdict is kept with the binaries, under device, driver version and
 * source, so it is reached once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/cl.h"

enum { UNKNOWN, GOOD, BAD };

/* The weight type, or for caches theirs; what a kernel is chosen by besides the operator. */
static enum plumb_type kind_of(const struct plumb_call *call)
{
	const struct plumb_op_desc *desc = plumb_op_table[call->op];
	if (desc->weights)
		return call->in[plumb_desc_weight(desc)]->type;
	bool cache = call->op == PLUMB_OP_attn_scores || call->op == PLUMB_OP_attn_mix || call->op == PLUMB_OP_attention;
	return cache ? call->in[1]->type : call->out->type;
}

static char *verdict_key(const struct plumb_cl_state *cl, const struct plumb_call *call, enum plumb_type kind, int way)
{
	char what[96], *text, *key = NULL;
	snprintf(what, sizeof what, "canary %s %s way %d %s%s", plumb_op_name(call->op), plumb_type_name(kind), way, cl->cpu ? "cpu" : "gpu",
		cl->subgroups ? " sub-groups" : "");
	if (!plumb_cl_source(plumb_op_name(call->op), &text)) {
		key = plumb_cl_cache_key(&cl->device, plumb_op_name(call->op), what, text);
		free(text);
	}
	return key;
}

static int remembered(const char *key)
{
	unsigned char *byte;
	size_t size;
	int verdict = UNKNOWN;
	if (key && plumb_cl_cache_load(key, &byte, &size)) {
		verdict = size == 1 && (*byte == GOOD || *byte == BAD) ? *byte : UNKNOWN;
		free(byte);
	}
	return verdict;
}

static enum plumb_status judge(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_type kind, const char *key, int *verdict)
{
	double error, allowed;
	enum plumb_status s = plumb_op_canary(driver, call, &error, &allowed);
	if (s == PLUMB_E_DEVICE) { /* does not build or run; that may be mended by tomorrow, so it is not remembered */
		plumb_notice(driver->ctx, "cl: %s (%s) fails on %s and is put aside: %s", plumb_op_name(call->op), plumb_type_name(kind),
			plumb_cl_state(driver)->device.info.name, plumb_last_error());
		*verdict = BAD;
		return PLUMB_OK;
	}
	if (s)
		return s;
	*verdict = error <= allowed ? GOOD : BAD;
	unsigned char byte = (unsigned char)*verdict;
	if (key)
		plumb_cl_cache_store(key, &byte, 1);
	if (*verdict == BAD)
		plumb_notice(driver->ctx, "cl: %s (%s) is wrong on %s (relative error %.2g, allowed %.2g) and is put aside", plumb_op_name(call->op),
			plumb_type_name(kind), plumb_cl_state(driver)->device.info.name, error, allowed);
	return PLUMB_OK;
}

enum plumb_status plumb_cl_trust(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	enum plumb_type kind = kind_of(call);
	enum plumb_cl_way choice = 0;
	if (call->op == PLUMB_OP_matmul)
		PLUMB_TRY(plumb_cl_choice(driver, call, &choice));
	/* Other operators have one way. */
	int way = call->op == PLUMB_OP_attention ? (int)plumb_cl_attention_way(cl, call) : (int)choice;
	unsigned char *verdict = &cl->verdict[call->op][kind][way];
	if (!cl->canary || *verdict == GOOD || call->out->type == PLUMB_F64)
		return PLUMB_OK;
	if (*verdict == UNKNOWN) {
		char *key = verdict_key(cl, call, kind, way);
		int found = remembered(key);
		cl->only = way; /* the slice has few rows, and would go another */
		enum plumb_status s = found == UNKNOWN ? judge(driver, call, kind, key, &found) : PLUMB_OK;
		cl->only = -1;
		free(key);
		if (s)
			return s;
		*verdict = (unsigned char)found;
	}
	if (*verdict == BAD && cl->subgroups) { /* perhaps those alone are at fault */
		plumb_notice(driver->ctx, "cl: kernels on %s do without sub-groups", cl->device.info.name);
		cl->subgroups = 0;
		memset(cl->verdict, UNKNOWN, sizeof cl->verdict);
		plumb_cl_programs_forget(cl);
		return plumb_cl_trust(driver, call);
	}
	return *verdict == GOOD ? PLUMB_OK : plumb_fail(PLUMB_E_UNSUPPORTED, "its kernel for %s does not work on %s", plumb_type_name(kind), cl->device.info.name);
}
