/* SPDX-License-Identifier: Apache-2.0 */
/* geglu: gelu, as approximated by tanh, of one tensor times another. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_geglu(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *gate, const struct plumb_tensor *up)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_geglu, .out = y, .in = { gate, up } });
}

static enum plumb_status geglu_check(const struct plumb_call *c) { return plumb_need_alike(c, "gate", "up"); }

static enum plumb_status geglu_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	int64_t n = plumb_tensor_count(c->out);
	(void)driver;
	for (int64_t i = 0; i < n; i++) {
		double gate = plumb_get(c->in[0], i);
		double inner = sqrt(2 / acos(-1)) * (gate + 0.044715 * gate * gate * gate);
		plumb_put(c->out, i, gate / 2 * (1 + tanh(inner)) * plumb_get(c->in[1], i));
	}
	return PLUMB_OK;
}

static double geglu_flops(const struct plumb_call *c) { return 9.0 * (double)plumb_tensor_count(c->out); }
static double geglu_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 12 * PLUMB_U;
}

#define CASE(text, n, d) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, .in = { \
			{ PLUMB_F32, 2, { n, d } }, \
			{ PLUMB_F32, 2, { n, d } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("gemma-3-270m decode", 1, 2048),
	CASE("prefill", 17, 2048),
	CASE("odd width", 3, 13),
	CASE("one element", 1, 1),
};

const struct plumb_op_desc plumb_op_geglu = {
	.name = "geglu",
	.index = -1,
	.alias = 3,
	.rows = 3,
	.check = geglu_check,
	.ref = geglu_ref,
	.flops = geglu_flops,
	.bytes = plumb_bytes_all,
	.tolerance = geglu_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
