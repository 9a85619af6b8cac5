/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of keys or values into the cache, rounded to its type. */
#include <string.h>
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	enum plumb_type type;
	char *cache;
	const float *x;
	int64_t d;
};

static void kv_store_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	int64_t from = first * w->d, n = (end - first) * w->d;
	(void)thread;
	if (w->type == PLUMB_F16)
		w->simd->to_f16(w->x + from, (uint16_t *)(void *)w->cache + from, n);
	else
		memcpy((float *)(void *)w->cache + from, w->x + from, sizeof(float) * (size_t)n);
}

enum plumb_status plumb_native_kv_store(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *cache = call->out, *x = call->in[0];
	enum plumb_status s = plumb_native_f32(call);
	if (s || (s = plumb_native_cache(cache)))
		return s;
	int64_t d = cache->dim[1];
	struct work w = { plumb_native_simd(driver), cache->type,
		(char *)plumb_host(cache) + (size_t)(call->s.pos * d) * plumb_type_bytes(cache->type), plumb_host(x),
		d };
	plumb_native_split(driver, x->dim[0], plumb_native_grain(d) * 4, kv_store_run, &w);
	return PLUMB_OK;
}
