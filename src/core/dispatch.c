/* SPDX-License-Identifier: Apache-2.0 */
/* The one path of every operator: check, choose a driver, make the tensors resident, call.
 * Knows no operator by name. */
#include <stdio.h>
#include <string.h>
#include "core/core.h"

static enum plumb_status check(const struct plumb_op_desc *desc, const struct plumb_call *call)
{
	if (!call->out || !call->out->buffer)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: the output has no memory", desc->name);
	if (call->out->buffer->borrowed)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: the output wraps read-only memory", desc->name);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (call->in[i] && !call->in[i]->buffer)
			return plumb_fail(PLUMB_E_ARGUMENT, "%s: input %d has no memory", desc->name, i);
	enum plumb_status s = desc->check(call);
	return s ? plumb_fail_in(s, "%s", desc->name) : PLUMB_OK;
}

static enum plumb_status run_on(struct plumb_driver *driver, const struct plumb_op_desc *desc, const struct plumb_call *call)
{
	plumb_op_fn fn = driver->cls->op[call->op];
	if (!fn)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "no kernel");
	enum plumb_status s;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (call->in[i] && (s = plumb_buffer_resident(call->in[i]->buffer, driver, true)))
			return s;
	bool whole = plumb_tensor_bytes(call->out) == call->out->buffer->bytes;
	if ((s = plumb_buffer_resident(call->out->buffer, driver, desc->inout || !whole)))
		return s;
	if ((s = fn(driver, call)))
		return s;
	plumb_buffer_written(call->out->buffer, driver);
	atomic_fetch_add_explicit(&driver->ctx->placed[call->op][driver->index], 1, memory_order_relaxed);
	return PLUMB_OK;
}

enum plumb_status plumb_dispatch(struct plumb_context *ctx, const struct plumb_call *call)
{
	const struct plumb_op_desc *desc = plumb_op_table[call->op];
	char why[512] = "";
	enum plumb_status s = check(desc, call);
	if (s)
		return s;
	for (int i = 0; i < ctx->drivers; i++) {
		struct plumb_driver *driver = &ctx->driver[i];
		s = run_on(driver, desc, call);
		if (s != PLUMB_E_UNSUPPORTED)
			return s ? plumb_fail_in(s, "%s on %s", desc->name, driver->cls->name) : PLUMB_OK;
		/* A fused operator that the preferred driver lacks is better composed there than
		 * run whole on a driver further down the list. */
		if (desc->compose)
			return desc->compose(ctx, call);
		size_t n = strlen(why);
		snprintf(why + n, sizeof why - n, "%s%s: %s", n ? "; " : "", driver->cls->name, plumb_last_error());
	}
	return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: no driver takes it (%s)", desc->name, why);
}
