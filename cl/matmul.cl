// SPDX-License-Identifier: Apache-2.0
// y[i][j] = sum_k x[i][k] w[j][k] + b[j], or + b[i][j]: b_row is 0 for a bias, the width of y for a matrix,
// as matmul_add has. matmul: eight rows j of w and MT rows i of x. CPU class: one work-item does it. GPU
// class: a work-group of 64 shares the columns and adds up. matmul_one (CPU class): one row of x.
// matmul_block (CPU class): one work-item unpacks 16 rows of w once for up to BLOCK rows of x. matmul_tile
// (GPU class): a work-group makes 64 columns of 32 rows of y. unpack and spread_bias serve a product by
// CLBlast. Sums are named s0, s1 ... by macros: PoCL keeps an array of them in memory, which halves the
// speed.
// variant: -DPLUMB_CPU=1 @weights -DMT={1|4|8}
// variant: -DPLUMB_CPU=1 @weights -DMT=8 -DAT_ONCE=8
// variant: -DPLUMB_CPU=0 @weights -DMT={1|4}
#include "product.cl"

#if MT == 1
#define EACH(DO) DO(0)
#elif MT == 4
#define EACH(DO) DO(0) DO(1) DO(2) DO(3)
#else
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#endif

#if PLUMB_CPU
#define PUT(t) if (i + t < m) put(y + y_at, i + t, n, column + 8 * g, s##t, b, b_at, b_row);
#else
#define PUT(t) { float sum = group_column(sums8, s##t); int at = column + 8 * g + me; \
	if (me < 8 && i + t < m && at < n) \
	y[y_at + (i + t) * n + at] = b_at < 0 ? sum : sum + b[b_at + (i + t) * b_row + at]; }
#endif

// Row groups [first, first + groups) of w give the columns of y from `column` on.
#if !PLUMB_CPU || MT > 1
#if !PLUMB_CPU
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
#endif
__kernel void matmul(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w,
	__global const float *b, int b_at, int b_row, int m, int n, int k, int column, int first, int groups)
{
#if PLUMB_CPU
	int g = get_global_id(0), i = (int)get_global_id(1) * MT;
	const int me = 0, items = 1;
	if (g >= groups || i >= m)
		return;
#else
	int g = get_group_id(0), i = (int)get_group_id(1) * MT, me = get_local_id(0);
	const int items = GROUP;
	__local float sums8[GROUP * 9];
#endif
// past the end: any row, not stored
#define START(t) float8 s##t = (float8)(0); __global const float *x##t = x + x_at + min(i + t, m - 1) * k;
	EACH(START)
	w += (size_t)(first + g) * ROW_GROUP(k);
#if MT == 1
	s0 = row_group_shared(w, x0, k);
#elif DENSE
	for (int c = me; c < k; c += items) {
		float8 v = dense_column(w, c);
#define ADD(t) s##t = fma(v, (float8)(x##t[c]), s##t);
		EACH(ADD)
	}
#else
	const int share = PLUMB_CPU ? 4 : 2; // a CPU takes whole records, a work-item of a group half of one
	for (int u = me; u < k / 32 * 4 / share; u += items) {
		int c = u * share / 4, from = u * share % 4;
		__global const uchar *r = w + (size_t)c * RECORD;
		struct record o;
		record_open(r, &o);
		for (int i4 = from; i4 < from + share; i4++) {
			WORDS(q, r, o, i4);
#define ADD(t) s##t = fma(low, (float8)(x##t[j]), s##t); s##t = fma(high, (float8)(x##t[j + 16]), s##t);
#define ADDS(i, b) { float8 low, high; int j = 32 * c + 4 * i + b; PAIR(low, high, r, q, i, b); \
	SCALES(low, high, o, b); EACH(ADD) }
			FOUR(ADDS, i4)
		}
	}
#endif
	EACH(PUT)
}
#endif

#if PLUMB_CPU && MT == 1
// One row x and `each` row groups of w: one after the other, as memory is read best in one stream; they share
// the sums of x.
__kernel void matmul_one(__global float *y, int y_at, __global const float *x, int x_at,
	__global const uchar *w, __global const float *b, int b_at, int b_row, int m, int n, int k, int column,
	int first, int groups, int each)
{
	int from = each * (int)get_global_id(0), end = min(groups, from + each), i = get_global_id(1);
	float sums[SPAN / 16];
	if (i >= m)
		return;
	x += x_at + i * k;
	row_sums(sums, x, k);
	for (int g = from; g < end; g++)
		put(y + y_at, i, n, column + 8 * g, row_group_one(w + (size_t)(first + g) * ROW_GROUP(k), x, sums, k),
			b, b_at, b_row);
}
#endif

