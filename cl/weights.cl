// SPDX-License-Identifier: Apache-2.0
// Weights as src/cl/driver/pack.c lays them out: eight rows side by side, so that a float8 holds one column
// of eight rows.
//
// DENSE=32, 16 or 17 (float32, float16, bfloat16): for each column, eight elements.
// Otherwise blocks of 32 columns, RECORD bytes each:
//   SUB scales of eight rows (one per 32/SUB columns), then as many minima if MIN: half or float
//   a plane of 4 x 8 uints: byte b of uint i of row r holds the low four bits of column j = 4 i + b and,
//   above, of j + 16
//   BITS 5: eight uints: bits i and i + 4 of byte b of row r are the fifth bits of columns j and j + 16
//   BITS 6: twice eight uints: bits 2 i and 2 i + 1 of byte b are the upper bits of column j, in the second
//   of j + 16
//   BITS 8: instead of all planes 32 x 8 signed bytes
//   BITS 2: instead of all planes the twice eight uints of BITS 6; BITS 3: behind them the eight of BITS 5
// So eight columns of eight rows are split by a few operations on whole uints, and no byte changes its lane.
// The value is scale * (q - OFFSET) - minimum; with CODES 1 (IQ4) and 2 (MXFP4) scale times what q stands
// for.
// list weights: -DDENSE=32 | -DDENSE=16 | -DDENSE=17
// list weights: -DBITS=8 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=1
// list weights: -DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=8 -DHALF_SCALE=1
// list weights: -DBITS=4 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=1
// list weights: -DBITS=5 -DSUB=1 -DMIN=0 -DOFFSET=16 -DHALF_SCALE=1
// list weights: -DBITS=5 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=1
// list weights: -DBITS=4 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=0
// list weights: -DBITS=5 -DSUB=1 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=0
// list weights: -DBITS=6 -DSUB=2 -DMIN=0 -DOFFSET=32 -DHALF_SCALE=0
// list weights: -DBITS=2 -DSUB=2 -DMIN=1 -DOFFSET=0 -DHALF_SCALE=0
// list weights: -DBITS=3 -DSUB=2 -DMIN=0 -DOFFSET=4 -DHALF_SCALE=0
// list weights: -DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=1 -DCODES=1
// list weights: -DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=0 -DCODES=1
// list weights: -DBITS=4 -DSUB=1 -DMIN=0 -DOFFSET=0 -DHALF_SCALE=0 -DCODES=2
#ifndef DENSE
#define DENSE 0
#endif
#ifndef BITS
#define BITS 8
#define SUB 1
#define MIN 0
#define OFFSET 0
#define HALF_SCALE 1
#endif

#ifndef CODES
#define CODES 0
#endif

#define SCALE_BYTES (HALF_SCALE ? 16 : 32)
#define PLANE_AT (SCALE_BYTES * SUB * (1 + MIN))
#define HIGH_AT (PLANE_AT + (BITS < 4 ? 0 : 128))
#define RECORD (PLANE_AT + BITS * 32)

// Scale (or, at SUB, minimum) i of a record.
inline float8 record_scale(__global const uchar *r, int i)
{
#if HALF_SCALE
	return vload_half8(i, (__global const half *)r);
#else
	return vload8(i, (__global const float *)r);
#endif
}

#if BITS != 8
// The bits above the nibbles, or all of fewer than four, loaded once per record. (Returned structs become
// noalias arguments, which Oclgrind can't run.)
struct high_bits {
	uint8 first, second;
#if BITS == 3
	uint8 third;
#endif
};
inline void record_high(__global const uchar *r, struct high_bits *h)
{
	h->first = h->second = (uint8)(0);
#if BITS != 4
	h->first = vload8(0, (__global const uint *)(r + HIGH_AT));
#endif
#if BITS < 4 || BITS == 6
	h->second = vload8(1, (__global const uint *)(r + HIGH_AT));
#endif
#if BITS == 3
	h->third = vload8(2, (__global const uint *)(r + HIGH_AT));
#endif
}

#if BITS == 3
// The third bits of columns 4 i ... where they belong, and others around.
#define third_low(h, i) ((i) < 2 ? (h)->third << (uint8)(2 - (i)) : (h)->third >> (uint8)((i) - 2))
#define third_high(h, i) ((h)->third >> (uint8)((i) + 2))
#endif

