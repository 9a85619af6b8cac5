/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store: n elements into a cache of float32 or float16 (KV_F16), rounded to nearest even. */
// variant: {|-DKV_F16=1}
#ifdef KV_F16
#define kv_store1(v, p, i) vstore_half_rte(v, i, p)
#define kv_store8(v, p, i) vstore_half8_rte(v, 0, (p) + (i))
#else
#define kv_store1(v, p, i) ((p)[i] = (v))
#define kv_store8(v, p, i) vstore8(v, 0, (p) + (i))
#endif

#if PLUMB_CPU
/* One item per block of elements. */
__kernel void kv_store(__global KV *cache, int cache_at, __global const float *x, int x_at, int first, int n,
	int block)
{
	int i = (int)get_global_id(0) * block, end = min(n, i + block);
	cache += cache_at + first;
	x += x_at;
	for (; i + 8 <= end; i += 8)
		kv_store8(vload8(0, x + i), cache, i);
	for (; i < end; i++)
		kv_store1(x[i], cache, i);
}
#else
__kernel void kv_store(__global KV *cache, int cache_at, __global const float *x, int x_at, int first, int n,
	int block)
{
	int i = get_global_id(0);
	cache += cache_at + first;
	if (i < n)
		kv_store1(x[x_at + i], cache, i);
}
#endif
