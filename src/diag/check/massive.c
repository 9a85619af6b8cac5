/* SPDX-License-Identifier: Apache-2.0 */
/* Massive activations: which channel and token, which layer writes it and through which neuron or head, who
 * carries it, who removes it, and how much of the error against a reference sits in it. */
#include <math.h>
#include <stdlib.h>
#include "diag/check/check.h"

#define MOST 8 /* channels followed, the largest first */

struct massive {
	struct plumb_diag *d;
	const struct plumb_capture *c, *ours, *fixed; /* the latter for the error; NULL without a reference */
	struct plumb_biography_result *r;
	int layers;
};

/* x after `after` layers. */
static const struct plumb_captured *massive_stream(const struct massive *w, int after)
{
	return plumb_capture_at(w->c, after - 1, after ? PLUMB_POINT_OUTPUT : PLUMB_POINT_EMBEDDINGS);
}

static double massive_at(const struct plumb_captured *p, int64_t row, int64_t column)
{
	return p && row < p->rows && column < p->width ? (double)p->v[row * p->width + column] : NAN;
}

/* --- finding them --- */

/* Keep channel and row if they are new; the smallest of a full list gives way. */
static void massive_keep(struct plumb_biography_result *r, int64_t channel, int64_t row, double size)
{
	struct plumb_massive_channel *end = r->channel + r->found, *at = end;
	for (struct plumb_massive_channel *m = r->channel; m < end; m++)
		if (m->channel == channel && m->row == row) {
			m->size = size > m->size ? size : m->size;
			return;
		}
	if (r->found < (int)(sizeof r->channel / sizeof *r->channel))
		r->found++;
	else {
		at = r->channel;
		for (struct plumb_massive_channel *m = r->channel; m < end; m++)
			at = m->size < at->size ? m : at;
		if (at->size >= size)
			return;
	}
	*at = (struct plumb_massive_channel){ .channel = channel, .row = row, .size = size };
}

static int massive_largest_first(const void *a, const void *b)
{
	const struct plumb_massive_channel *x = a, *y = b;
	return x->size > y->size ? -1 : x->size < y->size ? 1 : (x->row > y->row) - (x->row < y->row);
}

/* Each layer's output, row by row; the median is taken only where a value is large enough. v: room for a row.
 */
static void massive_search(struct massive *w, float *v)
{
	struct plumb_biography_result *r = w->r;
	for (int after = 1; after <= w->layers; after++) {
		const struct plumb_captured *p = massive_stream(w, after);
		for (int64_t row = 0; p && row < p->rows; row++) {
			double median = -1;
			for (int64_t c = 0; c < p->width; c++) {
				double size = fabs((double)p->v[row * p->width + c]);
				if (!(size > PLUMB_MASSIVE_LEAST) || !isfinite(size))
					continue;
				median = median < 0 ? plumb_median_abs(p->v + row * p->width, p->width, v) : median;
				if (size > PLUMB_MASSIVE_OVER_MEDIAN * median)
					massive_keep(r, c, row, size);
			}
		}
	}
	qsort(r->channel, (size_t)r->found, sizeof *r->channel, massive_largest_first);
	r->channels = r->found < MOST ? r->found : MOST;
}

/* Values along the layers, and the peak. v: room for a row. */
static void massive_follow(struct massive *w, struct plumb_massive_channel *m, float *v)
{
	m->peak = NAN;
	for (int after = 0; after <= w->layers; after++) {
		m->value[after] = massive_at(massive_stream(w, after), m->row, m->channel);
		if (fabs(m->value[after]) > fabs(m->peak) || isnan(m->peak)) {
			m->peak = m->value[after];
			m->peak_layer = after - 1;
		}
	}
	const struct plumb_captured *peak = massive_stream(w, m->peak_layer + 1);
	m->median = plumb_median_abs(peak->v + m->row * peak->width, peak->width, v);
	m->over_median = fabs(m->peak) / m->median;
}

/* Share of the channel in the squared error of its row after each layer, where the reference has that row.
 * shares: room for one of each layer. */
