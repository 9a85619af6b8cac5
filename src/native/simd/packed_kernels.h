/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels as a template. The file of an instruction set defines the vectors and then includes
 * this; see packed.h for the layouts. Little-endian only. What must be defined:
 *   LANES (of 32 bits), TILE, SLICES (vectors of rows in a tile), AHEAD (bytes prefetched);
 *   VI, VF, ACC; vi_load, vi_store, vi_low16, vi_high16 (even and odd 16-bit elements, bytes of the lanes
 * before), vi_nibble_low, vi_nibble_high, vi_left, vi_right (by bits, 16-bit lanes), vi_insert(low, high,
 * mask bits), vi_minus16; vi_four (four bytes, or two 16-bit numbers, in all lanes), acc_start, acc_add,
 * acc_float; BYTES, where the set multiplies bytes in acc_add8 at more than the pace of 16 bits; acc_join
 * then is 256 high + low. The last argument of acc_start and acc_float says whether the sums are of bytes.
 * SIGNED, where bytes of weights have a sign: then vi_flip turns the top bits over, which takes 128 off;
 *   vf_load, vf_store, vf_zero, vf_all, vf_mul, vf_fma, vf_half, vf_u8, vf_i8 */
#ifndef PLUMB_PACKED_KERNELS_H
#define PLUMB_PACKED_KERNELS_H

#include "native/simd/packed_x16.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL /* unrolled and instrumented it would compile for minutes */
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16") /* else the sums go to memory in each step */
#endif
#ifndef QUANTISE
#define QUANTISE x16_quantise
#endif
#ifndef QUANTISE8
#define QUANTISE8 x8_quantise
#endif
#ifndef BYTES
#define acc_add8(acc, w, x) acc_add(acc, w, x) /* never reached */
#define acc_join(high, low) ((void)(high), (low))
#endif
#ifdef SIGNED /* only 8 bits reach the sign */
#define vi_byte(w, offset) ((offset) == 128 ? vi_flip(w) : (w))
#define byte_offset(offset) ((offset) == 128 ? 0 : (offset))
#else
#define vi_byte(w, offset) (w)
#define byte_offset(offset) (offset)
#endif
#ifdef BYTES
#define SMALL_BATCH_OFFSET byte_offset
#define SMALL_BATCH_BYTES true
#else
#define SMALL_BATCH_OFFSET
#define SMALL_BATCH_BYTES false
#endif
#define PARTS (PLUMB_GROUP / LANES) /* vectors of a group */

/* Vector i of a block: q + offset in bytes, slice `at` of the rows. */
INLINE void unpack_block(enum plumb_type type, const uint8_t *q, int at, VI w[8])
{
	const int bits = plumb_packed_formats[type].bits;
	q += at * LANES * 4;
	if (bits == 8) {
		UNROLL for (int i = 0; i < 8; i++) w[i] = vi_load(q + 64 * i);
		return;
	}
	UNROLL for (int i = 0; i < 4; i++)
	{
		VI v = vi_load(q + 64 * i);
		w[i] = vi_nibble_low(v);
		w[i + 4] = vi_nibble_high(v);
	}
	if (bits == 5) {
		VI h = vi_load(q + 256);
		UNROLL for (int i = 0; i < 8; i++)
			w[i] = vi_insert(w[i], i < 4 ? vi_left(h, 4 - i) : vi_right(h, i - 4), 0x10);
	}
	if (bits == 6)
		UNROLL for (int i = 0; i < 8; i++)
		{
			VI h = vi_load(q + 256 + 64 * (i / 4));
			w[i] = vi_insert(
				w[i], i % 4 < 2 ? vi_left(h, 4 - 2 * (i % 4)) : vi_right(h, 2 * (i % 4) - 4), 0x30);
		}
}

INLINE VF scale_of(enum plumb_type type, const uint8_t *scales, int64_t block, int sub_block, int at)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *p = scales + (size_t)(f.k ? block / 8 : block) * plumb_packed_scale(type) + at * LANES * 2;
	if (!f.k)
		return vf_half(p);
	const uint8_t *s = scales + (size_t)(block / 8) * plumb_packed_scale(type) + (f.min ? 64 : 32) +
		((block % 8) * f.sub + sub_block) * 16 + at * LANES;
	return vf_mul(vf_half(p), type == PLUMB_Q6_K ? vf_i8(s) : vf_u8(s));
}

