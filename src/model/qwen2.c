/* SPDX-License-Identifier: Apache-2.0 */
/* One forward pass of a Qwen2-like transformer. Reads top to bottom as the paper does; calls
 * only operators and the tap. Sizes in model.h. */
#include <math.h>
#include "model/model.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define SHOW(point, tensor) PLUMB_TRY(plumb_session_show(s, layer, PLUMB_POINT_##point, tensor))

static const struct plumb_tensor *bias(const struct plumb_tensor *b)
{
	return b->buffer ? b : NULL;
}

/* The first n rows of the lead session's tensors. Each part of the rows belongs to a sequence of its own. */
struct pass {
	struct plumb_tensor x, norm, out, qkv, q, k, v, mix, gate, up; /* q, k and v: parts of qkv */
	const struct plumb_part *part;
	int parts;
};

#define ATTENTION_INSIDE (BIT(ATTN_SCORES) | BIT(ATTN_SOFTMAX))
#define QKV_INSIDE BIT(INPUT_NORM)
#define ROPE_INSIDE (BIT(Q_ROPE) | BIT(K_ROPE)) /* one call for both; the values are the same */
#define GATE_UP_INSIDE (BIT(POST_ATTN_NORM) | BIT(FFN_GATE) | BIT(FFN_UP))

static bool looked_at(const struct plumb_session *s, unsigned points) { return s->tap && s->tap_mask & points; }

/* May these points be passed in one operator? */
static bool fused(const struct plumb_session *s, unsigned points)
{
	return !plumb_model_one_by_one(s->model) && !looked_at(s, points);
}

/* Attention by basic operators, for queries that begin `first` rows after the session's position. */
static enum plumb_status attend_in_steps(struct plumb_session *s, struct plumb_tensor *mix,
	const struct plumb_tensor *q, int64_t first, int layer)
{
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_config *c = &s->model->config;
	struct plumb_tensor *kc = &s->kcache[layer], *vc = &s->vcache[layer], scores;
	struct plumb_attn a = { s->position + first, c->heads, c->kv_heads, 1 / sqrt((double)c->head_dim) };
	const int64_t shape[] = { c->heads, q->dim[0], a.pos + q->dim[0] };
	PLUMB_TRY(plumb_tensor_new(ctx, &scores, s->act, 3, shape));
	enum plumb_status status = plumb_attn_scores(ctx, &scores, q, kc, &a);
	if (!status)
		status = plumb_session_show(s, layer, PLUMB_POINT_ATTN_SCORES, &scores);
	if (!status)
		status = plumb_softmax(ctx, &scores, &scores);
	if (!status)
		status = plumb_session_show(s, layer, PLUMB_POINT_ATTN_SOFTMAX, &scores);
	if (!status)
		status = plumb_attn_mix(ctx, mix, &scores, vc, &a);
	plumb_tensor_free(&scores);
	return status;
}

#define SCORED 32 /* rows at a time, so that the scores stay small */

static enum plumb_status attend(struct plumb_session *s, struct plumb_tensor *mix,
	const struct plumb_tensor *q, int layer)
{
	const struct plumb_config *c = &s->model->config;
	struct plumb_attn a = { s->position, c->heads, c->kv_heads, 1 / sqrt((double)c->head_dim) };
	if (looked_at(s, ATTENTION_INSIDE)) /* somebody looks inside: all the scores must exist */
		return attend_in_steps(s, mix, q, 0, layer);
	if (c->head_dim == c->value_dim)
		return plumb_attention(s->model->ctx, mix, q, &s->kcache[layer], &s->vcache[layer], &a);
	for (int64_t i = 0, n; i < q->dim[0]; i += n) { /* the fused operator has one width */
		struct plumb_tensor some, part;
		n = q->dim[0] - i < SCORED ? q->dim[0] - i : SCORED;
		PLUMB_TRY(plumb_tensor_rows(&some, q, i, n));
		PLUMB_TRY(plumb_tensor_rows(&part, mix, i, n));
		PLUMB_TRY(attend_in_steps(s, &part, &some, i, layer));
	}
	return PLUMB_OK;
}

static enum plumb_status rotate(struct plumb_session *s, struct plumb_tensor *x)
{
	const struct plumb_config *c = &s->model->config;
	return plumb_rope(s->model->ctx, x, x, s->position, c->head_dim, c->rope_base, c->rope_factor, c->rope_pairs);
}

