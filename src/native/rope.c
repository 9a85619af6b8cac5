/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding, split by rows. Angles, cosines, sines and the rotation itself
 * are float64, rounded once. */
#include <math.h>
#include <string.h>
#include "native/native.h"

struct work {
	struct plumb_driver *driver;
	float *y;
	const float *x, *freqs;
	int64_t width;
	struct plumb_rope r;
};

/* turn: cosine and sine of each pair. */
static void rope_rotate(float *y, const float *x, const double *turn, const struct plumb_rope *r)
{
	int64_t half = r->rotated / 2;
	for (int64_t j = 0; j < half; j++) {
		int64_t ia = r->pairs == PLUMB_ROPE_HALF ? j : 2 * j,
				ib = r->pairs == PLUMB_ROPE_HALF ? j + half : 2 * j + 1;
		double a = x[ia], b = x[ib], cosine = turn[2 * j], sine = turn[2 * j + 1];
		y[ia] = (float)(a * cosine - b * sine);
		y[ib] = (float)(b * cosine + a * sine);
	}
	if (y != x)
		memcpy(y + r->rotated, x + r->rotated, sizeof *y * (size_t)(r->head_dim - r->rotated));
}

static void rope_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	const struct plumb_rope *r = &w->r;
	int64_t pairs = r->rotated / 2;
	double *turn = (double *)(void *)plumb_native_scratch(w->driver, thread), *rate = turn + r->rotated;
	for (int64_t j = 0; j < pairs; j++)
		rate[j] = pow(r->base, -2.0 * (double)j / (double)r->rotated);
	for (int64_t i = first; i < end; i++) {
		for (int64_t j = 0; j < pairs; j++) {
			double slower = r->factor * (w->freqs ? (double)w->freqs[j] : 1);
			double angle = (double)(r->pos + i) / slower * rate[j];
			turn[2 * j] = cos(angle) * r->scale;
			turn[2 * j + 1] = sin(angle) * r->scale;
		}
		for (int64_t h = 0; h < w->width; h += r->head_dim)
			rope_rotate(w->y + i * w->width + h, w->x + i * w->width + h, turn, r);
	}
}

enum plumb_status plumb_native_rope(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *x = call->in[0], *freqs = call->in[1];
	struct work w = { driver, plumb_host(call->out), plumb_host(x), freqs ? plumb_host(freqs) : NULL,
		x->dim[x->rank - 1], call->s.rope };
	enum plumb_status s = plumb_native_f32(call);
	if (s || (s = plumb_native_reserve(driver, 3 * sizeof(double) / sizeof(float) * (size_t)w.r.rotated, 0)))
		return s;
	/* A pair costs about as much as 20 plain elements. */
	plumb_native_split(driver, plumb_tensor_count(x) / w.width,
		plumb_native_grain(w.width + 10 * w.r.rotated), rope_run, &w);
	return PLUMB_OK;
}
