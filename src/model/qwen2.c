/* SPDX-License-Identifier: Apache-2.0 */
/* One forward pass of a Qwen2-like transformer. Reads top to bottom as the paper does; calls
 * only operators and the tap. Sizes in model.h. */
#include <math.h>
#include "model/model.h"

#define SHOW(point, tensor) PLUMB_TRY(plumb_session_show(s, layer, PLUMB_POINT_##point, tensor))

static const struct plumb_tensor *bias(const struct plumb_tensor *b)
{
	return b->buffer ? b : NULL;
}

/* The first n rows of the lead session's tensors. Each part of the rows belongs to a sequence of its own. */
struct pass {
	struct plumb_tensor x, norm, out, q, k, v, mix, gate, up;
	const struct plumb_part *part;
	int parts;
};

static enum plumb_status attend(struct plumb_session *s, struct plumb_tensor *mix, const struct plumb_tensor *q, int layer)
{
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_config *c = &s->model->config;
	struct plumb_tensor *kc = &s->kcache[layer], *vc = &s->vcache[layer], scores;
	struct plumb_attn a = { s->position, c->heads, c->kv_heads, 1 / sqrt((double)c->head_dim) };
	const unsigned inside = 1u << PLUMB_POINT_ATTN_SCORES | 1u << PLUMB_POINT_ATTN_SOFTMAX;
	if (!s->tap || !(s->tap_mask & inside))
		return plumb_attention(ctx, mix, q, kc, vc, &a);
	/* Somebody looks inside: the basic operators, so that the scores exist. */
	PLUMB_TRY(plumb_tensor_new(ctx, &scores, s->act, 3, (int64_t[]){ c->heads, q->dim[0], s->position + q->dim[0] }));
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

/* What depends on positions: RoPE, the cache and attention, for the rows of one sequence. */
static enum plumb_status positions(struct pass *p, const struct plumb_part *part, int layer)
{
	struct plumb_session *s = part->session;
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_config *c = &s->model->config;
	struct plumb_tensor q, k, v, mix;
	PLUMB_TRY(plumb_tensor_rows(&q, &p->q, part->first, part->rows));
	PLUMB_TRY(plumb_tensor_rows(&k, &p->k, part->first, part->rows));
	PLUMB_TRY(plumb_tensor_rows(&v, &p->v, part->first, part->rows));
	PLUMB_TRY(plumb_tensor_rows(&mix, &p->mix, part->first, part->rows));
	PLUMB_TRY(plumb_rope(ctx, &q, &q, s->position, c->head_dim, c->rope_base, c->rope_pairs));
	SHOW(Q_ROPE, &q);
	PLUMB_TRY(plumb_rope(ctx, &k, &k, s->position, c->head_dim, c->rope_base, c->rope_pairs));
	SHOW(K_ROPE, &k);
	PLUMB_TRY(plumb_kv_store(ctx, &s->kcache[layer], &k, s->position));
	PLUMB_TRY(plumb_kv_store(ctx, &s->vcache[layer], &v, s->position));
	return attend(s, &mix, &q, layer);
}

static enum plumb_status attention_block(struct plumb_session *s, struct pass *p, int layer)
{
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_config *c = &s->model->config;
	const struct plumb_layer *w = &s->model->weights.layer[layer];
	PLUMB_TRY(plumb_rmsnorm(ctx, &p->norm, &p->x, &w->attn_norm, c->norm_eps));
	SHOW(INPUT_NORM, &p->norm);
	PLUMB_TRY(plumb_matmul(ctx, &p->q, &p->norm, &w->wq, bias(&w->bq)));
	SHOW(Q_PROJ, &p->q);
	PLUMB_TRY(plumb_matmul(ctx, &p->k, &p->norm, &w->wk, bias(&w->bk)));
	SHOW(K_PROJ, &p->k);
	PLUMB_TRY(plumb_matmul(ctx, &p->v, &p->norm, &w->wv, bias(&w->bv)));
	SHOW(V_PROJ, &p->v);
	for (int i = 0; i < p->parts; i++)
		PLUMB_TRY(positions(p, &p->part[i], layer));
	SHOW(ATTN_CONTEXT, &p->mix);
	PLUMB_TRY(plumb_matmul(ctx, &p->out, &p->mix, &w->wo, NULL));
	SHOW(ATTN_OUT, &p->out);
	PLUMB_TRY(plumb_add(ctx, &p->x, &p->x, &p->out));
	SHOW(ATTN_RESIDUAL, &p->x);
	return PLUMB_OK;
}

static enum plumb_status ffn_block(struct plumb_session *s, struct pass *p, int layer)
{
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_layer *w = &s->model->weights.layer[layer];
	PLUMB_TRY(plumb_rmsnorm(ctx, &p->norm, &p->x, &w->ffn_norm, s->model->config.norm_eps));
	SHOW(POST_ATTN_NORM, &p->norm);
	PLUMB_TRY(plumb_matmul(ctx, &p->gate, &p->norm, &w->gate, NULL));
	SHOW(FFN_GATE, &p->gate);
	PLUMB_TRY(plumb_matmul(ctx, &p->up, &p->norm, &w->up, NULL));
	SHOW(FFN_UP, &p->up);
	PLUMB_TRY(plumb_swiglu(ctx, &p->gate, &p->gate, &p->up));
	SHOW(FFN_ACT, &p->gate);
	PLUMB_TRY(plumb_matmul(ctx, &p->out, &p->gate, &w->down, NULL));
	SHOW(FFN_DOWN, &p->out);
	PLUMB_TRY(plumb_add(ctx, &p->x, &p->x, &p->out));
	SHOW(OUTPUT, &p->x);
	return PLUMB_OK;
}

/* Final norm and output matrix, for the last `rows` rows only. */
static enum plumb_status head(struct plumb_session *s, struct pass *p, int64_t n, int64_t rows)
{
	struct plumb_context *ctx = s->model->ctx;
	const int layer = -1;
	struct plumb_tensor x, norm, logits;
	PLUMB_TRY(plumb_tensor_rows(&x, &p->x, n - rows, rows));
	PLUMB_TRY(plumb_tensor_rows(&norm, &p->norm, 0, rows));
	PLUMB_TRY(plumb_rmsnorm(ctx, &norm, &x, &s->model->weights.norm, s->model->config.norm_eps));
	SHOW(FINAL_NORM, &norm);
	PLUMB_TRY(plumb_tensor_rows(&logits, &s->logits, 0, rows));
	PLUMB_TRY(plumb_matmul(ctx, &logits, &norm, plumb_weights_output(s->model), NULL));
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
		{ &ids, &s->ids }, { &p.x, &s->x }, { &p.norm, &s->norm }, { &p.out, &s->out }, { &p.q, &s->q }, { &p.k, &s->k },
		{ &p.v, &s->v }, { &p.mix, &s->mix }, { &p.gate, &s->gate }, { &p.up, &s->up },
	};
	for (size_t i = 0; i < sizeof views / sizeof *views; i++)
		PLUMB_TRY(plumb_tensor_rows(views[i].view, views[i].whole, 0, n));
	int layer = -1;
	PLUMB_TRY(plumb_embed(s->model->ctx, &p.x, &s->model->weights.embed, &ids));
	SHOW(EMBEDDINGS, &p.x);
	for (layer = 0; layer < s->model->config.layers; layer++) {
		if (s->cancel && *s->cancel)
			return plumb_fail(PLUMB_E_CANCELLED, "cancelled in layer %d", layer);
		PLUMB_TRY(attention_block(s, &p, layer));
		PLUMB_TRY(ffn_block(s, &p, layer));
	}
	return rows ? head(s, &p, n, rows) : PLUMB_OK;
}
