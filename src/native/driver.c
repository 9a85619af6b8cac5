/* SPDX-License-Identifier: Apache-2.0 */
/* The native driver: host memory, the context's threads and the best micro-kernels of the
 * machine. Opening, scratch memory and the splitting of work live here; operators do not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "native/native.h"

extern const struct plumb_driver_class plumb_native_class; /* core/driver.c lists it */

#define LINE (64 / sizeof(float)) /* a cache line, so that pieces never share one */

static size_t scratch_bytes(const struct plumb_driver *driver, size_t piece, size_t shared)
{
	return sizeof(float) * (piece * (size_t)plumb_pool_threads(driver->ctx->pool) + shared);
}

/* One line of a file about a cache of the first CPU. */
static bool cache_line(int index, const char *name, char line[32])
{
	char path[80];
	snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
	return plumb_read_line("", path, line, 32);
}

/* Bytes of the data cache of a level, 1 or 2: as libc knows it, else the system, else `usual`. */
static size_t cache_bytes(int level, size_t usual)
{
	long size = 0;
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
	size = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
#endif
	char line[32];
	for (int i = 0; size <= 0 && cache_line(i, "level", line); i++)
		if (atoi(line) == level && cache_line(i, "type", line) && line[0] != 'I' && cache_line(i, "size", line))
			size = atol(line) * (strchr(line, 'M') ? 1 << 20 : 1 << 10);
	return size > 0 ? (size_t)size : usual;
}

static enum plumb_status native_open(struct plumb_driver *driver)
{
	struct plumb_native *n;
	enum plumb_status s;
	if (driver->kind == PLUMB_KIND_GPU)
		return plumb_fail(PLUMB_E_DRIVER, "native runs on the CPU, a GPU was asked for");
	int threads = plumb_pool_threads(driver->ctx->pool);
	if (!(n = calloc(1, sizeof *n)) || !(n->taken = aligned_alloc(sizeof *n->taken, sizeof *n->taken * (size_t)threads))) {
		free(n);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the native driver");
	}
	if ((s = plumb_simd_choose(&n->simd, plumb_env(PLUMB_ENV_NATIVE_ISA)))) {
		free(n->taken);
		free(n);
		return s;
	}
	static const char *const mode[] = { "", ", exact", ", fast" };
	n->cache = cache_bytes(2, 512 << 10);
	snprintf(driver->note, sizeof driver->note, "%d thread%s, %s, caches of %zu and %zu KB%s", threads, threads == 1 ? "" : "s", n->simd.name,
		cache_bytes(1, 32 << 10) >> 10, n->cache >> 10, mode[driver->ctx->mode]);
	driver->state = n;
	return PLUMB_OK;
}

static void native_close(struct plumb_driver *driver)
{
	struct plumb_native *n = driver->state;
	if (n) {
		plumb_budget_give(driver->ctx, scratch_bytes(driver, n->piece, n->shared));
		free(n->scratch);
		free(n->taken);
		free(n);
	}
	driver->state = NULL;
}

enum plumb_status plumb_native_reserve(struct plumb_driver *driver, size_t piece, size_t shared)
{
	struct plumb_native *n = driver->state;
	enum plumb_status s;
	if (piece <= n->piece && shared <= n->shared)
		return PLUMB_OK;
	size_t most = SIZE_MAX / sizeof(float) / 4 / (size_t)plumb_pool_threads(driver->ctx->pool);
	if (piece > most || shared > most)
		return plumb_fail(PLUMB_E_MEMORY, "a scratch of %zu + %zu floats overflows the address space", piece, shared);
	piece = piece > n->piece ? (piece + LINE - 1) / LINE * LINE : n->piece;
	shared = shared > n->shared ? (shared + LINE - 1) / LINE * LINE : n->shared;
	uint64_t had = scratch_bytes(driver, n->piece, n->shared), now = scratch_bytes(driver, piece, shared);
	if ((s = plumb_budget_take(driver->ctx, now - had)))
		return s;
	float *scratch = aligned_alloc(LINE * sizeof(float), now);
	if (!scratch) {
		plumb_budget_give(driver->ctx, now - had);
		return plumb_fail(PLUMB_E_MEMORY, "the system gave no %.1f MB of scratch", (double)now / 1e6);
	}
	free(n->scratch);
	n->scratch = scratch;
	n->piece = piece;
	n->shared = shared;
	return PLUMB_OK;
}

float *plumb_native_scratch(const struct plumb_driver *driver, int thread)
{
	const struct plumb_native *n = driver->state;
	return n->scratch + n->piece * (size_t)thread;
}

float *plumb_native_shared(const struct plumb_driver *driver)
{
	return plumb_native_scratch(driver, plumb_pool_threads(driver->ctx->pool));
}

struct split { plumb_native_fn fn; void *arg; int64_t n, grain; };

static void split_run(void *arg, int64_t index, int thread)
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
		plumb_pool_run(driver->ctx->pool, split_run, &s, (n + grain - 1) / grain);
}

int64_t plumb_native_grain(int64_t elements_per_item)
{
	return elements_per_item >= PLUMB_NATIVE_GRAIN ? 1 : PLUMB_NATIVE_GRAIN / elements_per_item;
}

enum plumb_status plumb_native_f32(const struct plumb_call *call)
{
	enum plumb_type type = call->op == PLUMB_OP_argmax || call->op == PLUMB_OP_kv_store || call->op == PLUMB_OP_f16_overflow ? call->in[0]->type : call->out->type;
	if (type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "native: %s works on f32, not %s", plumb_op_name((int)call->op), plumb_type_name(type));
	return PLUMB_OK;
}

enum plumb_status plumb_native_cache(const struct plumb_tensor *cache)
{
	if (cache->type != PLUMB_F32 && cache->type != PLUMB_F16)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "native: a cache is f32 or f16, not %s", plumb_type_name(cache->type));
	return PLUMB_OK;
}

const struct plumb_driver_class plumb_native_class = {
	.name = "native",
	.open = native_open,
	.close = native_close,
	.prepare = plumb_native_prepare,
	.unprepare = plumb_native_unprepare,
	.op = {
#define PLUMB_OP(name, inputs, formula) [PLUMB_OP_##name] = plumb_native_##name,
#define PLUMB_FUSED(name, inputs, formula)
#include <plumb/ops.def>
		[PLUMB_OP_attention] = plumb_native_attention,
		[PLUMB_OP_qkv] = plumb_native_qkv,
		[PLUMB_OP_gate_up] = plumb_native_gate_up,
		[PLUMB_OP_matmul_add] = plumb_native_matmul_add,
	},
};
