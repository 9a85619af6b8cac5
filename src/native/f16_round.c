/* SPDX-License-Identifier: Apache-2.0 */
/* y = x rounded to float16, split by elements. */
#include "native/native.h"

#define BLOCK 256

struct work {
	const struct plumb_simd *simd;
	float *y;
	const float *x;
};

static void f16_round_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	uint16_t half[BLOCK];
	(void)thread;
	for (int64_t i = first, n; i < end; i += n) {
		n = end - i < BLOCK ? end - i : BLOCK;
		w->simd->to_f16(w->x + i, half, n);
		w->simd->to_f32[PLUMB_F16](PLUMB_F16, half, w->y + i, n);
	}
}

enum plumb_status plumb_native_f16_round(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_native_f32(call));
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(call->in[0]) };
	plumb_native_split(driver, plumb_tensor_count(call->out), 4 * PLUMB_NATIVE_GRAIN, f16_round_run, &w);
	return PLUMB_OK;
}
