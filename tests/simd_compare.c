/* SPDX-License-Identifier: Apache-2.0 */
/* See simd_compare.h. Bounds: u = 2^-24. A sum of n products made in any order with at most
 * depth additions one after the other errs by at most (depth + 1) u sum |a b| to first order
 * (Higham 2002, 3.1); vector kernels add at least 4 lanes apart, so depth is n / 4 + 16. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "random.h"
#include "simd_compare.h"

#define U 0x1p-24
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static char text[256];

static float of_bits(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

__attribute__((format(printf, 1, 2))) static const char *differs(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return text;
}

static void start(uint64_t seed)
{
	rng = seed * 2 + 1;
	random_bits();
}

/* Any bits, but scales that are finite. */
static void random_blocks(enum plumb_type type, unsigned char *p, int64_t blocks)
{
	for (int64_t b = 0; b < blocks; b++, p += plumb_type_bytes(type)) {
		if (plumb_type_is_float(type)) {
			float f = uniform(1);
			plumb_type_from_f32(type, &f, p, 1);
			continue;
		}
		for (size_t i = 0; i < plumb_type_bytes(type); i++)
			p[i] = (unsigned char)(random_bits() >> 13);
		float scale[2];
		for (int i = 0; i < 2; i++)
			scale[i] = random_bits() & 7 ? uniform(0.05f) : uniform(0x1p-18f); /* some subnormal */
		plumb_type_put_scales(type, p, scale);
	}
}

static const char *same_floats(const char *what, const float *have, const float *want, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (memcmp(&have[i], &want[i], sizeof *have))
			return differs(
				"%s: element %lld is %a, must be %a", what, (long long)i, (double)have[i], (double)want[i]);
	return NULL;
}

static const char *halves(const struct plumb_simd *simd, enum plumb_type type)
{
	uint16_t h[16];
	float have[16], want[16];
	for (uint32_t first = 0; first < 65536; first += 16) {
		for (uint32_t i = 0; i < 16; i++)
			h[i] = (uint16_t)(first + i);
		simd->to_f32[type](type, h, have, 16);
		plumb_type_to_f32(type, h, want, 16);
		const char *bad = same_floats(plumb_type_name(type), have, want, 16);
		if (bad)
			return bad;
	}
	return NULL;
}

static const char *to_f32(const struct plumb_simd *simd, uint64_t seed)
{
	start(seed);
	const char *bad = NULL;
	for (int t = 0; t < PLUMB_TYPE_COUNT && !bad; t++) {
		enum plumb_type type = (enum plumb_type)t;
		if (!simd->to_f32[t])
			continue;
		if (type == PLUMB_F16 || type == PLUMB_BF16)
			bad = halves(simd, type);
		for (int64_t blocks = 1; blocks <= 300 && !bad; blocks += blocks < 40 ? 1 : 130) {
			int64_t n = blocks * plumb_type_block(type);
			unsigned char *src = malloc(plumb_type_bytes(type) * (size_t)blocks); /* exact sizes, for ASan */
			float *have = malloc(sizeof *have * (size_t)n), *want = malloc(sizeof *want * (size_t)n);
			random_blocks(type, src, blocks);
			simd->to_f32[t](type, src, have, n);
			plumb_type_to_f32(type, src, want, n);
			bad = same_floats(plumb_type_name(type), have, want, n);
			free(src);
			free(have);
			free(want);
		}
	}
	return bad;
}

static const char *to_f16(const struct plumb_simd *simd, uint64_t seed)
{
	start(seed);
	float x[37];
	uint16_t have[37];
	for (int round = 0; simd->to_f16 && round < 40000; round++) {
		int n = 1 + round % COUNT(x);
		for (int i = 0; i < n; i++) /* one in four near the range of halves, ties included */
			x[i] = random_bits() & 3
				? of_bits(random_bits())
				: of_bits((random_bits() & 0x8fffe000) + 0x30000000 + (random_bits() & 3) * 0x800);
		simd->to_f16(x, have, n);
		for (int i = 0; i < n; i++)
			if (have[i] != plumb_f32_to_f16(x[i]))
				return differs(
					"to_f16(%a) is %04x, must be %04x", (double)x[i], have[i], plumb_f32_to_f16(x[i]));
	}
	return NULL;
}

