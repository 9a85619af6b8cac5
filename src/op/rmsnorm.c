/* SPDX-License-Identifier: Apache-2.0 */
/* rmsnorm: scale each row to mean square one, then by weight. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_rmsnorm(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *w, double eps)
{
	return plumb_dispatch(
		ctx, &(struct plumb_call){ .op = PLUMB_OP_rmsnorm, .out = y, .in = { x, w }, .s = { .eps = eps } });
}

static enum plumb_status rmsnorm_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0];
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_normed(c, x, c->in[1], "w"));
	PLUMB_TRY(plumb_need_shape(y, "y", 2, x->dim[0], x->dim[1], -1));
	return plumb_need_apart(y, x, "x", true);
}

static enum plumb_status rmsnorm_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[0], *w = c->in[1];
	int64_t d = x->dim[1];
	(void)driver;
	for (int64_t i = 0; i < x->dim[0]; i++) {
		double sum = 0;
		for (int64_t j = 0; j < d; j++)
			sum += plumb_get(x, i * d + j) * plumb_get(x, i * d + j);
		double scale = 1 / sqrt(sum / (double)d + c->s.eps);
		for (int64_t j = 0; j < d; j++)
			plumb_put(c->out, i * d + j, plumb_get(x, i * d + j) * scale * plumb_get(w, j));
	}
	return PLUMB_OK;
}

static double rmsnorm_flops(const struct plumb_call *c) { return 4.0 * (double)plumb_tensor_count(c->in[0]); }

double plumb_norm_tolerance(const struct plumb_tensor *x)
{
	return (4 + sqrt((double)x->dim[1]) / 2) * PLUMB_U;
}
static double rmsnorm_tolerance(const struct plumb_call *c) { return plumb_norm_tolerance(c->in[0]); }

#define CASE(text, n, d, e) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, \
		.in = { { PLUMB_F32, 2, { n, d } }, { PLUMB_F32, 1, { d } } }, .scalars.s.eps = e \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 896, 1e-6),
	CASE("prefill", 37, 896, 1e-6),
	CASE("odd width", 3, 131, 1e-5),
	CASE("one element", 1, 1, 0),
};

const struct plumb_op_desc plumb_op_rmsnorm = {
	.name = "rmsnorm",
	.index = -1,
	.alias = 1,
	.rows = 1,
	.check = rmsnorm_check,
	.ref = rmsnorm_ref,
	.flops = rmsnorm_flops,
	.bytes = plumb_bytes_all,
	.tolerance = rmsnorm_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
