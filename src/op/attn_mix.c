/* SPDX-License-Identifier: Apache-2.0 */
/* attn_mix: cached values weighted by attention probabilities. Contract and truth. */
#include "op/op.h"

enum plumb_status plumb_attn_mix(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *p, const struct plumb_tensor *v, const struct plumb_attn *a)
{
	return plumb_dispatch(
		ctx, &(struct plumb_call){ .op = PLUMB_OP_attn_mix, .out = y, .in = { p, v }, .s = { .attn = *a } });
}

static enum plumb_status attn_mix_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *p = c->in[0], *v = c->in[1];
	PLUMB_TRY(plumb_need_present(p, "p"));
	PLUMB_TRY(plumb_need_present(v, "v"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_activation(p, "p", y));
	PLUMB_TRY(plumb_need_attn(&c->s.attn, y, v, "v"));
	PLUMB_TRY(plumb_need_shape(p, "p", 3, c->s.attn.heads, y->dim[0], c->s.attn.pos + y->dim[0]));
	PLUMB_TRY(plumb_need_apart(y, v, "v", false));
	return plumb_need_apart(y, p, "p", false);
}

static enum plumb_status attn_mix_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *p = c->in[0], *v = c->in[1];
	const struct plumb_attn *a = &c->s.attn;
	int64_t d = y->dim[1] / a->heads, n = y->dim[0], total = a->pos + n;
	(void)driver;
	for (int64_t i = 0; i < n; i++)
		for (int64_t h = 0; h < a->heads; h++)
			for (int64_t j = 0; j < d; j++) {
				int64_t g = h / (a->heads / a->kv_heads);
				double sum = 0;
				for (int64_t t = plumb_attn_first(a, a->pos + i); t <= a->pos + i; t++)
					sum += plumb_get(p, (h * n + i) * total + t) *
						plumb_get(v, (t * a->kv_heads + g) * d + j);
				plumb_put(y, (i * a->heads + h) * d + j, sum);
			}
	return PLUMB_OK;
}

static double attn_mix_flops(const struct plumb_call *c)
{
	return 2.0 * (double)plumb_tensor_count(c->in[0]) * (double)c->out->dim[1] / (double)c->s.attn.heads;
}

static double attn_mix_bytes(const struct plumb_call *c)
{
	return plumb_bytes_cache(c, plumb_attn_keys(&c->s.attn, c->out->dim[0]));
}

static double attn_mix_tolerance(const struct plumb_call *c)
{
	return (2 + sqrt((double)c->in[0]->dim[2])) * PLUMB_U;
}

#define CASE(text, type, n, h, g, d, p, w) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, (h) * (d) } }, \
		.in = { { PLUMB_F32, 3, { h, n, (p) + (n) } }, { type, 2, { (p) + (n) + 3, (g) * (d) } } }, \
		.scalars.s.attn = { \
			p, \
			h, \
			g, \
			0.125, \
			w \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", PLUMB_F32, 1, 14, 2, 64, 200, 0),
	CASE("first token", PLUMB_F32, 1, 14, 2, 64, 0, 0),
	CASE("prefill", PLUMB_F32, 19, 14, 2, 64, 0, 0),
	CASE("half cache", PLUMB_F16, 5, 14, 2, 64, 31, 0),
	CASE("odd head", PLUMB_F32, 3, 6, 3, 10, 4, 0),
	CASE("window, decode", PLUMB_F32, 1, 4, 1, 256, 170, 99),
	CASE("window, prefill", PLUMB_F16, 19, 4, 2, 32, 3, 7),
	CASE("window beyond the context", PLUMB_F32, 5, 3, 1, 80, 9, 500),
	CASE("window of one", PLUMB_F32, 4, 3, 3, 10, 6, 1),
};

const struct plumb_op_desc plumb_op_attn_mix = {
	.name = "attn_mix",
	.index = -1,
	.caches = 2,
	.check = attn_mix_check,
	.ref = attn_mix_ref,
	.flops = attn_mix_flops,
	.bytes = attn_mix_bytes,
	.tolerance = attn_mix_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
