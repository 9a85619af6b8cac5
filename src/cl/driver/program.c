/* SPDX-License-Identifier: Apache-2.0 */
/* From kernel text to a built program: the binary from the cache or built, each program once per context and
 * only when a kernel of it is wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/driver/kernel.h"

static enum plumb_status program_build_error(
	const struct plumb_cl_state *cl, cl_program program, cl_int code, const char *file, const char *options)
{
	size_t need = 0;
	char *log = NULL;
	plumb_cl.clGetProgramBuildInfo(program, cl->device.id, CL_PROGRAM_BUILD_LOG, 0, NULL, &need);
	if (need && (log = calloc(1, need + 1)))
		plumb_cl.clGetProgramBuildInfo(program, cl->device.id, CL_PROGRAM_BUILD_LOG, need, log, NULL);
	const char *error = log ? strstr(log, "error") : NULL;
	enum plumb_status s = plumb_fail(PLUMB_E_DEVICE, "building %s.cl for %s (%s): %s (%d)\n%.700s", file,
		cl->device.info.name, options, plumb_cl_error_name(code), (int)code,
		error && error - log > 80 ? error - 80
			: log                 ? log
								  : "");
	free(log);
	return s;
}

/* The binary of a program with one device; malloc'ed. */
static unsigned char *program_binary_of(cl_program program, size_t *size)
{
	*size = 0;
	if (plumb_cl.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *size, size, NULL) || !*size)
		return NULL;
	unsigned char *bytes = malloc(*size);
	if (bytes && plumb_cl.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, NULL)) {
		free(bytes);
		return NULL;
	}
	return bytes;
}

static bool program_from_cache(
	const struct plumb_cl_state *cl, const char *key, const char *options, cl_program *program)
{
	unsigned char *binary;
	size_t size;
	cl_int code, status;
	if (!plumb_cl_cache_load(cl, key, &binary, &size))
		return false;
	*program = plumb_cl.clCreateProgramWithBinary(
		cl->context, 1, &cl->device.id, &size, (const unsigned char **)(uintptr_t)&binary, &status, &code);
	free(binary);
	if (!code && status) {
		plumb_cl.clReleaseProgram(*program);
		return false;
	}
	if (!code && plumb_cl.clBuildProgram(*program, 1, &cl->device.id, options, NULL, NULL)) {
		plumb_cl.clReleaseProgram(*program);
		return false;
	}
	return !code;
}

static enum plumb_status program_from_source(const struct plumb_cl_state *cl, const char *file,
	const char *text, const char *key, const char *options, cl_program *program)
{
	cl_int code;
	size_t size;
	*program = plumb_cl.clCreateProgramWithSource(cl->context, 1, &text, NULL, &code);
	if (code)
		return plumb_cl_fail(code, "program %s.cl", file);
	if (cl->owner->busy) {
		char what[160];
		snprintf(what, sizeof what, "compiling %s.cl for %s", file, cl->device.info.name);
		cl->owner->busy(cl->owner->notice_user, what);
	}
	code = plumb_cl.clBuildProgram(*program, 1, &cl->device.id, options, NULL, NULL);
	if (cl->owner->busy)
		cl->owner->busy(cl->owner->notice_user, NULL);
	if (code) {
		enum plumb_status s = program_build_error(cl, *program, code, file, options);
		plumb_cl.clReleaseProgram(*program);
		return s;
	}
	unsigned char *binary = program_binary_of(*program, &size);
	if (binary)
		plumb_cl_cache_store(cl, key, binary, size);
	free(binary);
	return PLUMB_OK;
}

/* One process compiles, the others wait and find its binary. */
static enum plumb_status program_build_locked(const struct plumb_cl_state *cl, const char *file,
	const char *text, const char *key, const char *options, cl_program *program)
{
	int lock = plumb_cl_cache_lock(cl);
	enum plumb_status s = program_from_cache(cl, key, options, program)
		? PLUMB_OK
		: program_from_source(cl, file, text, key, options, program);
	plumb_cl_cache_unlock(lock);
	return s;
}

static enum plumb_status program_build_with(const struct plumb_cl_state *cl, const char *file,
	const char *text, const char *options, cl_program *program)
{
	char *key = plumb_cl_cache_key(&cl->device, file, options, text);
	enum plumb_status s = PLUMB_OK;
	if (!key)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for a cache key");
	else if (!program_from_cache(cl, key, options, program))
		s = program_build_locked(cl, file, text, key, options, program);
	free(key);
	return s;
}

static enum plumb_status program_build(
	const struct plumb_cl_state *cl, const char *file, const char *own, cl_program *program)
{
	char options[768], *text;
	enum plumb_status s = PLUMB_E_DEVICE;
	PLUMB_TRY(plumb_cl_source(cl, file, &text));
	/* -w: some compilers count their warnings on a user's stderr. What they might say, tools/check-kernels
	 * has heard. A file that names it, apart from types.cl before it, has such a variant. What does not build
	 * so, builds without. */
	snprintf(options, sizeof options, "#line 1 \"%s.cl\"", file);
	const char *line = strstr(text, options);
	if (cl->subgroups && line && strstr(line, "PLUMB_SUBGROUPS")) {
		snprintf(options, sizeof options, "-cl-std=CL%d.0 -w -DPLUMB_CPU=%d -DPLUMB_SUBGROUPS=1 %s",
			cl->subgroups, cl->cpu, own);
		s = program_build_with(cl, file, text, options, program);
	}
	if (s == PLUMB_E_DEVICE) {
		snprintf(options, sizeof options, "-cl-std=CL1.2 -w -DPLUMB_CPU=%d %s", cl->cpu, own);
		s = program_build_with(cl, file, text, options, program);
	}
	free(text);
	return s;
}

enum plumb_status plumb_cl_program(
	struct plumb_driver *driver, const char *file, const char *options, cl_program *program)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	char key[512];
	if ((size_t)snprintf(key, sizeof key, "%s %s", file, options) >= sizeof key)
		return plumb_fail(PLUMB_E_INTERNAL, "program options are too long: %s", options);
	for (struct plumb_cl_program *p = cl->programs; p; p = p->next)
		if (!strcmp(p->key, key)) {
			*program = p->program;
			return PLUMB_OK;
		}
	struct plumb_cl_program *p = calloc(1, sizeof *p);
	if (!p || !(p->key = strdup(key))) {
		free(p);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a program");
	}
	enum plumb_status s = program_build(cl, file, options, &p->program);
	if (s) {
		free(p->key);
		free(p);
		return s;
	}
	p->next = cl->programs;
	cl->programs = p;
	*program = p->program;
	return PLUMB_OK;
}

void plumb_cl_programs_forget(struct plumb_cl_state *cl)
{
	for (int i = 0; i < PLUMB_CL_BUCKETS; i++)
		for (struct plumb_cl_kernel *k = cl->kernels[i]; k; k = k->next) {
			if (k->kernel)
				plumb_cl.clReleaseKernel(k->kernel);
			k->kernel = NULL; /* its name and counts are what a user may hold (plumb_kernel_row) */
		}
	for (struct plumb_cl_program *p = cl->programs, *next; p; p = next) {
		next = p->next;
		plumb_cl.clReleaseProgram(p->program);
		free(p->key);
		free(p);
	}
	cl->programs = NULL;
}
