/* SPDX-License-Identifier: Apache-2.0 */
/* y = gelu(gate) * up, split by elements. */
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	float *y;
	const float *gate, *up;
};

static void geglu_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	w->simd->geglu(w->y + first, w->gate + first, w->up + first, end - first);
}

enum plumb_status plumb_native_geglu(struct plumb_driver *driver, const struct plumb_call *call)
{
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(call->in[0]),
		plumb_host(call->in[1]) };
	plumb_native_split(driver, plumb_tensor_count(call->out), PLUMB_NATIVE_GRAIN, geglu_run, &w);
	return PLUMB_OK;
}
