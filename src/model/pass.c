/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a forward pass: views of the session's memory, operators, what is shown of them, and where
 * fused ones may run. */
#include "model/pass.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define SCORED 32 /* queries at a time, so that the scores stay small */

/* --- the pass --- */

void plumb_pass_begin(struct plumb_pass *p, const struct plumb_segment *segment, int segments)
{
	struct plumb_session *s = segment->session;
	const struct plumb_config *c = &s->model->config;
	const int64_t n = segment[segments - 1].first + segment[segments - 1].rows, q = c->heads * c->head_dim,
				  k = c->kv_heads * c->head_dim;
	*p = (struct plumb_pass){ .lead = s, .segment = segment, .segments = segments, .layer = -1 };
	const struct {
		struct plumb_tensor *view;
		const struct plumb_tensor *whole;
	} views[] = {
		{ &p->ids, &s->ids },
		{ &p->x, &s->x },
		{ &p->norm, &s->norm },
		{ &p->out, &s->out },
		{ &p->qkv, &s->qkv },
		{ &p->mix, &s->mix },
		{ &p->gate, &s->gate },
		{ &p->up, &s->up },
	};
	for (size_t i = 0; !p->status && i < sizeof views / sizeof *views; i++)
		p->status = plumb_tensor_rows(views[i].view, views[i].whole, 0, n);
	plumb_tensor_view(&p->q, &s->qkv, 0, n, q);
	plumb_tensor_view(&p->k, &s->qkv, n * q, n, k);
	plumb_tensor_view(&p->v, &s->qkv, n * (q + k), n, c->kv_heads * c->value_dim);
}

void plumb_pass_layer(struct plumb_pass *p, int layer)
{
	const struct plumb_session *s = p->lead;
	p->layer = layer;
	if (!p->status && s->cancel && s->cancel(s->cancel_user))
		p->status = plumb_fail(PLUMB_E_CANCELLED, "cancelled in layer %d", layer);
}

void plumb_pass_last(struct plumb_pass *p, int64_t rows, struct plumb_tensor *x, struct plumb_tensor *norm,
	struct plumb_tensor *logits)
{
	const int64_t n = p->x.dim[0];
	if (p->status)
		return;
	p->layer = -1;
	p->lead->first_row = n - rows;
	p->status = plumb_tensor_rows(x, &p->x, n - rows, rows);
	if (!p->status)
		p->status = plumb_tensor_rows(norm, &p->norm, 0, rows);
	if (!p->status)
		p->status = plumb_tensor_rows(logits, &p->lead->logits, 0, rows);
}

static void pass_show_of(
	struct plumb_pass *p, struct plumb_session *session, enum plumb_point point, struct plumb_tensor *t)
{
	if (!p->status)
		p->status = plumb_session_show(session, p->layer, point, t);
}

void plumb_pass_show(struct plumb_pass *p, enum plumb_point point, struct plumb_tensor *t)
{
	pass_show_of(p, p->lead, point, t);
}

static struct plumb_context *pass_context(const struct plumb_pass *p) { return p->lead->model->ctx; }

static const struct plumb_tensor *pass_bias(const struct plumb_tensor *b) { return b->buffer ? b : NULL; }

static bool pass_looked_at(const struct plumb_session *s, unsigned points)
{
	return s->tap && s->tap_mask & points;
}

/* May these points be passed in one operator? */
static bool pass_fused(const struct plumb_session *s, unsigned points)
{
	return !plumb_model_one_by_one(s->model) && !pass_looked_at(s, points);
}

/* --- operators --- */

static const struct plumb_config *pass_config(const struct plumb_pass *p) { return &p->lead->model->config; }

bool plumb_pass_has(const struct plumb_pass *p, unsigned norms)
{
	return (pass_config(p)->norms & norms) != 0;
}

static void pass_scale(struct plumb_pass *p, struct plumb_tensor *x, double by)
{
	if (!p->status && by != 1)
		p->status = plumb_scale(pass_context(p), x, x, by);
}

void plumb_pass_embed(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *w,
	const struct plumb_tensor *ids)
{
	if (!p->status)
		p->status = plumb_embed(pass_context(p), y, w, ids);
	pass_scale(p, y, pass_config(p)->embedding_scale);
	plumb_pass_show(p, PLUMB_POINT_EMBEDDINGS, y);
}

void plumb_pass_norm(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *w, enum plumb_point point)
{
	if (!p->status)
		p->status = plumb_rmsnorm(pass_context(p), y, x, w, pass_config(p)->norm_eps);
	plumb_pass_show(p, point, y);
}

