/* SPDX-License-Identifier: Apache-2.0 */
/* qkv on OpenCL: one row in as many launches as its weights have types, several through the kernels of
 * rmsnorm and matmul. */
#include "cl/op/op.h"

enum { X, NORM, WEIGHT, BIAS = WEIGHT + 3 };

/* The rows of y that product i makes, as a matrix. */
static struct plumb_tensor qkv_output(const struct plumb_call *call, int i)
{
	struct plumb_tensor y;
	int64_t m = call->in[X]->dim[0], before = 0;
	for (int j = 0; j < i; j++)
		before += m * call->in[WEIGHT + j]->dim[0];
	plumb_tensor_view(&y, call->out, before, m, call->in[WEIGHT + i]->dim[0]);
	return y;
}

/* Those products whose weights have the type of product `first`, which comes before any of them. */
static enum plumb_status qkv_launch(struct plumb_driver *driver, const struct plumb_call *call, int first)
{
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *x = call->in[X];
	enum plumb_type type = call->in[WEIGHT + first]->type;
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	int64_t groups = 0;
	PLUMB_TRY(plumb_cl_range(call->out));
	a.bytes = (double)plumb_tensor_bytes(x) + (double)plumb_tensor_bytes(call->in[NORM]);
	plumb_cl_mem(&a, call->out->buffer->copy[driver->index].handle);
	plumb_cl_tensor(&a, x);
	plumb_cl_tensor(&a, call->in[NORM]);
	plumb_cl_float(&a, call->s.eps);
	plumb_cl_int(&a, x->dim[0]);
	plumb_cl_int(&a, x->dim[1]);
	for (int i = 0; i < 3; i++) {
		const struct plumb_tensor *w = call->in[WEIGHT + i], *b = call->in[BIAS + i], y = qkv_output(call, i);
		bool absent = i < first || w->type != type;
		cl_mem mem;
		int64_t group;
		PLUMB_TRY(plumb_cl_weight_whole(driver, w, &mem, &group));
		plumb_cl_mem(&a, mem);
		plumb_cl_int(&a, group);
		plumb_cl_tensor(&a, b);
		plumb_cl_int(&a, absent ? 0 : w->dim[0]);
		plumb_cl_int(&a, (int64_t)(y.offset / sizeof(cl_float)));
		if (absent)
			continue;
		groups += plumb_cl_pack_groups(w->dim[0]);
		a.bytes += (double)plumb_tensor_bytes(w) + (double)plumb_tensor_bytes(&y) +
			(b ? (double)plumb_tensor_bytes(b) : 0);
	}
	int64_t each = plumb_cl_variant_groups(cl, groups);
	plumb_cl_int(&a, groups);
	plumb_cl_int(&a, each);
	return plumb_cl_launch_rows(
		&a, "qkv", "qkv", plumb_cl_pack_options(type), (groups + each - 1) / each, x->dim[0]);
}

static enum plumb_status qkv_fallback(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice choice)
{
	const struct plumb_tensor *x = call->in[X];
	struct plumb_cl_fused_matrix normed;
	PLUMB_TRY(plumb_cl_fused_matrix(driver, PLUMB_CL_SCRATCH_NORMED, x->dim[0], x->dim[1], &normed));
	const struct plumb_call norm = { .op = PLUMB_OP_rmsnorm,
		.out = &normed.tensor,
		.in = { x, call->in[NORM] },
		.s = { .eps = call->s.eps } };
	PLUMB_TRY(plumb_cl_fused_run(driver, &norm, choice));
	for (int i = 0; i < 3; i++) {
		struct plumb_tensor y = qkv_output(call, i);
		const struct plumb_call product = { .op = PLUMB_OP_matmul,
			.out = &y,
			.in = { &normed.tensor, call->in[WEIGHT + i], call->in[BIAS + i] } };
		PLUMB_TRY(plumb_cl_fused_run(driver, &product, choice));
	}
	return PLUMB_OK;
}

enum plumb_status plumb_cl_qkv(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_choice choice;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice_product(driver, call, &choice));
	if (choice.variant != PLUMB_CL_MT1)
		return qkv_fallback(driver, call, choice);
	PLUMB_TRY(plumb_cl_fused_row(driver, call->in[X]->dim[1]));
	unsigned done = 0;
	for (int i = 0; i < 3; i++)
		if (!(done >> call->in[WEIGHT + i]->type & 1)) {
			PLUMB_TRY(qkv_launch(driver, call, i));
			done |= 1u << call->in[WEIGHT + i]->type;
		}
	return PLUMB_OK;
}