static const char *dot_case(const struct plumb_simd *simd, enum plumb_type type, int64_t k, int64_t rows)
{
	size_t row = plumb_type_bytes(type) * (size_t)(k / plumb_type_block(type)),
		   stride = row + 2 * plumb_type_bytes(type);
	unsigned char *w = malloc(stride * (size_t)rows);
	float *wide = malloc(sizeof *wide * (size_t)k), *x = malloc(sizeof *x * (size_t)k),
		  *in_order = malloc(sizeof *x * (size_t)k);
	float *y = malloc(sizeof *y * (size_t)(rows + 1));
	bool ordered = simd->order && !plumb_type_is_float(type);
	const char *bad = NULL;
	for (int64_t r = 0; r < rows; r++)
		random_blocks(type, w + stride * (size_t)r, k / plumb_type_block(type));
	for (int64_t i = 0; i < k; i++)
		x[i] = uniform(2);
	if (ordered)
		simd->order(x, in_order, k);
	y[rows] = 77;
	simd->dot[type](&(struct plumb_dot){
		.type = type, .w = w, .stride = stride, .rows = rows, .k = k, .x = ordered ? in_order : x, .y = y });
	for (int64_t r = 0; r < rows && !bad; r++) {
		double sum = 0, size = 0;
		plumb_type_to_f32(type, w + stride * (size_t)r, wide, k);
		for (int64_t j = 0; j < k; j++) {
			sum += (double)wide[j] * x[j];
			size += fabs((double)wide[j] * x[j]);
		}
		if (!(fabs(y[r] - sum) <= ((double)k / 4 + 16) * U * size))
			bad = differs("dot %s k %lld, row %lld of %lld: %.9g, must be %.9g", plumb_type_name(type),
				(long long)k, (long long)r, (long long)rows, (double)y[r], sum);
	}
	if (!bad && y[rows] != 77)
		bad = differs("dot %s wrote past its rows", plumb_type_name(type));
	free(w);
	free(wide);
	free(x);
	free(in_order);
	free(y);
	return bad;
}

static const char *dot(const struct plumb_simd *simd, uint64_t seed)
{
	static const int64_t ks[] = { 1, 2, 7, 8, 9, 31, 32, 33, 64, 96, 160, 250, 256, 288, 512, 768, 896,
		1280 };
	const char *bad = NULL;
	start(seed);
	for (int t = 0; t < PLUMB_TYPE_COUNT; t++)
		for (int i = 0; simd->dot[t] && i < COUNT(ks); i++)
			for (int64_t rows = 1; rows <= 5 && ks[i] % plumb_type_block((enum plumb_type)t) == 0; rows++)
				if ((bad = dot_case(simd, (enum plumb_type)t, ks[i], rows)))
					return bad;
	return NULL;
}

static const char *pack(const struct plumb_simd *simd, uint64_t seed)
{
	const char *bad = NULL;
	start(seed);
	for (int rows = 1; simd->pack && rows <= simd->nr && !bad; rows++)
		for (int64_t k = 1; k <= 40 && !bad; k++) {
			int64_t ldw = k + rows % 3;
			float *w = malloc(sizeof *w * (size_t)(ldw * rows)),
				  *panel = malloc(sizeof *panel * (size_t)(k * simd->nr));
			for (int64_t i = 0; i < ldw * rows; i++)
				w[i] = uniform(1);
			simd->pack(w, ldw, rows, k, panel);
			for (int64_t i = 0; i < k * simd->nr && !bad; i++) {
				int64_t r = i % simd->nr;
				if (panel[i] != (r < rows ? w[r * ldw + i / simd->nr] : 0))
					bad = differs("pack of %d rows, k %lld: column %lld of row %lld", rows, (long long)k,
						(long long)(i / simd->nr), (long long)r);
			}
			free(w);
			free(panel);
		}
	return bad;
}

