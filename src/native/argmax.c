/* SPDX-License-Identifier: Apache-2.0 */
/* Lowest index of the largest element of each row. Exact, so any split gives the same. */
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	int32_t *y;
	const float *x;
	int64_t d;
};

static void argmax_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++) {
		const float *x = w->x + i * w->d;
		float max = w->simd->max(x, w->d);
		int64_t j = 0;
		while (j < w->d && !(x[j] == max))
			j++;
		w->y[i] = j < w->d ? (int32_t)j : 0; /* not found: all are NaN */
	}
}

enum plumb_status plumb_native_argmax(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	const struct plumb_tensor *x = call->in[0];
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(x), x->dim[x->rank - 1] };
	plumb_native_split(driver, plumb_tensor_count(x) / w.d, plumb_native_grain(w.d), argmax_run, &w);
	return PLUMB_OK;
}
