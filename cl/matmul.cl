// SPDX-License-Identifier: Apache-2.0
// y[i][j] = sum_k x[i][k] w[j][k] + b[j].
// matmul: eight rows j of w and MT rows i of x. CPU class: one work-item does it. GPU class: a work-group of 64 shares the
// columns and adds up. matmul_one (CPU class): one row of x. matmul_block (CPU class): one work-item unpacks 16 rows of w once
// for up to BLOCK rows of x. matmul_tile (GPU class): a work-group makes 64 columns of 32 rows of y.
// unpack and spread_bias serve a product by CLBlast.
// Sums are named s0, s1 ... by macros: PoCL keeps an array of them in memory, which halves the speed.
// variant: -DPLUMB_CPU=1 @weights -DMT={1|4|8}
// variant: -DPLUMB_CPU=1 @weights -DMT=8 -DAT_ONCE=8
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
	if (column + 8 <= n) {
		if (b_at >= 0)
			v += vload8(0, b + b_at + column);
		vstore8(v, 0, y + i * n + column);
		return;
	}
	float lane[8];
	vstore8(v, 0, lane);
	for (int r = 0; r < 8 && column + r < n; r++)
		y[i * n + column + r] = b_at < 0 ? lane[r] : lane[r] + b[b_at + column + r];
}

// What a record's sixteen pairs share.
struct record {
	float8 scale, scale_high, least, least_high;
#if BITS != 8
	struct high_bits bits;
#endif
};
inline void record_open(__global const uchar *r, struct record *o)
{
	o->scale = o->scale_high = record_scale(r, 0);
	o->least = o->least_high = (float8)(0);
#if SUB == 2
	o->scale_high = record_scale(r, 1);
#endif
#if MIN
	o->least = record_scale(r, SUB);
#elif PLUMB_CPU && BITS != 8
	o->least = o->scale * (float)OFFSET;
#endif
	o->least_high = SUB == 2 ? o->scale_high * (float)OFFSET : o->least;
#if BITS != 8
	record_high(r, &o->bits);
#endif
}
// Four pairs of columns of record r: WORDS(q, ...) once, then PAIR(low, high, ...) and SCALES(low, high, ...) for each b of 0 ... 3.
#if BITS == 8
#define WORDS(q, r, o, i)
#define PAIR(low, high, r, q, i, b) low = record_byte(r, 4 * (i) + (b)), high = record_byte(r, 4 * (i) + (b) + 16)
#define SCALES(low, high, o, b) low *= (o).scale, high *= (o).scale_high
#else
#if PLUMB_CPU
#define WORDS(q, r, o, i) uint8 q##_low, q##_high; record_bytes(r, &(o).bits, i, &q##_low, &q##_high)
// Bytes stay where they are (b must be a constant), and OFFSET, a power of two, is part of what the fma takes off.
#define PAIR(low, high, r, q, i, b) low = byte_column(q##_low, b), high = byte_column(q##_high, b)
#define SCALES(low, high, o, b) low = fma(low, (o).scale * byte_unit(b), -(o).least), high = fma(high, (o).scale_high * byte_unit(b), -(o).least_high)
#else
#define WORDS(q, r, o, i) uint8 q##_low, q##_high; record_words(r, &(o).bits, i, &q##_low, &q##_high)
#define PAIR(low, high, r, q, i, b) low = word_column(q##_low, b), high = word_column(q##_high, b)
#if MIN
#define SCALES(low, high, o, b) low = fma(low, (o).scale, -(o).least), high = fma(high, (o).scale_high, -(o).least)
#else
#define SCALES(low, high, o, b) low *= (o).scale, high *= (o).scale_high
#endif
#endif
#endif
// Columns by hand: as a loop, PoCL would not unroll them, and shifts by a variable take twice as long.
#define FOUR(DO, i) DO(i, 0) DO(i, 1) DO(i, 2) DO(i, 3)

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

