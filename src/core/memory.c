/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: the bytes of a tensor, their copies on devices, which of them is fresh, and the
 * memory budget of the context. Copies move only when somebody needs them. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"

#define HOST_ALIGN 64 /* a cache line, and the widest vector */

enum plumb_status plumb_budget_take(struct plumb_context *ctx, uint64_t bytes)
{
	uint64_t used = atomic_load(&ctx->used), wanted;
	do {
		if (__builtin_add_overflow(used, bytes, &wanted) || (ctx->limit && wanted > ctx->limit))
			return plumb_fail(PLUMB_E_LIMIT,
				"memory: %.1f MB asked for, %.1f MB of the allowed %.1f MB in use; raise AR_HARDWARE_MEMORY_SCALE "
				"(limit 64 MB * 2^s), or memory_limit of the options",
				(double)bytes / 1e6, (double)used / 1e6, (double)ctx->limit / 1e6);
	} while (!atomic_compare_exchange_weak(&ctx->used, &used, wanted));
	uint64_t peak = atomic_load(&ctx->peak);
	while (wanted > peak && !atomic_compare_exchange_weak(&ctx->peak, &peak, wanted))
		;
	return PLUMB_OK;
}

void plumb_budget_give(struct plumb_context *ctx, uint64_t bytes) { atomic_fetch_sub(&ctx->used, bytes); }

static bool memory_on_host(const struct plumb_driver *driver) { return !driver || !driver->cls->alloc; }

/* Wait for drivers whose copy is the host's own bytes. */
static enum plumb_status memory_settle(const struct plumb_buffer *b)
{
	for (int i = 0; i < b->ctx->drivers; i++)
		if (b->copy[i].handle && b->ctx->driver[i].in_host_bytes && !plumb_driver_lost(&b->ctx->driver[i]))
			PLUMB_TRY(b->ctx->driver[i].cls->sync(&b->ctx->driver[i]));
	return PLUMB_OK;
}

enum plumb_status plumb_buffer_host(struct plumb_buffer *b)
{
	if (b->host)
		return memory_settle(b);
	enum plumb_status s = plumb_budget_take(b->ctx, b->bytes);
	if (s)
		return s;
	size_t padded = b->bytes > SIZE_MAX - HOST_ALIGN ? 0
													 : (b->bytes + HOST_ALIGN - 1) / HOST_ALIGN * HOST_ALIGN;
	b->host = padded ? aligned_alloc(HOST_ALIGN, padded) : NULL;
	if (!b->host) {
		plumb_budget_give(b->ctx, b->bytes);
		return plumb_fail(PLUMB_E_MEMORY, "the system gave no %.1f MB for a tensor", (double)b->bytes / 1e6);
	}
	memset(b->host, 0, padded);
	return PLUMB_OK;
}

enum plumb_status plumb_buffer_new(
	struct plumb_context *ctx, struct plumb_buffer **out, size_t bytes, const void *borrowed)
{
	struct plumb_buffer *b = calloc(1, sizeof *b);
	if (!b)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a tensor");
	*b = (struct plumb_buffer){ .ctx = ctx, .bytes = bytes, .host_fresh = true };
	if (borrowed) {
		b->host = (void *)(uintptr_t)borrowed; /* never written: borrowed guards it */
		b->borrowed = true;
	} else if (!ctx->drivers ||
		memory_on_host(&ctx->driver[0])) { /* else the first driver may never need it */
		enum plumb_status s = plumb_buffer_host(b);
		if (s) {
			free(b);
			return s;
		}
	}
	*out = b;
	return PLUMB_OK;
}

void plumb_buffer_free(struct plumb_buffer *b)
{
	for (int i = 0; i < b->ctx->drivers; i++) {
		struct plumb_driver *d = &b->ctx->driver[i];
		if (plumb_driver_lost(d)) /* the system takes it back when the process ends */
			continue;
		if (b->copy[i].prepared)
			d->cls->unprepare(d, b->copy[i].prepared);
		if (b->copy[i].handle) {
			d->cls->free(d, b->copy[i].handle);
			plumb_budget_give(b->ctx, b->bytes);
		}
	}
	if (b->host && !b->borrowed) {
		free(b->host);
		plumb_budget_give(b->ctx, b->bytes);
	}
	free(b);
}

enum plumb_status plumb_buffer_read(struct plumb_buffer *b, size_t offset, void *dst, size_t n)
{
	for (int i = 0; !b->host_fresh && i < b->ctx->drivers; i++)
		if (b->copy[i].fresh) {
			struct plumb_driver *d = &b->ctx->driver[i];
			return plumb_driver_lost(d) ? plumb_fail_lost(d)
										: d->cls->download(d, dst, b->copy[i].handle, offset, n);
		}
	if (!b->host_fresh)
		return plumb_fail(PLUMB_E_INTERNAL, "a buffer has no fresh copy");
	if (!b->host) /* zero bytes that nobody holds yet */
		memset(dst, 0, n);
	else
		memcpy(dst, (const char *)b->host + offset, n);
	return PLUMB_OK;
}

enum plumb_status plumb_buffer_to_host(struct plumb_buffer *b)
{
	enum plumb_status s = plumb_buffer_host(b);
	if (s || b->host_fresh)
		return s;
	s = plumb_buffer_read(b, 0, b->host, b->bytes);
	b->host_fresh = s == PLUMB_OK;
	return s;
}

enum plumb_status plumb_buffer_resident(struct plumb_buffer *b, struct plumb_driver *driver, bool keep)
{
	if (memory_on_host(driver))
		return keep ? plumb_buffer_to_host(b) : plumb_buffer_host(b);
	struct plumb_copy *copy = &b->copy[driver->index];
	enum plumb_status s;
	if (plumb_driver_lost(driver))
		return plumb_fail_lost(driver);
	if (copy->fresh)
		return PLUMB_OK;
	if (!copy->handle) {
		if ((s = plumb_budget_take(b->ctx, b->bytes)))
			return s;
		if ((s = driver->cls->alloc(driver, b, &copy->handle))) {
			plumb_budget_give(b->ctx, b->bytes);
			return s;
		}
	}
	if (!keep)
		return PLUMB_OK;
	/* Zero bytes that the host does not hold either need no way through it. */
	if (!b->host_fresh && (s = plumb_buffer_to_host(b)))
		return s;
	if ((s = driver->cls->upload(driver, copy->handle, b->host, b->bytes)))
		return s;
	copy->fresh = true;
	return PLUMB_OK;
}

void plumb_buffer_written(struct plumb_buffer *b, struct plumb_driver *driver)
{
	for (int i = 0; i < b->ctx->drivers; i++) {
		b->copy[i].fresh = false;
		if (b->copy[i].prepared) { /* a layout of the old content */
			b->ctx->driver[i].cls->unprepare(&b->ctx->driver[i], b->copy[i].prepared);
			b->copy[i].prepared = NULL;
		}
	}
	b->host_fresh = memory_on_host(driver);
	if (!b->host_fresh)
		b->copy[driver->index].fresh = true;
}
