/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding, split by rows. Angles, cosines, sines and the rotation itself
 * are float64, rounded once. */
#include <math.h>
#include "native/native.h"

struct work {
	struct plumb_driver *driver;
	float *y;
	const float *x;
	int64_t width, pos, head_dim;
	enum plumb_rope_pairs pairs;
	double base, factor;
};

static void rope_rotate(
	float *y, const float *x, const double *turn, int64_t head_dim, enum plumb_rope_pairs pairs)
{
	int64_t half = head_dim / 2;
	for (int64_t j = 0; j < half; j++) {
		int64_t ia = pairs == PLUMB_ROPE_HALF ? j : 2 * j,
				ib = pairs == PLUMB_ROPE_HALF ? j + half : 2 * j + 1;
		double a = x[ia], b = x[ib], cosine = turn[2 * j], sine = turn[2 * j + 1];
		y[ia] = (float)(a * cosine - b * sine);
		y[ib] = (float)(b * cosine + a * sine);
	}
}

static void rope_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	double *turn = (double *)(void *)plumb_native_scratch(w->driver, thread), *rate = turn + w->head_dim;
	for (int64_t j = 0; j < w->head_dim / 2; j++)
		rate[j] = pow(w->base, -2.0 * (double)j / (double)w->head_dim);
	for (int64_t i = first; i < end; i++) {
		for (int64_t j = 0; j < w->head_dim / 2; j++) {
			double angle = (double)(w->pos + i) / w->factor * rate[j];
			turn[2 * j] = cos(angle);
			turn[2 * j + 1] = sin(angle);
		}
		for (int64_t h = 0; h < w->width; h += w->head_dim)
			rope_rotate(w->y + i * w->width + h, w->x + i * w->width + h, turn, w->head_dim, w->pairs);
	}
}

enum plumb_status plumb_native_rope(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *x = call->in[0];
	struct work w = { driver, plumb_host(call->out), plumb_host(x), x->dim[x->rank - 1], call->s.rope.pos,
		call->s.rope.head_dim, call->s.rope.pairs, call->s.rope.base, call->s.rope.factor };
	enum plumb_status s = plumb_native_f32(call);
	if (s || (s = plumb_native_reserve(driver, 3 * sizeof(double) / sizeof(float) * (size_t)w.head_dim, 0)))
		return s;
	/* A pair costs about as much as 20 plain elements. */
	plumb_native_split(
		driver, plumb_tensor_count(x) / w.width, plumb_native_grain(w.width + 10 * w.head_dim), rope_run, &w);
	return PLUMB_OK;
}
