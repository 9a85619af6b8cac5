/* SPDX-License-Identifier: Apache-2.0 */
/* f16_round: what a run in float16 keeps of a value. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_f16_round(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_f16_round, .out = y, .in = { x } });
}

static enum plumb_status f16_round_check(const struct plumb_call *c)
{
	PLUMB_TRY(plumb_need_same(c));
	return plumb_need_apart(c->out, c->in[0], "x", true);
}

/* What it works on are float32's values, whatever the tensors' type: rounding through float32 is one
 * rounding. */
static enum plumb_status f16_round_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	(void)driver;
	for (int64_t i = 0; i < plumb_tensor_count(c->out); i++)
		plumb_put(c->out, i, plumb_f16_to_f32(plumb_f32_to_f16((float)plumb_get(c->in[0], i))));
	return PLUMB_OK;
}

static double f16_round_flops(const struct plumb_call *c) { return (double)plumb_tensor_count(c->out); }
static double f16_round_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

#define CASE(text, n, d) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, .in = { { PLUMB_F32, 2, { n, d } } } \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 896),
	CASE("prefill", 33, 896),
	CASE("odd width", 3, 13),
	CASE("one element", 1, 1),
};

const struct plumb_op_desc plumb_op_f16_round = {
	.name = "f16_round",
	.index = -1,
	.alias = 1,
	.rows = 1,
	.check = f16_round_check,
	.ref = f16_round_ref,
	.flops = f16_round_flops,
	.bytes = plumb_bytes_all,
	.tolerance = f16_round_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
