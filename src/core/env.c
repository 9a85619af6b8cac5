/* SPDX-License-Identifier: Apache-2.0 */
/* Every environment variable that plumb reads, declared once. No other file calls getenv. */
#include <stdlib.h>
#include "core/core.h"

static const struct { const char *name, *meaning, *fallback; } rows[PLUMB_ENV_COUNT] = {
	[PLUMB_ENV_DRIVER] = { "AR_HARDWARE_DRIVER", "drivers to use, in order: native, cl, mtl, cpu, gpu, *", "*" },
	[PLUMB_ENV_PRECISION] = { "AR_HARDWARE_PRECISION", "FP32, FP64 (the double-precision truth) or FP16", "FP32" },
	[PLUMB_ENV_LIBS] = { "AR_HARDWARE_LIBS", "folder for generated binaries (kernel cache)", "plumb/libs under the user's cache folder" },
	[PLUMB_ENV_MEMORY_SCALE] = { "AR_HARDWARE_MEMORY_SCALE", "s: memory limit of 64 MB * 2^s", "no limit" },
	[PLUMB_ENV_MEMORY_LOCATION] = { "AR_HARDWARE_MEMORY_LOCATION", "device, host or delegate", "device" },
	[PLUMB_ENV_THREADS] = { "PLUMB_THREADS", "threads of the native driver", "the CPUs this process may use" },
	[PLUMB_ENV_NATIVE_ISA] = { "PLUMB_NATIVE_ISA", "highest instruction set of the native driver: c, avx2, neon", "the best this CPU has" },
	[PLUMB_ENV_CACHE_HOME] = { "XDG_CACHE_HOME", "the user's cache folder", "~/.cache" },
};

const char *plumb_env(enum plumb_env_name name)
{
	const char *value = getenv(rows[name].name);
	return value && *value ? value : NULL;
}

bool plumb_env_row(int index, struct plumb_env *row)
{
	if (index < 0 || index >= PLUMB_ENV_COUNT)
		return false;
	*row = (struct plumb_env){ rows[index].name, rows[index].meaning, rows[index].fallback, plumb_env((enum plumb_env_name)index) };
	return true;
}