#if PLUMB_CPU
// One row x, at the record's columns, meets eight rows of w. A sum per byte of a word, so that no byte is shifted and chains are
// short; what is taken off each q, OFFSET or the minimum, comes once per record, by the sums of x. Sums of its own: a chain
// through all records would wait for itself.
INLINE float8 record_one(__global const uchar *r, __global const float *x, float x_low, float x_high)
{
	struct record o;
	float8 a0 = (float8)(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
	record_open(r, &o);
#define ONE(i, e) { float8 low, high; PAIR(low, high, r, q, i, e); \
	a##e = fma(low, (float8)(x[4 * i + e]), a##e); b##e = fma(high, (float8)(x[4 * i + e + 16]), b##e); }
#define ONES(i) { WORDS(q, r, o, i); FOUR(ONE, i) }
	ONES(0) ONES(1) ONES(2) ONES(3)
#if BITS == 8
	return o.scale * (((a0 + a1) + (a2 + a3)) + ((b0 + b1) + (b2 + b3)));
#elif SUB == 1
	a0 = fma(a3 + b3, (float8)(byte_unit(3)), fma(a2 + b2, (float8)(byte_unit(2)), fma(a1 + b1, (float8)(byte_unit(1)), a0 + b0)));
	return fma(o.scale, a0, -o.least * (x_low + x_high));
#else
	a0 = fma(a3, (float8)(byte_unit(3)), fma(a2, (float8)(byte_unit(2)), fma(a1, (float8)(byte_unit(1)), a0)));
	b0 = fma(b3, (float8)(byte_unit(3)), fma(b2, (float8)(byte_unit(2)), fma(b1, (float8)(byte_unit(1)), b0)));
	return fma(o.scale, a0, -o.least * x_low) + fma(o.scale_high, b0, -o.least_high * x_high);
#endif
}
#else
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
			SCALES(low, high, o, e);
#endif
			low_sum = fma(low, (float8)(x[j]), low_sum);
			high_sum = fma(high, (float8)(x[j + 16]), high_sum);
		}
	}
	return MIN ? low_sum + high_sum : fma(o.scale, low_sum, o.scale_high * high_sum);
}
#endif
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
#if MT == 1 && !PLUMB_CPU
		s0 += record_one(r, x0 + 32 * c, from, from + share);
#else
		struct record o;
		record_open(r, &o);
		for (int i4 = from; i4 < from + share; i4++) {
			WORDS(q, r, o, i4);
#define ADD(t) s##t = fma(low, (float8)(x##t[j]), s##t); s##t = fma(high, (float8)(x##t[j + 16]), s##t);
#define ADDS(i, b) { float8 low, high; int j = 32 * c + 4 * i + b; PAIR(low, high, r, q, i, b); SCALES(low, high, o, b); EACH(ADD) }
			FOUR(ADDS, i4)
		}
#endif
	}
#endif
	EACH(PUT)
}

#if PLUMB_CPU && MT == 1
// Memory that is wanted in some hundred nanoseconds. OpenCL's own prefetch is nothing in PoCL, and calls and loops in Intel's runtime;
// both are clang, whose builtin is one instruction. It knows no address spaces, and on a CPU there is one. Oclgrind, which is run without
// optimisation, does not have it.
#define AHEAD 3072
#if defined(__has_builtin) && defined(__OPTIMIZE__)
#if __has_builtin(__builtin_prefetch)
#define WANT(p) __builtin_prefetch((const void *)(uintptr_t)(p))
#endif
#endif
#ifndef WANT
#define WANT(p)
#endif
#define SPAN 8192 // columns whose sums are held: a small part of the first-level cache
INLINE float sum16(__global const float *x) { return sum8(vload8(0, x) + vload8(1, x)); }

