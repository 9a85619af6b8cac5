/* SPDX-License-Identifier: Apache-2.0 */
/* matmul through CLBlast, for many rows of activations: some rows of the weight become float32 in a scratch
 * buffer, a matrix product takes them from there. The bytes of the call are counted for no kernel: CLBlast's
 * own, which move them, are not seen. */
#include "cl/op/op.h"

enum {
	ROW_MAJOR = 101,
	PLAIN = 111,
	TRANSPOSED = 112
}; /* from clblast_c.h, so that no -dev package is needed */

static bool clblast_same_place(const struct plumb_tensor *a, const struct plumb_tensor *b)
{
	return a->buffer == b->buffer && a->offset == b->offset;
}

/* y = the bias in every row, or the matrix to add. */
static enum plumb_status clblast_spread_bias(struct plumb_driver *driver, const struct plumb_call *call,
	const struct plumb_cl_slice *slice, const char *options)
{
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[2]);
	plumb_cl_int(&a, call->in[2]->rank == 2 ? call->out->dim[1] : 0);
	plumb_cl_int(&a, call->out->dim[0]);
	plumb_cl_int(&a, call->out->dim[1]);
	plumb_cl_int(&a, slice->column);
	plumb_cl_int(&a, slice->end - slice->first);
	size_t global[2] = { (size_t)(slice->end - slice->first), (size_t)call->out->dim[0] },
		   local[2] = { plumb_cl_state(driver)->cpu ? 1 : PLUMB_CL_GROUP, 1 };
	if (plumb_cl_state(driver)->cpu)
		global[0] = 1;
	return plumb_cl_launch(&a, "matmul", "spread_bias", options, 2, global, local);
}

static enum plumb_status clblast_unpack(struct plumb_driver *driver, const struct plumb_cl_slice *slice,
	int64_t group, int64_t groups, cl_mem tile, const char *options)
{
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	plumb_cl_mem(&a, tile);
	plumb_cl_mem(&a, slice->buffer);
	plumb_cl_int(&a, slice->weight->k);
	plumb_cl_int(&a, slice->first % slice->weight->slice_rows / 8 + group);
	plumb_cl_int(&a, groups);
	bool cpu = plumb_cl_state(driver)->cpu;
	size_t global[2] = { cpu ? 1 : (size_t)(slice->weight->k + 31) / 32, (size_t)groups },
		   local[2] = { cpu ? 1 : PLUMB_CL_GROUP, 1 };
	return plumb_cl_launch(&a, "matmul", "unpack", options, 2, global, local);
}

enum plumb_status plumb_cl_clblast(
	struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_slice *slice)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *y = call->out, *x = call->in[0];
	const uint64_t most = UINT64_C(32)
		<< 20; /* bytes of a tile: what a last-level cache may hold of it, and few launches */
	size_t k = (size_t)slice->weight->k, m = (size_t)x->dim[0], row = k * sizeof(float);
	int64_t groups = (slice->end - slice->first + 7) / 8,
			fit = (int64_t)((cl->max_alloc < most ? cl->max_alloc : most) / (8 * row));
	char options[PLUMB_CL_OPTIONS];
	cl_mem tile;
	plumb_clblast_sgemm_fn *sgemm = plumb_clblast_sgemm();
	if (!sgemm)
		return plumb_fail(PLUMB_E_DRIVER, "%s", plumb_clblast_missing());
	PLUMB_TRY(plumb_cl_range(x));
	PLUMB_TRY(plumb_cl_range(y));
	fit = fit < 1 ? 1 : fit < groups ? fit : groups;
	plumb_cl_variant_options(cl, slice->weight->type, PLUMB_CL_MT4, options);
	PLUMB_TRY(plumb_cl_scratch(driver, PLUMB_CL_SCRATCH_A, (size_t)fit * 8 * row, &tile));
	if (call->in[2] && !clblast_same_place(call->in[2], y))
		PLUMB_TRY(clblast_spread_bias(driver, call, slice, options));
	for (int64_t g = 0; g < groups; g += fit) {
		int64_t rows = slice->end - slice->first - 8 * g, some = groups - g < fit ? groups - g : fit;
		rows = rows < 8 * some ? rows : 8 * some;
		PLUMB_TRY(clblast_unpack(driver, slice, g, some, tile, options));
		cl->clblast = driver->touched =
			true; /* a product that fails may have written some of y: nobody promises that it has not */
		int code = sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, m, (size_t)rows, k, 1,
			x->buffer->copy[driver->index].handle, x->offset / sizeof(float), k, tile, 0, k,
			call->in[2] ? 1 : 0, y->buffer->copy[driver->index].handle,
			y->offset / sizeof(float) + (size_t)(slice->column + 8 * g), (size_t)y->dim[1], &cl->queue, NULL);
		if (code)
			return plumb_fail(PLUMB_E_DEVICE, "CLBlastSgemm on %s: status %d", cl->device.info.name, code);
	}
	return PLUMB_OK;
}
