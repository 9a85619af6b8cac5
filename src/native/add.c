/* SPDX-License-Identifier: Apache-2.0 */
/* y = a + b, split by elements. */
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	float *y;
	const float *a, *b;
};

static void add_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	w->simd->add(w->y + first, w->a + first, w->b + first, end - first);
}

enum plumb_status plumb_native_add(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(call->in[0]),
		plumb_host(call->in[1]) };
	plumb_native_split(driver, plumb_tensor_count(call->out), 4 * PLUMB_NATIVE_GRAIN, add_run, &w);
	return PLUMB_OK;
}
