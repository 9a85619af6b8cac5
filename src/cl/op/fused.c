/* SPDX-License-Identifier: Apache-2.0 */
/* What fused operators share that have a kernel of their own for some variants of products only: else they
 * run the basic operators that they are made of, with matrices in scratch memory between them. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_fused_matrix(
	struct plumb_driver *driver, int index, int64_t rows, int64_t columns, struct plumb_cl_fused_matrix *m)
{
	size_t bytes = (size_t)(rows * columns) * sizeof(cl_float);
	cl_mem mem;
	if (bytes > plumb_cl_state(driver)->max_alloc)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"%.1f MB between two operators are over the device's limit for one buffer", (double)bytes / 1e6);
	PLUMB_TRY(plumb_cl_scratch(driver, index, bytes, &mem));
	m->buffer = (struct plumb_buffer){ .ctx = driver->ctx, .bytes = bytes };
	m->buffer.copy[driver->index].handle = mem;
	m->tensor = (struct plumb_tensor){
		.type = PLUMB_F32, .rank = 2, .dim = { rows, columns, 1, 1 }, .buffer = &m->buffer
	};
	return PLUMB_OK;
}

enum plumb_status plumb_cl_fused_run(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice choice)
{
	return call->op == PLUMB_OP_matmul ? plumb_cl_matmul_by(driver, call, choice)
									   : driver->cls->op[call->op](driver, call);
}

enum plumb_status plumb_cl_fused_row(struct plumb_driver *driver, int64_t k)
{
	return !plumb_cl_state(driver)->cpu || k <= PLUMB_CL_SPAN
		? PLUMB_OK
		: plumb_fail(PLUMB_E_UNSUPPORTED, "a row of over %d elements", PLUMB_CL_SPAN);
}
