// SPDX-License-Identifier: Apache-2.0
// y[i][j] = sum_k x[i][k] w[j][k] + b[j].
// matmul: eight rows j of w and MT rows i of x. CPU class: one work-item does it. GPU class: a work-group of 64 shares the
// columns and adds up. matmul_block (CPU class): one work-item unpacks 16 rows of w once for BLOCK rows of x.
// unpack and spread_bias serve a product by CLBlast.
// Sums are named s0, s1 ... by macros: PoCL keeps an array of them in memory, which halves the speed.
// variant: -DPLUMB_CPU=1 @weights -DMT={1|4|8}
// variant: -DPLUMB_CPU=0 @weights -DMT={1|4}
#include "weights.cl"
#ifndef MT
#define MT 1
#endif

#if MT == 1
#define EACH(DO) DO(0)
#elif MT == 4
#define EACH(DO) DO(0) DO(1) DO(2) DO(3)
#else
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#endif

// Eight columns of row i of y; n is y's width, column the first of the eight.
inline void put(__global float *y, int i, int n, int column, float8 v, __global const float *b, int b_at)
{
	float lane[8];
	vstore8(v, 0, lane);
	for (int r = 0; r < 8 && column + r < n; r++)
		y[i * n + column + r] = b_at < 0 ? lane[r] : lane[r] + b[b_at + column + r];
}

// What a record's sixteen pairs share.
struct record {
	float8 scale, scale_high, least;
#if BITS != 8
	struct high_bits bits;
#endif
};
inline void record_open(__global const uchar *r, struct record *o)
{
	o->scale = o->scale_high = record_scale(r, 0);
	o->least = (float8)(0);
#if SUB == 2
	o->scale_high = record_scale(r, 1);
#endif
#if MIN
	o->least = record_scale(r, SUB);
#endif
#if BITS != 8
	record_high(r, &o->bits);
#endif
}
// Four pairs of columns of record r: WORDS(q, ...) once, then PAIR(low, high, ...) for each b of 0 ... 3.
#if BITS == 8
#define WORDS(q, r, o, i)
#define PAIR(low, high, r, q, i, b) low = record_byte(r, 4 * (i) + (b)), high = record_byte(r, 4 * (i) + (b) + 16)
#else
#define WORDS(q, r, o, i) uint8 q##_low, q##_high; record_words(r, &(o).bits, i, &q##_low, &q##_high)
#define PAIR(low, high, r, q, i, b) low = word_column(q##_low, b), high = word_column(q##_high, b)
#endif
#if MIN
#define SCALE(v, scale, least) v = fma(v, scale, -least)
#else
#define SCALE(v, scale, least) v *= scale
#endif

#if MT == 1
// One row x meets every `items`-th column of eight dense rows from `me` on. Four chains: one would wait for itself.
INLINE float8 dense_one(__global const uchar *w, __global const float *x, int k, int me, int items)
{
	float8 s = (float8)(0), a0 = s, a1 = s, a2 = s;
	int c = me;
	for (; c + 3 * items < k; c += 4 * items) {
		s = fma(dense_column(w, c), (float8)(x[c]), s);
		a0 = fma(dense_column(w, c + items), (float8)(x[c + items]), a0);
		a1 = fma(dense_column(w, c + 2 * items), (float8)(x[c + 2 * items]), a1);
		a2 = fma(dense_column(w, c + 3 * items), (float8)(x[c + 3 * items]), a2);
	}
	s = s + a1 + (a0 + a2);
	for (; c < k; c += items)
		s = fma(dense_column(w, c), (float8)(x[c]), s);
	return s;
}

// One row x, at the record's columns, meets fours [from, to) of pairs of it. A sum of its own: a chain through all records
// would wait for itself.
INLINE float8 record_one(__global const uchar *r, __global const float *x, int from, int to)
{
	struct record o;
	float8 low_sum = (float8)(0), high_sum = (float8)(0);
	record_open(r, &o);
	for (int i = from; i < to; i++) {
		WORDS(q, r, o, i);
		for (int e = 0; e < 4; e++) {
			int j = 4 * i + e;
			float8 low, high;
			PAIR(low, high, r, q, i, e);
#if MIN
			SCALE(low, o.scale, o.least);
			SCALE(high, o.scale_high, o.least);
#endif
			low_sum = fma(low, (float8)(x[j]), low_sum);
			high_sum = fma(high, (float8)(x[j + 16]), high_sum);
		}
	}
	return MIN ? low_sum + high_sum : fma(o.scale, low_sum, o.scale_high * high_sum);
}
#endif

