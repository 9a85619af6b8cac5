/* SPDX-License-Identifier: Apache-2.0 */
/* Values mixed by probabilities given as a tensor, for diagnosis; forward passes use attention.c. */
#include <string.h>
#include "native/native.h"
#include "op/op.h"

#define ROWS 64 /* values widened at a time */

struct work {
	struct plumb_driver *driver;
	float *y;
	const float *p;
	const char *v;
	enum plumb_type type;
	int64_t n, d, wide, keys; /* queries, head size and that in whole tiles, row length of p */
	struct plumb_attn a;
};

/* One item is one (head, query). */
static void attn_mix_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	const struct plumb_simd *simd = plumb_native_simd(w->driver);
	float *v = plumb_native_scratch(w->driver, thread), *y = v + ROWS * w->wide;
	size_t head = plumb_type_bytes(w->type) * (size_t)w->d, row = head * (size_t)w->a.kv_heads;
	memset(v, 0, sizeof *v * ROWS * (size_t)w->wide);
	for (int64_t r = first; r < end; r++) {
		int64_t h = r / w->n, i = r % w->n, g = h / (w->a.heads / w->a.kv_heads), seen = w->a.pos + i + 1,
				from = plumb_attn_first(&w->a, w->a.pos + i);
		for (int64_t t = from; t < seen; t += ROWS) {
			int64_t rows = seen - t < ROWS ? seen - t : ROWS;
			for (int64_t j = 0; j < rows; j++)
				simd->to_f32[w->type](
					w->type, w->v + row * (size_t)(t + j) + head * (size_t)g, v + j * w->wide, w->d);
			for (int64_t c = 0; c < w->wide; c += simd->nr)
				simd->gemm(&(struct plumb_tile){ .m = 1,
					.k = rows,
					.ldx = w->keys,
					.ldp = w->wide,
					.ldc = w->wide,
					.x = w->p + r * w->keys + t,
					.panel = v + c,
					.c = y + c,
					.add = t > from });
		}
		memcpy(w->y + (i * w->a.heads + h) * w->d, y, sizeof *y * (size_t)w->d);
	}
}

enum plumb_status plumb_native_attn_mix(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *p = call->in[0], *v = call->in[1];
	const struct plumb_attn *a = &call->s.attn;
	int64_t d = call->out->dim[1] / a->heads, nr = plumb_native_simd(driver)->nr,
			wide = (d + nr - 1) / nr * nr;
	enum plumb_status s = plumb_native_f32(call);
	if (s || (s = plumb_native_cache(v)) || (s = plumb_native_reserve(driver, (ROWS + 1) * (size_t)wide, 0)))
		return s;
	struct work w = { driver, plumb_host(call->out), plumb_host(p), plumb_host(v), v->type, call->out->dim[0],
		d, wide, p->dim[2], *a };
	plumb_native_split(driver, w.n * a->heads, plumb_native_grain(w.keys * w.d), attn_mix_run, &w);
	return PLUMB_OK;
}
