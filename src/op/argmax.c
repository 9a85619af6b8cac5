/* SPDX-License-Identifier: Apache-2.0 */
/* argmax: the first index of each row's largest element. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_argmax(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_argmax, .out = y, .in = { x } });
}

static enum plumb_status argmax_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[0];
	int64_t d = x->dim[1];
	(void)driver;
	for (int64_t i = 0; i < x->dim[0]; i++) {
		double best = 0;
		int32_t at = -1;
		for (int64_t j = 0; j < d; j++) {
			double v = plumb_get(x, i * d + j);
			if (!isnan(v) && (at < 0 || v > best)) {
				best = v;
				at = (int32_t)j;
			}
		}
		((int32_t *)plumb_host(c->out))[i] = at < 0 ? 0 : at;
	}
	return PLUMB_OK;
}

static double argmax_flops(const struct plumb_call *c) { return (double)plumb_tensor_count(c->in[0]); }
static double argmax_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

#define CASE(text, n, d) \
	{ \
		.name = text, .out = { PLUMB_I32, 1, { n } }, .in = { { PLUMB_F32, 2, { n, d } } } \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b logits", 1, 151936),
	CASE("rows", 5, 1001),
	CASE("one element", 2, 1),
};

const struct plumb_op_desc plumb_op_argmax = {
	.name = "argmax",
	.index = -1,
	.rows = 1,
	.check = plumb_need_row_index,
	.ref = argmax_ref,
	.flops = argmax_flops,
	.bytes = plumb_bytes_all,
	.tolerance = argmax_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
