/* SPDX-License-Identifier: Apache-2.0 */
/* attn_scores: scaled and masked products of queries and cached keys. Contract
 * and truth. */
#include "op/op.h"

enum plumb_status plumb_attn_scores(struct plumb_context *ctx, struct plumb_tensor *s,
	const struct plumb_tensor *q, const struct plumb_tensor *k, const struct plumb_attn *a)
{
	return plumb_dispatch(ctx,
		&(struct plumb_call){ .op = PLUMB_OP_attn_scores, .out = s, .in = { q, k }, .s = { .attn = *a } });
}

static enum plumb_status attn_scores_check(const struct plumb_call *c)
{
	const struct plumb_tensor *s = c->out, *q = c->in[0], *k = c->in[1];
	PLUMB_TRY(plumb_need_present(q, "q"));
	PLUMB_TRY(plumb_need_present(k, "k"));
	PLUMB_TRY(plumb_need_activation(s, "s", NULL));
	PLUMB_TRY(plumb_need_activation(q, "q", s));
	PLUMB_TRY(plumb_need_attn(&c->s.attn, q, k, "k"));
	PLUMB_TRY(plumb_need_shape(s, "s", 3, c->s.attn.heads, q->dim[0], c->s.attn.pos + q->dim[0]));
	PLUMB_TRY(plumb_need_apart(s, k, "k", false));
	return plumb_need_apart(s, q, "q", false);
}

static void attn_scores_head(void *arg, int64_t h, int thread)
{
	const struct plumb_call *c = arg;
	const struct plumb_tensor *s = c->out, *q = c->in[0], *k = c->in[1];
	const struct plumb_attn *a = &c->s.attn;
	int64_t d = q->dim[1] / a->heads, n = q->dim[0], total = a->pos + n, g = h / (a->heads / a->kv_heads);
	(void)thread;
	for (int64_t i = 0; i < n; i++)
		for (int64_t t = 0; t < total; t++) {
			double sum = 0;
			for (int64_t j = 0; j < d; j++)
				sum += plumb_get(q, (i * a->heads + h) * d + j) * plumb_get(k, (t * a->kv_heads + g) * d + j);
			plumb_put(s, (h * n + i) * total + t,
				t <= a->pos + i && t >= plumb_attn_first(a, a->pos + i) ? sum * a->scale : -INFINITY);
		}
}

static enum plumb_status attn_scores_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	plumb_pool_run(driver->ctx->pool, attn_scores_head, (void *)(uintptr_t)c, c->s.attn.heads);
	return PLUMB_OK;
}

static double attn_scores_flops(const struct plumb_call *c)
{
	return 2.0 * (double)plumb_tensor_count(c->out) * (double)c->in[0]->dim[1] / (double)c->s.attn.heads;
}

static double attn_scores_bytes(const struct plumb_call *c) { return plumb_bytes_cache(c, c->out->dim[2]); }

static double attn_scores_tolerance(const struct plumb_call *c)
{
	return (3 + sqrt((double)c->in[0]->dim[1] / (double)c->s.attn.heads)) * PLUMB_U;
}

#define CASE(text, type, n, h, g, d, p, w) \
	{ \
		.name = text, .out = { PLUMB_F32, 3, { h, n, (p) + (n) } }, \
		.in = { { PLUMB_F32, 2, { n, (h) * (d) } }, { type, 2, { (p) + (n) + 3, (g) * (d) } } }, \
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
	CASE("window, decode", PLUMB_F32, 1, 4, 1, 256, 70, 33),
	CASE("window, prefill", PLUMB_F16, 19, 4, 2, 32, 3, 7),
	CASE("window beyond the context", PLUMB_F32, 5, 3, 1, 80, 9, 500),
	CASE("window of one", PLUMB_F32, 4, 3, 3, 10, 6, 1),
};

const struct plumb_op_desc plumb_op_attn_scores = {
	.name = "attn_scores",
	.index = -1,
	.rows = 1,
	.caches = 2,
	.check = attn_scores_check,
	.ref = attn_scores_ref,
	.flops = attn_scores_flops,
	.bytes = attn_scores_bytes,
	.tolerance = attn_scores_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
