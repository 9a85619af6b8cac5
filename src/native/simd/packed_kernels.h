/* SPDX-License-Identifier: Apache-2.0 */
/* The packed kernels as a template. The file of an instruction set defines the vectors and then includes
 * this; see packed.h for the layouts. Little-endian only. What must be defined:
 *   LANES (of 32 bits), TILE, SLICES (vectors of rows in a tile), AHEAD (bytes prefetched);
 *   VI, VF, ACC; vi_load, vi_store, vi_low16, vi_high16 (even and odd 16-bit elements, bytes of the lanes
 * before), vi_nibble_low, vi_nibble_high, vi_left, vi_right (by bits, 16-bit lanes), vi_mask, vi_insert(low,
 * high, mask bits), vi_minus16; vi_table (16 values and 128 to each, as bytes), vi_lookup (of such, by bytes
 * below 16); vi_four (four bytes, or two 16-bit numbers, in all lanes), acc_start, acc_add,
 * acc_float; BYTES, where the set multiplies bytes in acc_add8 at more than the pace of 16 bits; acc_join
 * then is 256 high + low. The last argument of acc_start and acc_float says whether the sums are of bytes.
 * SIGNED, where bytes of weights have a sign: then vi_flip turns the top bits over, which takes 128 off;
 *   vf_load, vf_store, vf_zero, vf_all, vf_mul, vf_fma, vf_half, vf_u8, vf_i8, vf_nibbles (the high ones?),
 * vf_e8m0 (plumb_type_e8m0_half) */
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

/* Vector i of a block: its codes, slice `at` of the rows. */
INLINE void unpack_codes(int bits, const uint8_t *q, VI w[8])
{
	const int low = bits < 4 ? 0 : 4, above = bits - low;
	UNROLL for (int i = 0; i < 4 && low; i++)
	{
		VI v = vi_load(q + 64 * i);
		w[i] = vi_nibble_low(v);
		w[i + 4] = vi_nibble_high(v);
	}
	q += 64 * low;
	if (above >= 2)
		UNROLL for (int i = 0; i < 8; i++)
		{
			const int by = 2 * (i % 4) - low;
			VI h = vi_load(q + 64 * (i / 4)), two = by < 0 ? vi_left(h, -by) : vi_right(h, by);
			w[i] = low ? vi_insert(w[i], two, 0x30) : vi_mask(two, 3);
		}
	if (above % 2) {
		const int to = bits - 1; /* where the one bit goes */
		VI h = vi_load(q + (above >= 2 ? 128 : 0));
		UNROLL for (int i = 0; i < 8; i++)
			w[i] = vi_insert(w[i], i < to ? vi_left(h, to - i) : vi_right(h, i - to), (char)(1 << to));
	}
}

/* The same as q + offset in bytes. */
INLINE void unpack_block(enum plumb_type type, const uint8_t *q, int at, VI w[8])
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	q += at * LANES * 4;
	if (f.bits == 8) {
		UNROLL for (int i = 0; i < 8; i++) w[i] = vi_load(q + 64 * i);
		return;
	}
	unpack_codes(f.bits, q, w);
	if (f.values) {
		VI table = vi_table(f.values);
		UNROLL for (int i = 0; i < 8; i++) w[i] = vi_lookup(table, w[i]);
	}
}

INLINE VF scale_of(enum plumb_type type, const uint8_t *scales, int64_t block, int sub_block, int at)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *p = scales + (size_t)(f.k ? block / 8 : block) * plumb_packed_scale(type);
	if (f.scales == PLUMB_SCALE_E8M0)
		return vf_e8m0(p + at * LANES);
	VF half = vf_half(p + at * LANES * 2);
	if (!f.k)
		return half;
	const uint8_t *s = p + (f.min ? 64 : 32) + ((block % 8) * f.sub + sub_block) * 16 + at * LANES;
	return vf_mul(half,
		f.scales == PLUMB_SCALE_I8            ? vf_i8(s)
			: f.scales == PLUMB_SCALE_NIBBLES ? vf_nibbles(s, false)
											  : vf_u8(s));
}

