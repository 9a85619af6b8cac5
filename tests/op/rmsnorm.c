/* SPDX-License-Identifier: Apache-2.0 */
/* rmsnorm: massive channels, squares that overflow float32, rows of zeros, NaN. */
#include "op/special.h"

#define D 901

static void run(struct plumb_context *ctx, const float *x, const float *w, double eps, float *y)
{
	struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(1, D), x),
						tw = special_tensor(ctx, PLUMB_F32, 1, DIMS(D), w), ty;
	OK(plumb_tensor_new(ctx, &ty, PLUMB_F32, 2, DIMS(1, D)));
	OK(plumb_rmsnorm(ctx, &ty, &tx, &tw, eps));
	OK(plumb_tensor_read(&ty, y, D * sizeof *y));
	plumb_tensor_free(&tx);
	plumb_tensor_free(&tw);
	plumb_tensor_free(&ty);
}

START_TEST(test_massive)
{
	static const float massive[] = { 1e4f, 1e25f, 1e38f, 1e-25f };
	struct plumb_context *ctx = special_open(_i);
	float x[D], w[D], y[D];
	for (int c = 0; c < 4; c++) {
		special_noise(x, D, 1, 4);
		special_noise(w, D, 2, 5);
		if (massive[c] > 1)
			x[62] = massive[c];
		else
			special_noise(x, D, massive[c], 6); /* squares below the smallest float */
		double sum = 0, eps = massive[c] > 1 ? 1e-6 : 0;
		for (int i = 0; i < D; i++)
			sum += (double)x[i] * x[i];
		run(ctx, x, w, eps, y);
		for (int i = 0; i < D; i++) { /* each element by itself: scale, two products, each rounded; an
										 allowance for subnormals */
			double want = x[i] / sqrt(sum / D + eps) * w[i];
			ck_assert_msg(fabs(y[i] - want) <= 4 * 0x1p-24 * fabs(want) + 0x1p-148 + fabs(x[i]) * 0x1p-148,
				"%g: y[%d] is %g, must be %g", (double)massive[c], i, (double)y[i], want);
		}
	}
	plumb_close(ctx);
}
END_TEST

START_TEST(test_zero_and_nan)
{
	struct plumb_context *ctx = special_open(_i);
	float x[D] = { 0 }, w[D], y[D];
	special_noise(w, D, 2, 5);
	run(ctx, x, w, 1e-6, y);
	for (int i = 0; i < D; i++)
		ck_assert(y[i] == 0);
	run(ctx, x, w, 0, y); /* 0 / 0 */
	for (int i = 0; i < D; i++)
		ck_assert(isnan(y[i]));
	x[900] = NAN;
	run(ctx, x, w, 1e-6, y);
	for (int i = 0; i < D; i++)
		ck_assert(isnan(y[i]));
	plumb_close(ctx);
}
END_TEST

TCase *special_rmsnorm(void)
{
	TCase *c = tcase_create("rmsnorm");
	tcase_add_loop_test(c, test_massive, 0, special_runs());
	tcase_add_loop_test(c, test_zero_and_nan, 0, special_runs());
	return c;
}
