/* SPDX-License-Identifier: Apache-2.0 */
/* add: the residual connection. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_add(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *a,
	const struct plumb_tensor *b)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_add, .out = y, .in = { a, b } });
}

static enum plumb_status add_check(const struct plumb_call *c) { return plumb_need_alike(c, "a", "b"); }

static enum plumb_status add_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	int64_t n = plumb_tensor_count(c->out);
	(void)driver;
	for (int64_t i = 0; i < n; i++)
		plumb_put(c->out, i, plumb_get(c->in[0], i) + plumb_get(c->in[1], i));
	return PLUMB_OK;
}

static double add_flops(const struct plumb_call *c) { return (double)plumb_tensor_count(c->out); }
static double add_tolerance(const struct plumb_call *c)
{
	(void)c;
	return PLUMB_U;
}

#define CASE(text, n, d) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, .in = { \
			{ PLUMB_F32, 2, { n, d } }, \
			{ PLUMB_F32, 2, { n, d } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 896),
	CASE("prefill", 33, 896),
	CASE("odd width", 3, 13),
	CASE("one element", 1, 1),
};

const struct plumb_op_desc plumb_op_add = {
	.name = "add",
	.index = -1,
	.alias = 3,
	.rows = 3,
	.check = add_check,
	.ref = add_ref,
	.flops = add_flops,
	.bytes = plumb_bytes_all,
	.tolerance = add_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