INLINE VF add_of(enum plumb_type type, const uint8_t *scales, int64_t block, int sub_block, int at)
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *p = scales + (size_t)(f.k ? block / 8 : block) * plumb_packed_scale(type);
	VF half = vf_half(p + 32 + at * LANES * 2);
	if (!f.k)
		return half;
	if (f.scales == PLUMB_SCALE_NIBBLES)
		return vf_mul(half, vf_nibbles(p + 64 + ((block % 8) * f.sub + sub_block) * 16 + at * LANES, true));
	return vf_mul(half, vf_u8(p + 64 + 8 * 16 + (block % 8) * 16 + at * LANES));
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
	const int sub = plumb_packed_formats[type].sub;
	for (int64_t b = first; b < end; b++)
		UNROLL for (int sub_block = 0; sub_block < sub; sub_block++)
		{
			VF add = add_of(type, scales, b, sub_block, at);
			UNROLL for (int t = 0; t < T; t++) sum[t] = vf_fma(
				add, vf_all(x16_total(&a->x, (a->row + t) * blocks + b, sub, sub_block)), sum[t]);
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
				for (int sub_block = 0; sub_block < f.sub; sub_block++) {
					const int64_t to_scale = (b * f.sub + sub_block) * PLUMB_PANEL + row;
					vf_store(a->scale + to_scale, scale_of(type, scales, first + b, sub_block, p));
					if (f.min)
						vf_store(a->add + to_scale, add_of(type, scales, first + b, sub_block, p));
				}
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
		for (int sub_block = 0; sub_block < sub; sub_block++)
			UNROLL for (int t = 0; t < T; t++) UNROLL for (int s = 0; s < SLICES; s++)
				sum[t][s] = vf_fma(vf_load(a->add + (b * sub + sub_block) * PLUMB_PANEL + at + s * LANES),
					vf_all(x16_total(&a->x, first + b + t * blocks, sub, sub_block)), sum[t][s]);
	UNROLL for (int t = 0; t < T; t++) UNROLL for (int s = 0; s < SLICES; s++)
		vf_store(a->y + t * a->ldy + at + s * LANES, sum[t][s]);
}

INLINE void tile_rows(int T, bool bytes, const struct plumb_tile16 *a)
{
	for (int at = 0; at < PLUMB_PANEL; at += SLICES * LANES) {
		if (a->sub == 2 && a->min)
			tile_part(T, 2, true, bytes, a, at);
		else if (a->sub == 2)
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
PLUMB_PACKED_TYPES(TYPE8_OF)
#define UNPACK8_ENTRY(type, name) [PLUMB_##type] = unpack8_##name,
#define BYTE_KERNELS \
	.quantise8 = QUANTISE8, .multiply8 = multiply8, .unpack8 = { PLUMB_PACKED_TYPES(UNPACK8_ENTRY) },
#else
#define BYTE_KERNELS
#endif

#define TYPE_OF(type, name) \
	static void small_batch_##name(const struct plumb_small_batch *a) { small_batch(PLUMB_##type, a); } \
	static void unpack_##name(const struct plumb_unpack *a) { unpack(PLUMB_##type, false, a); }
PLUMB_PACKED_TYPES(TYPE_OF)
#define SMALL_BATCH_ENTRY(type, name) [PLUMB_##type] = small_batch_##name,
#define UNPACK_ENTRY(type, name) [PLUMB_##type] = unpack_##name,

#define PACKED_KERNELS \
	{ \
		BYTE_KERNELS.tile = TILE, .quantise = QUANTISE, .rest = x16_rest, .multiply = multiply, \
		.small_batch = { PLUMB_PACKED_TYPES(SMALL_BATCH_ENTRY) }, \
		.unpack = { PLUMB_PACKED_TYPES(UNPACK_ENTRY) }, \
	}

#endif
