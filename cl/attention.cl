/* SPDX-License-Identifier: Apache-2.0 */
/* attention: softmax(scale * q k^T + mask) v without storing scores: a running maximum and sum per
 * query row, what was summed so far is rescaled when the maximum grows (Milakov and Gimelshein 2018). A query
 * sees the `window` keys that end with its own; others are not touched. HD: the head's dimension. */
// variant: -DPLUMB_CPU=1 -DHD={10|64|80|128|256|*} {|-DKV_F16=1}
// variant: -DPLUMB_CPU=0 -DHD={10|64|80|128|256|*} {|-DKV_F16=1} {|-DPLUMB_SUBGROUPS=1}
#ifndef HD
#define HD 64
#endif

#if PLUMB_CPU
#define ROWS PLUMB_CL_ATTENTION_ROWS
#define KEYS (HD > 64 ? 16 : 32)  /* keys at a time: their copies stay in the first cache */
#define VECTORS ((HD + 7) / 8)    /* of a head, padded with zeros */

/* A head's row as whole vectors. */
static void take_q(float8 *to, __global const float *from)
{
	for (int j = 0; j < HD / 8; j++)
		to[j] = vload8(j, from);
#if HD % 8
	float rest[8] = { 0 };
	for (int j = 0; j < HD % 8; j++)
		rest[j] = from[HD / 8 * 8 + j];
	to[HD / 8] = vload8(0, rest);
#endif
}

/* KEYS rows of keys or values as float32; zeros from `count` on. */
static void take_kv(float8 *to, __global const KV *from, int row, int count)
{
	for (int t = 0; t < count; t++, from += row) {
		for (int j = 0; j < HD / 8; j++)
			to[t * VECTORS + j] = kv_load8(from, 8 * j);
#if HD % 8
		float rest[8] = { 0 };
		for (int j = 0; j < HD % 8; j++)
			rest[j] = kv_load(from, HD / 8 * 8 + j);
		to[t * VECTORS + HD / 8] = vload8(0, rest);
#endif
	}
	for (int i = count * VECTORS; i < KEYS * VECTORS; i++)
		to[i] = 0.0f;
}

/* Products of a query with eight keys. */
static float8 dot8(const float8 *q, const float8 *k)
{
	float8 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f, e = 0.0f, f = 0.0f, g = 0.0f, h = 0.0f;
	for (int j = 0; j < VECTORS; j++) {
		a = mad(q[j], k[j], a);
		b = mad(q[j], k[VECTORS + j], b);
		c = mad(q[j], k[2 * VECTORS + j], c);
		d = mad(q[j], k[3 * VECTORS + j], d);
		e = mad(q[j], k[4 * VECTORS + j], e);
		f = mad(q[j], k[5 * VECTORS + j], f);
		g = mad(q[j], k[6 * VECTORS + j], g);
		h = mad(q[j], k[7 * VECTORS + j], h);
	}
	return (float8)(sum8(a), sum8(b), sum8(c), sum8(d), sum8(e), sum8(f), sum8(g), sum8(h));
}

/* One row meets keys [from, seen) of the KEYS keys and values at hand. */
static void meet(float8 *acc, float *most, float *sum, const float8 *q, const float8 *k, const float8 *v,
	int from, int seen, float scale)
{
	float8 s[KEYS / 8], top = -INFINITY, sums = 0.0f, a[VECTORS];
	float w[KEYS];
	for (int u = 0; u < KEYS / 8; u++) {
		s[u] = dot8(q, k + 8 * u * VECTORS) * scale;
		int8 t = (int8)(8 * u) + (int8)(0, 1, 2, 3, 4, 5, 6, 7);
		s[u] = select((float8)-INFINITY, s[u], t < seen && t >= from);
		top = fmax(top, s[u]);
	}
	float larger = fmax(*most, max8(top)), shrink = exp(*most - larger);
	for (int u = 0; u < KEYS / 8; u++) {
		s[u] = exp(s[u] - larger);
		sums += s[u];
		vstore8(s[u], u, w);
	}
	*most = larger;
	*sum = *sum * shrink + sum8(sums);
	for (int j = 0; j < VECTORS; j++)
		a[j] = acc[j] * shrink;
	for (int t = from; t < seen; t++)
#pragma unroll /* PoCL keeps a[] in memory otherwise: 1.3 to 2 times slower */
		for (int j = 0; j < VECTORS; j++)
			a[j] = mad((float8)w[t], v[t * VECTORS + j], a[j]);
	for (int j = 0; j < VECTORS; j++)
		acc[j] = a[j];
}

