// SPDX-License-Identifier: Apache-2.0
// What products with weights share, whatever is fused with them: unpacking records, the products of one row
// of x with a row group (eight rows) of w and of a block of rows with two, and writing sums to y. With NORM 1
// defined before the include, x is normed as it is read (MT 1 only).
#include "weights.cl"
#ifndef MT
#define MT 1 // rows of x at once
#endif
#ifndef NORM
#define NORM 0
#endif
#if DENSE
#define ROW_GROUP(k) ((size_t)(k) * 8 * (DENSE == 32 ? 4 : 2)) // bytes of a row group of w: eight rows
#else
#define ROW_GROUP(k) ((size_t)((k) / 32) * RECORD)
#endif

// Eight columns of row i of y; n is y's width, column the first of the eight. b, absent with b_at -1: a bias,
// or with b_row, n then, a matrix like y, which may be y.
INLINE void put(__global float *y, int i, int n, int column, float8 v, __global const float *b, int b_at,
	int b_row)
{
	b += b_at + i * b_row + column;
	y += i * n + column;
	if (column + 8 <= n) {
		if (b_at >= 0)
			v += vload8(0, b);
		vstore8(v, 0, y);
		return;
	}
	float lane[8];
	vstore8(v, 0, lane);
	for (int r = 0; r < 8 && column + r < n; r++)
		y[r] = b_at < 0 ? lane[r] : lane[r] + b[r];
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
	o->least_high = SUB == 2 ? record_scale(r, SUB + 1) : o->least;
#elif PLUMB_CPU && BITS != 8
	o->least = o->scale * (float)OFFSET;
	o->least_high = o->scale_high * (float)OFFSET;
#endif
#if BITS != 8
	record_high(r, &o->bits);
#endif
}
// Four pairs of columns of record r: WORDS(q, ...) once, then PAIR(low, high, ...) and SCALES(low, high, ...)
// for each b of 0 ... 3.
#if BITS == 8
#define WORDS(q, r, o, i)
#define PAIR(low, high, r, q, i, b) low = record_byte(r, 4 * (i) + (b)), \
	high = record_byte(r, 4 * (i) + (b) + 16)
#define SCALES(low, high, o, b) low *= (o).scale, high *= (o).scale_high
#else
#if PLUMB_CPU
#define WORDS(q, r, o, i) uint8 q##_low, q##_high; record_bytes(r, &(o).bits, i, &q##_low, &q##_high)
// Bytes stay where they are (b must be a constant), and OFFSET, a power of two, is part of what the fma takes
// off.
#define PAIR(low, high, r, q, i, b) low = byte_column(q##_low, b), high = byte_column(q##_high, b)
#define SCALES(low, high, o, b) low = fma(low, (o).scale * byte_unit(b), -(o).least), \
	high = fma(high, (o).scale_high * byte_unit(b), -(o).least_high)
#else
#if BITS == 2 // scales, too, are read anew: see record_words
#define WORDS(q, r, o, i) uint8 q##_low, q##_high; record_words(r, &(o).bits, i, &q##_low, &q##_high); \
	record_open(r, &(o))
#else
#define WORDS(q, r, o, i) uint8 q##_low, q##_high; record_words(r, &(o).bits, i, &q##_low, &q##_high)
#endif
#define PAIR(low, high, r, q, i, b) low = word_column(q##_low, b), high = word_column(q##_high, b)
#if MIN
#define SCALES(low, high, o, b) low = fma(low, (o).scale, -(o).least), \
	high = fma(high, (o).scale_high, -(o).least_high)
#else
#define SCALES(low, high, o, b) low *= (o).scale, high *= (o).scale_high
#endif
#endif
#endif
// Columns by hand: as a loop, PoCL would not unroll them, and shifts by a variable take twice as long.
#define FOUR(DO, i) DO(i, 0) DO(i, 1) DO(i, 2) DO(i, 3)

#if MT == 1
// One row x: of global memory or, where a work-item of a CPU norms it first, of its own.
#if NORM && PLUMB_CPU
#define ROW const float *
#else
#define ROW __global const float *
#endif
// A GPU norms x as it reads it: x times the norm's weight; its squares are added up beside, and the scale
// comes at the end.
#if NORM && !PLUMB_CPU
#define NORM_ARGS , __global const float *norm, float *squares
#define NORM_PASS(c) , norm + (c), squares
INLINE float normed(float x, float w, float *squares)
{
	*squares = fma(x, x, *squares);
	return x * w;
}
#define X(c) normed(x[c], norm[c], squares)
#else
#define NORM_ARGS
#define NORM_PASS(c)
#define X(c) x[c]
#endif

