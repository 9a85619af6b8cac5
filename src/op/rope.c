/* SPDX-License-Identifier: Apache-2.0 */
/* rope: rotary position embedding, half-split or interleaved pairs. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_rope(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x,
	int64_t pos, int64_t head_dim, double base, double factor, enum plumb_rope_pairs pairs)
{
	return plumb_dispatch(ctx,
		&(struct plumb_call){ .op = PLUMB_OP_rope,
			.out = y,
			.in = { x },
			.s = { .rope = { pos, head_dim, base, factor, pairs } } });
}

static enum plumb_status rope_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0];
	PLUMB_TRY(plumb_need_same(c));
	if (c->s.rope.head_dim < 2 || c->s.rope.head_dim % 2 || x->dim[1] % c->s.rope.head_dim)
		return plumb_fail(PLUMB_E_ARGUMENT, "head_dim is %lld, must be even and divide the width %lld",
			(long long)c->s.rope.head_dim, (long long)x->dim[1]);
	if (c->s.rope.pos < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "position %lld is negative", (long long)c->s.rope.pos);
	if (!(c->s.rope.base > 0))
		return plumb_fail(PLUMB_E_ARGUMENT, "base is %g, must be positive", c->s.rope.base);
	if (!(c->s.rope.factor > 0))
		return plumb_fail(PLUMB_E_ARGUMENT, "factor is %g, must be positive", c->s.rope.factor);
	if (c->s.rope.pairs != PLUMB_ROPE_HALF && c->s.rope.pairs != PLUMB_ROPE_INTERLEAVED)
		return plumb_fail(PLUMB_E_ARGUMENT, "pairing %d is not known", (int)c->s.rope.pairs);
	return plumb_need_apart(y, x, "x", true);
}

static enum plumb_status rope_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[0];
	int64_t hd = c->s.rope.head_dim, heads = x->dim[1] / hd;
	bool half = c->s.rope.pairs == PLUMB_ROPE_HALF;
	(void)driver;
	for (int64_t i = 0; i < x->dim[0]; i++)
		for (int64_t j = 0; j < hd / 2; j++) {
			double rate = pow(c->s.rope.base, -2.0 * (double)j / (double)hd);
			double angle = (double)(c->s.rope.pos + i) / c->s.rope.factor * rate;
			double cosine = cos(angle), sine = sin(angle);
			for (int64_t h = 0; h < heads; h++) {
				int64_t first = (i * heads + h) * hd + (half ? j : 2 * j),
						second = first + (half ? hd / 2 : 1);
				double a = plumb_get(x, first), b = plumb_get(x, second);
				plumb_put(c->out, first, a * cosine - b * sine);
				plumb_put(c->out, second, b * cosine + a * sine);
			}
		}
	return PLUMB_OK;
}

static double rope_flops(const struct plumb_call *c) { return 3.0 * (double)plumb_tensor_count(c->in[0]); }
static double rope_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 4 * PLUMB_U;
}

#define CASE(text, n, heads, hd, p, by, how) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, heads * hd } }, \
		.in = { { PLUMB_F32, 2, { n, heads * hd } } }, .scalars.s.rope = { \
			p, \
			hd, \
			1e6, \
			by, \
			how \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b queries", 1, 14, 64, 1234, 1, PLUMB_ROPE_HALF),
	CASE("qwen2.5-0.5b keys", 5, 2, 64, 0, 1, PLUMB_ROPE_HALF),
	CASE("end of the context", 3, 2, 64, 32765, 1, PLUMB_ROPE_HALF),
	CASE("interleaved", 4, 3, 64, 77, 1, PLUMB_ROPE_INTERLEAVED),
	CASE("scaled", 3, 2, 64, 4099, 3.5, PLUMB_ROPE_HALF),
	CASE("small head", 2, 3, 6, 9, 1, PLUMB_ROPE_HALF),
	CASE("smallest head", 2, 1, 2, 3, 1, PLUMB_ROPE_INTERLEAVED),
};

const struct plumb_op_desc plumb_op_rope = {
	.name = "rope",
	.index = -1,
	.alias = 1,
	.rows = 1,
	.check = rope_check,
	.ref = rope_ref,
	.flops = rope_flops,
	.bytes = plumb_bytes_all,
	.tolerance = rope_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