void plumb_pass_norm_heads(
	struct plumb_pass *p, struct plumb_tensor *x, const struct plumb_tensor *w, enum plumb_point point)
{
	struct plumb_tensor heads;
	plumb_tensor_view(&heads, x, 0, plumb_tensor_count(x) / w->dim[0], w->dim[0]);
	if (!p->status)
		p->status = plumb_rmsnorm(pass_context(p), &heads, &heads, w, pass_config(p)->norm_eps);
	plumb_pass_show(p, point, x);
}

void plumb_pass_matmul(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *w, const struct plumb_tensor *b, enum plumb_point point)
{
	if (!p->status)
		p->status = plumb_matmul(pass_context(p), y, x, w, pass_bias(b));
	plumb_pass_show(p, point, y);
}

void plumb_pass_activate(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *gate,
	const struct plumb_tensor *up)
{
	if (!p->status)
		p->status = pass_config(p)->activation == PLUMB_GELU_TANH
			? plumb_geglu(pass_context(p), y, gate, up)
			: plumb_swiglu(pass_context(p), y, gate, up);
}

void plumb_pass_logits(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *w, const struct plumb_tensor *b)
{
	if (!p->status)
		p->status = plumb_matmul(pass_context(p), y, x, w, pass_bias(b));
	pass_scale(p, y, pass_config(p)->logit_scale);
	plumb_pass_show(p, PLUMB_POINT_LOGITS, y);
}

void plumb_pass_add_matmul(struct plumb_pass *p, const struct plumb_tensor *x, const struct plumb_tensor *w,
	const struct plumb_tensor *b, const struct plumb_tensor *norm, struct plumb_branch points)
{
	const bool plain = !plumb_pass_has(p, PLUMB_NORM_AFTER) && pass_config(p)->residual_scale == 1;
	/* the fused operator knows neither bias, norm nor scale */
	if (plain && pass_fused(p->lead, 1u << points.product) && !pass_bias(b)) {
		if (!p->status)
			p->status = plumb_matmul_add(pass_context(p), &p->x, x, w, &p->x);
	} else {
		plumb_pass_matmul(p, &p->out, x, w, b, points.product);
		if (plumb_pass_has(p, PLUMB_NORM_AFTER))
			plumb_pass_norm(p, &p->out, &p->out, norm, points.norm);
		pass_scale(p, &p->out, pass_config(p)->residual_scale);
		if (!p->status)
			p->status = plumb_add(pass_context(p), &p->x, &p->x, &p->out);
	}
	plumb_pass_show(p, points.sum, &p->x);
}

bool plumb_pass_qkv(struct plumb_pass *p, const struct plumb_layer *w)
{
	const struct plumb_tensor *weights[] = { &w->wq, &w->wk, &w->wv },
							  *biases[] = { pass_bias(&w->bq), pass_bias(&w->bk), pass_bias(&w->bv) };
	if (!plumb_pass_has(p, PLUMB_NORM_BEFORE) || !pass_fused(p->lead, BIT(INPUT_NORM)))
		return false;
	if (!p->status)
		p->status = plumb_qkv(
			pass_context(p), &p->qkv, &p->x, &w->attn_norm, pass_config(p)->norm_eps, weights, biases);
	plumb_pass_show(p, PLUMB_POINT_Q_PROJ, &p->q);
	plumb_pass_show(p, PLUMB_POINT_K_PROJ, &p->k);
	plumb_pass_show(p, PLUMB_POINT_V_PROJ, &p->v);
	return true;
}

bool plumb_pass_gate_up(struct plumb_pass *p, const struct plumb_layer *w)
{
	if (!plumb_pass_has(p, PLUMB_NORM_BEFORE) ||
		!pass_fused(p->lead, BIT(POST_ATTN_NORM) | BIT(FFN_GATE) | BIT(FFN_UP)) || pass_bias(&w->gate_bias) ||
		pass_bias(&w->up_bias))
		return false; /* nor does this one know a bias */
	if (!p->status)
		p->status = plumb_gate_up(pass_context(p), &p->gate, &p->x, &w->ffn_norm, pass_config(p)->norm_eps,
			&w->gate, &w->up, pass_config(p)->activation);
	return true;
}

/* --- sequences --- */

struct plumb_sequence plumb_pass_sequence(struct plumb_pass *p, int index)
{
	const struct plumb_segment *segment = &p->segment[index];
	struct plumb_sequence s = { .p = p, .session = segment->session };
	const struct {
		struct plumb_tensor *view;
		const struct plumb_tensor *whole;
	} views[] = {
		{ &s.q, &p->q },
		{ &s.k, &p->k },
		{ &s.v, &p->v },
		{ &s.mix, &p->mix },
	};
	for (size_t i = 0; !p->status && i < sizeof views / sizeof *views; i++)
		p->status = plumb_tensor_rows(views[i].view, views[i].whole, segment->first, segment->rows);
	s.kcache = &segment->session->kcache[p->layer];
	s.vcache = &segment->session->vcache[p->layer];
	return s;
}

