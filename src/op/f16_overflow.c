/* SPDX-License-Identifier: Apache-2.0 */
/* f16_overflow: where a row first leaves the range of float16. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_f16_overflow(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_f16_overflow, .out = y, .in = { x } });
}

static enum plumb_status f16_overflow_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[0];
	int64_t d = x->dim[1];
	(void)driver;
	for (int64_t i = 0; i < x->dim[0]; i++) {
		int64_t j = 0;
		while (
			j < d && !(isfinite(plumb_get(x, i * d + j)) && fabs(plumb_get(x, i * d + j)) >= PLUMB_F16_ENDS))
			j++;
		((int32_t *)plumb_host(c->out))[i] = j < d ? (int32_t)j : -1;
	}
	return PLUMB_OK;
}

static double f16_overflow_flops(const struct plumb_call *c) { return (double)plumb_tensor_count(c->in[0]); }
static double f16_overflow_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

#define CASE(text, n, d) \
	{ \
		.name = text, .out = { PLUMB_I32, 1, { n } }, .in = { { PLUMB_F32, 2, { n, d } } } \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 896),
	CASE("prefill", 33, 896),
	CASE("odd width", 3, 13),
	CASE("one element", 1, 1),
};

const struct plumb_op_desc plumb_op_f16_overflow = {
	.name = "f16_overflow",
	.index = -1,
	.rows = 1,
	.check = plumb_need_row_index,
	.ref = f16_overflow_ref,
	.flops = f16_overflow_flops,
	.bytes = plumb_bytes_all,
	.tolerance = f16_overflow_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
