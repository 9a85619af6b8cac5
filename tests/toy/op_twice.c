/* SPDX-License-Identifier: Apache-2.0 */
/* twice: y = 2 x, for tests/check_toy.sh. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_twice(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_twice, .out = y, .in = { x } });
}

static enum plumb_status check(const struct plumb_call *c) { return plumb_need_same(c); }

static enum plumb_status ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	(void)driver;
	for (int64_t i = 0; i < plumb_tensor_count(c->out); i++)
		plumb_put(c->out, i, 2 * plumb_get(c->in[0], i));
	return PLUMB_OK;
}

static double flops(const struct plumb_call *c) { return (double)plumb_tensor_count(c->out); }
static double tolerance(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

static const struct plumb_case cases[] = {
	{ .name = "a row", .out = { PLUMB_F32, 2, { 1, 896 } }, .in = { { PLUMB_F32, 2, { 1, 896 } } } },
	{ .name = "odd width", .out = { PLUMB_F32, 2, { 3, 13 } }, .in = { { PLUMB_F32, 2, { 3, 13 } } } },
};

const struct plumb_op_desc plumb_op_twice = {
	.name = "twice",
	.index = -1,
	.rows = 1,
	.check = check,
	.ref = ref,
	.flops = flops,
	.bytes = plumb_bytes_all,
	.tolerance = tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