#if PLUMB_CPU
#define PUT(t) if (i + t < m) put(y + y_at, i + t, n, column + 8 * g, s##t, b, b_at);
#else
// The same from a work-group's sums v: an item adds up every eighth of one column's, then eight items those of a column.
// (Sub-groups made Intel's CPU runtime five times slower here, and these are two barriers only.) part: GROUP * 9.
INLINE void put_group(__local float *part, __global float *y, int i, int m, int n, int column, float8 v, __global const float *b, int b_at)
{
	int me = get_local_id(0), at = column + me;
	float sum = 0;
	vstore8(v, me, part);
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int u = 0; u < 8; u++)
		sum += part[me + GROUP * u];
	part += GROUP * 8;
	part[me] = sum;
	barrier(CLK_LOCAL_MEM_FENCE);
	if (me >= 8 || i >= m || at >= n)
		return;
	sum = 0;
	for (int u = 0; u < GROUP / 8; u++)
		sum += part[me + 8 * u];
	y[i * n + at] = b_at < 0 ? sum : sum + b[b_at + at];
}
#define PUT(t) put_group(part, y + y_at, i + t, m, n, column + 8 * g, s##t, b, b_at);
#endif

// Eights of rows [first, first + groups) of w give the columns of y from `column` on.
#if !PLUMB_CPU
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
#endif
__kernel void matmul(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w, __global const float *b,
	int b_at, int m, int n, int k, int column, int first, int groups)
{
#if PLUMB_CPU
	int g = get_global_id(0), i = (int)get_global_id(1) * MT;
	const int me = 0, items = 1;
	if (g >= groups || i >= m)
		return;
#else
	int g = get_group_id(0), i = (int)get_group_id(1) * MT, me = get_local_id(0);
	const int items = GROUP;
	__local float part[GROUP * 9];
#endif
#define START(t) float8 s##t = (float8)(0); __global const float *x##t = x + x_at + min(i + t, m - 1) * k; // past the end: any row, not stored
	EACH(START)
#if DENSE
	w += (size_t)(first + g) * (size_t)k * 8 * (DENSE == 32 ? 4 : 2);
#if MT == 1
	s0 = dense_one(w, x0, k, me, items);
#else
	for (int c = me; c < k; c += items) {
		float8 v = dense_column(w, c);
#define ADD(t) s##t = fma(v, (float8)(x##t[c]), s##t);
		EACH(ADD)
	}
#endif
#else
	int records = k / 32;
	w += (size_t)(first + g) * (size_t)records * RECORD;
	const int share = PLUMB_CPU ? 4 : 2; // a CPU takes whole records, a work-item of a group half of one
	for (int u = me; u < records * 4 / share; u += items) {
		int c = u * share / 4, from = u * share % 4;
		__global const uchar *r = w + (size_t)c * RECORD;
#if MT == 1
		s0 += record_one(r, x0 + 32 * c, from, from + share);
#else
		struct record o;
		record_open(r, &o);
		for (int i4 = from; i4 < from + share; i4++) {
			WORDS(q, r, o, i4);
			for (int e = 0; e < 4; e++) {
				int j = 32 * c + 4 * i4 + e;
				float8 low, high;
				PAIR(low, high, r, q, i4, e);
				SCALE(low, o.scale, o.least);
				SCALE(high, o.scale_high, o.least);
#define ADD(t) s##t = fma(low, (float8)(x##t[j]), s##t); s##t = fma(high, (float8)(x##t[j + 16]), s##t);
				EACH(ADD)
			}
		}
#endif
	}
#endif
	EACH(PUT)
}

