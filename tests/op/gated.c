/* SPDX-License-Identifier: Apache-2.0 */
/* geglu where its parts saturate, and what is no number; scale's factor. */
#include <float.h>
#include "op/special.h"

/* Gates: small, where gelu's bend is, where tanh is 1 or -1 in float32, where x^2 and exp overflow. */
static const float gates[] = { 0, -0.0f, 1e-40f, -1e-40f, 1e-20f, -1e-20f, 1e-3f, -1e-3f, 0.5f, -0.5f,
	0.7517f, -0.7517f, 1, -1, 2.5f, -2.5f, 4, -4, 5.5f, -5.5f, 7, -7, 9, -9, 10.25f, -10.25f, 10.5f, -10.5f,
	12, -12, 40, -40, 1e4f, -1e4f, 1e13f, -1e13f, 1e20f, -1e20f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY,
	NAN };
enum { GATES = sizeof gates / sizeof *gates };

/* An error of u in the exponent 2z weighs 2z times as much behind exp, which is what a negative gate's result
 * is; and 0 is as good as what is below float32's normal numbers. */
START_TEST(test_gelu)
{
	struct plumb_context *ctx = special_open(_i);
	const double u = 0x1p-24;
	float up[GATES];
	special_noise(up, GATES, 3, 5);
	up[2] = up[3] = 1;
	struct plumb_tensor g = special_tensor(ctx, PLUMB_F32, 2, DIMS(1, GATES), gates),
						t = special_tensor(ctx, PLUMB_F32, 2, DIMS(1, GATES), up);
	OK(plumb_geglu(ctx, &t, &g, &t));
	for (int i = 0; i < GATES; i++) {
		double x = gates[i], two_z = 2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x),
			   want = x / (1 + exp(-two_z)) * up[i], have = ((float *)plumb_host(&t))[i];
		double bend = x < 0 ? fmin(-two_z, 104) : 0.28;
		bool right = isfinite(want) && fabs(want) <= FLT_MAX
			? fabs(have - want) <= (12 + 4 * bend) * u * fabs(want) + 12 * 0x1p-126 * fabs((double)up[i])
			: isnan(want) ? isnan(have)
						  : copysign(have, want) == have && isinf(have);
		ck_assert_msg(right, "gelu(%g) * %g is %g, must be %g", x, (double)up[i], have, want);
		if (x >= 7 && isfinite(want))
			ck_assert_msg(have == (double)((float)x * up[i]), "gelu(%g) is not that", x);
	}
	plumb_tensor_free(&g);
	plumb_tensor_free(&t);
	plumb_close(ctx);
}
END_TEST

/* One number in every precision: the factor as float32. */
START_TEST(test_factor)
{
	struct plumb_context *ctx = special_open(_i), *truth = special_truth();
	const double factor = 25.298221281347036; /* sqrt(640); 25.29822 in float32 */
	float x[37];
	special_noise(x, 37, 2, 6);
	struct plumb_tensor t = special_tensor(ctx, PLUMB_F32, 2, DIMS(1, 37), x), y,
						w = special_tensor(truth, PLUMB_F64, 2, DIMS(1, 37), x);
	OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(1, 37)));
	OK(plumb_scale(ctx, &y, &t, factor));
	OK(plumb_scale(truth, &w, &w, factor));
	for (int i = 0; i < 37; i++) {
		ck_assert(((float *)plumb_host(&y))[i] == x[i] * (float)factor);
		ck_assert(((double *)plumb_host(&w))[i] == x[i] * (double)(float)factor);
	}
	static const double refused[] = { NAN, INFINITY, 1e39 };
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(plumb_scale(ctx, &y, &t, refused[i]), PLUMB_E_ARGUMENT);
	plumb_tensor_free(&t);
	plumb_tensor_free(&y);
	plumb_tensor_free(&w);
	plumb_close(ctx);
	plumb_close(truth);
}
END_TEST

TCase *special_gated(void)
{
	TCase *c = tcase_create("gated");
	tcase_add_loop_test(c, test_gelu, 0, special_runs());
	tcase_add_loop_test(c, test_factor, 0, special_runs());
	return c;
}
