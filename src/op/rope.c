/* SPDX-License-Identifier: Apache-2.0 */
/* rope: rotary position embedding of whole heads or of their first elements, half-split or interleaved pairs.
 * Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_rope(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *freqs, const struct plumb_rope *r)
{
	return plumb_dispatch(
		ctx, &(struct plumb_call){ .op = PLUMB_OP_rope, .out = y, .in = { x, freqs }, .s = { .rope = *r } });
}

static enum plumb_status rope_check_positive(const char *what, double value)
{
	return value > 0 && isfinite(value)
		? PLUMB_OK
		: plumb_fail(PLUMB_E_ARGUMENT, "%s is %g, must be positive", what, value);
}

static enum plumb_status rope_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0], *freqs = c->in[1];
	const struct plumb_rope *r = &c->s.rope;
	PLUMB_TRY(plumb_need_same(c));
	if (r->head_dim < 2 || x->dim[1] % r->head_dim)
		return plumb_fail(PLUMB_E_ARGUMENT, "head_dim is %lld, must be 2 or more and divide the width %lld",
			(long long)r->head_dim, (long long)x->dim[1]);
	if (r->rotated < 2 || r->rotated % 2 || r->rotated > r->head_dim)
		return plumb_fail(PLUMB_E_ARGUMENT, "%lld elements are rotated, must be even and 2 to head_dim, %lld",
			(long long)r->rotated, (long long)r->head_dim);
	if (r->pos < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "position %lld is negative", (long long)r->pos);
	PLUMB_TRY(rope_check_positive("base", r->base));
	PLUMB_TRY(rope_check_positive("factor", r->factor));
	PLUMB_TRY(rope_check_positive("scale", r->scale));
	if (r->pairs != PLUMB_ROPE_HALF && r->pairs != PLUMB_ROPE_INTERLEAVED)
		return plumb_fail(PLUMB_E_ARGUMENT, "pairing %d is not known", (int)r->pairs);
	if (freqs) {
		PLUMB_TRY(plumb_need_type(freqs, "freqs", PLUMB_F32));
		PLUMB_TRY(plumb_need_shape(freqs, "freqs", 1, r->rotated / 2, -1, -1));
		PLUMB_TRY(plumb_need_apart(y, freqs, "freqs", false));
	}
	return plumb_need_apart(y, x, "x", true);
}

static void rope_ref_pair(const struct plumb_call *c, int64_t i, int64_t j)
{
	const struct plumb_tensor *x = c->in[0];
	const struct plumb_rope *r = &c->s.rope;
	int64_t heads = x->dim[1] / r->head_dim;
	bool half = r->pairs == PLUMB_ROPE_HALF;
	double slower = r->factor * (c->in[1] ? plumb_get(c->in[1], j) : 1);
	double angle = (double)(r->pos + i) / slower * pow(r->base, -2.0 * (double)j / (double)r->rotated);
	double cosine = cos(angle) * r->scale, sine = sin(angle) * r->scale;
	for (int64_t h = 0; h < heads; h++) {
		int64_t first = (i * heads + h) * r->head_dim + (half ? j : 2 * j),
				second = first + (half ? r->rotated / 2 : 1);
		double a = plumb_get(x, first), b = plumb_get(x, second);
		plumb_put(c->out, first, a * cosine - b * sine);
		plumb_put(c->out, second, b * cosine + a * sine);
	}
}

static enum plumb_status rope_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[0];
	const struct plumb_rope *r = &c->s.rope;
	(void)driver;
	for (int64_t i = 0; i < x->dim[0]; i++) {
		for (int64_t j = 0; j < r->rotated / 2; j++)
			rope_ref_pair(c, i, j);
		for (int64_t k = i * x->dim[1]; k < (i + 1) * x->dim[1]; k++)
			if (k % r->head_dim >= r->rotated)
				plumb_put(c->out, k, plumb_get(x, k));
	}
	return PLUMB_OK;
}

static double rope_flops(const struct plumb_call *c) { return 3.0 * (double)plumb_tensor_count(c->in[0]); }
static double rope_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 4 * PLUMB_U;
}

/* part: how many of hd elements are rotated; with: 1 when there are freqs, 0 when there are none. */
#define CASE(text, n, heads, hd, part, with, p, by, times, how) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, (heads) * (hd) } }, \
		.in = { { PLUMB_F32, 2, { n, (heads) * (hd) } }, { PLUMB_F32, with, { (part) / 2 } } }, \
		.scalars.s.rope = { \
			p, \
			hd, \
			part, \
			1e6, \
			by, \
			times, \
			how \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b queries", 1, 14, 64, 64, 0, 1234, 1, 1, PLUMB_ROPE_HALF),
	CASE("qwen2.5-0.5b keys", 5, 2, 64, 64, 0, 0, 1, 1, PLUMB_ROPE_HALF),
	CASE("end of the context", 3, 2, 64, 64, 0, 32765, 1, 1, PLUMB_ROPE_HALF),
	CASE("interleaved", 4, 3, 64, 64, 0, 77, 1, 1, PLUMB_ROPE_INTERLEAVED),
	CASE("scaled positions", 3, 2, 64, 64, 0, 4099, 3.5, 1, PLUMB_ROPE_HALF),
	CASE("small head", 2, 3, 6, 6, 0, 9, 1, 1, PLUMB_ROPE_HALF),
	CASE("smallest head", 2, 1, 2, 2, 0, 3, 1, 1, PLUMB_ROPE_INTERLEAVED),
	CASE("frequency factors", 3, 4, 64, 64, 1, 0, 1, 1, PLUMB_ROPE_INTERLEAVED),
	CASE("phi-4-mini: a part, factors, a scale", 3, 3, 128, 96, 1, 70, 1, 1.19, PLUMB_ROPE_HALF),
	CASE("a part, interleaved", 4, 2, 80, 20, 1, 5, 2, 0.75, PLUMB_ROPE_INTERLEAVED),
	CASE("a part of an odd head", 2, 3, 7, 4, 0, 11, 1, 1, PLUMB_ROPE_HALF),
	CASE("one pair", 2, 2, 10, 2, 1, 6, 1, 1.5, PLUMB_ROPE_HALF),
	CASE("large head", 1, 4, 256, 256, 0, 300, 8, 1, PLUMB_ROPE_HALF),
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
