/* SPDX-License-Identifier: Apache-2.0 */
/* softmax: along the last dimension, shifted by the maximum. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_softmax(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_softmax, .out = y, .in = { x } });
}

static enum plumb_status softmax_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0];
	char shape[96];
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_activation(x, "x", y));
	if (!plumb_shape_same(y, x))
		return plumb_fail(
			PLUMB_E_SHAPE, "x is %s, not of the output's shape", plumb_shape_text(x, shape, sizeof shape));
	return plumb_need_apart(y, x, "x", true);
}

static enum plumb_status softmax_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[0];
	int64_t d = x->dim[x->rank - 1], rows = plumb_tensor_count(x) / d;
	(void)driver;
	for (int64_t i = 0; i < rows; i++) {
		double max = -INFINITY, sum = 0;
		for (int64_t j = 0; j < d; j++)
			max = fmax(max, plumb_get(x, i * d + j));
		for (int64_t j = 0; j < d; j++)
			sum += exp(plumb_get(x, i * d + j) - max);
		for (int64_t j = 0; j < d; j++)
			plumb_put(c->out, i * d + j, exp(plumb_get(x, i * d + j) - max) / sum);
	}
	return PLUMB_OK;
}

static double softmax_flops(const struct plumb_call *c) { return 4.0 * (double)plumb_tensor_count(c->in[0]); }

static double softmax_tolerance(const struct plumb_call *c)
{
	return (16 + sqrt((double)c->in[0]->dim[c->in[0]->rank - 1]) / 2) * PLUMB_U;
}

#define CASE(text, rank, ...) \
	{ \
		.name = text, .out = { PLUMB_F32, rank, { __VA_ARGS__ } }, .in = { \
			{ PLUMB_F32, rank, { __VA_ARGS__ } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 3, 14, 1, 201),
	CASE("prefill", 3, 14, 19, 19),
	CASE("long row", 1, 5003),
	CASE("one key", 2, 14, 1),
};

const struct plumb_op_desc plumb_op_softmax = {
	.name = "softmax",
	.index = -1,
	.alias = 1,
	.rows = 1,
	.check = softmax_check,
	.ref = softmax_ref,
	.flops = softmax_flops,
	.bytes = plumb_bytes_all,
	.tolerance = softmax_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
