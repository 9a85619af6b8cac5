/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass of a transformer, to be read from the bottom up: embedding, layers of attention and
 * feed-forward, output. What a family has of it says the configuration. Sizes are in model.h. Each step
 * (pass.h) runs an operator and shows what it made; where the mode and the tap allow, a fused operator takes
 * the place of several. A weight w {rows, columns} is applied to each row of x: x w^T + b. */
#include "model/pass.h"

/* What a block is made of: the normed stream, or the stream as it is */
static const struct plumb_tensor *transformer_input(
	struct plumb_pass *p, const struct plumb_tensor *norm, enum plumb_point point)
{
	if (!plumb_pass_has(p, PLUMB_NORM_BEFORE))
		return &p->x;
	plumb_pass_norm(p, &p->norm, &p->x, norm, point);
	return &p->norm;
}

/* q, k, v = the block's input times three weights; q and k are normed in some families */
static void transformer_qkv(struct plumb_pass *p, const struct plumb_layer *w)
{
	if (!plumb_pass_qkv(p, w)) {
		const struct plumb_tensor *x = transformer_input(p, &w->attn_norm, PLUMB_POINT_INPUT_NORM);
		plumb_pass_matmul(p, &p->q, x, &w->wq, &w->bq, PLUMB_POINT_Q_PROJ);
		plumb_pass_matmul(p, &p->k, x, &w->wk, &w->bk, PLUMB_POINT_K_PROJ);
		plumb_pass_matmul(p, &p->v, x, &w->wv, &w->bv, PLUMB_POINT_V_PROJ);
	}
	if (plumb_pass_has(p, PLUMB_NORM_HEAD | PLUMB_NORM_WIDTH)) {
		plumb_pass_norm_heads(p, &p->q, &w->q_norm, PLUMB_POINT_Q_NORM);
		plumb_pass_norm_heads(p, &p->k, &w->k_norm, PLUMB_POINT_K_NORM);
	}
}

/* mix = softmax(scale q k^T) v, over the positions in the caches up to a query's own, or over a window of
 * them; heads share keys and values in groups */
static void transformer_attend(struct plumb_sequence *s)
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
static void transformer_attention(struct plumb_pass *p, const struct plumb_layer *w)
{
	transformer_qkv(p, w);
	for (int i = 0; i < p->segments; i++) { /* positions and caches are each sequence's own */
		struct plumb_sequence s = plumb_pass_sequence(p, i);
		plumb_sequence_rope(&s);
		plumb_sequence_store(&s);
		transformer_attend(&s);
	}
	plumb_pass_show(p, PLUMB_POINT_ATTN_CONTEXT, &p->mix);
	plumb_pass_add_matmul(p, &p->mix, &w->wo, &w->bo, &w->attn_post_norm,
		(struct plumb_branch){ PLUMB_POINT_ATTN_OUT, PLUMB_POINT_ATTN_POST_NORM, PLUMB_POINT_ATTN_RESIDUAL });
}

/* x += down(activation(gate x') * up x') of the block's input x' */
static void transformer_ffn(struct plumb_pass *p, const struct plumb_layer *w)
{
	if (!plumb_pass_gate_up(p, w)) {
		const struct plumb_tensor *x = transformer_input(p, &w->ffn_norm, PLUMB_POINT_POST_ATTN_NORM);
		plumb_pass_matmul(p, &p->gate, x, &w->gate, &w->gate_bias, PLUMB_POINT_FFN_GATE);
		plumb_pass_matmul(p, &p->up, x, &w->up, &w->up_bias, PLUMB_POINT_FFN_UP);
		plumb_pass_activate(p, &p->gate, &p->gate, &p->up);
	}
	plumb_pass_show(p, PLUMB_POINT_FFN_ACT, &p->gate);
	plumb_pass_add_matmul(p, &p->gate, &w->down, &w->down_bias, &w->ffn_post_norm,
		(struct plumb_branch){ PLUMB_POINT_FFN_DOWN, PLUMB_POINT_FFN_POST_NORM, PLUMB_POINT_OUTPUT });
}

/* logits = the normed stream times the output matrix, for the last `rows` rows only */
static void transformer_output(struct plumb_pass *p, const struct plumb_model *m, int64_t rows)
{
	struct plumb_tensor x, norm, logits;
	plumb_pass_last(p, rows, &x, &norm, &logits);
	plumb_pass_norm(p, &norm, &x, &m->weights.norm, PLUMB_POINT_FINAL_NORM);
	plumb_pass_logits(p, &logits, &norm, plumb_weights_output(m), &m->weights.output_bias);
}

enum plumb_status plumb_transformer_forward(const struct plumb_segment *segment, int segments, int64_t rows)
{
	const struct plumb_model *m = segment->session->model;
	struct plumb_pass p;
	plumb_pass_begin(&p, segment, segments);
	plumb_pass_embed(&p, &p.x, &m->weights.embed, &p.ids);
	for (int layer = 0; !p.status && layer < m->config.layers; layer++) {
		plumb_pass_layer(&p, layer);
		transformer_attention(&p, &m->weights.layer[layer]);
		transformer_ffn(&p, &m->weights.layer[layer]);
	}
	if (rows)
		transformer_output(&p, m, rows);
	return p.status;
}