/* One item per block of at most ROWS rows of a key-value head. Its rows are (query, head of the group), so
 * that the heads that share keys meet them together, also when there is one query only. */
__kernel void attention(__global float *y, int y_at, __global const float *q, int q_at, __global const KV *k,
	int k_at, __global const KV *v, int v_at, int pos, int window, int n, int heads, int kv_heads,
	float scale, int rows)
{
	int group = heads / kv_heads, g = get_global_id(1), first = (int)get_global_id(0) * rows,
		stride = kv_heads * HD;
	float8 query[ROWS][VECTORS], acc[ROWS][VECTORS], keys[KEYS * VECTORS], values[KEYS * VECTORS];
	float most[ROWS], sum[ROWS];
	rows = min(rows, n * group - first);
	for (int r = 0; r < rows; r++) {
		int i = (first + r) / group, h = g * group + (first + r) - i * group;
		take_q(query[r], q + q_at + ((size_t)i * heads + h) * HD);
		for (int j = 0; j < VECTORS; j++)
			acc[r][j] = 0.0f;
		most[r] = -INFINITY;
		sum[r] = 0.0f;
	}
	int end = pos + (first + rows - 1) / group + 1;
	for (int t = max(0, pos + first / group - window + 1); t < end; t += KEYS) {
		size_t at = (size_t)t * stride + g * HD;
		take_kv(keys, k + k_at + at, stride, min(KEYS, end - t));
		take_kv(values, v + v_at + at, stride, min(KEYS, end - t));
		for (int r = 0; r < rows; r++) {
			int last = pos + (first + r) / group - t, from = last < window ? 0 : last - window + 1,
				seen = min(KEYS, last + 1);
			if (seen > from)
				meet(acc[r], &most[r], &sum[r], query[r], keys, values, from, seen, scale);
		}
	}
	for (int r = 0; r < rows; r++) {
		int i = (first + r) / group, h = g * group + (first + r) - i * group;
		__global float *to = y + y_at + ((size_t)i * heads + h) * HD;
		for (int j = 0; j < HD / 8; j++)
			vstore8(acc[r][j] / sum[r], j, to);
#if HD % 8
		float rest[8];
		vstore8(acc[r][HD / 8] / sum[r], 0, rest);
		for (int j = 0; j < HD % 8; j++)
			to[HD / 8 * 8 + j] = rest[j];
#endif
	}
}
#else
#define EACH ((HD + GROUP - 1) / GROUP) /* elements of the output per item */
#define ALL_OF_GROUP __attribute__((reqd_work_group_size(GROUP, 1, 1)))

/* What a work-group shares: its query row, the weights of GROUP keys, a reduction's scratch. */
struct shared { float query[HD], weight[GROUP], scratch[GROUP]; };

/* A query row meets keys [t, end): each item holds one of GROUP keys while scores are made, and every
 * GROUP-th element of the output while values are summed. k and v begin at the key-value head. */