// One row x and `each` eights of rows of w: one after the other, as memory is read best in one stream; they share the sums of x.
__kernel void matmul_one(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w, __global const float *b,
	int b_at, int m, int n, int k, int column, int first, int groups, int each)
{
	int from = each * (int)get_global_id(0), end = min(groups, from + each), i = get_global_id(1);
	if (i >= m)
		return;
	x += x_at + i * k;
#if !DENSE && BITS != 8
	float sums[SPAN / 16];
	for (int c = 0; c < min(k, SPAN); c += 16)
		sums[c / 16] = sum16(x + c);
#endif
	for (int g = from; g < end; g++) {
		float8 s = (float8)(0);
#if DENSE
		s = dense_one(w + (size_t)(first + g) * (size_t)k * 8 * (DENSE == 32 ? 4 : 2), x, k, 0, 1);
#else
		__global const uchar *r = w + (size_t)(first + g) * (size_t)(k / 32) * RECORD;
		for (int c = 0; c < k; c += 32, r += RECORD) {
			for (int u = 0; u < RECORD; u += 64)
				WANT(r + AHEAD + u);
#if BITS == 8
			s += record_one(r, x + c, 0, 0);
#else
			s += record_one(r, x + c, c < SPAN ? sums[c / 16] : sum16(x + c), c < SPAN ? sums[c / 16 + 1] : sum16(x + c + 16));
#endif
		}
#endif
		put(y + y_at, i, n, column + 8 * g, s, b, b_at);
	}
}
#endif

#if PLUMB_CPU && MT == 8
#define BLOCK 96    // most rows of x
#define COLUMNS 128 // of w unpacked at a time
#ifndef AT_ONCE
#define AT_ONCE 6   // rows of x that a column of w meets at once: 12 registers of eight sums of the 16 there are, or 8 of sixteen of 32
#endif
#if AT_ONCE == 6
#define ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#else
#define ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#endif
// 16 rows of w and `block` rows of x: columns are unpacked into private memory (the first-level cache), then meet AT_ONCE
// rows of x at a time. In float16 by name: of two float8, PoCL makes code that is a seventh slower.
__kernel void matmul_block(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w, __global const float *b,
	int b_at, int m, int n, int k, int column, int first, int groups, int block)
{
	int g = 2 * (int)get_global_id(0), i = (int)get_global_id(1) * block, rows = min(block, m - i);
	if (g >= groups || i >= m)
		return;
	float8 tile[2 * COLUMNS] __attribute__((aligned(64))), sum[2 * (BLOCK + AT_ONCE)] __attribute__((aligned(64)));
	for (int t = 0; t < 2 * (BLOCK + AT_ONCE); t++)
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
#define KEEP(i, b) { float8 low, high; int j = c + 4 * i + b; PAIR(low, high, r, q, i, b); SCALES(low, high, o, b); \
	tile[2 * j + h] = low, tile[2 * (j + 16) + h] = high; }
#define KEEPS(i) { WORDS(q, r, o, i); FOUR(KEEP, i) }
				KEEPS(0) KEEPS(1) KEEPS(2) KEEPS(3)
			}
#endif
		for (int t = 0; t < rows; t += AT_ONCE) {
#define TAKE(e) float16 s##e = vload16(t + e, (const float *)sum); __global const float *x##e = x + min(t + e, rows - 1) * k + c0;
			ROWS(TAKE)
			for (int c = 0; c < columns; c++) {
				float16 v = vload16(c, (const float *)tile);
#define MEET(e) s##e = fma(v, (float16)(x##e[c]), s##e);
				ROWS(MEET)
			}
#define GIVE(e) vstore16(s##e, t + e, (float *)sum);
			ROWS(GIVE)
		}
	}
	for (int t = 0; t < rows; t++) {
		put(y + y_at, i + t, n, column + 8 * g, sum[2 * t], b, b_at);
		if (g + 1 < groups)
			put(y + y_at, i + t, n, column + 8 * g + 8, sum[2 * t + 1], b, b_at);
	}
}
#endif

