/* SPDX-License-Identifier: Apache-2.0 */
/* softmax: masked rows, huge values, NaN. */
#include "op/special.h"

#define D 27

START_TEST(test_rows)
{
	struct plumb_context *ctx = special_open(_i);
	float x[5 * D];
	special_noise(x, 5 * D, 10, 8);
	for (int j = 0; j < D; j++) {
		x[j] = -INFINITY; /* nothing to choose */
		if (j > 3)
			x[D + j] = -INFINITY; /* masked after 3 */
		x[2 * D + j] *= 1e30f;    /* exp without the shift overflows */
	}
	x[3 * D + 26] = NAN;
	x[4 * D + 5] = INFINITY; /* inf - inf */
	struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(5, D), x), y;
	OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(5, D)));
	OK(plumb_softmax(ctx, &y, &tx));
	const float *p = plumb_host(&y);
	double sum = 0, total = 0;
	int ones = 0;
	for (int j = 0; j <= 3; j++)
		sum += exp((double)x[D + j]);
	for (int j = 0; j < D; j++) {
		ck_assert_msg(isnan(p[j]), "a row of -inf gave %g", (double)p[j]);
		double want = exp((double)x[D + j]) / sum;
		ck_assert_msg(
			j > 3 ? p[D + j] == 0 && !signbit(p[D + j]) : fabs(p[D + j] - want) < 30 * 0x1p-24 * want,
			"masked row: %d is %g", j, (double)p[D + j]);
		total += p[D + j];
		ck_assert(p[2 * D + j] == 0 || p[2 * D + j] == 1);
		ones += p[2 * D + j] == 1;
		ck_assert_msg(isnan(p[3 * D + j]), "NaN gave %g at %d", (double)p[3 * D + j], j);
	}
	ck_assert(fabs(total - 1) < 1e-6);
	ck_assert_int_eq(ones, 1);
	ck_assert(isnan(p[4 * D + 5]));
	plumb_tensor_free(&tx);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

TCase *special_softmax(void)
{
	TCase *c = tcase_create("softmax");
	tcase_add_loop_test(c, test_rows, 0, special_runs());
	return c;
}
