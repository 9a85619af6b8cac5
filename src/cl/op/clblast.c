/* SPDX-License-Identifier: Apache-2.0 */
/* matmul through CLBlast, for many rows of activations: some rows of the weight become float32 in a scratch buffer, a matrix
 * product takes them from there. The library is opened at run time, when it is first wanted. */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cl/cl.h"

/* From clblast_c.h, so that no -dev package is needed. */
enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
typedef int sgemm_fn(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha, cl_mem a, size_t a_at, size_t a_row,
	cl_mem b, size_t b_at, size_t b_row, float beta, cl_mem c, size_t c_at, size_t c_row, cl_command_queue *queue, cl_event *event);

static struct { pthread_once_t once; sgemm_fn *sgemm; int (*forget)(void); char missing[256], version[320]; } library = { .once = PTHREAD_ONCE_INIT };

/* It has no function that tells its version; its file, with size and time, is another one after an upgrade. */
static void name_version(void *handle)
{
	struct link_map *map = NULL;
	struct stat st = { .st_size = 0 };
	char *path = !dlinfo(handle, RTLD_DI_LINKMAP, &map) && map ? realpath(map->l_name, NULL) : NULL;
	if (path && !stat(path, &st))
		snprintf(library.version, sizeof library.version, "CLBlast %.240s %lld %lld", path, (long long)st.st_size, (long long)st.st_mtime);
	free(path);
}

static void open_library(void)
{
	void *handle = dlopen("libclblast.so.1", RTLD_NOW | RTLD_LOCAL), *sgemm = handle ? dlsym(handle, "CLBlastSgemm") : NULL,
		*forget = handle ? dlsym(handle, "CLBlastClearCache") : NULL;
	if (sgemm && forget) {
		memcpy(&library.sgemm, &sgemm, sizeof sgemm); /* ISO C has no cast from an object to a function */
		memcpy(&library.forget, &forget, sizeof forget);
		name_version(handle);
	} else {
		const char *why = dlerror();
		snprintf(library.missing, sizeof library.missing, "CLBlast is not there (%.120s): install the package libclblast1", why ? why : "libclblast.so.1");
	}
}

const char *plumb_cl_clblast_missing(void)
{
	pthread_once(&library.once, open_library);
	return library.sgemm ? NULL : library.missing;
}

const char *plumb_cl_clblast_version(void) { return plumb_cl_clblast_missing() ? "" : library.version; }

/* Its cache is the process's: other contexts build their kernels anew. But it knows a context by its address, which a later one may get. */
void plumb_cl_clblast_forget(const struct plumb_cl_state *cl)
{
	if (cl->clblast) /* so the library was opened, by this thread or before it */
		library.forget();
}

static bool same_place(const struct plumb_tensor *a, const struct plumb_tensor *b) { return a->buffer == b->buffer && a->offset == b->offset; }

/* y = the bias in every row, or the matrix to add. */
static enum plumb_status spread_bias(struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_part *part, const char *options)
{
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[2]);
	plumb_cl_int(&a, call->in[2]->rank == 2 ? call->out->dim[1] : 0);
	plumb_cl_int(&a, call->out->dim[0]);
	plumb_cl_int(&a, call->out->dim[1]);
	plumb_cl_int(&a, part->column);
	plumb_cl_int(&a, part->end - part->first);
	size_t global[2] = { (size_t)(part->end - part->first), (size_t)call->out->dim[0] }, local[2] = { plumb_cl_state(driver)->cpu ? 1 : PLUMB_CL_GROUP, 1 };
	if (plumb_cl_state(driver)->cpu)
		global[0] = 1;
	return plumb_cl_launch(&a, "matmul", "spread_bias", options, 2, global, local);
}

static enum plumb_status unpack(struct plumb_driver *driver, const struct plumb_cl_part *part, int64_t group, int64_t groups, cl_mem tile, const char *options)
{
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	plumb_cl_mem(&a, tile);
	plumb_cl_mem(&a, part->mem);
	plumb_cl_int(&a, part->weight->k);
	plumb_cl_int(&a, part->first % part->weight->piece_rows / 8 + group);
	plumb_cl_int(&a, groups);
	bool cpu = plumb_cl_state(driver)->cpu;
	size_t global[2] = { cpu ? 1 : (size_t)(part->weight->k + 31) / 32, (size_t)groups }, local[2] = { cpu ? 1 : PLUMB_CL_GROUP, 1 };
	return plumb_cl_launch(&a, "matmul", "unpack", options, 2, global, local);
}

enum plumb_status plumb_cl_clblast(struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_part *part)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *y = call->out, *x = call->in[0];
	const uint64_t most = UINT64_C(32) << 20; /* bytes of a tile: what a last-level cache may hold of it, and few launches */
	size_t k = (size_t)part->weight->k, m = (size_t)x->dim[0], row = k * sizeof(float);
	int64_t groups = (part->end - part->first + 7) / 8, fit = (int64_t)((cl->max_alloc < most ? cl->max_alloc : most) / (8 * row));
	char options[PLUMB_CL_OPTIONS];
	cl_mem tile;
	if (plumb_cl_clblast_missing())
		return plumb_fail(PLUMB_E_DRIVER, "%s", plumb_cl_clblast_missing());
	PLUMB_TRY(plumb_cl_range(x));
	PLUMB_TRY(plumb_cl_range(y));
	driver->bytes = 0; /* CLBlast's kernels, which move them, are not among ours */
	fit = fit < 1 ? 1 : fit < groups ? fit : groups;
	plumb_cl_product_options(cl, part->weight->type, PLUMB_CL_MT4, options);
	PLUMB_TRY(plumb_cl_scratch(driver, 0, (size_t)fit * 8 * row, &tile));
	if (call->in[2] && !same_place(call->in[2], y))
		PLUMB_TRY(spread_bias(driver, call, part, options));
	for (int64_t g = 0; g < groups; g += fit) {
		int64_t rows = part->end - part->first - 8 * g, some = groups - g < fit ? groups - g : fit;
		rows = rows < 8 * some ? rows : 8 * some;
		PLUMB_TRY(unpack(driver, part, g, some, tile, options));
		cl->clblast = driver->touched = true; /* a product that fails may have written some of y: nobody promises that it has not */
		int code = library.sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, m, (size_t)rows, k, 1, x->buffer->copy[driver->index].handle, x->offset / sizeof(float), k,
			tile, 0, k, call->in[2] ? 1 : 0, y->buffer->copy[driver->index].handle, y->offset / sizeof(float) + (size_t)(part->column + 8 * g),
			(size_t)y->dim[1], &cl->queue, NULL);
		if (code)
			return plumb_fail(PLUMB_E_DEVICE, "CLBlastSgemm on %s: status %d", cl->device.info.name, code);
	}
	return PLUMB_OK;
}