static void massive_weigh_error(struct massive *w, struct plumb_massive_channel *m, float *shares)
{
	int n = 0;
	m->share = -1;
	for (int layer = 0; w->fixed && layer < w->layers; layer++) {
		const struct plumb_captured *a = plumb_capture_at(w->ours, layer, PLUMB_POINT_OUTPUT);
		const struct plumb_captured *b = plumb_capture_at(w->fixed, layer, PLUMB_POINT_OUTPUT);
		double all = 0, here = 0;
		if (!a || !b || a->width != b->width || m->row < a->first || m->row >= a->first + a->rows ||
			m->row < b->first || m->row >= b->first + b->rows)
			continue;
		for (int64_t i = 0; i < a->width; i++) {
			double e = massive_at(a, m->row - a->first, i) - massive_at(b, m->row - b->first, i);
			all += e * e;
			here += i == m->channel ? e * e : 0;
		}
		if (!(all > 0) || !isfinite(all))
			continue;
		shares[n++] = (float)(here / all);
		if (here / all > m->share) {
			m->share = here / all;
			m->share_layer = layer;
		}
	}
	m->share_median = n ? plumb_median_float(shares, n) : -1;
}

/* --- what layers do to them --- */

/* The neuron or head of the branch with the largest contribution of the branch's sign: its inputs times the
 * channel's row of the branch's last matrix. v: room for that row. */
static enum plumb_status massive_strongest(struct massive *w, const struct plumb_massive_channel *m,
	struct plumb_event *e, const struct plumb_file_tensor *t, const struct plumb_captured *in, float *v)
{
	int64_t width = e->by_ffn ? 1 : w->d->config->value_dim, *strongest = e->by_ffn ? &e->neuron : &e->head;
	double most = 0, moves = e->by_ffn ? e->ffn : e->attention, sign = moves < 0 ? -1 : 1;
	PLUMB_TRY(plumb_weight_row(t, m->channel, v));
	for (int64_t unit = 0; unit < t->dim[1] / width; unit++) {
		double add = 0;
		for (int64_t i = unit * width; i < (unit + 1) * width; i++)
			add += massive_at(in, m->row, i) * (double)v[i];
		if (add * sign > most) {
			most = add * sign;
			*strongest = unit;
		}
	}
	e->share = *strongest >= 0 ? most / fabs(moves) : 0;
	if (e->neuron < 0)
		return PLUMB_OK;
	e->value = massive_at(in, m->row, e->neuron);
	e->weight = (double)v[e->neuron];
	e->rank_row = plumb_rank_float(v, t->dim[1], fabs(e->weight));
	e->rank_column = 1;
	for (int64_t i = 0; i < t->dim[0]; i++) {
		PLUMB_TRY(plumb_weight_row(t, i, v));
		e->rank_column += fabs((double)v[e->neuron]) > fabs(e->weight);
	}
	return PLUMB_OK;
}

static enum plumb_status massive_contribution(struct massive *w, const struct plumb_massive_channel *m,
	int layer, enum plumb_event_kind kind, struct plumb_event *e)
{
	double before = m->value[layer], after = m->value[layer + 1], sign = after < before ? -1 : 1;
	*e = (struct plumb_event){ .kind = kind,
		.layer = layer,
		.last = layer,
		.before = before,
		.after = after,
		.neuron = -1,
		.head = -1,
		.attention = massive_at(plumb_capture_at(w->c, layer, PLUMB_POINT_ATTN_OUT), m->row, m->channel),
		.ffn = massive_at(plumb_capture_at(w->c, layer, PLUMB_POINT_FFN_DOWN), m->row, m->channel) };
	e->by_ffn = !(e->attention * sign > e->ffn * sign);
	const struct plumb_file_tensor *t = plumb_model_tensor(
		w->d->port, e->by_ffn ? PLUMB_ROLE_FFN_DOWN : PLUMB_ROLE_ATTN_OUT, layer);
	const struct plumb_captured *in = plumb_capture_at(
		w->c, layer, e->by_ffn ? PLUMB_POINT_FFN_ACT : PLUMB_POINT_ATTN_CONTEXT);
	if (!t || !in || t->dim[1] != in->width)
		return PLUMB_OK;
	float *v = malloc(sizeof *v * (size_t)t->dim[1]);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld weights", (long long)t->dim[1]);
	enum plumb_status s = massive_strongest(w, m, e, t, in, v);
	free(v);
	return s;
}

