/* SPDX-License-Identifier: Apache-2.0 */
/* y = w * x / sqrt(mean(x^2) + eps), split by rows; the mean is taken in float64. */
#include <math.h>
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	float *y;
	const float *x, *w;
	int64_t d;
	double eps;
};

void plumb_native_norm(
	const struct plumb_simd *simd, float *y, const float *x, const float *w, double eps, int64_t d)
{
	double mean = simd->sum_sq(x, d) / (double)d;
	simd->norm(y, x, w, (float)(1 / sqrt(mean + eps)), d);
}

static void rmsnorm_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++)
		plumb_native_norm(w->simd, w->y + i * w->d, w->x + i * w->d, w->w, w->eps, w->d);
}

enum plumb_status plumb_native_rmsnorm(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	const struct plumb_tensor *x = call->in[0];
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(x),
		plumb_host(call->in[1]), x->dim[x->rank - 1], call->s.eps };
	plumb_native_split(driver, plumb_tensor_count(x) / w.d, plumb_native_grain(w.d), rmsnorm_run, &w);
	return PLUMB_OK;
}