#if PLUMB_CPU && MT == 8
#define BLOCK 48   // rows of x
#define COLUMNS 64 // of w unpacked at a time
// 16 rows of w and BLOCK rows of x: columns are unpacked into private memory (the first-level cache), then meet six
// rows of x at a time in twelve sums.
__kernel void matmul_block(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w, __global const float *b,
	int b_at, int m, int n, int k, int column, int first, int groups)
{
	int g = 2 * (int)get_global_id(0), i = (int)get_global_id(1) * BLOCK, rows = min(BLOCK, m - i);
	if (g >= groups || i >= m)
		return;
	float8 tile[2 * COLUMNS], sum[2 * BLOCK];
	for (int t = 0; t < 2 * BLOCK; t++)
		sum[t] = (float8)(0);
	x += x_at + i * k;
#if DENSE
	size_t stride = (size_t)k * 8 * (DENSE == 32 ? 4 : 2);
#else
	size_t stride = (size_t)(k / 32) * RECORD;
#endif
	__global const uchar *w0 = w + (size_t)(first + g) * stride, *w1 = w + (size_t)(first + min(g + 1, groups - 1)) * stride;
	for (int c0 = 0; c0 < k; c0 += COLUMNS) {
		int columns = min(COLUMNS, k - c0);
#if DENSE
		for (int c = 0; c < columns; c++) {
			tile[2 * c] = dense_column(w0, c0 + c);
			tile[2 * c + 1] = dense_column(w1, c0 + c);
		}
#else
		for (int h = 0; h < 2; h++)
			for (int c = 0; c < columns; c += 32) {
				__global const uchar *r = (h ? w1 : w0) + (size_t)((c0 + c) / 32) * RECORD;
				struct record o;
				record_open(r, &o);
				for (int i4 = 0; i4 < 4; i4++) {
					WORDS(q, r, o, i4);
					for (int e = 0; e < 4; e++) {
						int j = c + 4 * i4 + e;
						float8 low, high;
						PAIR(low, high, r, q, i4, e);
						SCALE(low, o.scale, o.least);
						SCALE(high, o.scale_high, o.least);
						tile[2 * j + h] = low;
						tile[2 * (j + 16) + h] = high;
					}
				}
			}
#endif
		for (int t = 0; t < rows; t += 6) {
#define SIX(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define TAKE(e) float8 l##e = sum[2 * (t + e)], h##e = sum[2 * (t + e) + 1]; __global const float *x##e = x + min(t + e, rows - 1) * k + c0;
			SIX(TAKE)
			for (int c = 0; c < columns; c++) {
				float8 low = tile[2 * c], high = tile[2 * c + 1];
#define MEET(e) { float8 v = (float8)(x##e[c]); l##e = fma(low, v, l##e); h##e = fma(high, v, h##e); }
				SIX(MEET)
			}
#define GIVE(e) sum[2 * (t + e)] = l##e, sum[2 * (t + e) + 1] = h##e;
			SIX(GIVE)
		}
	}
	for (int t = 0; t < rows; t++) {
		put(y + y_at, i + t, n, column + 8 * g, sum[2 * t], b, b_at);
		if (g + 1 < groups)
			put(y + y_at, i + t, n, column + 8 * g + 8, sum[2 * t + 1], b, b_at);
	}
}
#endif

// Eights of rows [first, first + groups) of w as float32, row after row. GPU class: a work-item takes 32 columns.
__kernel void unpack(__global float *out, __global const uchar *w, int k, int first, int groups)
{
	int g = get_global_id(1), from = PLUMB_CPU ? 0 : (int)get_global_id(0) * 32, to = PLUMB_CPU ? k : min(k, from + 32);
	if (g >= groups || (PLUMB_CPU && get_global_id(0)))
		return;
	out += (size_t)g * 8 * (size_t)k;
#define LANE(v, r, c) out[(size_t)(r) * (size_t)k + (size_t)(c)] = v.s##r;
#define LANES(v, c) LANE(v, 0, c) LANE(v, 1, c) LANE(v, 2, c) LANE(v, 3, c) LANE(v, 4, c) LANE(v, 5, c) LANE(v, 6, c) LANE(v, 7, c)
#if DENSE
	w += (size_t)(first + g) * (size_t)k * 8 * (DENSE == 32 ? 4 : 2);
	for (int c = from; c < to; c++) {
		float8 v = dense_column(w, c);
		LANES(v, c)
	}
#else
	for (int c = from; c < to; c += 32) {
		__global const uchar *r = w + ((size_t)(first + g) * (size_t)(k / 32) + (size_t)(c / 32)) * RECORD;
		struct record o;
		record_open(r, &o);
		for (int i4 = 0; i4 < 4; i4++) {
			WORDS(q, r, o, i4);
			for (int e = 0; e < 4; e++) {
				float8 low, high;
				PAIR(low, high, r, q, i4, e);
				SCALE(low, o.scale, o.least);
				SCALE(high, o.scale_high, o.least);
				LANES(low, c + 4 * i4 + e)
				LANES(high, c + 4 * i4 + e + 16)
			}
		}
	}
#endif
}

// The bias for columns [column, column + count) of each row of y.
__kernel void spread_bias(__global float *y, int y_at, __global const float *b, int b_at, int m, int n, int column, int count)
{
	int i = get_global_id(1), from = PLUMB_CPU ? 0 : (int)get_global_id(0), to = PLUMB_CPU ? count : min(count, from + 1);
	for (int j = from; i < m && j < to; j++)
		y[y_at + i * n + column + j] = b[b_at + column + j];
}
