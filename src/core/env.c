/* SPDX-License-Identifier: Apache-2.0 */
/* Every environment variable that plumb reads, declared once. No other file calls getenv. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "core/core.h"

#define TEXT .kind = PLUMB_ENV_TEXT
#define OWN .kind = PLUMB_ENV_OWN
#define FLAG .kind = PLUMB_ENV_FLAG
#define NUMBER(low_, high_) .kind = PLUMB_ENV_NUMBER, .low = low_, .high = high_
#define WORDS(...) .kind = PLUMB_ENV_WORD, .words = { __VA_ARGS__ }

/* Each says what its values are, so that none is taken for something else: tests/core/variables.c tries
 * garbage in every row. */
static const struct row {
	const char *name, *meaning, *fallback;
	enum plumb_env_kind kind;
	int64_t low, high;    /* of a number */
	const char *words[8]; /* the first that is NULL ends them */
} rows[PLUMB_ENV_COUNT] = {
	[PLUMB_ENV_DRIVER] = { "AR_HARDWARE_DRIVER", "drivers to use, in order: native, cl, mtl, cpu, gpu, *",
		"*", OWN },
	[PLUMB_ENV_PRECISION] = { "AR_HARDWARE_PRECISION", "FP32, FP64 (the double-precision truth) or FP16",
		"FP32", WORDS("FP32", "FP64", "FP16") },
	[PLUMB_ENV_MODE] = { "PLUMB_MODE",
		"accuracy of products with quantised weights: exact (float32), default (activations of 16 bits), fast",
		"default", WORDS("default", "exact", "fast") },
	[PLUMB_ENV_LIBS] = { "AR_HARDWARE_LIBS", "folder for generated binaries (kernel cache)",
		"plumb/libs under the user's cache folder", TEXT },
	[PLUMB_ENV_MEMORY_SCALE] = { "AR_HARDWARE_MEMORY_SCALE", "s: memory limit of 64 MB * 2^s", "no limit",
		NUMBER(0, 37) },
	[PLUMB_ENV_MEMORY_LOCATION] = { "AR_HARDWARE_MEMORY_LOCATION", "device, host or delegate", "device",
		WORDS("device", "host", "delegate") },
	[PLUMB_ENV_THREADS] = { "PLUMB_THREADS", "threads of the native driver",
		"the CPUs this process may use (affinity and cgroup quota)", NUMBER(1, 256) },
	[PLUMB_ENV_NATIVE_ISA] = { "PLUMB_NATIVE_ISA",
		"highest instruction set of the native driver: c, avx2, avxvnni, avx512, neon, neondot",
		"the best this CPU has", OWN },
	[PLUMB_ENV_CL_DEVICE] = { "PLUMB_CL_DEVICE",
		"OpenCL device: index in 'plumb devices', or part of its name", "discrete GPU, GPU, accelerator, CPU",
		TEXT },
	[PLUMB_ENV_CL_PATH] = { "PLUMB_CL_PATH", "folder of .cl files to use in place of the embedded ones",
		"the embedded ones", TEXT },
	[PLUMB_ENV_CL_MAX_ALLOC] = { "PLUMB_CL_MAX_ALLOC",
		"bytes of the largest OpenCL buffer, to try a smaller device's limit", "the device's limit",
		NUMBER(1, INT64_MAX) },
	[PLUMB_ENV_CL_PROFILE] = { "PLUMB_CL_PROFILE",
		"yes or no: measure the time of each OpenCL kernel (slower)", "no", FLAG },
	[PLUMB_ENV_CL_CLASS] = { "PLUMB_CL_CLASS",
		"kernels of this device class: cpu or gpu (to try one on the other)", "the device's own",
		WORDS("cpu", "gpu") },
	[PLUMB_ENV_CL_MATMUL] = { "PLUMB_CL_MATMUL",
		"variant of OpenCL's matmul of several rows: own (the fixed choice), clblast, mt1, mt4, mt8, block",
		"what 'plumb tune' found, else own", WORDS("own", "clblast", "mt1", "mt4", "mt8", "block") },
	[PLUMB_ENV_CANARY] = { "PLUMB_CANARY",
		"yes or no: compare the first result of each OpenCL kernel with the truth", "yes", FLAG },
	[PLUMB_ENV_STRICT] = { "PLUMB_STRICT",
		"yes or no: an operator that goes past the first driver of the list is an error", "no", FLAG },
	[PLUMB_ENV_AVOID] = { "PLUMB_AVOID",
		"operators that a driver shall not run, as cl:rope,cl:swiglu: the next driver of the list takes them",
		"none", OWN },
	[PLUMB_ENV_CACHE_HOME] = { "XDG_CACHE_HOME", "the user's cache folder", "~/.cache", TEXT },
	[PLUMB_ENV_HOME] = { "HOME", "the user's folder, where XDG_CACHE_HOME is unset", "none: no cache", TEXT },
	/* Read by the OpenCL loader, not by plumb: only 'plumb doctor' looks at them. */
	[PLUMB_ENV_ICD_VENDORS] = { "OCL_ICD_VENDORS",
		"read by the OpenCL loader: folder of .icd files, one .icd file, or a driver's .so",
		"/etc/OpenCL/vendors", TEXT },
	[PLUMB_ENV_POCL_CACHE] = { "POCL_CACHE_DIR", "read by PoCL: folder for what it compiles",
		"pocl/kcache under the user's cache folder", TEXT },
	[PLUMB_ENV_VENDOR_PATH] = { "OPENCL_VENDOR_PATH",
		"read by the OpenCL loader ocl-icd: folder of .icd files", "/etc/OpenCL/vendors", TEXT },
	[PLUMB_ENV_ICD_FILENAMES] = { "OCL_ICD_FILENAMES",
		"read by Khronos' OpenCL loader: further drivers, with colons between", "none", TEXT },
};

