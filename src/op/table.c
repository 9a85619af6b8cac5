/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors in one table, and the hidden driver `ref` whose operators are the float64
 * truth. Both made from ops.def. */
#include <stdio.h>
#include "core/classes.h"
#include "op/op.h"

#define PLUMB_OP(name, inputs, formula) extern const struct plumb_op_desc plumb_op_##name;
#include <plumb/ops.def>

const struct plumb_op_desc *const plumb_op_table[PLUMB_OP_COUNT] = {
#define PLUMB_OP(name, inputs, formula) [PLUMB_OP_##name] = &plumb_op_##name,
#include <plumb/ops.def>
};

static const char *const names[PLUMB_OP_COUNT] = {
#define PLUMB_OP(name, inputs, formula) [PLUMB_OP_##name] = #name,
#include <plumb/ops.def>
};

static const char *const formulas[PLUMB_OP_COUNT] = {
#define PLUMB_OP(name, inputs, formula) [PLUMB_OP_##name] = formula,
#include <plumb/ops.def>
};

const char *plumb_op_name(int op) { return op >= 0 && op < PLUMB_OP_COUNT ? names[op] : NULL; }
const char *plumb_op_formula(int op) { return op >= 0 && op < PLUMB_OP_COUNT ? formulas[op] : NULL; }

enum plumb_status plumb_prepare(struct plumb_context *ctx, struct plumb_tensor *w)
{
	for (int i = 0; i < ctx->drivers; i++) {
		struct plumb_driver *d = &ctx->driver[i];
		if (!d->cls->prepare || w->buffer->copy[i].prepared)
			continue;
		enum plumb_status s = d->cls->prepare(d, w);
		/* What one driver cannot hold, the next of the list may: its operators will be passed on. */
		if (s && ((s != PLUMB_E_UNSUPPORTED && s != PLUMB_E_MEMORY) || i + 1 == ctx->drivers || ctx->strict))
			return plumb_fail_in(s == PLUMB_E_UNSUPPORTED ? PLUMB_E_DRIVER : s, "driver %s", d->cls->name);
	}
	return PLUMB_OK;
}

static enum plumb_status table_ref_open(struct plumb_driver *driver)
{
	snprintf(driver->note, sizeof driver->note, "double precision, %d threads",
		plumb_pool_threads(driver->ctx->pool));
	return PLUMB_OK;
}

/* One thin function per operator, since a descriptor's member is no constant expression. */
#define PLUMB_FUSED(name, inputs, formula)
#define PLUMB_OP(name, inputs, formula) \
	static enum plumb_status ref_##name(struct plumb_driver *d, const struct plumb_call *c) \
	{ \
		return plumb_op_##name.ref(d, c); \
	}
#include <plumb/ops.def>

const struct plumb_driver_class plumb_ref_class = {
	.name = "ref",
	.open = table_ref_open,
	.op = {
#define PLUMB_FUSED(name, inputs, formula)
#define PLUMB_OP(name, inputs, formula) [PLUMB_OP_##name] = ref_##name,
#include <plumb/ops.def>
	},
};