static const char *gemm_case(const struct plumb_simd *simd, int m, int64_t k, bool add)
{
	int64_t nr = simd->nr, ldx = k + 1, ldp = nr + 4 * (k % 3), ldc = nr + 3;
	float *x = malloc(sizeof *x * (size_t)(ldx * m)), *p = malloc(sizeof *p * (size_t)(ldp * k)),
		  *c = malloc(sizeof *c * (size_t)(ldc * m));
	float *was = malloc(sizeof *was * (size_t)(ldc * m));
	const char *bad = NULL;
	for (int64_t i = 0; i < ldx * m; i++)
		x[i] = uniform(2);
	for (int64_t i = 0; i < ldp * k; i++)
		p[i] = uniform(1);
	for (int64_t i = 0; i < ldc * m; i++)
		was[i] = c[i] = add ? uniform(3) : NAN;
	simd->gemm(&(struct plumb_tile){
		.m = m, .k = k, .ldx = ldx, .ldp = ldp, .ldc = ldc, .x = x, .panel = p, .c = c, .add = add });
	for (int64_t i = 0; i < m && !bad; i++)
		for (int64_t j = 0; j < ldc && !bad; j++) {
			double sum = add ? was[i * ldc + j] : 0, size = fabs(sum);
			for (int64_t l = 0; l < k && j < nr; l++) {
				sum += (double)x[i * ldx + l] * p[l * ldp + j];
				size += fabs((double)x[i * ldx + l] * p[l * ldp + j]);
			}
			if (j < nr ? !(fabs(c[i * ldc + j] - sum) <= (double)(k + 2) * U * size)
					   : memcmp(&c[i * ldc + j], &was[i * ldc + j], sizeof *c))
				bad = differs("gemm m %d k %lld add %d: row %lld column %lld is %g, must be %g", m,
					(long long)k, add, (long long)i, (long long)j, (double)c[i * ldc + j], sum);
		}
	free(x);
	free(p);
	free(c);
	free(was);
	return bad;
}

static const char *gemm(const struct plumb_simd *simd, uint64_t seed)
{
	static const int64_t ks[] = { 1, 2, 3, 10, 64, 255, 256 };
	const char *bad = NULL;
	start(seed);
	for (int m = 1; simd->gemm && m <= simd->mr; m++)
		for (int i = 0; i < COUNT(ks); i++)
			for (int add = 0; add < 2; add++)
				if ((bad = gemm_case(simd, m, ks[i], add)))
					return bad;
	return NULL;
}

static const char *max(const struct plumb_simd *simd, uint64_t seed)
{
	start(seed);
	for (int round = 0; simd->max && round < 4000; round++) {
		float x[45], want = -INFINITY;
		int n = round % (COUNT(x) + 1);
		for (int i = 0; i < n; i++) {
			x[i] = random_bits() % 5 ? of_bits(random_bits()) : random_bits() & 1 ? NAN : -INFINITY;
			want = x[i] > want ? x[i] : want;
		}
		float have = simd->max(x, n);
		if (!(have == want))
			return differs("max of %d is %g, must be %g", n, (double)have, (double)want);
	}
	return NULL;
}

/* exp of one float against float64: within 2 units in the last place, subnormals included. */
static const char *exp_right(float x, float have)
{
	double want = exp((double)x);
	float rounded = (float)want;
	if (x != x || rounded == INFINITY)
		return x != x ? (have != have ? NULL : differs("exp(NaN) is %g", (double)have))
			: have == INFINITY || (want < 0x1p128 && have >= 0x1.fffffcp127f)
			? NULL
			: differs("exp(%a) is %g, must be inf", (double)x, (double)have);
	double ulp = rounded < 0x1p-126f ? 0x1p-149 : ldexp(1, ilogb(rounded) - 23);
	return fabs(have - want) <= 2 * ulp ? NULL
										: differs("exp(%a) is %a, must be %a: %.2f ulp", (double)x,
											  (double)have, want, fabs(have - want) / ulp);
}

static const char *exp_values(const struct plumb_simd *simd, uint64_t seed)
{
	static const float special[] = { 0, -0.0f, INFINITY, -INFINITY, NAN, 88.7228f, 88.7229f, 89, -87.3f,
		-87.4f, -103.9f, -104, 1e30f, -1e30f, 0x1p-149f };
	const char *bad = NULL;
	float x[64], y[64];
	start(seed);
	if (!simd->exp_sum)
		return NULL;
	for (int i = 0; i < COUNT(special); i++) {
		simd->exp_sum(y, &special[i], 0, 1);
		for (int j = 0; j < 8; j++)
			x[j] = special[i];
		simd->exp_sum(y + 8, x, 0, 8);
		if ((bad = exp_right(special[i], y[0])) || (bad = exp_right(special[i], y[15])))
			return bad;
	}
	for (uint64_t bits = random_bits() % 1999; bits < UINT64_C(1) << 32;
		 bits += 64 * 1999) { /* 2 million over all floats */
		for (int i = 0; i < 64; i++)
			x[i] = of_bits((uint32_t)(bits + 1999 * (uint64_t)i));
		simd->exp_sum(y, x, 0, 64);
		for (int i = 0; i < 64; i++)
			if ((bad = exp_right(x[i], y[i])))
				return bad;
	}
	return NULL;
}