INLINE VF add_of(enum plumb_type type, const uint8_t *scales, int64_t block, int at)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *p = scales + (size_t)(f.k ? block / 8 : block) * plumb_packed_scale(type) + 32 +
		at * LANES * 2;
	if (!f.k)
		return vf_half(p);
	return vf_mul(vf_half(p), vf_u8(p - at * LANES * 2 + 32 + 8 * 16 + (block % 8) * 16 + at * LANES));
}

/* One block of one slice of a group against T rows of x. */
INLINE void small_batch_block(enum plumb_type type, int T, const struct plumb_small_batch *a,
	const uint8_t *scales, const uint8_t *q, int64_t block, int at, VF sum[PLUMB_SMALL_BATCH])
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const int64_t blocks = a->x.k / PLUMB_BLOCK, at_x = a->row * blocks + block;
	VI w[8];
	unpack_block(type, q, at, w);
	UNROLL for (int sub_block = 0; sub_block < f.sub; sub_block++)
	{
		ACC acc[PLUMB_SMALL_BATCH], high[PLUMB_SMALL_BATCH];
		VF scale = scale_of(type, scales, block, sub_block, at);
		UNROLL for (int t = 0; t < T; t++)
		{
			const int32_t *s = a->x.sum + 2 * (at_x + t * blocks);
			acc[t] = acc_start(
				-SMALL_BATCH_OFFSET(f.offset) * (f.sub == 2 ? s[sub_block] : s[0] + s[1]), SMALL_BATCH_BYTES);
			high[t] = acc_start(0, SMALL_BATCH_BYTES);
		}
		UNROLL for (int i = sub_block * 8 / f.sub; i < (sub_block + 1) * 8 / f.sub; i++)
		{
#ifdef BYTES
			VI bytes = vi_byte(w[i], f.offset);
			UNROLL for (int t = 0; t < T; t++)
			{
				const int64_t x = (at_x + t * blocks) * PLUMB_BLOCK + 4 * i;
				high[t] = acc_add8(high[t], bytes, vi_four(a->x.high + x));
				acc[t] = acc_add8(acc[t], bytes, vi_four(a->x.low + x));
			}
#else
			VI even = vi_low16(w[i]), odd = vi_high16(w[i]);
			UNROLL for (int t = 0; t < T; t++)
			{
				const int16_t *x = a->x.q + (at_x + t * blocks) * PLUMB_BLOCK + 4 * i;
				acc[t] = acc_add(acc[t], even, vi_four(x));
				acc[t] = acc_add(acc[t], odd, vi_four(x + 2));
			}
#endif
		}
		UNROLL for (int t = 0; t < T; t++) acc[t] = acc_join(high[t], acc[t]);
		UNROLL for (int t = 0; t < T; t++) sum[t] = vf_fma(acc_float(acc[t], SMALL_BATCH_BYTES),
			vf_mul(scale, vf_all(a->x.scale[at_x + t * blocks])), sum[t]);
	}
}

/* The minima of blocks [first, end): after the products of 256 columns, as in tiles. */
INLINE void small_batch_minima(enum plumb_type type, int T, const struct plumb_small_batch *a,
	const uint8_t *scales, int64_t first, int64_t end, int at, VF sum[PLUMB_SMALL_BATCH])
{
	const int64_t blocks = a->x.k / PLUMB_BLOCK;
	for (int64_t b = first; b < end; b++) {
		VF add = add_of(type, scales, b, at);
		UNROLL for (int t = 0; t < T; t++)
			sum[t] = vf_fma(add, vf_all(a->x.total[(a->row + t) * blocks + b]), sum[t]);
	}
}

