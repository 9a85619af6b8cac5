/* SPDX-License-Identifier: Apache-2.0 */
/* f16_round and f16_overflow: every half and what lies between. Precision FP16: the operators' results,
 * overflow and who is named. */
#include "f16_values.h"
#include "op/special.h"

START_TEST(test_values)
{
	struct plumb_context *ctx = special_open(_i);
	check_f16(ctx, false);
	plumb_close(ctx);
}
END_TEST

/* The first of several overflows is kept, infinities that were there before are none. */
START_TEST(test_note)
{
	struct plumb_context *ctx;
	float a[3][4] = { { 60000, 1, INFINITY, 1 }, { 1, 1, 1, 40000 }, { 1, 60000, -40000, 1 } }, y[3][4];
	OK(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .precision = "FP16")));
	struct plumb_tensor x = special_tensor(ctx, PLUMB_F32, 2, DIMS(3, 4), a[0]),
						twice = special_tensor(ctx, PLUMB_F32, 2, DIMS(3, 4), a[0]);
	OK(plumb_add(ctx, &twice, &x, &x));
	OK(plumb_tensor_read(&twice, y, sizeof y));
	ck_assert(
		isinf(y[0][0]) && isinf(y[1][3]) && isinf(y[2][1]) && isinf(y[2][2]) && y[2][2] < 0 && y[0][1] == 2);
	ck_assert_int_eq(ctx->f16.rows, 3);
	ck_assert_str_eq(ctx->f16.op, "add");
	ck_assert(ctx->f16.row == 0 && ctx->f16.value == 120000 && !ctx->f16.absolute);
	ctx->f16.rows = 0;
	OK(plumb_add(ctx, &twice, &twice, &x)); /* what is infinite already says nothing new */
	ck_assert_int_eq(ctx->f16.rows, 0);
	plumb_tensor_free(&x);
	plumb_tensor_free(&twice);
	plumb_close(ctx);
}
END_TEST

TCase *special_f16(void)
{
	TCase *c = tcase_create("f16");
	tcase_add_loop_test(c, test_values, 0, special_runs());
	tcase_add_test(c, test_note);
	return c;
}
