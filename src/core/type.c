/* SPDX-License-Identifier: Apache-2.0 */
/* Element types: one row each, and what their bytes mean. The unpacking here is the
 * definition (GGUF's block formats, bit for bit); drivers have faster ones that must agree. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "plumb reads the numbers of model files in place, so it needs a little-endian machine"
#endif
#include <math.h>
#include <string.h>
#include "core/core.h"

float plumb_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 1023, bits;
	float f;
	if (exp == 31)
		bits = sign | 0x7f800000 | man << 13;
	else if (exp)
		bits = sign | (exp + 112) << 23 | man << 13;
	else { /* subnormal: man * 2^-24, exact */
		f = (float)man * 0x1p-24f;
		return sign ? -f : f;
	}
	memcpy(&f, &bits, sizeof f);
	return f;
}

uint16_t plumb_f32_to_f16(float f)
{
	uint32_t x;
	memcpy(&x, &f, sizeof x);
	uint16_t sign = (uint16_t)(x >> 16 & 0x8000);
	x &= 0x7fffffff;
	if (x >= 0x7f800000) /* infinity, or NaN made quiet */
		return sign | 0x7c00 | (x > 0x7f800000 ? 0x200 | (uint16_t)(x >> 13 & 0x1ff) : 0);
	if (x >= 0x477ff000) /* rounds to 65536 or more */
		return sign | 0x7c00;
	uint32_t man, shift;
	if (x >= 0x38800000) { /* normal: rebias, the carry may run into the exponent */
		man = x - 0x38000000;
		shift = 13;
	} else {
		if (x < 0x33000000)
			return sign;
		shift = 126 - (x >> 23);
		man = (x & 0x7fffff) | 0x800000;
	}
	uint32_t half = 1u << (shift - 1), rest = man & ((1u << shift) - 1), up = man >> shift;
	if (rest > half || (rest == half && (up & 1)))
		up++;
	return (uint16_t)(sign | up);
}

