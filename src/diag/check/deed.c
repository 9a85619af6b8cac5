/* SPDX-License-Identifier: Apache-2.0 */
/* Who moves one element of the residual stream in a layer: attention or FFN, and which head or neuron, from
 * the captured values and the weights. Which elements are worth asking about is decided elsewhere. */
#include <math.h>
#include <stdlib.h>
#include "diag/check/check.h"

static double at(const struct plumb_plane *p, int64_t row, int64_t column)
{
	return p && row < p->rows && column < p->width ? (double)p->v[row * p->width + column] : NAN;
}

/* Neuron with the largest contribution of the deed's sign to channel: ffn_act[row][j] * down[channel][j]. */
static enum plumb_status find_neuron(
	struct plumb_diag *d, const struct plumb_capture *c, int64_t row, int64_t channel, struct plumb_deed *e)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(d->port, PLUMB_ROLE_FFN_DOWN, e->layer);
	const struct plumb_plane *act = plumb_capture_at(c, e->layer, PLUMB_POINT_FFN_ACT);
	if (!t || !act || t->dim[1] != act->width)
		return PLUMB_OK;
	float *v = malloc(sizeof *v * (size_t)t->dim[1]);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld weights", (long long)t->dim[1]);
	double most = 0, sign = e->ffn < 0 ? -1 : 1;
	enum plumb_status s = plumb_weight_row(t, channel, v);
	for (int64_t j = 0; !s && j < t->dim[1]; j++) {
		double add = at(act, row, j) * (double)v[j] * sign;
		if (add > most) {
			most = add;
			e->neuron = j;
		}
	}
	if (!s && e->neuron >= 0) {
		e->value = at(act, row, e->neuron);
		e->weight = (double)v[e->neuron];
		e->share = most / fabs(e->ffn);
		e->rank_row = e->rank_column = 1;
		for (int64_t j = 0; j < t->dim[1]; j++)
			e->rank_row += fabs((double)v[j]) > fabs(e->weight);
		for (int64_t i = 0; !s && i < t->dim[0]; i++) {
			s = plumb_weight_row(t, i, v);
			e->rank_column += !s && fabs((double)v[e->neuron]) > fabs(e->weight);
		}
	}
	free(v);
	return s;
}

/* Head with the largest contribution of the deed's sign: its share of attn_context times the output
 * projection's row. */
static enum plumb_status find_head(
	struct plumb_diag *d, const struct plumb_capture *c, int64_t row, int64_t channel, struct plumb_deed *e)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(d->port, PLUMB_ROLE_ATTN_OUT, e->layer);
	const struct plumb_plane *context = plumb_capture_at(c, e->layer, PLUMB_POINT_ATTN_CONTEXT);
	if (!t || !context || t->dim[1] != context->width)
		return PLUMB_OK;
	float *v = malloc(sizeof *v * (size_t)t->dim[1]);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld weights", (long long)t->dim[1]);
	double most = 0, sign = e->attention < 0 ? -1 : 1;
	enum plumb_status s = plumb_weight_row(t, channel, v);
	for (int64_t h = 0; !s && h < d->config->heads; h++) {
		double add = 0;
		for (int64_t i = h * d->config->value_dim; i < (h + 1) * d->config->value_dim; i++)
			add += at(context, row, i) * (double)v[i];
		if (add * sign > most) {
			most = add * sign;
			e->head = h;
		}
	}
	e->share = e->head >= 0 ? most / fabs(e->attention) : 0;
	free(v);
	return s;
}

enum plumb_status plumb_deed_find(struct plumb_diag *d, const struct plumb_capture *c, int layer, int64_t row,
	int64_t channel, double before, double after, struct plumb_deed *e)
{
	double sign = after < before ? -1 : 1;
	*e = (struct plumb_deed){ .layer = layer,
		.before = before,
		.after = after,
		.neuron = -1,
		.head = -1,
		.attention = at(plumb_capture_at(c, layer, PLUMB_POINT_ATTN_OUT), row, channel),
		.ffn = at(plumb_capture_at(c, layer, PLUMB_POINT_FFN_DOWN), row, channel) };
	e->by_ffn = !(e->attention * sign > e->ffn * sign);
	return e->by_ffn ? find_neuron(d, c, row, channel, e) : find_head(d, c, row, channel, e);
}
