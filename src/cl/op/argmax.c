/* SPDX-License-Identifier: Apache-2.0 */
/* argmax on an OpenCL device. On a GPU a row is too wide for one work-group, so chunks of it are searched first. */
#include "cl/cl.h"

#define CHUNK 4096

static enum plumb_status in_chunks(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args first = PLUMB_CL_ARGS(driver), second = PLUMB_CL_ARGS(driver);
	int64_t n = call->in[0]->dim[0], d = call->in[0]->dim[1], chunks = (d + CHUNK - 1) / CHUNK;
	cl_mem part, part_at;
	PLUMB_TRY(plumb_cl_scratch(driver, 0, (size_t)(n * chunks) * sizeof(cl_float), &part));
	PLUMB_TRY(plumb_cl_scratch(driver, 1, (size_t)(n * chunks) * sizeof(cl_int), &part_at));
	plumb_cl_mem(&first, part);
	plumb_cl_mem(&first, part_at);
	plumb_cl_tensor(&first, call->in[0]);
	plumb_cl_int(&first, d);
	plumb_cl_int(&first, CHUNK);
	PLUMB_TRY(plumb_cl_launch_rows(&first, "argmax", "argmax_chunks", "", chunks, n));
	plumb_cl_tensor(&second, call->out);
	plumb_cl_mem(&second, part);
	plumb_cl_mem(&second, part_at);
	plumb_cl_int(&second, chunks);
	return plumb_cl_launch_rows(&second, "argmax", "argmax", "", n, 1);
}

enum plumb_status plumb_cl_argmax(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	if (!plumb_cl_state(driver)->cpu)
		return in_chunks(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_int(&a, call->in[0]->dim[1]);
	return plumb_cl_launch_rows(&a, "argmax", "argmax", "", call->in[0]->dim[0], 1);
}
