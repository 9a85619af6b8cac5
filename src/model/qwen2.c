/* SPDX-License-Identifier: Apache-2.0 */
/* One forward pass of a Qwen2-like transformer, to be read from the bottom up: embedding, layers of attention
 * and feed-forward, output. Sizes are in model.h. Each step (pass.h) runs an operator and shows what it made;
 * where the mode and the tap allow, a fused operator takes the place of several. A weight w {rows, columns}
 * is applied to each row of x: x w^T + b. */
#include "model/pass.h"

/* q, k, v = the normed stream times three weights */
static void qwen2_qkv(struct plumb_pass *p, const struct plumb_layer *w)
{
	if (plumb_pass_qkv(p, w))
		return;
	plumb_pass_norm(p, &p->norm, &p->x, &w->attn_norm, PLUMB_POINT_INPUT_NORM);
	plumb_pass_matmul(p, &p->q, &p->norm, &w->wq, &w->bq, PLUMB_POINT_Q_PROJ);
	plumb_pass_matmul(p, &p->k, &p->norm, &w->wk, &w->bk, PLUMB_POINT_K_PROJ);
	plumb_pass_matmul(p, &p->v, &p->norm, &w->wv, &w->bv, PLUMB_POINT_V_PROJ);
}

/* mix = softmax(q k^T / sqrt(head_dim)) v, over the positions in the caches up to a query's own; heads share
 * keys and values in groups */
static void qwen2_attend(struct plumb_sequence *s)
{
	if (plumb_sequence_attention(s))
		return;
	for (int64_t first = 0, n; (n = plumb_sequence_queries(s, first)) > 0; first += n) {
		struct plumb_tensor scores;
		plumb_sequence_scores(s, &scores, first, n);
		plumb_sequence_softmax(s, &scores);
		plumb_sequence_mix(s, &scores, first, n);
		plumb_tensor_free(&scores);
	}
}

/* x += attention of x */
static void qwen2_attention(struct plumb_pass *p, const struct plumb_layer *w)
{
	qwen2_qkv(p, w);
	for (int i = 0; i < p->segments; i++) { /* positions and caches are each sequence's own */
		struct plumb_sequence s = plumb_pass_sequence(p, i);
		plumb_sequence_rope(&s);
		plumb_sequence_store(&s);
		qwen2_attend(&s);
	}
	plumb_pass_show(p, PLUMB_POINT_ATTN_CONTEXT, &p->mix);
	plumb_pass_add_matmul(p, &p->mix, &w->wo, &w->bo, PLUMB_POINT_ATTN_OUT, PLUMB_POINT_ATTN_RESIDUAL);
}

/* x += down(silu(gate(normed x)) * up(normed x)) */
static void qwen2_ffn(struct plumb_pass *p, const struct plumb_layer *w)
{
	if (!plumb_pass_gate_up(p, w)) {
		plumb_pass_norm(p, &p->norm, &p->x, &w->ffn_norm, PLUMB_POINT_POST_ATTN_NORM);
		plumb_pass_matmul(p, &p->gate, &p->norm, &w->gate, &w->gate_bias, PLUMB_POINT_FFN_GATE);
		plumb_pass_matmul(p, &p->up, &p->norm, &w->up, &w->up_bias, PLUMB_POINT_FFN_UP);
		plumb_pass_swiglu(p, &p->gate, &p->gate, &p->up);
	}
	plumb_pass_show(p, PLUMB_POINT_FFN_ACT, &p->gate);
	plumb_pass_add_matmul(p, &p->gate, &w->down, &w->down_bias, PLUMB_POINT_FFN_DOWN, PLUMB_POINT_OUTPUT);
}

/* logits = the normed stream times the output matrix, for the last `rows` rows only */
static void qwen2_output(struct plumb_pass *p, const struct plumb_model *m, int64_t rows)
{
	struct plumb_tensor x, norm, logits;
	plumb_pass_last(p, rows, &x, &norm, &logits);
	plumb_pass_norm(p, &norm, &x, &m->weights.norm, PLUMB_POINT_FINAL_NORM);
	plumb_pass_matmul(
		p, &logits, &norm, plumb_weights_output(m), &m->weights.output_bias, PLUMB_POINT_LOGITS);
}

enum plumb_status plumb_qwen2_forward(const struct plumb_segment *segment, int segments, int64_t rows)
{
	const struct plumb_model *m = segment->session->model;
	struct plumb_pass p;
	plumb_pass_begin(&p, segment, segments);
	plumb_pass_embed(&p, &p.x, &m->weights.embed, &p.ids, PLUMB_POINT_EMBEDDINGS);
	for (int layer = 0; !p.status && layer < m->config.layers; layer++) {
		plumb_pass_layer(&p, layer);
		qwen2_attention(&p, &m->weights.layer[layer]);
		qwen2_ffn(&p, &m->weights.layer[layer]);
	}
	if (rows)
		qwen2_output(&p, m, rows);
	return p.status;
}