// Columns 4 i ... 4 i + 3 of a record and the four that are 16 further, one byte each.
inline void record_words(__global const uchar *r, const struct high_bits *h, int i, uint8 *low, uint8 *high)
{
#if BITS < 4 && !PLUMB_CPU // read anew: held for a whole record, they are too many registers for some GPUs
	struct high_bits again;
	record_high(r, &again);
	h = &again;
#endif
#if BITS < 4
	*low = h->first >> (uint8)(2 * i) & (uint8)(0x03030303);
	*high = h->second >> (uint8)(2 * i) & (uint8)(0x03030303);
#if BITS == 3
	*low |= third_low(h, i) & (uint8)(0x04040404);
	*high |= third_high(h, i) & (uint8)(0x04040404);
#endif
#else
	uint8 plane = vload8(i, (__global const uint *)(r + PLANE_AT)), nibbles = (uint8)(0x0f0f0f0f);
	*low = plane & nibbles;
	*high = plane >> (uint8)(4) & nibbles;
#endif
#if BITS == 5
	*low |= h->first << (uint8)(4 - i) & (uint8)(0x10101010);
	*high |= h->first >> (uint8)(i) & (uint8)(0x10101010);
#elif BITS == 6
	uint8 two = (uint8)(0x30303030);
	*low |= (i < 2 ? h->first << (uint8)(4 - 2 * i) : h->first >> (uint8)(2 * i - 4)) & two;
	*high |= (i < 2 ? h->second << (uint8)(4 - 2 * i) : h->second >> (uint8)(2 * i - 4)) & two;
#endif
}

#if CODES
// What the low four bits of byte b stand for: two of them choose a uint of a table of 16 bytes, two its byte.
// The bytes have signs; core/type.c has them as numbers, MXFP4's doubled as here.
#if CODES == 1
#define TABLE(i) (uint8)(i == 0 ? 0xbfad9881 : i == 1 ? 0xf6eaddcf : i == 2 ? 0x26190d01 : 0x71594535)
#else
#define TABLE(i) (uint8)(i == 0 ? 0x03020100 : i == 1 ? 0x0c080604 : i == 2 ? 0xfdfeff00 : 0xf4f8fafc)
#endif
inline float8 code_column(uint8 words, int b)
{
	// select looks at top bits
	uint8 four = words << (uint8)(29 - 8 * b), eight = words << (uint8)(28 - 8 * b),
		found = select(select(TABLE(0), TABLE(1), four), select(TABLE(2), TABLE(3), four), eight);
	uint8 up = (~words >> (uint8)(8 * b) & (uint8)(3)) << (uint8)(3);
	return convert_float8(as_int8(found << up) >> (int8)(24));
}
#endif

// Byte b of words, as q - OFFSET.
inline float8 word_column(uint8 words, int b)
{
#if CODES
	return code_column(words, b);
#else
	return convert_float8(as_int8(words >> (uint8)(8 * b) & (uint8)(255)) - OFFSET);
#endif
}

// For a CPU: the same columns with no more than a shift or two, each byte with q in its low bits and anything
// above.
inline void record_bytes(__global const uchar *r, const struct high_bits *h, int i, uint8 *low, uint8 *high)
{
#if BITS < 4
	*low = h->first >> (uint8)(2 * i);
	*high = h->second >> (uint8)(2 * i);
#if BITS == 3
	*low = bitselect(third_low(h, i), *low, (uint8)(0x03030303));
	*high = bitselect(third_high(h, i), *high, (uint8)(0x03030303));
#endif
#else
	uint8 plane = vload8(i, (__global const uint *)(r + PLANE_AT)), nibbles = (uint8)(0x0f0f0f0f);
	*low = plane;
	*high = plane >> (uint8)(4);
#endif
#if BITS == 5
	*low = bitselect(h->first << (uint8)(4 - i), *low, nibbles);
	*high = bitselect(h->first >> (uint8)(i), *high, nibbles);
#elif BITS == 6
	*low = bitselect(i < 2 ? h->first << (uint8)(4 - 2 * i) : h->first >> (uint8)(2 * i - 4), *low, nibbles);
	*high = bitselect(i < 2 ? h->second << (uint8)(4 - 2 * i) : h->second >> (uint8)(2 * i - 4), *high,
		nibbles);
#endif
}
#if CODES
#define byte_column(words, b) code_column(words, b)
#define byte_unit(b) 1.0f
#else
// Byte b of those where it stands, as q * 2^(8 b): no shift, and no loss.
#define byte_column(words, b) convert_float8(as_int8((words) & (uint8)(((1u << BITS) - 1) << 8 * (b))))
// Takes the 2^(8 b) back.
#define byte_unit(b) ((b) == 0 ? 1.0f : (b) == 1 ? 0x1p-8f : (b) == 2 ? 0x1p-16f : 0x1p-24f)
#endif

// Columns j and j + 16 of a record, as q - OFFSET.
inline void record_pair(__global const uchar *r, const struct high_bits *h, int j, float8 *low, float8 *high)
{
	uint8 l, t;
	record_words(r, h, j / 4, &l, &t);
	*low = word_column(l, j % 4);
	*high = word_column(t, j % 4);
}
#else
inline float8 record_byte(__global const uchar *r, int c)
{
	return convert_float8(as_char8(vload8(c, r + PLANE_AT)));
}
#endif

// Column c of eight rows in a dense matrix.
inline float8 dense_column(__global const uchar *w, int c)
{
#if DENSE == 16
	return vload_half8(c, (__global const half *)w);
#elif DENSE == 17
	return as_float8(convert_uint8(vload8(c, (__global const ushort *)w)) << (uint8)(16));
#else
	return vload8(c, (__global const float *)w);
#endif
}