INLINE void small_batch_rows(enum plumb_type type, int T, const struct plumb_small_batch *a)
{
	const int64_t blocks = a->x.k / PLUMB_BLOCK;
	const size_t step = plumb_packed_quants(type),
				 lines = (plumb_packed_group(type, a->x.k) + 64 * (size_t)blocks - 1) / (64 * (size_t)blocks);
	for (int64_t g = 0; g < a->groups; g++) {
		const uint8_t *scales = a->w + a->stride * (size_t)g, *q = scales + plumb_packed_scales(type, a->x.k);
		uintptr_t ahead = (uintptr_t)scales + AHEAD, end = (uintptr_t)a->end, next = (uintptr_t)a->next;
		VF sum[PARTS][PLUMB_SMALL_BATCH];
		UNROLL for (int p = 0; p < PARTS; p++) UNROLL for (int t = 0; t < T; t++) sum[p][t] = vf_zero();
		for (int64_t b = 0; b < blocks; b++, q += step) {
			for (size_t line = 0; line < lines; line++, ahead += 64) {
				if (ahead >= end && next) {
					ahead = next + (ahead - end);
					end = next + a->next_bytes;
					next = 0;
				}
				if (ahead < end)
					__builtin_prefetch((const void *)ahead, 0, 2); /* to L2: L1 cannot wait for so many */
			}
			UNROLL for (int p = 0; p < PARTS; p++) small_batch_block(type, T, a, scales, q, b, p, sum[p]);
			if (plumb_packed_formats[type].min && (b % 8 == 7 || b + 1 == blocks))
				UNROLL for (int p = 0; p < PARTS; p++)
					small_batch_minima(type, T, a, scales, b / 8 * 8, b + 1, p, sum[p]);
		}
		UNROLL for (int t = 0; t < T; t++) UNROLL for (int p = 0; p < PARTS; p++)
			vf_store(a->y + t * a->ldy + g * PLUMB_GROUP + p * LANES, sum[p][t]);
	}
}

INLINE void small_batch(enum plumb_type type, const struct plumb_small_batch *a)
{
	switch (a->rows) {
	case 1: small_batch_rows(type, 1, a); break;
	case 2: small_batch_rows(type, 2, a); break;
	case 3: small_batch_rows(type, 3, a); break;
	default: small_batch_rows(type, 4, a);
	}
}

INLINE void unpack(enum plumb_type type, bool bytes, const struct plumb_unpack *a)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const int64_t first = a->from / PLUMB_BLOCK;
	for (int g = 0; g < 2; g++) {
		const uint8_t *scales = a->w + a->stride * (size_t)g,
					  *q = scales + plumb_packed_scales(type, a->k) +
			(size_t)first * plumb_packed_quants(type);
		for (int64_t b = 0; b < a->n / PLUMB_BLOCK; b++, q += plumb_packed_quants(type))
			for (int p = 0; p < PARTS; p++) {
				const int64_t row = g * PLUMB_GROUP + p * LANES;
				int16_t *to = a->q + (b * (bytes ? 8 : 16) * PLUMB_PANEL + row) * 2;
				VI w[8];
				unpack_block(type, q, p, w);
				UNROLL for (int i = 0; i < 8 && bytes; i++) vi_store(to + i * PLUMB_PANEL * 2, w[i]);
				UNROLL for (int i = 0; i < 8 && !bytes; i++)
				{
					vi_store(to + (2 * i * PLUMB_PANEL) * 2, vi_minus16(vi_low16(w[i]), f.offset));
					vi_store(to + ((2 * i + 1) * PLUMB_PANEL) * 2, vi_minus16(vi_high16(w[i]), f.offset));
				}
				for (int sub_block = 0; sub_block < f.sub; sub_block++)
					vf_store(a->scale + (b * f.sub + sub_block) * PLUMB_PANEL + row,
						scale_of(type, scales, first + b, sub_block, p));
				if (f.min)
					vf_store(a->add + b * PLUMB_PANEL + row, add_of(type, scales, first + b, p));
			}
	}
}

/* T rows of x against SLICES vectors of rows of the panel, from row `at` on. Four bytes take the place of two
 * numbers. */
