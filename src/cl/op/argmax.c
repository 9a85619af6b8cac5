/* SPDX-License-Identifier: Apache-2.0 */
/* argmax on an OpenCL device. On a GPU a row is too wide for one work-group, so blocks of it are searched
 * first. */
#include "cl/op/op.h"

#define BLOCK 4096

static enum plumb_status argmax_blocks(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args first = PLUMB_CL_FIRST_ARGS(driver, call), second = PLUMB_CL_ARGS(driver);
	int64_t n = call->in[0]->dim[0], d = call->in[0]->dim[1], blocks = (d + BLOCK - 1) / BLOCK;
	cl_mem best, best_at;
	PLUMB_TRY(plumb_cl_scratch(driver, PLUMB_CL_SCRATCH_A, (size_t)(n * blocks) * sizeof(cl_float), &best));
	PLUMB_TRY(plumb_cl_scratch(driver, PLUMB_CL_SCRATCH_B, (size_t)(n * blocks) * sizeof(cl_int), &best_at));
	plumb_cl_mem(&first, best);
	plumb_cl_mem(&first, best_at);
	plumb_cl_tensor(&first, call->in[0]);
	plumb_cl_int(&first, d);
	plumb_cl_int(&first, BLOCK);
	PLUMB_TRY(plumb_cl_launch_rows(&first, "argmax", "argmax_blocks", "", blocks, n));
	plumb_cl_tensor(&second, call->out);
	plumb_cl_mem(&second, best);
	plumb_cl_mem(&second, best_at);
	plumb_cl_int(&second, blocks);
	return plumb_cl_launch_rows(&second, "argmax", "argmax", "", n, 1);
}

enum plumb_status plumb_cl_argmax(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	if (!plumb_cl_state(driver)->cpu)
		return argmax_blocks(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_int(&a, call->in[0]->dim[1]);
	return plumb_cl_launch_rows(&a, "argmax", "argmax", "", call->in[0]->dim[0], 1);
}
