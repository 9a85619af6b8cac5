/* SPDX-License-Identifier: Apache-2.0 */
/* attn_scores: s[h][i][t] = scale * q[i][h] . k[t][g(h)], -inf where query i does not see key t:
 * later ones, and those before the `window` keys that end with its own. HD: the dimension of a head. */
// variant: -DHD={10|64|80|128|256|*} {|-DKV_F16=1}
#ifndef HD
#define HD 64
#endif
#define VECTORS (HD / 8)

static float dot_head(__global const float *q, __global const KV *k)
{
	float8 sums = 0.0f;
	float sum = 0.0f;
	for (int j = 0; j < VECTORS; j++)
		sums = mad(vload8(0, q + 8 * j), kv_load8(k, 8 * j), sums);
	for (int j = VECTORS * 8; j < HD; j++)
		sum = mad(q[j], kv_load(k, j), sum);
	return sum + sum8(sums);
}

/* On a CPU one item per (query, head), on a GPU one per (key, query, head). */
__kernel void attn_scores(__global float *s, int s_at, __global const float *q, int q_at,
	__global const KV *k, int k_at, int pos, int window, int n, int heads, int kv_heads, float scale)
{
	int i = get_global_id(PLUMB_CPU ? 0 : 1), h = get_global_id(PLUMB_CPU ? 1 : 2), total = pos + n;
	s += s_at + ((size_t)h * n + i) * total;
	q += q_at + ((size_t)i * heads + h) * HD;
	k += k_at + (h / (heads / kv_heads)) * HD;
#if PLUMB_CPU
	for (int t = 0; t < total; t++)
#else
	int t = get_global_id(0);
	if (t < total)
#endif
		s[t] = t <= pos + i && pos + i - t < window ? dot_head(q, k + (size_t)t * kv_heads * HD) * scale
			: -INFINITY;
}
