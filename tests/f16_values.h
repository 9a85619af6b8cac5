/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver makes of the values that rounding to float16 tells apart: every half, the middles between
 * them, and their neighbours in float32. For native and cl. */
#ifndef PLUMB_F16_VALUES_H
#define PLUMB_F16_VALUES_H

#include <check.h>
#include <math.h>
#include <string.h>
#include "core/core.h"

enum { F16_COLUMNS = 7, F16_ROWS = 65536 };

static inline float f16_bits(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

/* Row h: the half with the bits h, its neighbours, the middle to the next larger one and its neighbours, and
 * a value far below all. */
static inline void f16_row(uint32_t h, float x[F16_COLUMNS])
{
	float v = plumb_f16_to_f32((uint16_t)h), next = plumb_f16_to_f32((uint16_t)(h + 1));
	float middle = (h & 0x7fff) == 0x7bff ? copysignf(PLUMB_F16_ENDS, v) : 0.5f * (v + next);
	const float row[F16_COLUMNS] = { v, nextafterf(v, INFINITY), nextafterf(v, -INFINITY), middle,
		nextafterf(middle, INFINITY), nextafterf(middle, -INFINITY), f16_bits(h << 16 | 0x1234) };
	memcpy(x, row, sizeof row);
}

/* The nearest half by definition: of the two around x, the closer, of two as close the one with an even last
 * bit. */
static inline double f16_nearest(float x)
{
	double a = fabs((double)x), below = 0, above = 0;
	if (!isfinite(x) || a >= (double)PLUMB_F16_ENDS)
		return isfinite(x) ? copysign(INFINITY, x) : x;
	int e = a > 0 ? ilogb(a) : -14;
	double step = ldexp(1, (e < -14 ? -14 : e) - 10);
	below = floor(a / step) * step;
	above = below + step;
	bool up = a - below > above - a || (a - below == above - a && fmod(below / step, 2) != 0);
	return copysign(up ? above : below, x);
}

/* few: of every 61 halves one, for what interprets kernels. */
static inline void check_f16(struct plumb_context *ctx, bool few)
{
	const int64_t step = few ? 61 : 1, rows = (F16_ROWS + step - 1) / step;
	static float x[F16_ROWS][F16_COLUMNS], y[F16_ROWS][F16_COLUMNS];
	static int32_t at[F16_ROWS];
	struct plumb_tensor tx, ty;
	for (int64_t h = 0; h < rows; h++)
		f16_row((uint32_t)(h * step), x[h]);
	ck_assert_int_eq(plumb_tensor_new(ctx, &tx, PLUMB_F32, 2, (int64_t[]){ rows, F16_COLUMNS }), PLUMB_OK);
	ck_assert_int_eq(plumb_tensor_new(ctx, &ty, PLUMB_I32, 1, (int64_t[]){ rows }), PLUMB_OK);
	ck_assert_int_eq(plumb_tensor_write(&tx, x, (size_t)rows * sizeof *x), PLUMB_OK);
	ck_assert_int_eq(plumb_f16_overflow(ctx, &ty, &tx), PLUMB_OK);
	ck_assert_int_eq(plumb_f16_round(ctx, &tx, &tx), PLUMB_OK);
	ck_assert_int_eq(plumb_tensor_read(&ty, at, (size_t)rows * sizeof *at), PLUMB_OK);
	ck_assert_int_eq(plumb_tensor_read(&tx, y, (size_t)rows * sizeof *y), PLUMB_OK);
	for (int64_t h = 0; h < rows; h++) {
		int first = 0;
		while (first < F16_COLUMNS && !(isfinite(x[h][first]) && isinf(f16_nearest(x[h][first]))))
			first++;
		if (at[h] != (first < F16_COLUMNS ? first : -1))
			ck_abort_msg("half %#x: overflow at %d, must be %d", (unsigned)(h * step), at[h], first);
		for (int j = 0; j < F16_COLUMNS; j++) {
			float want = (float)f16_nearest(x[h][j]);
			if (isnan(want) ? !isnan(y[h][j]) : memcmp(&want, &y[h][j], sizeof want) != 0)
				ck_abort_msg("%a becomes %a, must be %a", (double)x[h][j], (double)y[h][j], (double)want);
		}
	}
	plumb_tensor_free(&tx);
	plumb_tensor_free(&ty);
}

#endif