// One row x meets every `items`-th column of eight dense rows from `me` on. Four chains: one would wait for
// itself.
INLINE float8 dense_one(__global const uchar *w, ROW x NORM_ARGS, int k, int me, int items)
{
	float8 s = (float8)(0), a0 = s, a1 = s, a2 = s;
	int c = me;
	for (; c + 3 * items < k; c += 4 * items) {
		s = fma(dense_column(w, c), (float8)(X(c)), s);
		a0 = fma(dense_column(w, c + items), (float8)(X(c + items)), a0);
		a1 = fma(dense_column(w, c + 2 * items), (float8)(X(c + 2 * items)), a1);
		a2 = fma(dense_column(w, c + 3 * items), (float8)(X(c + 3 * items)), a2);
	}
	s = s + a1 + (a0 + a2);
	for (; c < k; c += items)
		s = fma(dense_column(w, c), (float8)(X(c)), s);
	return s;
}

#if PLUMB_CPU
// One row x, at the record's columns, meets eight rows of w. A sum per byte of a word, so that no byte is
// shifted and chains are short; what is taken off each q, OFFSET or the minimum, comes once per record, by
// the sums of x. Sums of its own: a chain through all records would wait for itself.
INLINE float8 record_one(__global const uchar *r, ROW x, float x_low, float x_high)
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
	a0 = fma(a3 + b3, (float8)(byte_unit(3)),
		fma(a2 + b2, (float8)(byte_unit(2)), fma(a1 + b1, (float8)(byte_unit(1)), a0 + b0)));
	return fma(o.scale, a0, -o.least * (x_low + x_high));
#else
	a0 = fma(a3, (float8)(byte_unit(3)), fma(a2, (float8)(byte_unit(2)),
		fma(a1, (float8)(byte_unit(1)), a0)));
	b0 = fma(b3, (float8)(byte_unit(3)), fma(b2, (float8)(byte_unit(2)),
		fma(b1, (float8)(byte_unit(1)), b0)));
	return fma(o.scale, a0, -o.least * x_low) + fma(o.scale_high, b0, -o.least_high * x_high);
#endif
}
#else
// One row x, at the record's columns, meets fours [from, to) of pairs of it. A sum of its own: a chain
// through all records would wait for itself.
INLINE float8 record_one(__global const uchar *r, ROW x NORM_ARGS, int from, int to)
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
			low_sum = fma(low, (float8)(X(j)), low_sum);
			high_sum = fma(high, (float8)(X(j + 16)), high_sum);
		}
	}
	return MIN ? low_sum + high_sum : fma(o.scale, low_sum, o.scale_high * high_sum);
}
#endif
#endif

#if PLUMB_CPU && MT == 1
// Memory that is wanted in some hundred nanoseconds. OpenCL's own prefetch is nothing in PoCL, and calls and
// loops in Intel's runtime; both are clang, whose builtin is one instruction. It knows no address spaces, and
// on a CPU there is one. Oclgrind, which is run without optimisation, does not have it.
#define AHEAD 3072
#if defined(__has_builtin) && defined(__OPTIMIZE__)
#if __has_builtin(__builtin_prefetch)
#define WANT(p) __builtin_prefetch((const void *)(uintptr_t)(p))
#endif
#endif
#ifndef WANT
#define WANT(p)
#endif
#define SPAN PLUMB_CL_SPAN // columns whose sums are held: a small part of the first-level cache
INLINE float sum16(ROW x) { return sum8(vload8(0, x) + vload8(1, x)); }

#if !DENSE && BITS != 8
#define SUMS 1
#else
#define SUMS 0
#endif
// Sums of sixteen elements of a row of x, which all row groups of w share. SUMS 0: none are needed.
INLINE void row_sums(float *sums, ROW x, int k)
{
	for (int c = 0; SUMS && c < min(k, SPAN); c += 16)
		sums[c / 16] = sum16(x + c);
}

// The products of one row x with a row group of w, whose bytes begin at r.
INLINE float8 row_group_one(__global const uchar *r, ROW x, const float *sums, int k)
{
#if DENSE
	return dense_one(r, x, k, 0, 1);
#else
	float8 s = (float8)(0);
	for (int c = 0; c < k; c += 32, r += RECORD) {
		for (int u = 0; u < RECORD; u += 64)
			WANT(r + AHEAD + u);
#if SUMS
		s += record_one(r, x + c, c < SPAN ? sums[c / 16] : sum16(x + c),
			c < SPAN ? sums[c / 16 + 1] : sum16(x + c + 16));
#else
		s += record_one(r, x + c, 0, 0);
#endif
	}
	return s;
#endif
}