float plumb_bf16_to_f32(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

uint16_t plumb_f32_to_bf16(float f)
{
	uint32_t x;
	memcpy(&x, &f, sizeof x);
	if ((x & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(x >> 16 | 0x40);
	return (uint16_t)((x + 0x7fff + (x >> 16 & 1)) >> 16);
}

static uint16_t type_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static float type_half_at(const uint8_t *p) { return plumb_f16_to_f32(type_u16(p)); }

/* --- one block each: src has the block's bytes, dst its elements --- */

static void type_block_f32(const uint8_t *src, float *dst) { memcpy(dst, src, sizeof *dst); }
static void type_block_f16(const uint8_t *src, float *dst) { *dst = type_half_at(src); }
static void type_block_bf16(const uint8_t *src, float *dst) { *dst = plumb_bf16_to_f32(type_u16(src)); }

static void type_block_f64(const uint8_t *src, float *dst)
{
	double d;
	memcpy(&d, src, sizeof d);
	*dst = (float)d;
}

static void type_block_q8_0(const uint8_t *src, float *dst) /* half d; int8 q[32] */
{
	float d = type_half_at(src);
	for (int i = 0; i < 32; i++)
		dst[i] = d * (float)(int8_t)src[2 + i];
}

static void type_block_q4_0(const uint8_t *src, float *dst) /* half d; nibbles, low half first */
{
	float d = type_half_at(src);
	for (int i = 0; i < 16; i++) {
		dst[i] = d * (float)((src[2 + i] & 15) - 8);
		dst[i + 16] = d * (float)((src[2 + i] >> 4) - 8);
	}
}

static void type_block_q4_1(const uint8_t *src, float *dst) /* half d, m; nibbles */
{
	float d = type_half_at(src), m = type_half_at(src + 2);
	for (int i = 0; i < 16; i++) {
		dst[i] = d * (float)(src[4 + i] & 15) + m;
		dst[i + 16] = d * (float)(src[4 + i] >> 4) + m;
	}
}

/* 5 bits of element i: the nibble, and bit i of the 32 high bits. */
static int type_five(const uint8_t *high, const uint8_t *low, int i)
{
	int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
	return nibble | (high[i / 8] >> i % 8 & 1) << 4;
}

static void type_block_q5_0(const uint8_t *src, float *dst) /* half d; high bits[4]; nibbles[16] */
{
	float d = type_half_at(src);
	for (int i = 0; i < 32; i++)
		dst[i] = d * (float)(type_five(src + 2, src + 6, i) - 16);
}

static void type_block_q5_1(const uint8_t *src, float *dst) /* half d, m; high bits[4]; nibbles[16] */
{
	float d = type_half_at(src), m = type_half_at(src + 2);
	for (int i = 0; i < 32; i++)
		dst[i] = d * (float)type_five(src + 4, src + 8, i) + m;
}

/* Scale and minimum of sub-block j, 6 bits each, packed in 12 bytes. */
static void type_k_scale(const uint8_t *s, int j, int *scale, int *min)
{
	if (j < 4) {
		*scale = s[j] & 63;
		*min = s[j + 4] & 63;
	} else {
		*scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
		*min = s[j + 4] >> 4 | s[j] >> 6 << 4;
	}
}

static void type_block_q4_k(const uint8_t *src, float *dst) /* half d, dmin; scales[12]; nibbles[128] */
{
	float d = type_half_at(src), dmin = type_half_at(src + 2);
	for (int j = 0; j < 8; j++) {
		const uint8_t *q = src + 16 + j / 2 * 32;
		int scale, min;
		type_k_scale(src + 4, j, &scale, &min);
		float ds = d * (float)scale, dm = dmin * (float)min;
		for (int i = 0; i < 32; i++)
			*dst++ = ds * (float)(j % 2 ? q[i] >> 4 : q[i] & 15) - dm;
	}
}

static void type_block_q5_k(
	const uint8_t *src, float *dst) /* half d, dmin; scales[12]; high[32]; nibbles[128] */
{
	float d = type_half_at(src), dmin = type_half_at(src + 2);
	const uint8_t *high = src + 16;
	for (int j = 0; j < 8; j++) {
		const uint8_t *q = src + 48 + j / 2 * 32;
		int scale, min;
		type_k_scale(src + 4, j, &scale, &min);
		float ds = d * (float)scale, dm = dmin * (float)min;
		for (int i = 0; i < 32; i++)
			*dst++ = ds * (float)((j % 2 ? q[i] >> 4 : q[i] & 15) + (high[i] >> j & 1) * 16) - dm;
	}
}

static void type_block_q6_k(const uint8_t *src, float *dst) /* low[128]; high[64]; int8 scales[16]; half d */
{
	float d = type_half_at(src + 208);
	for (int n = 0; n < 256; n++) {
		int part = n / 128, j = n % 128, quarter = j / 32, i = j % 32;
		uint8_t low = src[part * 64 + quarter % 2 * 32 + i];
		int high = src[128 + part * 32 + i] >> quarter * 2 & 3;
		int q = ((quarter < 2 ? low & 15 : low >> 4) | high << 4) - 32;
		dst[n] = d * (float)(int8_t)src[192 + part * 8 + quarter * 2 + i / 16] * (float)q;
	}
}

static void type_block_q2_k(const uint8_t *src, float *dst) /* scale, min << 4 [16]; twos[64]; half d, dmin */
{
	float d = type_half_at(src + 80), dmin = type_half_at(src + 82);
	for (int n = 0; n < 256; n++) {
		float scale = d * (float)(src[n / 16] & 15), min = dmin * (float)(src[n / 16] >> 4);
		dst[n] = scale * (float)(src[16 + n / 128 * 32 + n % 32] >> n % 128 / 32 * 2 & 3) - min;
	}
}

int plumb_type_q3_k_scale(const uint8_t *block, int j)
{
	const uint8_t *s = block + 96;
	return ((s[j % 8] >> j / 8 * 4 & 15) | (s[8 + j % 4] >> j / 4 * 2 & 3) << 4) - 32;
}

static void type_block_q3_k(const uint8_t *src, float *dst) /* high[32]; twos[64]; scales[12]; half d */
{
	float d = type_half_at(src + 108);
	for (int n = 0; n < 256; n++) {
		int low = src[32 + n / 128 * 32 + n % 32] >> n % 128 / 32 * 2 & 3, high = src[n % 32] >> n / 32 & 1;
		dst[n] = d * (float)plumb_type_q3_k_scale(src, n / 16) * (float)((low | high << 2) - 4);
	}
}

/* What the sixteen codes of the IQ4 types stand for, and those of MXFP4, doubled: its 0.5 is an integer so.
 */
const int8_t plumb_type_iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69,
	89, 113 };
const int8_t plumb_type_mxfp4_values[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

static void type_codes(const uint8_t *q, const int8_t *values, float d, float *dst) /* low half first */
{
	for (int i = 0; i < 16; i++) {
		dst[i] = d * (float)values[q[i] & 15];
		dst[i + 16] = d * (float)values[q[i] >> 4];
	}
}

static void type_block_iq4_nl(const uint8_t *src, float *dst) /* half d; codes */
{
	type_codes(src + 2, plumb_type_iq4_values, type_half_at(src), dst);
}

int plumb_type_iq4_xs_scale(const uint8_t *block, int j)
{
	return ((block[4 + j / 2] >> j % 2 * 4 & 15) | (type_u16(block + 2) >> j * 2 & 3) << 4) - 32;
}

static void type_block_iq4_xs(
	const uint8_t *src, float *dst) /* half d; high bits of scales; low ones[4]; codes[128] */
{
	for (int j = 0; j < 8; j++)
		type_codes(src + 8 + j * 16, plumb_type_iq4_values,
			type_half_at(src) * (float)plumb_type_iq4_xs_scale(src, j), dst + j * 32);
}

float plumb_type_e8m0_half(uint8_t e)
{
	uint32_t bits = e < 2 ? UINT32_C(0x00200000) << e : (uint32_t)(e - 1) << 23; /* subnormal at first */
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static void type_block_mxfp4(const uint8_t *src, float *dst) /* exponent; codes */
{
	type_codes(src + 1, plumb_type_mxfp4_values, plumb_type_e8m0_half(src[0]), dst);
}

static const struct {
	const char *name;
	int64_t block;
	size_t bytes;
	bool is_float;
	void (*to_f32)(const uint8_t *src, float *dst); /* one block */
	int halves, half[2];                            /* of a block, and where they are */
} types[PLUMB_TYPE_COUNT] = {
	[PLUMB_F32] = { "f32", 1, 4, true, type_block_f32, 0, { 0 } },
	[PLUMB_F64] = { "f64", 1, 8, true, type_block_f64, 0, { 0 } },
	[PLUMB_F16] = { "f16", 1, 2, true, type_block_f16, 0, { 0 } },
	[PLUMB_BF16] = { "bf16", 1, 2, true, type_block_bf16, 0, { 0 } },
	[PLUMB_I32] = { "i32", 1, 4, false, NULL, 0, { 0 } },
	[PLUMB_Q8_0] = { "q8_0", 32, 34, false, type_block_q8_0, 1, { 0 } },
	[PLUMB_Q4_0] = { "q4_0", 32, 18, false, type_block_q4_0, 1, { 0 } },
	[PLUMB_Q4_1] = { "q4_1", 32, 20, false, type_block_q4_1, 2, { 0, 2 } },
	[PLUMB_Q5_0] = { "q5_0", 32, 22, false, type_block_q5_0, 1, { 0 } },
	[PLUMB_Q5_1] = { "q5_1", 32, 24, false, type_block_q5_1, 2, { 0, 2 } },
	[PLUMB_Q4_K] = { "q4_k", 256, 144, false, type_block_q4_k, 2, { 0, 2 } },
	[PLUMB_Q5_K] = { "q5_k", 256, 176, false, type_block_q5_k, 2, { 0, 2 } },
	[PLUMB_Q6_K] = { "q6_k", 256, 210, false, type_block_q6_k, 1, { 208 } },
	[PLUMB_Q2_K] = { "q2_k", 256, 84, false, type_block_q2_k, 2, { 80, 82 } },
	[PLUMB_Q3_K] = { "q3_k", 256, 110, false, type_block_q3_k, 1, { 108 } },
	[PLUMB_IQ4_NL] = { "iq4_nl", 32, 18, false, type_block_iq4_nl, 1, { 0 } },
	[PLUMB_IQ4_XS] = { "iq4_xs", 256, 136, false, type_block_iq4_xs, 1, { 0 } },
	[PLUMB_MXFP4] = { "mxfp4", 32, 17, false, type_block_mxfp4, 0, { 0 } },
};

static bool type_known(enum plumb_type type) { return (int)type >= 0 && type < PLUMB_TYPE_COUNT; }

const char *plumb_type_name(enum plumb_type type) { return type_known(type) ? types[type].name : "?"; }
int64_t plumb_type_block(enum plumb_type type) { return type_known(type) ? types[type].block : 0; }
size_t plumb_type_bytes(enum plumb_type type) { return type_known(type) ? types[type].bytes : 0; }
bool plumb_type_is_float(enum plumb_type type) { return type_known(type) && types[type].is_float; }
bool plumb_type_is_weight(enum plumb_type type)
{
	return type_known(type) && types[type].to_f32 && type != PLUMB_F64;
}

void plumb_type_put_scales(enum plumb_type type, void *block, const float scale[2])
{
	uint8_t *b = block;
	for (int i = 0; i < types[type].halves; i++) {
		uint16_t h = plumb_f32_to_f16(scale[i]);
		memcpy(b + types[type].half[i], &h, sizeof h);
	}
	if (type == PLUMB_MXFP4)
		b[0] = (uint8_t)(scale[0] == 0 ? 0 : 128 + ilogbf(scale[0]));
}

bool plumb_type_size(enum plumb_type type, int64_t n, size_t *bytes)
{
	return type_known(type) && n >= 0 && n % types[type].block == 0 &&
		!__builtin_mul_overflow((uint64_t)(n / types[type].block), types[type].bytes, bytes);
}

enum plumb_status plumb_type_to_f32(enum plumb_type type, const void *src, float *dst, int64_t n)
{
	if (!type_known(type) || !types[type].to_f32)
		return plumb_fail(PLUMB_E_TYPE, "%s has no float32 values", plumb_type_name(type));
	if (n < 0 || n % types[type].block)
		return plumb_fail(
			PLUMB_E_SHAPE, "%lld elements are not whole blocks of %s", (long long)n, types[type].name);
	const uint8_t *p = src;
	for (int64_t i = 0; i < n; i += types[type].block, p += types[type].bytes)
		types[type].to_f32(p, dst + i);
	return PLUMB_OK;
}

enum plumb_status plumb_type_from_f32(enum plumb_type type, const float *src, void *dst, int64_t n)
{
	switch (type) {
	case PLUMB_F32: memmove(dst, src, sizeof *src * (size_t)n); return PLUMB_OK;
	case PLUMB_F64:
		for (int64_t i = 0; i < n; i++)
			((double *)dst)[i] = src[i];
		return PLUMB_OK;
	case PLUMB_F16:
		for (int64_t i = 0; i < n; i++)
			((uint16_t *)dst)[i] = plumb_f32_to_f16(src[i]);
		return PLUMB_OK;
	case PLUMB_BF16:
		for (int64_t i = 0; i < n; i++)
			((uint16_t *)dst)[i] = plumb_f32_to_bf16(src[i]);
		return PLUMB_OK;
	default: return plumb_fail(PLUMB_E_TYPE, "float32 values cannot be rounded to %s", plumb_type_name(type));
	}
}