#if !PLUMB_CPU && MT == 4
#define COLUMNS 64 // of y: rows of w
#define ROWS 32    // of y and x: eight items have MT each; with twice as many, what unpacks leaves Intel's GPUs too few registers
#define CHUNK 32   // columns of w and x at a time: a record
#define X_ROW 33   // of a column of x in local memory: items that write next to each other meet no bank twice

// Columns [c0, c0 + CHUNK) of eight rows of w, unpacked by eight items of which this is the u-th. Past the end of k: zero.
INLINE void tile_weights(__local float8 *tile, __global const uchar *w, int k, int c0, int g, int u)
{
#if DENSE
	w += (size_t)g * (size_t)k * 8 * (DENSE == 32 ? 4 : 2);
	for (int c = 4 * u; c < 4 * u + 4; c++)
		tile[c * (COLUMNS / 8)] = c0 + c < k ? dense_column(w, c0 + c) : (float8)(0);
#else
	__global const uchar *r = w + ((size_t)g * (size_t)(k / 32) + (size_t)(c0 / 32)) * RECORD;
	struct record o;
	record_open(r, &o);
	WORDS(q, r, o, u / 2);
	for (int e = 2 * (u % 2); e < 2 * (u % 2) + 2; e++) {
		float8 low, high;
		PAIR(low, high, r, q, u / 2, e);
		SCALES(low, high, o, e);
		tile[(4 * (u / 2) + e) * (COLUMNS / 8)] = low;
		tile[(4 * (u / 2) + e + 16) * (COLUMNS / 8)] = high;
	}
#endif
}

// Many rows of x: both operands go through local memory, and each item keeps eight columns of MT rows of y.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void matmul_tile(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w, __global const float *b,
	int b_at, int m, int n, int k, int column, int first, int groups)
{
	__local float8 w_tile[CHUNK * COLUMNS / 8];
	__local float x_tile[CHUNK * X_ROW];
	int me = get_local_id(0), g0 = COLUMNS / 8 * (int)get_group_id(0), i0 = ROWS * (int)get_group_id(1), g = g0 + me % 8, i = i0 + me / 8 * MT;
	int unpacked = first + min(g0 + me / 8, groups - 1); // past the end: any, not stored
	float8 s0 = (float8)(0), s1 = s0, s2 = s0, s3 = s0;
	for (int c0 = 0; c0 < k; c0 += CHUNK) {
		tile_weights(w_tile + me / 8, w, k, c0, unpacked, me % 8);
		for (int u = me; u < CHUNK * ROWS; u += GROUP) { // neighbours read neighbours
			int c = u % CHUNK, r = u / CHUNK;
			x_tile[c * X_ROW + r] = c0 + c < k ? x[x_at + min(i0 + r, m - 1) * k + c0 + c] : 0.0f;
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int c = 0; c < CHUNK; c++) {
			float8 v = w_tile[c * (COLUMNS / 8) + me % 8];
			__local const float *xc = x_tile + c * X_ROW + me / 8 * MT;
#define MEET(t) s##t = fma(v, (float8)(xc[t]), s##t);
			EACH(MEET)
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}
#define STORE(t) if (g < groups && i + t < m) put(y + y_at, i + t, n, column + 8 * g, s##t, b, b_at);
	EACH(STORE)
}
#endif

// Eights of rows [first, first + groups) of w as float32, row after row. GPU class: a work-item takes 32 columns.
__kernel void unpack(__global float *out, __global const uchar *w, int k, int first, int groups)
{
	const int step = PLUMB_CPU ? k : 32;
	int g = get_global_id(1), from = (int)get_global_id(0) * step, to = min(k, from + step);
	if (g >= groups || from >= to)
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
#define SPREAD(i, b) { float8 low, high; int j = c + 4 * i + b; PAIR(low, high, r, q, i, b); SCALES(low, high, o, b); LANES(low, j) LANES(high, j + 16) }
			FOUR(SPREAD, i4)
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
