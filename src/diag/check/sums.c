/* SPDX-License-Identifier: Apache-2.0 */
/* How large the sums inside the operators can get: the numbers behind headroom. Judges nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define TASK 16 /* rows of a weight per index of the pool */
#define ALL_PAIRS \
	128 /* prompts up to this length: every query meets every key, else the largest query of a head */

/* The row of the largest norm among those that are finite; NULL: none is. */
static const float *sums_largest_row(const struct plumb_captured *p, double *size)
{
	const float *row = NULL;
	*size = NAN;
	for (int64_t i = 0; i < p->rows; i++) {
		double sum = plumb_sum_squares(p->v + i * p->width, p->width);
		if (isfinite(sum) && !(sum <= *size)) {
			*size = sum;
			row = p->v + i * p->width;
		}
	}
	return row;
}

struct product {
	const struct plumb_file_tensor *w;
	const float *x;
	double *worst;
	_Atomic bool failed;
};

static void sums_rows(void *arg, int64_t index, int thread)
{
	struct product *p = arg;
	int64_t k = p->w->dim[1], end = (index + 1) * TASK < p->w->dim[0] ? (index + 1) * TASK : p->w->dim[0];
	float *v = malloc(sizeof *v * (size_t)k);
	(void)thread;
	p->worst[index] = 0;
	if (!v)
		p->failed = true;
	for (int64_t j = index * TASK; v && j < end; j++) {
		double sum[8] = { 0 }, all = 0;
		if (plumb_weight_row(p->w, j, v))
			p->failed = true;
		int64_t whole = k / 8 * 8;
		for (int64_t i = 0; i < whole; i += 8)
			for (int n = 0; n < 8; n++)
				sum[n] += (double)fabsf(v[i + n] * p->x[i + n]);
		for (int64_t i = whole; i < k; i++)
			sum[0] += (double)fabsf(v[i] * p->x[i]);
		for (int n = 0; n < 8; n++)
			all += sum[n];
		p->worst[index] = all > p->worst[index] ? all : p->worst[index];
	}
	free(v);
}

