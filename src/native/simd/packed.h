/* SPDX-License-Identifier: Apache-2.0 */
/* The packed form of a quantised weight, its activations in 16-bit integers, and the kernels that
 * multiply the two. All kernels of all instruction sets give the same bits: sums within a block
 * are integers, block results are added in float32 in the order of the columns. */
#ifndef PLUMB_PACKED_H
#define PLUMB_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/tensor.h>
#include "core/core.h"

/* A group is 16 rows. Its scales come first, rounded up to 64 bytes, then per 32 columns ("block") the
 * numbers q + offset, or the codes of types with a table: byte 4 r + c of vector i (64 bytes) is row r,
 * column 4 i + c. Low nibbles: four vectors, i in the low half of a byte, i + 4 in the high one. Then the
 * bits above, or all of those with fewer than four: two planes of two bits, plane i / 4, bits 2 (i % 4) (2, 3
 * and 6 bits), and one of one bit, bit i of a byte (3 and 5 bits). 8 bits: eight vectors. Scales of the small
 * types, per block: 16 halves d; 16 halves m; of MXFP4 16 exponents, a byte each. Of the K types, per 256
 * columns: 16 halves d; 16 halves -dmin; per block `sub` times 16 scales of one byte; per block 16 minima of
 * one byte, which Q2_K has in the high half of a scale's byte. Groups come in pairs; rows past the matrix are
 * zero bytes. */
#define PLUMB_GROUP 16
#define PLUMB_PANEL 32 /* rows of a panel: a pair of groups */
#define PLUMB_BLOCK 32

enum plumb_packed_scales {
	PLUMB_SCALE_HALF,
	PLUMB_SCALE_E8M0,    /* an exponent: 2^(e - 128) */
	PLUMB_SCALE_U8,      /* those of K types: half times byte, */
	PLUMB_SCALE_I8,      /* byte with a sign, */
	PLUMB_SCALE_NIBBLES, /* low half of a byte; the high one is that of the minimum */
};

struct plumb_packed_format {
	int bits, offset;
	int sub;  /* scales per block, and minima */
	bool min; /* the value is scale * q + add, with no offset */
	bool k;   /* scales of 256 columns */
	enum plumb_packed_scales scales;
	const int8_t *values; /* q by the codes, at most 127 in size; NULL: codes are q + offset. offset is 128 */
};
static const struct plumb_packed_format plumb_packed_formats[PLUMB_TYPE_COUNT] = {
	[PLUMB_Q8_0] = { 8, 128, 1, false, false, PLUMB_SCALE_HALF, NULL },
	[PLUMB_Q4_0] = { 4, 8, 1, false, false, PLUMB_SCALE_HALF, NULL },
	[PLUMB_Q4_1] = { 4, 0, 1, true, false, PLUMB_SCALE_HALF, NULL },
	[PLUMB_Q5_0] = { 5, 16, 1, false, false, PLUMB_SCALE_HALF, NULL },
	[PLUMB_Q5_1] = { 5, 0, 1, true, false, PLUMB_SCALE_HALF, NULL },
	[PLUMB_Q4_K] = { 4, 0, 1, true, true, PLUMB_SCALE_U8, NULL },
	[PLUMB_Q5_K] = { 5, 0, 1, true, true, PLUMB_SCALE_U8, NULL },
	[PLUMB_Q6_K] = { 6, 32, 2, false, true, PLUMB_SCALE_I8, NULL },
	[PLUMB_Q2_K] = { 2, 0, 2, true, true, PLUMB_SCALE_NIBBLES, NULL },
	[PLUMB_Q3_K] = { 3, 4, 2, false, true, PLUMB_SCALE_I8, NULL },
	[PLUMB_IQ4_NL] = { 4, 128, 1, false, false, PLUMB_SCALE_HALF, plumb_type_iq4_values },
	[PLUMB_IQ4_XS] = { 4, 128, 1, false, true, PLUMB_SCALE_I8, plumb_type_iq4_values },
	[PLUMB_MXFP4] = { 4, 128, 1, false, false, PLUMB_SCALE_E8M0, plumb_type_mxfp4_values },
};

/* All of them, for tables of kernels: DO(Q8_0, q8_0) ... */
#define PLUMB_PACKED_TYPES(DO) \
	DO(Q8_0, q8_0) \
	DO(Q4_0, q4_0) \
	DO(Q4_1, q4_1) \
	DO(Q5_0, q5_0) \
	DO(Q5_1, q5_1) \
	DO(Q4_K, q4_k) \
	DO(Q5_K, q5_k) \
	DO(Q6_K, q6_k) \
	DO(Q2_K, q2_k) \
	DO(Q3_K, q3_k) \
	DO(IQ4_NL, iq4_nl) \
	DO(IQ4_XS, iq4_xs) \
	DO(MXFP4, mxfp4)

