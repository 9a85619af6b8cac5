/* SPDX-License-Identifier: Apache-2.0 */
/* qkv on OpenCL: one row in as many launches as its weights have types, several through rmsnorm's and matmul's kernels. */
#include "cl/cl.h"

enum { X, NORM, WEIGHT, BIAS = WEIGHT + 3 };

/* The part of y that product i makes. */
static struct plumb_tensor part_of(const struct plumb_call *call, int i)
{
	struct plumb_tensor y;
	int64_t m = call->in[X]->dim[0], before = 0;
	for (int j = 0; j < i; j++)
		before += m * call->in[WEIGHT + j]->dim[0];
	plumb_tensor_part(&y, call->out, before, m, call->in[WEIGHT + i]->dim[0]);
	return y;
}

/* Those products whose weights have the type of product `first`, which comes before any of them. */
static enum plumb_status launch(struct plumb_driver *driver, const struct plumb_call *call, int first)
{
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *x = call->in[X];
	enum plumb_type type = call->in[WEIGHT + first]->type;
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	int64_t groups = 0;
	PLUMB_TRY(plumb_cl_range(call->out));
	driver->bytes = (double)plumb_tensor_bytes(x) + (double)plumb_tensor_bytes(call->in[NORM]);
	plumb_cl_mem(&a, call->out->buffer->copy[driver->index].handle);
	plumb_cl_tensor(&a, x);
	plumb_cl_tensor(&a, call->in[NORM]);
	plumb_cl_float(&a, call->s.eps);
	plumb_cl_int(&a, x->dim[0]);
	plumb_cl_int(&a, x->dim[1]);
	for (int i = 0; i < 3; i++) {
		const struct plumb_tensor *w = call->in[WEIGHT + i], *b = call->in[BIAS + i], y = part_of(call, i);
		bool absent = i < first || w->type != type;
		cl_mem mem;
		int64_t eight;
		PLUMB_TRY(plumb_cl_whole(driver, w, &mem, &eight));
		plumb_cl_mem(&a, mem);
		plumb_cl_int(&a, eight);
		plumb_cl_tensor(&a, b);
		plumb_cl_int(&a, absent ? 0 : w->dim[0]);
		plumb_cl_int(&a, (int64_t)(y.offset / sizeof(cl_float)));
		if (absent)
			continue;
		groups += (w->dim[0] + 7) / 8;
		driver->bytes += (double)plumb_tensor_bytes(w) + (double)plumb_tensor_bytes(&y) + (b ? (double)plumb_tensor_bytes(b) : 0);
	}
	int64_t each = plumb_cl_groups_each(cl, groups);
	plumb_cl_int(&a, groups);
	plumb_cl_int(&a, each);
	return plumb_cl_launch_rows(&a, "qkv", "qkv", plumb_cl_weight_options(type), (groups + each - 1) / each, x->dim[0]);
}

static enum plumb_status in_steps(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way way)
{
	const struct plumb_tensor *x = call->in[X];
	struct plumb_cl_temp normed;
	PLUMB_TRY(plumb_cl_temp(driver, PLUMB_CL_NORMED, x->dim[0], x->dim[1], &normed));
	PLUMB_TRY(plumb_cl_step(driver, &(struct plumb_call){ PLUMB_OP_rmsnorm, &normed.tensor, { x, call->in[NORM] }, { .eps = call->s.eps } }, way));
	for (int i = 0; i < 3; i++) {
		struct plumb_tensor y = part_of(call, i);
		PLUMB_TRY(plumb_cl_step(driver, &(struct plumb_call){ PLUMB_OP_matmul, &y, { &normed.tensor, call->in[WEIGHT + i], call->in[BIAS + i] }, { 0 } }, way));
	}
	return PLUMB_OK;
}

enum plumb_status plumb_cl_qkv(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_cl_way way;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice(driver, call, &way));
	if (way != PLUMB_CL_MT1)
		return in_steps(driver, call, way);
	PLUMB_TRY(plumb_cl_row_fits(driver, call->in[X]->dim[1]));
	unsigned done = 0;
	for (int i = 0; i < 3; i++)
		if (!(done >> call->in[WEIGHT + i]->type & 1)) {
			PLUMB_TRY(launch(driver, call, i));
			done |= 1u << call->in[WEIGHT + i]->type;
		}
	return PLUMB_OK;
}