/* What depends on positions: RoPE, the cache and attention, for the rows of one sequence. */
static enum plumb_status positions(struct pass *p, const struct plumb_part *part, int layer)
{
	struct plumb_session *s = part->session;
	struct plumb_context *ctx = s->model->ctx;
	struct plumb_tensor q, k, v, mix;
	PLUMB_TRY(plumb_tensor_rows(&q, &p->q, part->first, part->rows));
	PLUMB_TRY(plumb_tensor_rows(&k, &p->k, part->first, part->rows));
	PLUMB_TRY(plumb_tensor_rows(&v, &p->v, part->first, part->rows));
	PLUMB_TRY(plumb_tensor_rows(&mix, &p->mix, part->first, part->rows));
	if (p->qkv.dim[0] == 1 && fused(s, ROPE_INSIDE)) { /* their heads follow each other */
		struct plumb_tensor both;
		plumb_tensor_part(&both, &p->qkv, 0, 1, p->q.dim[1] + p->k.dim[1]);
		PLUMB_TRY(rotate(s, &both));
	} else {
		PLUMB_TRY(rotate(s, &q));
		SHOW(Q_ROPE, &q);
		PLUMB_TRY(rotate(s, &k));
		SHOW(K_ROPE, &k);
	}
	PLUMB_TRY(plumb_kv_store(ctx, &s->kcache[layer], &k, s->position));
	PLUMB_TRY(plumb_kv_store(ctx, &s->vcache[layer], &v, s->position));
	PLUMB_TRY(attend(s, &mix, &q, layer));
	plumb_overflow_note(s, layer, PLUMB_POINT_ATTN_CONTEXT);
	return PLUMB_OK;
}

/* To the residual stream: x w^T + b. The fused operator knows no bias. */
static enum plumb_status join(struct plumb_session *s, struct pass *p, int layer, const struct plumb_tensor *x, const struct plumb_tensor *w,
	const struct plumb_tensor *b, enum plumb_point point)
{
	struct plumb_context *ctx = s->model->ctx;
	if (fused(s, 1u << point) && !b)
		return plumb_matmul_add(ctx, &p->x, x, w, &p->x);
	PLUMB_TRY(plumb_matmul(ctx, &p->out, x, w, b));
	PLUMB_TRY(plumb_session_show(s, layer, point, &p->out));
	return plumb_add(ctx, &p->x, &p->x, &p->out);
}

static enum plumb_status project(struct plumb_session *s, struct pass *p, int layer)
{
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_config *c = &s->model->config;
	const struct plumb_layer *w = &s->model->weights.layer[layer];
	if (fused(s, QKV_INSIDE)) {
		const struct plumb_tensor *weights[] = { &w->wq, &w->wk, &w->wv }, *biases[] = { bias(&w->bq), bias(&w->bk), bias(&w->bv) };
		PLUMB_TRY(plumb_qkv(ctx, &p->qkv, &p->x, &w->attn_norm, c->norm_eps, weights, biases));
		SHOW(Q_PROJ, &p->q);
		SHOW(K_PROJ, &p->k);
		SHOW(V_PROJ, &p->v);
		return PLUMB_OK;
	}
	PLUMB_TRY(plumb_rmsnorm(ctx, &p->norm, &p->x, &w->attn_norm, c->norm_eps));
	SHOW(INPUT_NORM, &p->norm);
	PLUMB_TRY(plumb_matmul(ctx, &p->q, &p->norm, &w->wq, bias(&w->bq)));
	SHOW(Q_PROJ, &p->q);
	PLUMB_TRY(plumb_matmul(ctx, &p->k, &p->norm, &w->wk, bias(&w->bk)));
	SHOW(K_PROJ, &p->k);
	PLUMB_TRY(plumb_matmul(ctx, &p->v, &p->norm, &w->wv, bias(&w->bv)));
	SHOW(V_PROJ, &p->v);
	return PLUMB_OK;
}

static enum plumb_status attention_block(struct plumb_session *s, struct pass *p, int layer)
{
	const struct plumb_layer *w = &s->model->weights.layer[layer];
	PLUMB_TRY(project(s, p, layer));
	for (int i = 0; i < p->parts; i++)
		PLUMB_TRY(positions(p, &p->part[i], layer));
	SHOW(ATTN_CONTEXT, &p->mix);
	PLUMB_TRY(join(s, p, layer, &p->mix, &w->wo, bias(&w->bo), PLUMB_POINT_ATTN_OUT));
	SHOW(ATTN_RESIDUAL, &p->x);
	return PLUMB_OK;
}