/* Bytes of the numbers of a block. */
static inline size_t plumb_packed_quants(enum plumb_type type)
{
	return 64 * (size_t)plumb_packed_formats[type].bits;
}

/* Bytes of the scales of a block, or of 256 columns for the K types. */
static inline size_t plumb_packed_scale(enum plumb_type type)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	if (f.k)
		return f.min ? 64 + 256 : 32 + 128 * (size_t)f.sub;
	return f.scales == PLUMB_SCALE_E8M0 ? 16 : f.min ? 64 : 32;
}

/* Bytes of a group's scales, from where its numbers start. */
static inline size_t plumb_packed_scales(enum plumb_type type, int64_t k)
{
	size_t n = (size_t)(k / (plumb_packed_formats[type].k ? 256 : PLUMB_BLOCK)) * plumb_packed_scale(type);
	return (n + 63) / 64 * 64;
}

static inline size_t plumb_packed_group(enum plumb_type type, int64_t k)
{
	return plumb_packed_scales(type, k) + (size_t)(k / PLUMB_BLOCK) * plumb_packed_quants(type);
}

/* Rows of x: block b of row i is scale[i * k / 32 + b] * q. The four of each quad of columns are kept in the
 * order 0, 2, 1, 3: that is how bytes fall when two are taken from each 32-bit lane. Values that are not
 * finite: the scale is NaN, q is 0. */
struct plumb_x16 {
	int16_t *q; /* row * k; of the fast mode, bytes at most 127 in size, in the order of the columns */
	int8_t *high, *low; /* row * k, in the order of the columns: q is 256 high + low; NULL: not wanted, as
						   only few rows read them */
	float *scale;       /* row * k / 32 */
	float *total;       /* row * k / 32: scale times the sum of q */
	int32_t *sum;       /* row * k / 16: sum of q */
	int64_t k;
};

/* y[t * ldy + 16 g + r] for `rows` rows of x from `row` on, and all groups. */
#define PLUMB_SMALL_BATCH 4
struct plumb_small_batch {
	const uint8_t *w;
	const uint8_t *end; /* of what the caller reads after this; then it reads next_bytes from next on: all
						   that is prefetched */
	const uint8_t *next;
	size_t next_bytes;
	size_t stride; /* from group to group */
	int64_t groups;
	struct plumb_x16 x;
	int64_t row;
	int rows; /* 1 .. PLUMB_SMALL_BATCH */
	float *y;
	int64_t ldy;
};

/* Columns [from, from + n) of two groups as 16-bit integers: w[(pair * 32 + r) * 2] are the two of 32 rows,
 * scale[(block * sub + part) * 32 + r], add as scale. n is a multiple of 32, and of 256 for K types.
 * Of the fast mode as bytes, with the offset: 4 columns in the place of 2. */
struct plumb_unpack {
	const uint8_t *w;
	size_t stride;
	int64_t k, from, n;
	int16_t *q;
	float *scale, *add;
};

/* y[t * ldy + r] = sum[t * lds + r] + panel times rows of x, columns [from, from + n), n <= 256: the blocks'
 * products first, then the minima of all of them. */
#define PLUMB_TILE_MAX 8
struct plumb_tile16 {
	const int16_t *q;
	const float *scale, *add;
	int sub;
	bool min;
	int offset; /* of bytes */
	struct plumb_x16 x;
	int64_t row, from, n;
	int rows;         /* 1 .. tile */
	const float *sum; /* NULL: 0; may be y */
	int64_t lds;
	float *y;
	int64_t ldy;
};

typedef void (*plumb_small_batch_fn)(const struct plumb_small_batch *a);
typedef void (*plumb_unpack_fn)(const struct plumb_unpack *a);

struct plumb_packed_kernels {
	int tile; /* rows of x in a tile */
	/* Row `row` of x16 from k floats. True: rounding is expected to lose more than `limit` of the row's norm.
	 */
	bool (*quantise)(const float *x, const struct plumb_x16 *x16, int64_t row, float limit);
	/* To row `row` what that rounding lost, in steps of 2^-15 of its steps. */
	void (*rest)(const float *x, const struct plumb_x16 *x16, int64_t row);
	plumb_small_batch_fn small_batch[PLUMB_TYPE_COUNT];
	plumb_unpack_fn unpack[PLUMB_TYPE_COUNT];
	void (*multiply)(const struct plumb_tile16 *a);
	/* The fast mode: x and panels in bytes. All NULL: the set has nothing that would gain by it. */
	void (*quantise8)(const float *x, const struct plumb_x16 *x16, int64_t row);
	plumb_unpack_fn unpack8[PLUMB_TYPE_COUNT];
	void (*multiply8)(const struct plumb_tile16 *a);
};

extern const struct plumb_packed_kernels plumb_packed_c, plumb_packed_avx2,
	plumb_packed_neon; /* those that are built */

#endif
