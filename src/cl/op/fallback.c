/* SPDX-License-Identifier: Apache-2.0 */
/* What fused operators share that have a kernel of their own for some ways only: other operators' launches as steps, matrices
 * between them, and weights that must be in one buffer. */
#include "cl/cl.h"

enum plumb_status plumb_cl_temp(struct plumb_driver *driver, int index, int64_t rows, int64_t columns, struct plumb_cl_temp *t)
{
	size_t bytes = (size_t)(rows * columns) * sizeof(cl_float);
	cl_mem mem;
	if (bytes > plumb_cl_state(driver)->max_alloc)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%.1f MB between two steps are over the device's limit for one buffer", (double)bytes / 1e6);
	PLUMB_TRY(plumb_cl_scratch(driver, index, bytes, &mem));
	t->buffer = (struct plumb_buffer){ .ctx = driver->ctx, .bytes = bytes };
	t->buffer.copy[driver->index].handle = mem;
	t->tensor = (struct plumb_tensor){ .type = PLUMB_F32, .rank = 2, .dim = { rows, columns, 1, 1 }, .buffer = &t->buffer };
	return PLUMB_OK;
}

enum plumb_status plumb_cl_step(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way way)
{
	driver->bytes = plumb_op_table[call->op]->bytes(call);
	return call->op == PLUMB_OP_matmul ? plumb_cl_product(driver, call, way) : driver->cls->op[call->op](driver, call);
}

enum plumb_status plumb_cl_whole(struct plumb_driver *driver, const struct plumb_tensor *w, cl_mem *mem, int64_t *first)
{
	const struct plumb_cl_weight *weight;
	PLUMB_TRY(plumb_cl_weight_of(driver, w, &weight, first));
	int64_t piece = *first / weight->piece_rows;
	if ((*first + w->dim[0] - 1) / weight->piece_rows != piece)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "a weight in several buffers");
	*mem = weight->piece[piece];
	*first = *first % weight->piece_rows / 8;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_row_fits(struct plumb_driver *driver, int64_t k)
{
	return !plumb_cl_state(driver)->cpu || k <= PLUMB_CL_SPAN ? PLUMB_OK :
		plumb_fail(PLUMB_E_UNSUPPORTED, "a row of over %d elements", PLUMB_CL_SPAN);
}
