/* SPDX-License-Identifier: Apache-2.0 */
/* swiglu: silu of one tensor times another. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_swiglu(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *gate, const struct plumb_tensor *up)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_swiglu, .out = y, .in = { gate, up } });
}

static enum plumb_status swiglu_check(const struct plumb_call *c)
{
	return plumb_need_alike(c, "gate", "up");
}

static enum plumb_status swiglu_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	int64_t n = plumb_tensor_count(c->out);
	(void)driver;
	for (int64_t i = 0; i < n; i++) {
		double gate = plumb_get(c->in[0], i);
		plumb_put(c->out, i, gate / (1 + exp(-gate)) * plumb_get(c->in[1], i));
	}
	return PLUMB_OK;
}

static double swiglu_flops(const struct plumb_call *c) { return 5.0 * (double)plumb_tensor_count(c->out); }
static double swiglu_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 8 * PLUMB_U;
}

#define CASE(text, n, d) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, .in = { \
			{ PLUMB_F32, 2, { n, d } }, \
			{ PLUMB_F32, 2, { n, d } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 4864),
	CASE("prefill", 17, 4864),
	CASE("odd width", 3, 13),
	CASE("one element", 1, 1),
};

const struct plumb_op_desc plumb_op_swiglu = {
	.name = "swiglu",
	.index = -1,
	.alias = 3,
	.rows = 3,
	.check = swiglu_check,
	.ref = swiglu_ref,
	.flops = swiglu_flops,
	.bytes = plumb_bytes_all,
	.tolerance = swiglu_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
