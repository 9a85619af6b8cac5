/* SPDX-License-Identifier: Apache-2.0 */
/* attention: the fused path over a KV cache. Contract, truth, and how it is composed from
 * attn_scores, softmax and attn_mix where a driver has none of its own. */
#include <stdlib.h>
#include "op/op.h"

enum plumb_status plumb_attention(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *q, const struct plumb_tensor *k, const struct plumb_tensor *v,
	const struct plumb_attn *a)
{
	return plumb_dispatch(ctx,
		&(struct plumb_call){ .op = PLUMB_OP_attention, .out = y, .in = { q, k, v }, .s = { .attn = *a } });
}

static enum plumb_status attention_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *q = c->in[0], *k = c->in[1], *v = c->in[2];
	PLUMB_TRY(plumb_need_present(q, "q"));
	PLUMB_TRY(plumb_need_present(k, "k"));
	PLUMB_TRY(plumb_need_present(v, "v"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_activation(q, "q", y));
	PLUMB_TRY(plumb_need_attn(&c->s.attn, q, k, "k"));
	PLUMB_TRY(plumb_need_attn(&c->s.attn, q, v, "v"));
	PLUMB_TRY(plumb_need_shape(y, "y", 2, q->dim[0], q->dim[1], -1));
	PLUMB_TRY(plumb_need_apart(y, k, "k", false));
	PLUMB_TRY(plumb_need_apart(y, v, "v", false));
	return plumb_need_apart(y, q, "q", false);
}

/* A few query rows at a time, so that the stored scores stay small. */
static enum plumb_status attention_compose_rows(
	struct plumb_context *ctx, const struct plumb_call *c, int64_t first, int64_t n)
{
	struct plumb_tensor y, q, s = { 0 };
	struct plumb_attn a = c->s.attn;
	a.pos += first;
	enum plumb_status status = plumb_tensor_rows(&y, c->out, first, n);
	if (!status)
		status = plumb_tensor_rows(&q, c->in[0], first, n);
	if (!status)
		status = plumb_tensor_new(ctx, &s, c->out->type, 3, (int64_t[]){ a.heads, n, a.pos + n });
	if (!status)
		status = plumb_attn_scores(ctx, &s, &q, c->in[1], &a);
	if (!status)
		status = plumb_softmax(ctx, &s, &s);
	if (!status)
		status = plumb_attn_mix(ctx, &y, &s, c->in[2], &a);
	plumb_tensor_free(&s);
	return status;
}

static enum plumb_status attention_compose(struct plumb_context *ctx, const struct plumb_call *c)
{
	const int64_t rows = 32, total = c->in[0]->dim[0];
	for (int64_t i = 0; i < total; i += rows)
		PLUMB_TRY(attention_compose_rows(ctx, c, i, total - i < rows ? total - i : rows));
	return PLUMB_OK;
}

struct job {
	const struct plumb_call *c;
	double *p;
};

static void attention_query(void *arg, int64_t row, int thread)
{
	const struct job *job = arg;
	const struct plumb_tensor *y = job->c->out, *q = job->c->in[0], *k = job->c->in[1], *v = job->c->in[2];
	const struct plumb_attn *a = &job->c->s.attn;
	int64_t i = row / a->heads, h = row % a->heads, g = h / (a->heads / a->kv_heads),
			d = q->dim[1] / a->heads, from = plumb_attn_first(a, a->pos + i), seen = a->pos + i + 1;
	double *p = job->p + thread * (a->pos + q->dim[0]), max = -INFINITY, sum = 0;
	for (int64_t t = from; t < seen; t++) {
		double s = 0;
		for (int64_t j = 0; j < d; j++)
			s += plumb_get(q, row * d + j) * plumb_get(k, (t * a->kv_heads + g) * d + j);
		p[t] = s * a->scale;
		max = fmax(max, p[t]);
	}
	for (int64_t t = from; t < seen; t++)
		sum += p[t] = exp(p[t] - max);
	for (int64_t j = 0; j < d; j++) {
		double s = 0;
		for (int64_t t = from; t < seen; t++)
			s += p[t] / sum * plumb_get(v, (t * a->kv_heads + g) * d + j);
		plumb_put(y, row * d + j, s);
	}
}

