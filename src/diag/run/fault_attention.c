/* SPDX-License-Identifier: Apache-2.0 */
/* Porting bugs of attention: scores and their mix of values, of the wrong head, slot, mask, window or scale.
 */
#include <math.h>
#include "diag/run/fault_act.h"

/* --- the wrong head, slot or mask --- */

struct view {
	bool interleaved, late, open;
}; /* KV head h % kv; one slot early; later keys seen */

/* The first key that a query sees. */
static int64_t fault_attention_first(const struct plumb_live *live, int64_t i)
{
	const int64_t window = plumb_config_layer(plumb_fault_config(live), live->layer)->window;
	return window && i >= window ? i - window + 1 : 0;
}

static int64_t fault_attention_kv_head(const struct plumb_config *c, const struct view *w, int64_t h)
{
	return w->interleaved ? h % c->kv_heads : h / (c->heads / c->kv_heads);
}

static int64_t fault_attention_slot(const struct view *w, int64_t t) { return w->late && t ? t - 1 : t; }

/* What the wrong view leaves as it is is not computed anew: a bug that cannot show must not show by its
 * rounding. */
static void fault_attention_score(struct plumb_live *live, const struct plumb_captured *q,
	const struct plumb_captured *k, const struct view *w)
{
	const struct plumb_config *c = plumb_fault_config(live);
	int64_t n = live->width, d = c->head_dim;
	for (int64_t h = 0; h < c->heads; h++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t t = fault_attention_first(live, i); t < (w->open ? n : i + 1); t++) {
				if (fault_attention_slot(w, t) == t &&
					fault_attention_kv_head(c, w, h) == h / (c->heads / c->kv_heads) && t <= i)
					continue;
				const float *a = q->v + i * q->width + h * d,
							*b = k->v + fault_attention_slot(w, t) * k->width +
					fault_attention_kv_head(c, w, h) * d;
				double sum = 0;
				for (int64_t j = 0; j < d; j++)
					sum += (double)a[j] * b[j];
				live->v[(h * n + i) * n + t] = (float)(sum * c->score_scale);
			}
}

static void fault_attention_mix(struct plumb_live *live, const struct plumb_captured *p,
	const struct plumb_captured *v, const struct view *w)
{
	const struct plumb_config *c = plumb_fault_config(live);
	int64_t n = live->rows, d = c->value_dim;
	for (int64_t h = 0; h < c->heads; h++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t j = 0; j < d; j++) {
				if ((!w->late || i == 0) &&
					fault_attention_kv_head(c, w, h) == h / (c->heads / c->kv_heads) &&
					(!w->open || i == n - 1))
					continue;
				double sum = 0;
				for (int64_t t = fault_attention_first(live, i); t < (w->open ? n : i + 1); t++)
					sum += (double)p->v[(h * n + i) * n + t] *
						v->v[fault_attention_slot(w, t) * v->width + fault_attention_kv_head(c, w, h) * d +
							j];
				live->v[i * live->width + h * d + j] = (float)sum;
			}
}

enum plumb_status plumb_fault_attention(const struct plumb_fault *fault, struct plumb_live *live)
{
	struct view w = { plumb_fault_is(fault, "kv_heads"), plumb_fault_is(fault, "cache_slot"),
		plumb_fault_is(fault, "mask") };
	live->changed = true;
	if (live->point == PLUMB_POINT_ATTN_SCORES) {
		NEED(q, Q_ROPE);
		NEED(k, K_ROPE);
		fault_attention_score(live, q, k, &w);
		return PLUMB_OK;
	}
	NEED(p, ATTN_SOFTMAX);
	NEED(v, V_PROJ);
	fault_attention_mix(live, p, v, &w);
	return PLUMB_OK;
}

/* --- no window --- */

/* What the window hides is computed; what it shows stays. */
static void fault_attention_unhide(
	struct plumb_live *live, const struct plumb_captured *q, const struct plumb_captured *k)
{
	const struct plumb_config *c = plumb_fault_config(live);
	const int64_t n = live->width, d = c->head_dim;
	for (int64_t h = 0; h < c->heads; h++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t t = 0; t < fault_attention_first(live, i); t++) {
				const float *a = q->v + i * q->width + h * d,
							*b = k->v + t * k->width + h / (c->heads / c->kv_heads) * d;
				double sum = 0;
				for (int64_t j = 0; j < d; j++)
					sum += (double)a[j] * b[j];
				live->v[(h * n + i) * n + t] = (float)(sum * c->score_scale);
			}
}

/* The mix of all values that the softmax, which saw the scores above, weighs. */
static void fault_attention_mix_all(
	struct plumb_live *live, const struct plumb_captured *p, const struct plumb_captured *v)
{
	const struct plumb_config *c = plumb_fault_config(live);
	const int64_t n = live->rows, d = c->value_dim;
	for (int64_t h = 0; h < c->heads; h++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t j = 0; fault_attention_first(live, i) > 0 && j < d; j++) {
				double sum = 0;
				for (int64_t t = 0; t <= i; t++)
					sum += (double)p->v[(h * n + i) * n + t] *
						v->v[t * v->width + h / (c->heads / c->kv_heads) * d + j];
				live->v[i * live->width + h * d + j] = (float)sum;
			}
}

enum plumb_status plumb_fault_window(const struct plumb_fault *fault, struct plumb_live *live)
{
	if (!plumb_config_layer(plumb_fault_config(live), live->layer)->window)
		return PLUMB_OK;
	live->changed = true;
	if (live->point == PLUMB_POINT_ATTN_SCORES) {
		NEED(q, Q_ROPE);
		NEED(k, K_ROPE);
		fault_attention_unhide(live, q, k);
		return PLUMB_OK;
	}
	NEED(p, ATTN_SOFTMAX);
	NEED(v, V_PROJ);
	fault_attention_mix_all(live, p, v);
	return PLUMB_OK;
}

/* --- the wrong scale --- */

enum plumb_status plumb_fault_scores(const struct plumb_fault *fault, struct plumb_live *live)
{
	const struct plumb_config *c = plumb_fault_config(live);
	const double root = sqrt((double)c->head_dim),
				 by = plumb_fault_is(fault, "score_scale") ? 1 / root / c->score_scale : 1 / root;
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = (float)(live->v[i] * by);
	live->changed = true;
	return PLUMB_OK;
}
