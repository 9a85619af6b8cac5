/* SPDX-License-Identifier: Apache-2.0 */
/* y = factor * x, split by elements. */
#include <string.h>
#include "native/native.h"

#define PIECE 1024 /* elements that are still in the L1 cache when they are multiplied */

struct work {
	const struct plumb_simd *simd;
	float *y;
	const float *x;
	float factor;
};

static void scale_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i += PIECE) {
		int64_t n = end - i < PIECE ? end - i : PIECE;
		if (w->y != w->x)
			memcpy(w->y + i, w->x + i, sizeof *w->y * (size_t)n);
		w->simd->scale(w->y + i, w->factor, n);
	}
}

enum plumb_status plumb_native_scale(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(call->in[0]),
		(float)call->s.factor };
	plumb_native_split(driver, plumb_tensor_count(call->out), 4 * PLUMB_NATIVE_GRAIN, scale_run, &w);
	return PLUMB_OK;
}
