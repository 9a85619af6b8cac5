/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store: write rows into a cache of keys or values. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_kv_store(
	struct plumb_context *ctx, struct plumb_tensor *cache, const struct plumb_tensor *x, int64_t pos)
{
	return plumb_dispatch(
		ctx, &(struct plumb_call){ .op = PLUMB_OP_kv_store, .out = cache, .in = { x }, .s = { .pos = pos } });
}

static enum plumb_status kv_store_check(const struct plumb_call *c)
{
	const struct plumb_tensor *cache = c->out, *x = c->in[0];
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_activation(x, "x", NULL));
	PLUMB_TRY(plumb_need_cache(cache, "cache"));
	PLUMB_TRY(plumb_need_shape(x, "x", 2, -1, -1, -1));
	PLUMB_TRY(plumb_need_shape(cache, "cache", 2, -1, x->dim[1], -1));
	if (c->s.pos < 0 || c->s.pos > cache->dim[0] - x->dim[0])
		return plumb_fail(PLUMB_E_ARGUMENT, "positions %lld + %lld are outside the cache of %lld",
			(long long)c->s.pos, (long long)x->dim[0], (long long)cache->dim[0]);
	return plumb_need_apart(cache, x, "x", false);
}

static enum plumb_status kv_store_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	int64_t d = c->in[0]->dim[1];
	(void)driver;
	for (int64_t i = 0; i < c->in[0]->dim[0] * d; i++)
		plumb_put(c->out, c->s.pos * d + i, plumb_get(c->in[0], i));
	return PLUMB_OK;
}

static double kv_store_flops(const struct plumb_call *c)
{
	(void)c;
	return 0;
}
static double kv_store_bytes(const struct plumb_call *c)
{
	return 2.0 * (double)plumb_tensor_bytes(c->in[0]);
}
static double kv_store_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

#define CASE(text, type, capacity, n, d, p) \
	{ \
		.name = text, .out = { type, 2, { capacity, d } }, .in = { { PLUMB_F32, 2, { n, d } } }, \
		.scalars.s.pos = p \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", PLUMB_F32, 64, 1, 128, 63),
	CASE("half", PLUMB_F16, 64, 3, 128, 20),
	CASE("odd width", PLUMB_F16, 5, 5, 7, 0),
};

const struct plumb_op_desc plumb_op_kv_store = {
	.name = "kv_store",
	.index = -1,
	.inout = true,
	.rows = 1,
	.check = kv_store_check,
	.ref = kv_store_ref,
	.flops = kv_store_flops,
	.bytes = kv_store_bytes,
	.tolerance = kv_store_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
