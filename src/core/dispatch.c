/* SPDX-License-Identifier: Apache-2.0 */
/* The one path of every operator: check, choose a driver, make the tensors resident, call.
 * Knows no operator by name. */
#include <stdio.h>
#include <string.h>
#include "core/core.h"

static enum plumb_status dispatch_check(const struct plumb_op_desc *desc, const struct plumb_call *call)
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

enum plumb_status plumb_dispatch_on(struct plumb_driver *driver, const struct plumb_call *call, bool trust)
{
	const struct plumb_op_desc *desc = driver->ctx->operators[call->op];
	plumb_op_fn fn = driver->cls->op[call->op];
	driver->touched = false;
	if (!fn)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "no kernel");
	if (plumb_driver_lost(driver))
		return plumb_fail_lost(driver);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		/* A weight may live in the driver's own layout alone (prepare), made when it is first needed. */
		if (call->in[i] && !(driver->cls->prepare && desc->weights >> i & 1))
			PLUMB_TRY(plumb_buffer_resident(call->in[i]->buffer, driver, true));
	bool whole = plumb_tensor_bytes(call->out) == call->out->buffer->bytes;
	PLUMB_TRY(plumb_buffer_resident(call->out->buffer, driver, desc->inout || !whole));
	enum plumb_status s = trust && driver->cls->trust ? driver->cls->trust(driver, call) : PLUMB_OK;
	driver->touched = false; /* the canary runs calls of its own */
	PLUMB_TRY(s);
	PLUMB_TRY(fn(driver, call));
	plumb_buffer_written(call->out->buffer, driver);
	return PLUMB_OK;
}

bool plumb_call_repeatable(const struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *y = call->out;
	for (int i = 0; driver->touched && i < PLUMB_MAX_INPUTS; i++) {
		const struct plumb_tensor *t = call->in[i];
		if (t && t->buffer == y->buffer && t->offset < y->offset + plumb_tensor_bytes(y) &&
			y->offset < t->offset + plumb_tensor_bytes(t))
			return false;
	}
	return true;
}

static enum plumb_status dispatch_half_done(
	const struct plumb_driver *driver, const struct plumb_op_desc *desc)
{
	char why[512];
	snprintf(why, sizeof why, "%s", plumb_last_error());
	return plumb_fail(PLUMB_E_DEVICE,
		"%s on %s failed when its output, which is an input too, may have been written, so it can't be made again: %s",
		desc->name, driver->cls->name, why);
}

/* The driver refused, or the user wants it to be passed by: remember why, and say so the first time it is for
 * this reason. */
static enum plumb_status dispatch_pass_on(struct plumb_context *ctx, const struct plumb_op_desc *desc,
	const struct plumb_call *call, int from, bool wanted)
{
	char why[sizeof ctx->reason[0]];
	snprintf(
		why, sizeof why, "%s: %s", ctx->driver[from].cls->name, wanted ? "PLUMB_AVOID" : plumb_last_error());
	if (ctx->strict && !wanted)
		return plumb_fail(PLUMB_E_DRIVER, "PLUMB_STRICT: %s does not run on %s", desc->name, why);
	if (from + 1 < ctx->drivers && strcmp(why, ctx->reason[call->op]))
		plumb_notice(ctx, "%s runs on %s (%s)", desc->name, ctx->driver[from + 1].cls->name, why);
	memcpy(ctx->reason[call->op], why, sizeof why);
	return PLUMB_OK;
}

static enum plumb_status dispatch_made(
	struct plumb_context *ctx, const struct plumb_call *call, const struct plumb_driver *driver)
{
	atomic_fetch_add_explicit(&ctx->placed[call->op][driver->index], 1, memory_order_relaxed);
	return ctx->after ? ctx->after(ctx, call) : PLUMB_OK;
}

enum plumb_status plumb_dispatch(struct plumb_context *ctx, const struct plumb_call *call)
{
	const struct plumb_op_desc *desc = ctx->operators[call->op];
	enum plumb_status s = dispatch_check(desc, call);
	if (s)
		return s;
	if (ctx->after && desc->compose) /* after each step */
		return desc->compose(ctx, call);
	for (int i = 0; i < ctx->drivers; i++) {
		struct plumb_driver *driver = &ctx->driver[i];
		if (ctx->avoid[i] >> call->op & 1) {
			if ((s = dispatch_pass_on(ctx, desc, call, i, true)))
				return s;
			continue;
		}
		s = plumb_dispatch_on(driver, call, true);
		/* No memory on one driver is no reason to stop while another is there. */
		bool next = s == PLUMB_E_UNSUPPORTED || (s == PLUMB_E_MEMORY && i + 1 < ctx->drivers);
		if (!s)
			return dispatch_made(ctx, call, driver);
		if (!next)
			return plumb_fail_in(s, "%s on %s", desc->name, driver->cls->name);
		if (!plumb_call_repeatable(driver, call))
			return dispatch_half_done(driver, desc);
		/* A fused operator that the preferred driver lacks is better composed there than
		 * run whole on a driver further down the list. */
		if (desc->compose)
			return desc->compose(ctx, call);
		if ((s = dispatch_pass_on(ctx, desc, call, i, false)))
			return s;
	}
	if (desc->compose) /* avoided everywhere: from the basic ones */
		return desc->compose(ctx, call);
	return plumb_fail(
		PLUMB_E_DRIVER, "%s: no driver of the list takes it (%s)", desc->name, ctx->reason[call->op]);
}
