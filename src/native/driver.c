/* SPDX-License-Identifier: Apache-2.0 */
/* The native driver: host memory, the context's threads and the best micro-kernels of the
 * machine. Opened and closed here; what its operators share is in work.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/classes.h"
#include "native/native.h"

/* One line of a file about a cache of the first CPU. */
static bool driver_cache_line(int index, const char *name, char line[32])
{
	char path[80];
	snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
	return plumb_read_line("", path, line, 32);
}

/* Bytes of the data cache of a level, 1 or 2: as libc knows it, else the system, else `usual`. */
static size_t driver_cache_bytes(int level, size_t usual)
{
	long size = 0;
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
	size = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
#endif
	char line[32];
	for (int i = 0; size <= 0 && driver_cache_line(i, "level", line); i++)
		if (atoi(line) == level && driver_cache_line(i, "type", line) && line[0] != 'I' &&
			driver_cache_line(i, "size", line))
			size = atol(line) * (strchr(line, 'M') ? 1 << 20 : 1 << 10);
	return size > 0 ? (size_t)size : usual;
}

static enum plumb_status driver_open(struct plumb_driver *driver)
{
	struct plumb_native *n;
	enum plumb_status s;
	if (driver->kind == PLUMB_KIND_GPU)
		return plumb_fail(PLUMB_E_DRIVER, "native runs on the CPU, a GPU was asked for");
	int threads = plumb_pool_threads(driver->ctx->pool);
	if (!(n = calloc(1, sizeof *n)) ||
		!(n->taken = aligned_alloc(sizeof *n->taken, sizeof *n->taken * (size_t)threads))) {
		free(n);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the native driver");
	}
	if ((s = plumb_simd_choose(&n->simd, plumb_env(PLUMB_ENV_NATIVE_ISA)))) {
		free(n->taken);
		free(n);
		return s;
	}
	static const char *const mode[] = { "", ", exact", ", fast" };
	n->cache = driver_cache_bytes(2, 512 << 10);
	snprintf(driver->note, sizeof driver->note, "%d thread%s, %s, caches of %zu and %zu KB%s", threads,
		threads == 1 ? "" : "s", n->simd.name, driver_cache_bytes(1, 32 << 10) >> 10, n->cache >> 10,
		mode[driver->ctx->mode]);
	driver->state = n;
	return PLUMB_OK;
}

static void driver_close(struct plumb_driver *driver)
{
	struct plumb_native *n = driver->state;
	if (n) {
		plumb_native_scratch_free(driver);
		free(n->taken);
		free(n);
	}
	driver->state = NULL;
}

const struct plumb_driver_class plumb_native_class = {
	.name = "native",
	.open = driver_open,
	.close = driver_close,
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
