/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of each row, shifted by its maximum, split by rows. */
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	float *y;
	const float *x;
	int64_t d;
};

static void softmax_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++) {
		float *y = w->y + i * w->d;
		const float *x = w->x + i * w->d;
		float sum = w->simd->exp_sum(y, x, w->simd->max(x, w->d), w->d);
		w->simd->scale(y, 1 / sum, w->d);
	}
}

enum plumb_status plumb_native_softmax(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	const struct plumb_tensor *x = call->in[0];
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(x), x->dim[x->rank - 1] };
	plumb_native_split(driver, plumb_tensor_count(x) / w.d, plumb_native_grain(w.d), softmax_run, &w);
	return PLUMB_OK;
}