const char *plumb_env(enum plumb_env_name name)
{
	const char *value = getenv(rows[name].name);
	return value && *value ? value : NULL;
}

enum plumb_env_kind plumb_env_kind(enum plumb_env_name name) { return rows[name].kind; }
const char *plumb_env_word(enum plumb_env_name name, int64_t index) { return rows[name].words[index]; }

/* --- values --- */

static const char *const yes[] = { "1", "yes", "on", "true", NULL },
						 *const no[] = { "0", "no", "off", "false", NULL };

static int env_index_of(const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (!strcasecmp(words[i], text))
			return i;
	return -1;
}

static enum plumb_status env_no_word(const struct row *row, const char *text)
{
	char list[160] = "";
	for (int i = 0, n = 0; row->words[i] && n < (int)sizeof list; i++)
		n += snprintf(list + n, sizeof list - (size_t)n, "%s%s",
			!i                      ? ""
				: row->words[i + 1] ? ", "
									: " or ",
			row->words[i]);
	return plumb_fail(PLUMB_E_ARGUMENT, "%s is \"%.64s\", must be %s", row->name, text,
		row->kind == PLUMB_ENV_FLAG ? "yes, on, true or 1, or no, off, false or 0" : list);
}

static enum plumb_status env_number(const struct row *row, const char *text, int64_t *value)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < row->low || v > row->high)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s is \"%.64s\", must be a whole number from %lld to %lld",
			row->name, text, (long long)row->low, (long long)row->high);
	*value = v;
	return PLUMB_OK;
}

enum plumb_status plumb_env_parse(enum plumb_env_name name, const char *text, int64_t *value)
{
	const struct row *row = &rows[name];
	if (row->kind != PLUMB_ENV_NUMBER && row->kind != PLUMB_ENV_FLAG && row->kind != PLUMB_ENV_WORD)
		return plumb_fail(PLUMB_E_INTERNAL, "%s has no values of the table", row->name);
	if (!text)
		return PLUMB_OK;
	if (row->kind == PLUMB_ENV_NUMBER)
		return env_number(row, text, value);
	bool flag = row->kind == PLUMB_ENV_FLAG, is_yes = flag && env_index_of(yes, text) >= 0;
	int found = flag ? (is_yes || env_index_of(no, text) >= 0 ? is_yes : -1) : env_index_of(row->words, text);
	if (found < 0)
		return env_no_word(row, text);
	*value = found;
	return PLUMB_OK;
}

enum plumb_status plumb_env_check(void)
{
	for (int i = 0; i < PLUMB_ENV_COUNT; i++) {
		int64_t value;
		if (rows[i].kind == PLUMB_ENV_NUMBER || rows[i].kind == PLUMB_ENV_FLAG ||
			rows[i].kind == PLUMB_ENV_WORD)
			PLUMB_TRY(plumb_env_parse((enum plumb_env_name)i, plumb_env((enum plumb_env_name)i), &value));
	}
	return PLUMB_OK;
}

bool plumb_env_row(int index, struct plumb_env *row)
{
	if (index < 0 || index >= PLUMB_ENV_COUNT)
		return false;
	*row = (struct plumb_env){ rows[index].name, rows[index].meaning, rows[index].fallback,
		plumb_env((enum plumb_env_name)index) };
	return true;
}
