/* SPDX-License-Identifier: Apache-2.0 */
/* The scores of attention as a tensor, for diagnosis; forward passes use attention.c. */
#include <math.h>
#include "native/native.h"
#include "op/op.h"

struct work {
	const struct plumb_simd *simd;
	float *s;
	const float *q;
	const char *k;
	enum plumb_type type;
	int64_t n, d, keys; /* queries, head size, row length of s */
	struct plumb_attn a;
};

/* One item is one (head, query) row of s. */
static void attn_scores_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t r = first; r < end; r++) {
		int64_t h = r / w->n, i = r % w->n, g = h / (w->a.heads / w->a.kv_heads), seen = w->a.pos + i + 1,
				from = plumb_attn_first(&w->a, w->a.pos + i);
		size_t size = plumb_type_bytes(w->type), head = size * (size_t)w->d;
		float *s = w->s + r * w->keys;
		struct plumb_dot dot = { .type = w->type,
			.w = w->k + head * (size_t)(from * w->a.kv_heads + g),
			.stride = head * (size_t)w->a.kv_heads,
			.rows = seen - from,
			.k = w->d,
			.x = w->q + (i * w->a.heads + h) * w->d,
			.y = s + from };
		w->simd->dot[w->type](&dot);
		w->simd->scale(s + from, (float)w->a.scale, seen - from);
		for (int64_t t = 0; t < from; t++)
			s[t] = -INFINITY;
		for (int64_t t = seen; t < w->keys; t++)
			s[t] = -INFINITY;
	}
}

enum plumb_status plumb_native_attn_scores(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *q = call->in[0], *k = call->in[1];
	enum plumb_status s = plumb_native_f32(call);
	if (s || (s = plumb_native_cache(k)))
		return s;
	struct work w = { plumb_native_simd(driver), plumb_host(call->out), plumb_host(q), plumb_host(k), k->type,
		q->dim[0], q->dim[1] / call->s.attn.heads, call->out->dim[2], call->s.attn };
	plumb_native_split(driver, w.n * w.a.heads, plumb_native_grain(w.keys * w.d), attn_scores_run, &w);
	return PLUMB_OK;
}