INLINE void meet(__local struct shared *l, float *acc, float *most, float *sum, __global const KV *k,
	__global const KV *v, int stride, int t, int end, float scale)
{
	int lid = get_local_id(0);
	float mine = 0.0f; /* of the sum: of this item's keys */
	*most = -INFINITY;
	for (int u = 0; u < EACH; u++)
		acc[u] = 0.0f;
	for (; t < end; t += GROUP) {
		float s = 0.0f;
		barrier(CLK_LOCAL_MEM_FENCE);
		if (t + lid < end)
			for (int j = 0; j < HD; j++)
				s = mad(l->query[j], kv_load(k, (size_t)(t + lid) * stride + j), s);
		s = t + lid < end ? s * scale : -INFINITY;
		float larger = fmax(*most, group_max(l->scratch, s)), shrink = exp(*most - larger),
			e = exp(s - larger);
		*most = larger;
		mine = mine * shrink + e;
		l->weight[lid] = e;
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int u = 0; u < EACH; u++) {
			int j = lid + u * GROUP, count = j < HD ? min(GROUP, end - t) : 0;
			float a = acc[u] * shrink;
			for (int w = 0; w < count; w++)
				a = mad(l->weight[w], kv_load(v, (size_t)(t + w) * stride + j), a);
			acc[u] = a;
		}
	}
	*sum = group_sum(l->scratch, mine);
}

/* One work-group per (head, query). */
__kernel ALL_OF_GROUP void attention(__global float *y, int y_at, __global const float *q, int q_at,
	__global const KV *k, int k_at, __global const KV *v, int v_at, int pos, int window, int n, int heads,
	int kv_heads, float scale, int rows)
{
	__local struct shared l;
	int lid = get_local_id(0), h = get_group_id(0), i = get_group_id(1), head = h / (heads / kv_heads) * HD;
	size_t at = ((size_t)i * heads + h) * HD;
	float acc[EACH], most, sum;
	for (int j = lid; j < HD; j += GROUP)
		l.query[j] = q[q_at + at + j];
	meet(&l, acc, &most, &sum, k + k_at + head, v + v_at + head, kv_heads * HD,
		max(0, pos + i - window + 1), pos + i + 1, scale);
	for (int u = 0; u < EACH; u++)
		if (lid + u * GROUP < HD)
			y[y_at + at + lid + u * GROUP] = acc[u] / sum;
}

/* Too few (head, query)s to fill a GPU: the keys are split, one work-group per (split, head, query), each of
 * `each` keys from `begin` on. Per split HD sums of values, then the maximum and the sum of weights. */
__kernel ALL_OF_GROUP void attention_split(__global float *partial, __global const float *q, int q_at,
	__global const KV *k, int k_at, __global const KV *v, int v_at, int pos, int window, int heads,
	int kv_heads, float scale, int begin, int each)
{
	__local struct shared l;
	int lid = get_local_id(0), h = get_group_id(1), i = get_group_id(2), head = h / (heads / kv_heads) * HD,
		t = begin + (int)get_group_id(0) * each;
	size_t at = (size_t)i * heads + h;
	float acc[EACH], most, sum;
	for (int j = lid; j < HD; j += GROUP)
		l.query[j] = q[q_at + at * HD + j];
	meet(&l, acc, &most, &sum, k + k_at + head, v + v_at + head, kv_heads * HD,
		max(t, pos + i - window + 1), min(pos + i + 1, t + each), scale);
	partial += (at * get_num_groups(0) + get_group_id(0)) * (HD + 2);
	for (int u = 0; u < EACH; u++)
		if (lid + u * GROUP < HD)
			partial[lid + u * GROUP] = acc[u];
	if (!lid) {
		partial[HD] = most;
		partial[HD + 1] = sum;
	}
}

/* Joins the splits of a (head, query). One without keys that the query sees has a sum of 0. */
__kernel ALL_OF_GROUP void attention_join(__global float *y, int y_at, __global const float *partial,
	int heads, int splits)
{
	size_t at = (size_t)get_group_id(1) * heads + get_group_id(0);
	float most = -INFINITY, sum = 0.0f;
	partial += at * splits * (HD + 2);
	for (int p = 0; p < splits; p++)
		most = fmax(most, partial[p * (HD + 2) + HD]);
	for (int p = 0; p < splits; p++)
		sum += partial[p * (HD + 2) + HD + 1] * exp(partial[p * (HD + 2) + HD] - most);
	for (int j = get_local_id(0); j < HD; j += GROUP) {
		float a = 0.0f;
		for (int p = 0; p < splits; p++)
			a = mad(partial[p * (HD + 2) + j], exp(partial[p * (HD + 2) + HD] - most), a);
		y[y_at + at * HD + j] = a / sum;
	}
}
#endif
