/* SPDX-License-Identifier: Apache-2.0 */
/* First index of each row's elements that are finite and past float16. Exact, so any split gives the same. */
#include <math.h>
#include "native/native.h"

struct work {
	int32_t *y;
	const float *x;
	int64_t d;
};

static bool f16_overflow_overflows(float x) { return fabsf(x) >= PLUMB_F16_ENDS && fabsf(x) < INFINITY; }

static void f16_overflow_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++) {
		const float *x = w->x + i * w->d;
		int any = 0;
		int64_t j = 0;
		for (int64_t k = 0; k < w->d; k++) /* without a branch, which vectorises: there is hardly ever one */
			any |= f16_overflow_overflows(x[k]);
		while (any && !f16_overflow_overflows(x[j]))
			j++;
		w->y[i] = any ? (int32_t)j : -1;
	}
}

enum plumb_status plumb_native_f16_overflow(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_native_f32(call));
	const struct plumb_tensor *x = call->in[0];
	struct work w = { plumb_host(call->out), plumb_host(x), x->dim[1] };
	plumb_native_split(driver, x->dim[0], plumb_native_grain(w.d), f16_overflow_run, &w);
	return PLUMB_OK;
}