INLINE void tile_part(int T, int sub, bool min, bool bytes, const struct plumb_tile16 *a, int at)
{
	const int vectors = bytes ? 8 : 16;
	const int64_t ldx = bytes ? a->x.k / 2 : a->x.k;
	const int64_t blocks = a->x.k / PLUMB_BLOCK, first = a->row * blocks + a->from / PLUMB_BLOCK;
	const int16_t *w = a->q + at * 2, *x = a->x.q + (bytes ? first * PLUMB_BLOCK / 2 : first * PLUMB_BLOCK);
	const float *scale = a->scale + at;
	VF sum[TILE][SLICES];
	UNROLL for (int t = 0; t < T; t++) UNROLL for (int s = 0; s < SLICES; s++)
		sum[t][s] = a->sum ? vf_load(a->sum + t * a->lds + at + s * LANES) : vf_zero();
	for (int64_t b = 0; b < a->n / PLUMB_BLOCK; b++) {
		/* x of the next tile: its rows lie apart, the hardware sees no stream. Narrower tiles meet x several
		 * times: there it wins nothing. */
		UNROLL for (int t = 0; t < T && SLICES * LANES == PLUMB_PANEL; t++)
			__builtin_prefetch((const void *)((uintptr_t)x + 2 * (uintptr_t)((t + T) * ldx)));
		for (int sub_block = 0; sub_block < sub; sub_block++, scale += PLUMB_PANEL) {
			ACC acc[TILE][SLICES];
			UNROLL for (int t = 0; t < T; t++)
			{
				const int32_t *sums = a->x.sum + 2 * (first + b + t * blocks);
				ACC start = acc_start(
					bytes ? -byte_offset(a->offset) * (sub == 2 ? sums[sub_block] : sums[0] + sums[1]) : 0,
					bytes);
				UNROLL for (int s = 0; s < SLICES; s++) acc[t][s] = start;
			}
			UNROLL for (int i = 0; i < vectors / sub; i++, w += PLUMB_PANEL * 2, x += 2)
			{
				VI v[SLICES];
				UNROLL for (int s = 0; s < SLICES; s++) v[s] = bytes
					? vi_byte(vi_load(w + s * LANES * 2), a->offset)
					: vi_load(w + s * LANES * 2);
				UNROLL for (int t = 0; t < T; t++)
				{
					VI some = vi_four(x + t * ldx);
					UNROLL for (int s = 0; s < SLICES; s++)
						acc[t][s] = bytes ? acc_add8(acc[t][s], v[s], some) : acc_add(acc[t][s], v[s], some);
				}
			}
			UNROLL for (int t = 0; t < T; t++)
			{
				VF by = vf_all(a->x.scale[first + b + t * blocks]);
				UNROLL for (int s = 0; s < SLICES; s++) sum[t][s] = vf_fma(
					acc_float(acc[t][s], bytes), vf_mul(vf_load(scale + s * LANES), by), sum[t][s]);
			}
		}
	}
	for (int64_t b = 0; min && b < a->n / PLUMB_BLOCK;
		 b++) /* apart: among the products they would take their registers */
		UNROLL for (int t = 0; t < T; t++) UNROLL for (int s = 0; s < SLICES; s++)
			sum[t][s] = vf_fma(vf_load(a->add + b * PLUMB_PANEL + at + s * LANES),
				vf_all(a->x.total[first + b + t * blocks]), sum[t][s]);
	UNROLL for (int t = 0; t < T; t++) UNROLL for (int s = 0; s < SLICES; s++)
		vf_store(a->y + t * a->ldy + at + s * LANES, sum[t][s]);
}

INLINE void tile_rows(int T, bool bytes, const struct plumb_tile16 *a)
{
	for (int at = 0; at < PLUMB_PANEL; at += SLICES * LANES) {
		if (a->sub == 2)
			tile_part(T, 2, false, bytes, a, at);
		else if (a->min)
			tile_part(T, 1, true, bytes, a, at);
		else
			tile_part(T, 1, false, bytes, a, at);
	}
}

/* Each its own function: together they are too much for the compiler's register allocator. */
#if TILE == 6
#define EACH_ROWS(name) name(1) name(2) name(3) name(4) name(5) name(6)
#else
#define EACH_ROWS(name) name(1) name(2) name(3) name(4)
#endif
#define TILE_OF(T) \
	static void tile_##T(const struct plumb_tile16 *a) { tile_rows(T, false, a); }