/* What overshoots zero is another story. */
static enum plumb_event_kind massive_kind(const struct plumb_massive_channel *m, int layer)
{
	double side = m->peak < 0 ? -1 : 1,
		   step = fmax(m->value[layer + 1] * side, 0) - fmax(m->value[layer] * side, 0);
	if (!(fabs(step) >= PLUMB_MASSIVE_STEP * fabs(m->peak)))
		return PLUMB_EVENT_CARRIED;
	return step > 0 ? PLUMB_EVENT_WRITTEN : PLUMB_EVENT_REMOVED;
}

static void massive_carried(struct plumb_massive_channel *m, int first, int last)
{
	struct plumb_event *e = &m->event[m->events++];
	*e = (struct plumb_event){ .kind = PLUMB_EVENT_CARRIED,
		.layer = first,
		.last = last,
		.before = INFINITY,
		.neuron = -1,
		.head = -1 };
	for (int i = first; i <= last + 1; i++) {
		e->before = fmin(e->before, fabs(m->value[i]));
		e->after = fmax(e->after, fabs(m->value[i]));
	}
	if (!m->carried || last - first > m->carried->last - m->carried->layer)
		m->carried = e;
}

static enum plumb_status massive_events(struct massive *w, struct plumb_massive_channel *m)
{
	int start = -1; /* of the layers that carry it, until now */
	for (int layer = 0; layer <= w->layers; layer++) {
		enum plumb_event_kind kind = layer < w->layers ? massive_kind(m, layer) : PLUMB_EVENT_WRITTEN;
		if (kind == PLUMB_EVENT_CARRIED) {
			bool large = fabs(m->value[layer]) >= 0.5 * fabs(m->peak);
			start = start < 0 && m->count[PLUMB_EVENT_WRITTEN] && large ? layer : start;
			continue;
		}
		if (start >= 0)
			massive_carried(m, start, layer - 1);
		start = -1;
		if (layer == w->layers)
			break;
		PLUMB_TRY(massive_contribution(w, m, layer, kind, &m->event[m->events++]));
		m->count[kind]++;
	}
	return PLUMB_OK;
}

static enum plumb_status massive_describe(struct massive *w, struct plumb_massive_channel *m, float *room)
{
	size_t layers = (size_t)w->layers;
	m->value = calloc(layers + 1, sizeof *m->value);
	m->event = calloc(2 * layers + 1, sizeof *m->event);
	if (!m->value || !m->event)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the values of channel %lld", (long long)m->channel);
	massive_follow(w, m, room);
	massive_weigh_error(w, m, room);
	return massive_events(w, m);
}

/* --- the check --- */

static enum plumb_status massive_find(struct plumb_diag *d, void *result)
{
	struct massive w = { .d = d, .r = result, .layers = d->layers };
	PLUMB_TRY(plumb_diag_trusted(d, &w.c));
	float *room = malloc(sizeof *room * ((size_t)d->config->hidden + (size_t)d->layers));
	if (!room)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld values", (long long)d->config->hidden);
	massive_search(&w, room);
	enum plumb_status s = PLUMB_OK;
	if (d->reference && w.r->channels) { /* without a usable one they are described all the same */
		s = plumb_diag_ours(d, &w.ours);
		s = s ? s : plumb_diag_fixed(d, &w.fixed);
	}
	for (int i = 0; !s && i < w.r->channels; i++) {
		s = plumb_diag_progress(d, "following massive activations", i, w.r->channels);
		s = s ? s : massive_describe(&w, &w.r->channel[i], room);
	}
	free(room);
	return s;
}

static void massive_free(void *result)
{
	struct plumb_biography_result *r = result;
	for (int i = 0; i < r->channels; i++) {
		free(r->channel[i].value);
		free(r->channel[i].event);
	}
}

const struct plumb_check plumb_check_biography = { "biography",
	"Which massive activations are there, and which layers write, carry and remove them?", false,
	sizeof(struct plumb_biography_result), massive_find, plumb_biography_emit, massive_free };