static enum plumb_status attention_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	struct plumb_pool *pool = driver->ctx->pool;
	size_t total = (size_t)(c->s.attn.pos + c->in[0]->dim[0]);
	struct job job = { c, malloc(sizeof(double) * total * (size_t)plumb_pool_threads(pool)) };
	if (!job.p)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu probabilities", total);
	plumb_pool_run(pool, attention_query, &job, c->in[0]->dim[0] * c->s.attn.heads);
	free(job.p);
	return PLUMB_OK;
}

static double attention_flops(const struct plumb_call *c)
{
	const struct plumb_attn *a = &c->s.attn;
	int64_t n = c->in[0]->dim[0], full = a->window ? a->window - 1 - a->pos : n; /* queries that see all */
	double early = full < 0 ? 0 : full < n ? (double)full : (double)n;
	double seen = early * (double)a->pos + early * (early + 1) / 2 + ((double)n - early) * (double)a->window;
	return 4 * seen * (double)c->in[0]->dim[1];
}

static double attention_bytes(const struct plumb_call *c)
{
	return plumb_bytes_cache(c, plumb_attn_keys(&c->s.attn, c->in[0]->dim[0]));
}

static double attention_tolerance(const struct plumb_call *c)
{
	double d = (double)c->in[0]->dim[1] / (double)c->s.attn.heads,
		   t = (double)(c->s.attn.pos + c->in[0]->dim[0]);
	return (16 + 4 * sqrt(d) + sqrt(t)) * PLUMB_U;
}

#define CASE(text, type, n, h, g, d, p, w) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, (h) * (d) } }, \
		.in = { { PLUMB_F32, 2, { n, (h) * (d) } }, { type, 2, { (p) + (n) + 3, (g) * (d) } }, \
			{ type, 2, { (p) + (n) + 3, (g) * (d) } } }, \
		.scalars.s.attn = { \
			p, \
			h, \
			g, \
			0.125, \
			w \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", PLUMB_F32, 1, 14, 2, 64, 700, 0),
	CASE("first token", PLUMB_F32, 1, 14, 2, 64, 0, 0),
	CASE("prefill", PLUMB_F32, 70, 14, 2, 64, 0, 0),
	CASE("second pass", PLUMB_F32, 33, 14, 2, 64, 100, 0),
	CASE("half cache", PLUMB_F16, 5, 14, 2, 64, 31, 0),
	CASE("half cache decode", PLUMB_F16, 1, 14, 2, 64, 300, 0),
	CASE("odd head", PLUMB_F32, 3, 6, 3, 10, 4, 0),
	CASE("no sharing", PLUMB_F32, 2, 3, 3, 16, 5, 0),
	CASE("gemma 3 decode, window", PLUMB_F32, 1, 4, 1, 256, 700, 512),
	CASE("gemma 3 prefill, window", PLUMB_F16, 37, 4, 1, 256, 40, 16),
	CASE("window, short prefill", PLUMB_F32, 4, 4, 4, 32, 90, 70),
	CASE("window beyond the context", PLUMB_F32, 9, 6, 2, 80, 30, 5000),
	CASE("window of one", PLUMB_F32, 5, 3, 3, 16, 7, 1),
	CASE("window, half of a long cache", PLUMB_F16, 1, 28, 4, 128, 1200, 1100),
	CASE("qwen2.5-7b decode", PLUMB_F32, 1, 28, 4, 128, 65, 0),
	CASE("head of 80", PLUMB_F16, 6, 4, 1, 80, 50, 0),
	CASE("head of 256", PLUMB_F32, 13, 4, 1, 256, 3, 0),
};

const struct plumb_op_desc plumb_op_attention = {
	.name = "attention",
	.fused = true,
	.parts = 1u << PLUMB_OP_attn_scores | 1u << PLUMB_OP_softmax | 1u << PLUMB_OP_attn_mix,
	.index = -1,
	.rows = 1,
	.caches = 2 | 4,
	.check = attention_check,
	.ref = attention_ref,
	.compose = attention_compose,
	.flops = attention_flops,
	.bytes = attention_bytes,
	.tolerance = attention_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