#define NAME_OF(T) tile_##T,
EACH_ROWS(TILE_OF)

static void multiply(const struct plumb_tile16 *a)
{
	static void (*const of[])(const struct plumb_tile16 *a) = { EACH_ROWS(NAME_OF) };
	of[a->rows - 1](a);
}

#ifdef BYTES
#define TILE8_OF(T) \
	static void tile8_##T(const struct plumb_tile16 *a) { tile_rows(T, true, a); }
#define NAME8_OF(T) tile8_##T,
EACH_ROWS(TILE8_OF)

static void multiply8(const struct plumb_tile16 *a)
{
	static void (*const of[])(const struct plumb_tile16 *a) = { EACH_ROWS(NAME8_OF) };
	of[a->rows - 1](a);
}
#define TYPE8_OF(type, name) \
	static void unpack8_##name(const struct plumb_unpack *a) { unpack(PLUMB_##type, true, a); }
TYPE8_OF(Q8_0, q8_0)
TYPE8_OF(Q4_0, q4_0)
TYPE8_OF(Q4_1, q4_1)
TYPE8_OF(Q5_0, q5_0)
TYPE8_OF(Q5_1, q5_1)
TYPE8_OF(Q4_K, q4_k)
TYPE8_OF(Q5_K, q5_k)
TYPE8_OF(Q6_K, q6_k)
#define BYTE_KERNELS \
	.quantise8 = QUANTISE8, .multiply8 = multiply8, \
	.unpack8 = { [PLUMB_Q8_0] = unpack8_q8_0, \
		[PLUMB_Q4_0] = unpack8_q4_0, \
		[PLUMB_Q4_1] = unpack8_q4_1, \
		[PLUMB_Q5_0] = unpack8_q5_0, \
		[PLUMB_Q5_1] = unpack8_q5_1, \
		[PLUMB_Q4_K] = unpack8_q4_k, \
		[PLUMB_Q5_K] = unpack8_q5_k, \
		[PLUMB_Q6_K] = unpack8_q6_k },
#else
#define BYTE_KERNELS
#endif

#define TYPE_OF(type, name) \
	static void small_batch_##name(const struct plumb_small_batch *a) { small_batch(PLUMB_##type, a); } \
	static void unpack_##name(const struct plumb_unpack *a) { unpack(PLUMB_##type, false, a); }
TYPE_OF(Q8_0, q8_0)
TYPE_OF(Q4_0, q4_0)
TYPE_OF(Q4_1, q4_1)
TYPE_OF(Q5_0, q5_0)
TYPE_OF(Q5_1, q5_1)
TYPE_OF(Q4_K, q4_k)
TYPE_OF(Q5_K, q5_k)
TYPE_OF(Q6_K, q6_k)

#define PACKED_KERNELS \
	{ \
		BYTE_KERNELS.tile = TILE, .quantise = QUANTISE, .rest = x16_rest, .multiply = multiply, \
		.small_batch = { [PLUMB_Q8_0] = small_batch_q8_0, \
			[PLUMB_Q4_0] = small_batch_q4_0, \
			[PLUMB_Q4_1] = small_batch_q4_1, \
			[PLUMB_Q5_0] = small_batch_q5_0, \
			[PLUMB_Q5_1] = small_batch_q5_1, \
			[PLUMB_Q4_K] = small_batch_q4_k, \
			[PLUMB_Q5_K] = small_batch_q5_k, \
			[PLUMB_Q6_K] = small_batch_q6_k }, \
		.unpack = { [PLUMB_Q8_0] = unpack_q8_0, \
			[PLUMB_Q4_0] = unpack_q4_0, \
			[PLUMB_Q4_1] = unpack_q4_1, \
			[PLUMB_Q5_0] = unpack_q5_0, \
			[PLUMB_Q5_1] = unpack_q5_1, \
			[PLUMB_Q4_K] = unpack_q4_k, \
			[PLUMB_Q5_K] = unpack_q5_k, \
			[PLUMB_Q6_K] = unpack_q6_k }, \
	}

#endif