static void pass_sequence_rotate(struct plumb_sequence *s, struct plumb_tensor *x)
{
	struct plumb_rope rope;
	const struct plumb_tensor *freqs;
	const int64_t first = s->session->position;
	if (!s->p->status &&
		plumb_model_rope(s->session->model, s->p->layer, first, first + s->q.dim[0], &rope, &freqs))
		s->p->status = plumb_rope(pass_context(s->p), x, x, freqs, &rope);
}

void plumb_sequence_rope(struct plumb_sequence *s)
{
	struct plumb_pass *p = s->p;
	if (p->qkv.dim[0] == 1 &&
		pass_fused(
			s->session, BIT(Q_ROPE) | BIT(K_ROPE))) { /* one call: of a row, their heads follow each other */
		struct plumb_tensor both;
		plumb_tensor_view(&both, &p->qkv, 0, 1, p->q.dim[1] + p->k.dim[1]);
		pass_sequence_rotate(s, &both);
		return;
	}
	pass_sequence_rotate(s, &s->q);
	pass_show_of(p, s->session, PLUMB_POINT_Q_ROPE, &s->q);
	pass_sequence_rotate(s, &s->k);
	pass_show_of(p, s->session, PLUMB_POINT_K_ROPE, &s->k);
}

void plumb_sequence_store(struct plumb_sequence *s)
{
	if (!s->p->status)
		s->p->status = plumb_kv_store(pass_context(s->p), s->kcache, &s->k, s->session->position);
	if (!s->p->status)
		s->p->status = plumb_kv_store(pass_context(s->p), s->vcache, &s->v, s->session->position);
}

static struct plumb_attn pass_sequence_attn(const struct plumb_sequence *s, int64_t first)
{
	const struct plumb_config *c = &s->session->model->config;
	return (struct plumb_attn){ .pos = s->session->position + first,
		.heads = c->heads,
		.kv_heads = c->kv_heads,
		.scale = c->score_scale,
		.window = plumb_config_layer(c, s->p->layer)->window };
}

static bool pass_sequence_watched(const struct plumb_sequence *s)
{
	return pass_looked_at(s->session, BIT(ATTN_SCORES) | BIT(ATTN_SOFTMAX));
}

bool plumb_sequence_attention(struct plumb_sequence *s)
{
	const struct plumb_config *c = &s->session->model->config;
	const struct plumb_attn a = pass_sequence_attn(s, 0);
	if (pass_sequence_watched(s) || c->head_dim != c->value_dim) /* the fused operator has one width */
		return false;
	if (!s->p->status)
		s->p->status = plumb_attention(pass_context(s->p), &s->mix, &s->q, s->kcache, s->vcache, &a);
	if (!s->p->status)
		plumb_overflow_note(s->session, s->p->layer, PLUMB_POINT_ATTN_CONTEXT);
	return true;
}

int64_t plumb_sequence_queries(const struct plumb_sequence *s, int64_t first)
{
	const int64_t left = s->q.dim[0] - first;
	return s->p->status ? 0 : left < SCORED || pass_sequence_watched(s) ? left : SCORED;
}

void plumb_sequence_scores(struct plumb_sequence *s, struct plumb_tensor *scores, int64_t first, int64_t n)
{
	const struct plumb_attn a = pass_sequence_attn(s, first);
	struct plumb_pass *p = s->p;
	struct plumb_tensor q;
	scores->buffer = NULL;
	if (!p->status)
		p->status = plumb_tensor_rows(&q, &s->q, first, n);
	if (!p->status)
		p->status = plumb_tensor_new(
			pass_context(p), scores, s->session->act, 3, (int64_t[]){ a.heads, n, a.pos + n });
	if (!p->status)
		p->status = plumb_attn_scores(pass_context(p), scores, &q, s->kcache, &a);
	pass_show_of(p, s->session, PLUMB_POINT_ATTN_SCORES, scores);
}

void plumb_sequence_softmax(struct plumb_sequence *s, struct plumb_tensor *scores)
{
	if (!s->p->status)
		s->p->status = plumb_softmax(pass_context(s->p), scores, scores);
	pass_show_of(s->p, s->session, PLUMB_POINT_ATTN_SOFTMAX, scores);
}

void plumb_sequence_mix(struct plumb_sequence *s, const struct plumb_tensor *scores, int64_t first, int64_t n)
{
	const struct plumb_attn a = pass_sequence_attn(s, first);
	struct plumb_pass *p = s->p;
	struct plumb_tensor mix;
	if (!p->status)
		p->status = plumb_tensor_rows(&mix, &s->mix, first, n);
	if (!p->status)
		p->status = plumb_attn_mix(pass_context(p), &mix, scores, s->vcache, &a);
	if (!p->status)
		plumb_overflow_note(s->session, p->layer, PLUMB_POINT_ATTN_CONTEXT);
}