static const char *exp_sum(const struct plumb_simd *simd, uint64_t seed)
{
	start(seed);
	for (int round = 0; simd->exp_sum && round < 2000; round++) {
		float x[200], y[200], shift = uniform(20);
		int n = 1 + round % COUNT(x);
		double sum = 0;
		for (int i = 0; i < n; i++) {
			x[i] = uniform(30);
			sum += exp((double)(x[i] - shift));
		}
		float have = simd->exp_sum(y, x, shift, n), again = simd->exp_sum(x, x, shift, n);
		if (!(fabs(have - sum) <= (n / 4 + 20) * U * sum) || have != again ||
			memcmp(x, y, sizeof *x * (size_t)n))
			return differs("exp_sum of %d: %g, in place %g, must be %g", n, (double)have, (double)again, sum);
	}
	return NULL;
}

/* geglu of a row's numbers, which are far apart: as near as gelu bends. The exponent has four roundings more
 * than swiglu's. */
static const char *row_geglu(const struct plumb_simd *simd, const float *far, const float *b, int n)
{
	float a[100], y[100];
	for (int i = 0; i < n; i++)
		y[i] = a[i] = far[i] / 10;
	if (simd->geglu)
		simd->geglu(y, y, b, n);
	for (int i = 0; simd->geglu && i < n; i++) {
		double two_z = 2 * sqrt(2 / acos(-1)) * (a[i] + 0.044715 * a[i] * a[i] * a[i]),
			   right = a[i] / (1 + exp(-two_z)) * b[i], bend = a[i] < 0 ? -two_z : 0.28;
		if (!(fabs(y[i] - right) <= (8 + 4 * bend) * U * fabs(right) + 11 * 0x1p-126 * fabs((double)b[i])))
			return differs(
				"geglu(%g, %g) is %g, must be %g", (double)a[i], (double)b[i], (double)y[i], right);
	}
	return NULL;
}

/* sum_sq, norm, scale, add, swiglu, geglu over one random row. */
static const char *row(const struct plumb_simd *simd, int n)
{
	float a[100], b[100], y[100], want[100], by = uniform(2);
	double square = 0;
	const char *bad = NULL;
	for (int i = 0; i < n; i++) {
		a[i] = uniform(100);
		b[i] = uniform(3);
		square += (double)a[i] * a[i];
	}
	if (simd->sum_sq && !(fabs(simd->sum_sq(a, n) - square) <= n * 0x1p-52 * square))
		return differs("sum_sq of %d", n);
	if (simd->norm) {
		simd->norm(y, a, b, by, n);
		for (int i = 0; i < n; i++)
			want[i] = a[i] * by * b[i];
		bad = same_floats("norm", y, want, n);
	}
	if (simd->scale && !bad) {
		memcpy(y, a, sizeof a);
		simd->scale(y, by, n);
		for (int i = 0; i < n; i++)
			want[i] = a[i] * by;
		bad = same_floats("scale", y, want, n);
	}
	if (simd->add && !bad) {
		memcpy(y, a, sizeof a);
		simd->add(y, y, b, n);
		for (int i = 0; i < n; i++)
			want[i] = a[i] + b[i];
		bad = same_floats("add", y, want, n);
	}
	if (simd->swiglu && !bad) {
		memcpy(y, a, sizeof a);
		simd->swiglu(y, y, b, n);
		for (int i = 0; i < n && !bad; i++) { /* exp 2 ulp = 4 u, then 4 operations; 0 where exp overflows */
			double right = a[i] / (1 + exp(-(double)a[i])) * b[i];
			if (!(fabs(y[i] - right) <= 8 * U * fabs(right) + 89 * 0x1p-127 * fabs((double)b[i])))
				bad = differs(
					"swiglu(%g, %g) is %g, must be %g", (double)a[i], (double)b[i], (double)y[i], right);
		}
	}
	return bad ? bad : row_geglu(simd, a, b, n);
}

static const char *rows(const struct plumb_simd *simd, uint64_t seed)
{
	const char *bad = NULL;
	start(seed);
	for (int round = 0; round < 3000 && !bad; round++)
		bad = row(simd, 1 + round % 100);
	return bad;
}

const struct simd_comparison simd_comparisons[] = {
	{ "to_f32", to_f32 },
	{ "to_f16", to_f16 },
	{ "dot", dot },
	{ "pack", pack },
	{ "gemm", gemm },
	{ "max", max },
	{ "exp", exp_values },
	{ "exp_sum", exp_sum },
	{ "rows", rows },
	{ "packed rows", simd_packed_rows },
	{ "packed products", simd_packed_products },
};
const int simd_comparison_count = COUNT(simd_comparisons);