/* max_j sum_k |x_k w_jk| for the row x of the largest norm. */
static enum plumb_status sums_product(
	struct plumb_diag *d, const struct plumb_captured *x, struct plumb_sum *s)
{
	const struct plumb_file_tensor *w = plumb_model_tensor(
		d->port, plumb_model_made(d->port, s->point)->weight, s->layer);
	double size;
	struct product p = { .w = w };
	if (!w || !x || w->rank != 2 || w->dim[1] != x->width || !(p.x = sums_largest_row(x, &size)))
		return PLUMB_OK;
	int64_t tasks = (w->dim[0] + TASK - 1) / TASK;
	if (!(p.worst = malloc(sizeof *p.worst * (size_t)tasks)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the sums of %s", plumb_point_name(s->point));
	plumb_pool_run(plumb_model_context(d->port)->pool, sums_rows, &p, tasks);
	s->worst = 0;
	s->terms = w->dim[1];
	for (int64_t i = 0; i < tasks; i++)
		s->worst = fmax(s->worst, p.worst[i]);
	free(p.worst);
	return p.failed ? plumb_fail(PLUMB_E_MEMORY, "no memory for the sums of %s", plumb_point_name(s->point))
					: PLUMB_OK;
}

/* Scores before they are scaled: sum |q k|, of each head the queries against the keys they see. */
static void sums_scores(const struct plumb_config *config, const struct plumb_captured *q,
	const struct plumb_captured *k, struct plumb_sum *s)
{
	int64_t dim = config->head_dim, window = plumb_config_layer(config, s->layer)->window;
	if (!q || !k || q->width != config->heads * dim || k->width != config->kv_heads * dim)
		return;
	s->terms = dim;
	for (int64_t h = 0; h < config->heads; h++) {
		int64_t kv = h / (config->heads / config->kv_heads), largest = 0;
		double size = -1;
		for (int64_t i = 0; i < q->rows; i++) {
			double norm = plumb_sum_squares(q->v + i * q->width + h * dim, dim);
			largest = norm > size ? i : largest;
			size = norm > size ? norm : size;
		}
		for (int64_t i = q->rows > ALL_PAIRS ? largest : 0; i < (q->rows > ALL_PAIRS ? largest + 1 : q->rows);
			 i++)
			for (int64_t t = window && i >= window ? i - window + 1 : 0; t <= i && t < k->rows; t++) {
				double sum = 0;
				for (int64_t n = 0; n < dim; n++)
					sum += (double)fabsf(
						q->v[i * q->width + h * dim + n] * k->v[t * k->width + kv * dim + n]);
				if (!isnan(sum) && !(sum <= s->worst))
					s->worst = sum;
			}
	}
}

static enum plumb_status sums_bound(struct plumb_diag *d, const struct plumb_capture *c, struct plumb_sum *s)
{
	const struct plumb_made *m = plumb_model_made(d->port, s->point);
	/* A layer's input is the output of the layer before. */
	const struct plumb_captured *in = m->input == PLUMB_POINT_EMBEDDINGS ? s->layer
			? plumb_capture_at(c, s->layer - 1, PLUMB_POINT_OUTPUT)
			: plumb_capture_at(c, -1, PLUMB_POINT_EMBEDDINGS)
		: s->point == PLUMB_POINT_FINAL_NORM ? plumb_capture_at(c, c->layers - 1, PLUMB_POINT_OUTPUT)
											 : plumb_capture_at(c, s->layer, m->input);
	double size;
	if (s->point == PLUMB_POINT_ATTN_SCORES)
		sums_scores(d->config, plumb_capture_at(c, s->layer, PLUMB_POINT_Q_ROPE),
			plumb_capture_at(c, s->layer, PLUMB_POINT_K_ROPE), s);
	else if (m->op == PLUMB_OP_matmul)
		return sums_product(d, in, s);
	else if (in) {
		struct plumb_captured x = *in;
		if (d->config->norms & PLUMB_NORM_HEAD &&
			(s->point == PLUMB_POINT_Q_NORM || s->point == PLUMB_POINT_K_NORM)) { /* a head at a time */
			x.rows *= x.width / d->config->head_dim;
			x.width = d->config->head_dim;
		}
		if (sums_largest_row(&x, &size)) {
			s->worst = size;
			s->terms = x.width;
		}
	}
	return PLUMB_OK;
}

/* The point whose sums are taken when this one is met; -1: none. Long prompts have no scores captured, but
 * their keys. */
static int sums_point(const struct plumb_diag *d, int point)
{
	const struct plumb_made *m = plumb_model_made(d->port, point);
	if (point == PLUMB_POINT_K_ROPE)
		return plumb_model_made(d->port, PLUMB_POINT_ATTN_SCORES) ? PLUMB_POINT_ATTN_SCORES : -1;
	return m && m->weight && point != PLUMB_POINT_EMBEDDINGS ? point : -1;
}

enum plumb_status plumb_sums_of(
	struct plumb_diag *d, const struct plumb_capture *c, struct plumb_sum **out, int *count)
{
	int layer = -1, point = -1;
	enum plumb_status s = PLUMB_OK;
	*count = 0;
	if (!(*out = calloc(((size_t)c->layers + 1) * PLUMB_POINT_COUNT, sizeof **out)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the sums of %d layers", c->layers);
	while (!s && plumb_capture_next(c, &layer, &point)) {
		if (sums_point(d, point) < 0)
			continue;
		struct plumb_sum *one = &(*out)[(*count)++];
		*one = (struct plumb_sum){ layer, sums_point(d, point), NAN, 0 };
		s = plumb_diag_progress(d, "measuring sums", layer < 0 ? c->layers : layer, c->layers);
		if (!s)
			s = sums_bound(d, c, one);
	}
	if (s) {
		free(*out);
		*out = NULL;
	}
	return s;
}