static enum plumb_status activate(struct plumb_session *s, struct pass *p, int layer)
{
	struct plumb_context *ctx = s->model->ctx;
	const double eps = s->model->config.norm_eps;
	const struct plumb_layer *w = &s->model->weights.layer[layer];
	/* the fused operator knows none */
	if (fused(s, GATE_UP_INSIDE) && !bias(&w->gate_bias) && !bias(&w->up_bias))
		return plumb_gate_up(ctx, &p->gate, &p->x, &w->ffn_norm, eps, &w->gate, &w->up);
	PLUMB_TRY(plumb_rmsnorm(ctx, &p->norm, &p->x, &w->ffn_norm, eps));
	SHOW(POST_ATTN_NORM, &p->norm);
	PLUMB_TRY(plumb_matmul(ctx, &p->gate, &p->norm, &w->gate, bias(&w->gate_bias)));
	SHOW(FFN_GATE, &p->gate);
	PLUMB_TRY(plumb_matmul(ctx, &p->up, &p->norm, &w->up, bias(&w->up_bias)));
	SHOW(FFN_UP, &p->up);
	return plumb_swiglu(ctx, &p->gate, &p->gate, &p->up);
}

static enum plumb_status ffn_block(struct plumb_session *s, struct pass *p, int layer)
{
	const struct plumb_layer *w = &s->model->weights.layer[layer];
	PLUMB_TRY(activate(s, p, layer));
	SHOW(FFN_ACT, &p->gate);
	PLUMB_TRY(join(s, p, layer, &p->gate, &w->down, bias(&w->down_bias), PLUMB_POINT_FFN_DOWN));
	SHOW(OUTPUT, &p->x);
	return PLUMB_OK;
}

/* Final norm and output matrix, for the last `rows` rows only. */
static enum plumb_status head(struct plumb_session *s, struct pass *p, int64_t n, int64_t rows)
{
	struct plumb_context *ctx = s->model->ctx;
	const int layer = -1;
	struct plumb_tensor x, norm, logits;
	s->first_row = n - rows;
	PLUMB_TRY(plumb_tensor_rows(&x, &p->x, n - rows, rows));
	PLUMB_TRY(plumb_tensor_rows(&norm, &p->norm, 0, rows));
	PLUMB_TRY(plumb_rmsnorm(ctx, &norm, &x, &s->model->weights.norm, s->model->config.norm_eps));
	SHOW(FINAL_NORM, &norm);
	PLUMB_TRY(plumb_tensor_rows(&logits, &s->logits, 0, rows));
	PLUMB_TRY(plumb_matmul(ctx, &logits, &norm, plumb_weights_output(s->model),
		bias(&s->model->weights.output_bias)));
	SHOW(LOGITS, &logits);
	return PLUMB_OK;
}

enum plumb_status plumb_qwen2_forward(const struct plumb_part *part, int parts, int64_t rows)
{
	struct plumb_session *s = part->session;
	int64_t n = part[parts - 1].first + part[parts - 1].rows;
	struct pass p = { .part = part, .parts = parts };
	struct plumb_tensor ids;
	struct { struct plumb_tensor *view; const struct plumb_tensor *whole; } views[] = {
		{ &ids, &s->ids }, { &p.x, &s->x }, { &p.norm, &s->norm }, { &p.out, &s->out }, { &p.qkv, &s->qkv },
		{ &p.mix, &s->mix }, { &p.gate, &s->gate }, { &p.up, &s->up },
	};
	for (size_t i = 0; i < sizeof views / sizeof *views; i++)
		PLUMB_TRY(plumb_tensor_rows(views[i].view, views[i].whole, 0, n));
	const struct plumb_config *c = &s->model->config;
	const int64_t q = c->heads * c->head_dim, k = c->kv_heads * c->head_dim;
	plumb_tensor_part(&p.q, &s->qkv, 0, n, q);
	plumb_tensor_part(&p.k, &s->qkv, n * q, n, k);
	plumb_tensor_part(&p.v, &s->qkv, n * (q + k), n, c->kv_heads * c->value_dim);
	int layer = -1;
	PLUMB_TRY(plumb_embed(s->model->ctx, &p.x, &s->model->weights.embed, &ids));
	SHOW(EMBEDDINGS, &p.x);
	for (layer = 0; layer < s->model->config.layers; layer++) {
		if (s->cancel && s->cancel(s->cancel_user))
			return plumb_fail(PLUMB_E_CANCELLED, "cancelled in layer %d", layer);
		PLUMB_TRY(attention_block(s, &p, layer));
		PLUMB_TRY(ffn_block(s, &p, layer));
	}
	return rows ? head(s, &p, n, rows) : PLUMB_OK;
}
