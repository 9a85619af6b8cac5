/* SPDX-License-Identifier: Apache-2.0 */
/* An open context: closing it, and what it answers about its drivers. Opening is above the drivers, in
 * src/drivers/open.c. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"

void plumb_close(struct plumb_context *ctx)
{
	if (!ctx)
		return;
	while (ctx->drivers--)
		if (ctx->driver[ctx->drivers].cls->close && !plumb_driver_lost(&ctx->driver[ctx->drivers]))
			ctx->driver[ctx->drivers].cls->close(&ctx->driver[ctx->drivers]);
	plumb_pool_free(ctx->pool);
	free(ctx);
}

/* --- asking --- */

int plumb_driver_count(const struct plumb_context *ctx) { return ctx->drivers; }

const char *plumb_driver_name(const struct plumb_context *ctx, int index)
{
	return index >= 0 && index < ctx->drivers ? ctx->driver[index].cls->name : NULL;
}

const char *plumb_driver_note(const struct plumb_context *ctx, int index)
{
	return index >= 0 && index < ctx->drivers ? ctx->driver[index].note : NULL;
}

enum plumb_precision plumb_context_precision(const struct plumb_context *ctx) { return ctx->precision; }
int plumb_context_threads(const struct plumb_context *ctx) { return plumb_pool_threads(ctx->pool); }

void plumb_memory(const struct plumb_context *ctx, uint64_t *now, uint64_t *peak, uint64_t *limit)
{
	*now = atomic_load(&ctx->used);
	*peak = atomic_load(&ctx->peak);
	*limit = ctx->limit;
}

enum plumb_status plumb_synchronize(struct plumb_context *ctx)
{
	for (int i = 0; i < ctx->drivers; i++) {
		if (plumb_driver_lost(&ctx->driver[i]))
			return plumb_fail_lost(&ctx->driver[i]);
		enum plumb_status s = ctx->driver[i].cls->sync ? ctx->driver[i].cls->sync(&ctx->driver[i]) : PLUMB_OK;
		if (s)
			return s;
	}
	return PLUMB_OK;
}

bool plumb_kernel_row(const struct plumb_context *ctx, int index, struct plumb_kernel_time *row)
{
	for (int i = 0; index >= 0 && i < ctx->drivers; i++) {
		const struct plumb_driver *d = &ctx->driver[i];
		int n = 0;
		while (d->cls->kernel_row && d->cls->kernel_row(d, n, row)) {
			row->driver = d->cls->name;
			if (n++ == index)
				return true;
		}
		index -= n;
	}
	return false;
}

enum plumb_status plumb_profile(struct plumb_context *ctx, bool on)
{
	bool any = false;
	for (int i = 0; i < ctx->drivers; i++)
		if (ctx->driver[i].cls->profile) {
			PLUMB_TRY(ctx->driver[i].cls->profile(&ctx->driver[i], on));
			any = true;
		}
	return any ? PLUMB_OK : plumb_fail(PLUMB_E_UNSUPPORTED, "no open driver has kernels to time");
}

enum plumb_status plumb_copy_rate(struct plumb_context *ctx, const char *driver, double *rate)
{
	*rate = 0;
	for (int i = 0; i < ctx->drivers; i++)
		if (!strcmp(ctx->driver[i].cls->name, driver) && ctx->driver[i].cls->copy_rate)
			return ctx->driver[i].cls->copy_rate(&ctx->driver[i], rate);
	return plumb_fail(PLUMB_E_UNSUPPORTED, "no driver %s that can measure a copy is open", driver);
}

const char *plumb_placement_reason(const struct plumb_context *ctx, int op)
{
	return op >= 0 && op < PLUMB_OP_COUNT ? ctx->reason[op] : "";
}

uint64_t plumb_placement(const struct plumb_context *ctx, int op, int index)
{
	return op >= 0 && op < PLUMB_OP_COUNT && index >= 0 && index < ctx->drivers
		? atomic_load(&ctx->placed[op][index])
		: 0;
}
