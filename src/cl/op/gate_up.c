/* SPDX-License-Identifier: Apache-2.0 */
/* gate_up on OpenCL: in one launch for one row, behind rmsnorm for many on a CPU; else through the kernels of
 * the basic operators that it is made of. */
#include <stdio.h>
#include <string.h>
#include "cl/op/op.h"

enum { X, NORM, GATE, UP };

/* What the kernels are built with, which are made for one activation. */
static void gate_up_options(const struct plumb_cl_state *cl, const struct plumb_call *call,
	enum plumb_cl_variant variant, char options[PLUMB_CL_OPTIONS])
{
	plumb_cl_variant_options(cl, call->in[GATE]->type, variant, options);
	size_t n = strlen(options);
	if (call->s.activation == PLUMB_GELU_TANH)
		snprintf(options + n, PLUMB_CL_OPTIONS - n, " -DGELU=1");
}

/* The buffer and the first row group of both weights, then the sizes. */
static enum plumb_status gate_up_bind(struct plumb_cl_args *a, const struct plumb_call *call)
{
	for (int i = GATE; i <= UP; i++) {
		cl_mem mem;
		int64_t group;
		PLUMB_TRY(plumb_cl_weight_whole(a->driver, call->in[i], &mem, &group));
		plumb_cl_mem(a, mem);
		plumb_cl_int(a, group);
	}
	plumb_cl_int(a, call->in[X]->dim[0]);
	plumb_cl_int(a, call->out->dim[1]);
	plumb_cl_int(a, call->in[X]->dim[1]);
	return PLUMB_OK;
}

static enum plumb_status gate_up_one(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	int64_t groups = plumb_cl_pack_groups(call->out->dim[1]), each = plumb_cl_variant_groups(cl, groups);
	char options[PLUMB_CL_OPTIONS];
	PLUMB_TRY(plumb_cl_fused_row(driver, call->in[X]->dim[1]));
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[X]);
	plumb_cl_tensor(&a, call->in[NORM]);
	plumb_cl_float(&a, call->s.eps);
	PLUMB_TRY(gate_up_bind(&a, call));
	plumb_cl_int(&a, each);
	gate_up_options(cl, call, PLUMB_CL_MT1, options);
	return plumb_cl_launch_rows(
		&a, "gate_up", "gate_up", options, (groups + each - 1) / each, call->in[X]->dim[0]);
}

static enum plumb_status gate_up_norm(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_tensor *normed)
{
	const struct plumb_call norm = { .op = PLUMB_OP_rmsnorm,
		.out = normed,
		.in = { call->in[X], call->in[NORM] },
		.s = { .eps = call->s.eps } };
	return plumb_cl_fused_run(driver, &norm, (struct plumb_cl_choice){ .variant = PLUMB_CL_MT1 });
}

static enum plumb_status gate_up_block(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_tensor *normed)
{
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	int64_t m = normed->dim[0], rows = plumb_cl_variant_rows(cl, m);
	char options[PLUMB_CL_OPTIONS];
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, normed);
	PLUMB_TRY(gate_up_bind(&a, call));
	plumb_cl_int(&a, rows);
	PLUMB_TRY(gate_up_norm(driver, call, normed));
	gate_up_options(cl, call, PLUMB_CL_BLOCK, options);
	return plumb_cl_launch_rows(&a, "gate_up", "gate_up_block", options,
		plumb_cl_pack_groups(call->out->dim[1]), (m + rows - 1) / rows);
}

static enum plumb_status gate_up_fallback(struct plumb_driver *driver, const struct plumb_call *call,
	struct plumb_tensor *normed, struct plumb_cl_choice choice)
{
	struct plumb_tensor *y = call->out;
	struct plumb_cl_fused_matrix up;
	PLUMB_TRY(plumb_cl_fused_matrix(driver, PLUMB_CL_SCRATCH_UP, y->dim[0], y->dim[1], &up));
	PLUMB_TRY(gate_up_norm(driver, call, normed));
	PLUMB_TRY(plumb_cl_fused_run(driver,
		&(struct plumb_call){ .op = PLUMB_OP_matmul, .out = y, .in = { normed, call->in[GATE] } }, choice));
	PLUMB_TRY(plumb_cl_fused_run(driver,
		&(struct plumb_call){ .op = PLUMB_OP_matmul, .out = &up.tensor, .in = { normed, call->in[UP] } },
		choice));
	return plumb_cl_fused_run(driver,
		&(struct plumb_call){ .op = plumb_gated_op(call->s.activation), .out = y, .in = { y, &up.tensor } },
		choice);
}

enum plumb_status plumb_cl_gate_up(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *x = call->in[X];
	bool alike = call->in[GATE]->type == call->in[UP]->type;
	struct plumb_cl_fused_matrix normed;
	struct plumb_cl_choice choice;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice_product(driver, call, &choice));
	if (alike && choice.variant == PLUMB_CL_MT1)
		return gate_up_one(driver, call);
	PLUMB_TRY(plumb_cl_fused_matrix(driver, PLUMB_CL_SCRATCH_NORMED, x->dim[0], x->dim[1], &normed));
	if (alike && choice.variant == PLUMB_CL_BLOCK && plumb_cl_state(driver)->cpu)
		return gate_up_block(driver, call, &normed.tensor);
	return gate_up_fallback(driver, call, &normed.tensor, choice);
}