#if NORM
// The row as rmsnorm would leave it, bit for bit. k: at most SPAN.
INLINE void norm_row(float *z, __global const float *x, __global const float *w, int k, float eps)
{
	float8 sum0 = (float8)(0), sum1 = (float8)(0);
	float sum = 0;
	int j = 0;
	for (; j + 16 <= k; j += 16) {
		float8 a = vload8(0, x + j), b = vload8(0, x + j + 8);
		sum0 = mad(a, a, sum0);
		sum1 = mad(b, b, sum1);
	}
	for (; j < k; j++)
		sum = mad(x[j], x[j], sum);
	float scale = 1.0f / sqrt((sum + sum8(sum0 + sum1)) / k + eps);
	for (j = 0; j + 8 <= k; j += 8)
		vstore8(vload8(0, x + j) * scale * vload8(0, w + j), 0, z + j);
	for (; j < k; j++)
		z[j] = x[j] * scale * w[j];
}
#endif
#endif

#if !PLUMB_CPU
// A work-group's eight sums of v, each to one of its first eight items: an item adds up every eighth of one
// column's, then eight items those of a column. (Sub-groups made Intel's CPU runtime five times slower here,
// and these are two barriers only.) scratch has GROUP * 9 elements.
INLINE float group_column(__local float *scratch, float8 v)
{
	int me = get_local_id(0);
	float sum = 0;
	vstore8(v, me, scratch);
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int u = 0; u < 8; u++)
		sum += scratch[me + GROUP * u];
	scratch += GROUP * 8;
	scratch[me] = sum;
	barrier(CLK_LOCAL_MEM_FENCE);
	sum = 0;
	for (int u = 0; u < GROUP / 8 && me < 8; u++)
		sum += scratch[me + 8 * u];
	return sum;
}

#if MT == 1
// This item's share of the products of one row x with a row group of w: every GROUP-th column or half of a
// record.
INLINE float8 row_group_shared(__global const uchar *w, ROW x NORM_ARGS, int k)
{
	int me = get_local_id(0);
#if DENSE
	return dense_one(w, x NORM_PASS(0), k, me, GROUP);
#else
	float8 s = (float8)(0);
	for (int u = me; u < k / 16; u += GROUP) {
		int c = u / 2, from = u % 2 * 2;
		s += record_one(w + (size_t)c * RECORD, x + 32 * c NORM_PASS(32 * c), from, from + 2);
	}
	return s;
#endif
}

#if NORM
// rmsnorm's scale from what its items found of squares, after group_column's barriers.
INLINE float norm_scale(__local const float *squared, int k, float eps)
{
	float sum = 0;
	for (int u = 0; u < GROUP; u++)
		sum += squared[u];
	return 1.0f / sqrt(sum / k + eps);
}
#endif
#endif
#endif

#if PLUMB_CPU && MT == 8
#define BLOCK PLUMB_CL_BLOCK_ROWS
#define COLUMNS 128 // of w unpacked at a time
#ifndef AT_ONCE
#define AT_ONCE PLUMB_CL_AT_ONCE
#endif
#if AT_ONCE == 6
#define ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#else
#define ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#endif
// Sums of `rows` rows of x, 16 each: with the eight rows of w at w0 and those at w1. Columns are unpacked
// into private memory (the first-level cache), then meet AT_ONCE rows of x at a time. In float16 by name: of
// two float8, PoCL makes code that is a seventh slower. But no float16 is passed to a function, vload16 and
// fma included: without AVX-512, that is an ABI of its own, of which clang warns. sum: 2 * (BLOCK + AT_ONCE),
// aligned as float16 is.
INLINE void block_sums(float8 *sum, __global const uchar *w0, __global const uchar *w1,
	__global const float *x, int rows, int k)
{
	float8 tile[2 * COLUMNS] __attribute__((aligned(64)));
	for (int t = 0; t < 2 * (BLOCK + AT_ONCE); t++)
		sum[t] = (float8)(0);
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
#define KEEP(i, b) { float8 low, high; int j = c + 4 * i + b; PAIR(low, high, r, q, i, b); \
	SCALES(low, high, o, b); \
	tile[2 * j + h] = low, tile[2 * (j + 16) + h] = high; }
#define KEEPS(i) { WORDS(q, r, o, i); FOUR(KEEP, i) }
				KEEPS(0) KEEPS(1) KEEPS(2) KEEPS(3)
			}
#endif
		for (int t = 0; t < rows; t += AT_ONCE) {
#define TAKE(e) float16 s##e = ((const float16 *)sum)[t + e]; \
	__global const float *x##e = x + min(t + e, rows - 1) * k + c0;
			ROWS(TAKE)
			for (int c = 0; c < columns; c++) {
				float16 v = ((const float16 *)tile)[c];
#define MEET(e) s##e = v * (float16)(x##e[c]) + s##e; // one instruction by FP_CONTRACT, which is on
				ROWS(MEET)
			}
#define GIVE(e) ((float16 *)sum)[t + e] = s##e;
			ROWS(GIVE)
		}
	}
}
#endif
