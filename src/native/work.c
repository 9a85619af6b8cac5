/* SPDX-License-Identifier: Apache-2.0 */
/* What the native operators share: work split over the context's threads, their scratch memory, and the types
 * that they take. */
#include <stdlib.h>
#include "native/native.h"

#define LINE (64 / sizeof(float)) /* a cache line, so that no two threads share one */

static size_t work_scratch_bytes(const struct plumb_driver *driver, size_t each, size_t shared)
{
	return sizeof(float) * (each * (size_t)plumb_pool_threads(driver->ctx->pool) + shared);
}

enum plumb_status plumb_native_reserve(struct plumb_driver *driver, size_t each, size_t shared)
{
	struct plumb_native *n = driver->state;
	enum plumb_status s;
	if (each <= n->each && shared <= n->shared)
		return PLUMB_OK;
	size_t most = SIZE_MAX / sizeof(float) / 4 / (size_t)plumb_pool_threads(driver->ctx->pool);
	if (each > most || shared > most)
		return plumb_fail(
			PLUMB_E_MEMORY, "a scratch of %zu + %zu floats overflows the address space", each, shared);
	each = each > n->each ? (each + LINE - 1) / LINE * LINE : n->each;
	shared = shared > n->shared ? (shared + LINE - 1) / LINE * LINE : n->shared;
	uint64_t had = work_scratch_bytes(driver, n->each, n->shared),
			 now = work_scratch_bytes(driver, each, shared);
	if ((s = plumb_budget_take(driver->ctx, now - had)))
		return s;
	float *scratch = aligned_alloc(LINE * sizeof(float), now);
	if (!scratch) {
		plumb_budget_give(driver->ctx, now - had);
		return plumb_fail(PLUMB_E_MEMORY, "the system gave no %.1f MB of scratch", (double)now / 1e6);
	}
	free(n->scratch);
	n->scratch = scratch;
	n->each = each;
	n->shared = shared;
	return PLUMB_OK;
}

void plumb_native_scratch_free(struct plumb_driver *driver)
{
	struct plumb_native *n = driver->state;
	plumb_budget_give(driver->ctx, work_scratch_bytes(driver, n->each, n->shared));
	free(n->scratch);
	n->scratch = NULL;
	n->each = n->shared = 0;
}

float *plumb_native_scratch(const struct plumb_driver *driver, int thread)
{
	const struct plumb_native *n = driver->state;
	return n->scratch + n->each * (size_t)thread;
}

float *plumb_native_shared(const struct plumb_driver *driver)
{
	return plumb_native_scratch(driver, plumb_pool_threads(driver->ctx->pool));
}

struct split {
	plumb_native_fn fn;
	void *arg;
	int64_t n, grain;
};

static void work_split_run(void *arg, int64_t index, int thread)
{
	const struct split *s = arg;
	int64_t first = index * s->grain, end = s->n - first < s->grain ? s->n : first + s->grain;
	s->fn(s->arg, first, end, thread);
}

void plumb_native_split(struct plumb_driver *driver, int64_t n, int64_t grain, plumb_native_fn fn, void *arg)
{
	struct split s = { fn, arg, n, grain };
	if (n <= grain)
		fn(arg, 0, n, 0);
	else
		plumb_pool_run(driver->ctx->pool, work_split_run, &s, (n + grain - 1) / grain);
}

int64_t plumb_native_grain(int64_t elements_per_item)
{
	return elements_per_item >= PLUMB_NATIVE_GRAIN ? 1 : PLUMB_NATIVE_GRAIN / elements_per_item;
}

enum plumb_status plumb_native_f32(const struct plumb_call *call)
{
	enum plumb_type type = call->op == PLUMB_OP_argmax || call->op == PLUMB_OP_kv_store ||
			call->op == PLUMB_OP_f16_overflow
		? call->in[0]->type
		: call->out->type;
	if (type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "native: %s works on f32, not %s",
			plumb_op_name((int)call->op), plumb_type_name(type));
	return PLUMB_OK;
}

enum plumb_status plumb_native_cache(const struct plumb_tensor *cache)
{
	if (cache->type != PLUMB_F32 && cache->type != PLUMB_F16)
		return plumb_fail(
			PLUMB_E_UNSUPPORTED, "native: a cache is f32 or f16, not %s", plumb_type_name(cache->type));
	return PLUMB_OK;
}
