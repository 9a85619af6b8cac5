/* SPDX-License-Identifier: Apache-2.0 */
/* scale: a tensor times a number. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_scale(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x, double factor)
{
	return plumb_dispatch(
		ctx, &(struct plumb_call){ .op = PLUMB_OP_scale, .out = y, .in = { x }, .s = { .factor = factor } });
}

static enum plumb_status scale_check(const struct plumb_call *c)
{
	PLUMB_TRY(plumb_need_same(c));
	if (!isfinite((float)c->s.factor))
		return plumb_fail(PLUMB_E_ARGUMENT, "factor is %g, must be a finite float32", c->s.factor);
	return plumb_need_apart(c->out, c->in[0], "x", true);
}

static enum plumb_status scale_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	int64_t n = plumb_tensor_count(c->out);
	double factor = (double)(float)c->s.factor;
	(void)driver;
	for (int64_t i = 0; i < n; i++)
		plumb_put(c->out, i, plumb_get(c->in[0], i) * factor);
	return PLUMB_OK;
}

static double scale_flops(const struct plumb_call *c) { return (double)plumb_tensor_count(c->out); }
static double scale_tolerance(const struct plumb_call *c)
{
	(void)c;
	return PLUMB_U;
}

#define CASE(text, n, d, by) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, .in = { { PLUMB_F32, 2, { n, d } } }, \
		.scalars.s.factor = by \
	}
static const struct plumb_case cases[] = {
	CASE("gemma-3-270m embedding", 1, 640, 25.298221281347036),
	CASE("prefill", 33, 640, 0.22),
	CASE("odd width", 3, 13, -1.5),
	CASE("one element", 1, 1, 0.1),
};

const struct plumb_op_desc plumb_op_scale = {
	.name = "scale",
	.index = -1,
	.alias = 1,
	.rows = 1,
	.check = scale_check,
	.ref = scale_ref,
	.flops = scale_flops,
	.bytes = plumb_bytes_all,
	.tolerance = scale_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