#if PLUMB_CPU && MT == 8
// 16 rows of w and `block` rows of x.
__kernel void matmul_block(__global float *y, int y_at, __global const float *x, int x_at,
	__global const uchar *w, __global const float *b, int b_at, int b_row, int m, int n, int k, int column,
	int first, int groups, int block)
{
	int g = PLUMB_CL_BLOCK_GROUPS * (int)get_global_id(0), i = (int)get_global_id(1) * block,
		rows = min(block, m - i);
	if (g >= groups || i >= m)
		return;
	float8 sum[2 * (BLOCK + AT_ONCE)] __attribute__((aligned(64)));
	block_sums(sum, w + (size_t)(first + g) * ROW_GROUP(k),
		w + (size_t)(first + min(g + 1, groups - 1)) * ROW_GROUP(k), x + x_at + i * k, rows, k);
	for (int t = 0; t < rows; t++) {
		put(y + y_at, i + t, n, column + 8 * g, sum[2 * t], b, b_at, b_row);
		if (g + 1 < groups)
			put(y + y_at, i + t, n, column + 8 * g + 8, sum[2 * t + 1], b, b_at, b_row);
	}
}
#endif

#if !PLUMB_CPU && MT == 4
#define COLUMNS (8 * PLUMB_CL_TILE_GROUPS) // of y: rows of w
// of y and x: eight items have MT each; with twice as many, what unpacks leaves Intel's GPUs too few
// registers
#define ROWS PLUMB_CL_TILE_ROWS
#define CHUNK 32 // columns of w and x at a time: a record
// of a column of x in local memory: items that write next to each other meet no bank twice
#define X_ROW (ROWS + 1)

// Columns [c0, c0 + CHUNK) of eight rows of w, unpacked by eight items of which this is the u-th. Past the
// end of k: zero.
INLINE void tile_weights(__local float8 *tile, __global const uchar *w, int k, int c0, int g, int u)
{
#if DENSE
	w += (size_t)g * ROW_GROUP(k);
	for (int c = 4 * u; c < 4 * u + 4; c++)
		tile[c * (COLUMNS / 8)] = c0 + c < k ? dense_column(w, c0 + c) : (float8)(0);
#else
	__global const uchar *r = w + (size_t)g * ROW_GROUP(k) + (size_t)(c0 / 32) * RECORD;
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
void matmul_tile(__global float *y, int y_at, __global const float *x, int x_at, __global const uchar *w,
	__global const float *b, int b_at, int b_row, int m, int n, int k, int column, int first, int groups)
{
	__local float8 w_tile[CHUNK * COLUMNS / 8];
	__local float x_tile[CHUNK * X_ROW];
	int me = get_local_id(0), g0 = COLUMNS / 8 * (int)get_group_id(0), i0 = ROWS * (int)get_group_id(1),
		g = g0 + me % 8, i = i0 + me / 8 * MT;
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
#define STORE(t) if (g < groups && i + t < m) put(y + y_at, i + t, n, column + 8 * g, s##t, b, b_at, b_row);
	EACH(STORE)
}
#endif

// Row groups [first, first + groups) of w as float32, row after row. GPU class: a work-item takes 32 columns.
__kernel void unpack(__global float *out, __global const uchar *w, int k, int first, int groups)
{
	const int step = PLUMB_CPU ? k : 32;
	int g = get_global_id(1), from = (int)get_global_id(0) * step, to = min(k, from + step);
	if (g >= groups || from >= to)
		return;
	out += (size_t)g * 8 * (size_t)k;
#define LANE(v, r, c) out[(size_t)(r) * (size_t)k + (size_t)(c)] = v.s##r;
#define LANES(v, c) LANE(v, 0, c) LANE(v, 1, c) LANE(v, 2, c) LANE(v, 3, c) LANE(v, 4, c) LANE(v, 5, c) \
	LANE(v, 6, c) LANE(v, 7, c)
#if DENSE
	w += (size_t)(first + g) * ROW_GROUP(k);
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
#define SPREAD(i, b) { float8 low, high; int j = c + 4 * i + b; PAIR(low, high, r, q, i, b); \
	SCALES(low, high, o, b); LANES(low, j) LANES(high, j + 16) }
			FOUR(SPREAD, i4)
		}
	}
#endif
}

// b for columns [column, column + count) of each row of y.
__kernel void spread_bias(__global float *y, int y_at, __global const float *b, int b_at, int b_row, int m,
	int n, int column, int count)
{
	int i = get_global_id(1), from = PLUMB_CPU ? 0 : (int)get_global_id(0),
		to = PLUMB_CPU ? count : min(count, from + 1);
	for (int j = from; i < m && j < to; j++)
		y[y_at + i * n + column + j] = b[b_at + i * b_row + column + j];
}
