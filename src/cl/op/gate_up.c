/* SPDX-License-Identifier: Apache-2.0 */
/* gate_up on OpenCL: in one launch for one row, behind rmsnorm for many on a CPU; else through the kernels of the operators
 * that it is made of. */
#include "cl/cl.h"

enum { X, NORM, GATE, UP };

/* Both weights' buffers and first eights, then the sizes. */
static enum plumb_status bind_weights(struct plumb_cl_args *a, const struct plumb_call *call)
{
	for (int i = GATE; i <= UP; i++) {
		cl_mem mem;
		int64_t eight;
		PLUMB_TRY(plumb_cl_whole(a->driver, call->in[i], &mem, &eight));
		plumb_cl_mem(a, mem);
		plumb_cl_int(a, eight);
	}
	plumb_cl_int(a, call->in[X]->dim[0]);
	plumb_cl_int(a, call->out->dim[1]);
	plumb_cl_int(a, call->in[X]->dim[1]);
	return PLUMB_OK;
}

static enum plumb_status one(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	int64_t groups = (call->out->dim[1] + 7) / 8, each = plumb_cl_groups_each(cl, groups);
	char options[PLUMB_CL_OPTIONS];
	PLUMB_TRY(plumb_cl_row_fits(driver, call->in[X]->dim[1]));
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[X]);
	plumb_cl_tensor(&a, call->in[NORM]);
	plumb_cl_float(&a, call->s.eps);
	PLUMB_TRY(bind_weights(&a, call));
	plumb_cl_int(&a, each);
	plumb_cl_product_options(cl, call->in[GATE]->type, PLUMB_CL_MT1, options);
	return plumb_cl_launch_rows(&a, "gate_up", "gate_up", options, (groups + each - 1) / each, call->in[X]->dim[0]);
}

static enum plumb_status norm(struct plumb_driver *driver, const struct plumb_call *call, struct plumb_tensor *normed)
{
	return plumb_cl_step(driver, &(struct plumb_call){ PLUMB_OP_rmsnorm, normed, { call->in[X], call->in[NORM] }, { .eps = call->s.eps } }, PLUMB_CL_MT1);
}

static enum plumb_status block(struct plumb_driver *driver, const struct plumb_call *call, struct plumb_tensor *normed)
{
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	int64_t m = normed->dim[0], rows = plumb_cl_block_rows(cl, m);
	char options[PLUMB_CL_OPTIONS];
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, normed);
	PLUMB_TRY(bind_weights(&a, call));
	plumb_cl_int(&a, rows);
	PLUMB_TRY(norm(driver, call, normed));
	driver->bytes = plumb_op_table[call->op]->bytes(call);
	plumb_cl_product_options(cl, call->in[GATE]->type, PLUMB_CL_BLOCK, options);
	return plumb_cl_launch_rows(&a, "gate_up", "gate_up_block", options, (call->out->dim[1] + 7) / 8, (m + rows - 1) / rows);
}

static enum plumb_status in_steps(struct plumb_driver *driver, const struct plumb_call *call, struct plumb_tensor *normed, enum plumb_cl_way way)
{
	struct plumb_tensor *y = call->out;
	struct plumb_cl_temp up;
	PLUMB_TRY(plumb_cl_temp(driver, PLUMB_CL_UP, y->dim[0], y->dim[1], &up));
	PLUMB_TRY(norm(driver, call, normed));
	PLUMB_TRY(plumb_cl_step(driver, &(struct plumb_call){ PLUMB_OP_matmul, y, { normed, call->in[GATE] }, { 0 } }, way));
	PLUMB_TRY(plumb_cl_step(driver, &(struct plumb_call){ PLUMB_OP_matmul, &up.tensor, { normed, call->in[UP] }, { 0 } }, way));
	return plumb_cl_step(driver, &(struct plumb_call){ PLUMB_OP_swiglu, y, { y, &up.tensor }, { 0 } }, way);
}

enum plumb_status plumb_cl_gate_up(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *x = call->in[X];
	bool alike = call->in[GATE]->type == call->in[UP]->type;
	struct plumb_cl_temp normed;
	enum plumb_cl_way way;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice(driver, call, &way));
	if (alike && way == PLUMB_CL_MT1)
		return one(driver, call);
	PLUMB_TRY(plumb_cl_temp(driver, PLUMB_CL_NORMED, x->dim[0], x->dim[1], &normed));
	return alike && way == PLUMB_CL_BLOCK && plumb_cl_state(driver)->cpu ? block(driver, call, &normed.tensor) : in_steps(driver, call, &normed.tensor, way);
}
