/* SPDX-License-Identifier: Apache-2.0 */
/* attn_mix: y[i][h] = sum of p[h][i][t] * v[t][g(h)] over the `window` keys t that end with pos + i. HD:
 * the head's dimension. */
// variant: -DHD={10|64|80|128|256|*} {|-DKV_F16=1}
#ifndef HD
#define HD 64
#endif
#define VECTORS (HD / 8)

#if PLUMB_CPU
/* One item per (query, head). */
__kernel void attn_mix(__global float *y, int y_at, __global const float *p, int p_at, __global const KV *v,
	int v_at, int pos, int window, int n, int heads, int kv_heads)
{
	int i = get_global_id(0), h = get_global_id(1), total = pos + n, row = kv_heads * HD,
		from = max(0, pos + i - window + 1);
	y += y_at + ((size_t)i * heads + h) * HD;
	p += p_at + ((size_t)h * n + i) * total;
	v += v_at + (h / (heads / kv_heads)) * HD;
	for (int j = 0; j < VECTORS; j++) {
		float8 sum = 0.0f;
		for (int t = from; t <= pos + i; t++)
			sum = mad((float8)p[t], kv_load8(v, (size_t)t * row + 8 * j), sum);
		vstore8(sum, j, y);
	}
	for (int j = VECTORS * 8; j < HD; j++) {
		float sum = 0.0f;
		for (int t = from; t <= pos + i; t++)
			sum = mad(p[t], kv_load(v, (size_t)t * row + j), sum);
		y[j] = sum;
	}
}
#else
/* One item per (element of the head, query, head). */
__kernel void attn_mix(__global float *y, int y_at, __global const float *p, int p_at, __global const KV *v,
	int v_at, int pos, int window, int n, int heads, int kv_heads)
{
	int j = get_global_id(0), i = get_global_id(1), h = get_global_id(2), total = pos + n,
		row = kv_heads * HD, from = max(0, pos + i - window + 1);
	float sum = 0.0f;
	if (j >= HD)
		return;
	p += p_at + ((size_t)h * n + i) * total;
	v += v_at + (h / (heads / kv_heads)) * HD;
	for (int t = from; t <= pos + i; t++)
		sum = mad(p[t], kv_load(v, (size_t)t * row + j), sum);
	y[y_at + ((size_t)i * heads + h) * HD + j] = sum;
}
#endif
