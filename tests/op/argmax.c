/* SPDX-License-Identifier: Apache-2.0 */
/* argmax: ties, NaN and infinities, long enough that vector and tail both matter. */
#include "op/special.h"

#define D 21

static const struct {
	const char *name;
	float value[D];
	int32_t want;
} rows[] = {
	{ "a tie goes to the first", { 0, 3, 1, 3, 3, [20] = 3 }, 1 },
	{ "a tie with the tail",
		{ -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 5, 5 }, 19 },
	{ "all equal", { 0 }, 0 },
	{ "zeros of both signs are equal", { -0.0f, 0.0f, -0.0f }, 0 },
	{ "NaN first", { NAN, 1, 2 }, 2 },
	{ "NaN last", { 1, 2, [20] = NAN }, 1 },
	{ "the largest after NaN in its lane", { [0] = NAN, [8] = 7, [16] = NAN }, 8 },
	{ "infinity wins", { 1, INFINITY, 3, INFINITY }, 1 },
	{ "only the last is large", { [20] = 1e-30f }, 20 },
};
#define ROWS ((int)(sizeof rows / sizeof *rows))

START_TEST(test_rows)
{
	struct plumb_context *ctx = special_open(_i);
	struct plumb_tensor x, y;
	OK(plumb_tensor_new(ctx, &x, PLUMB_F32, 2, DIMS(ROWS, D)));
	OK(plumb_tensor_new(ctx, &y, PLUMB_I32, 1, DIMS(ROWS)));
	for (int i = 0; i < ROWS; i++)
		memcpy((float *)plumb_host(&x) + i * D, rows[i].value, sizeof rows[i].value);
	OK(plumb_argmax(ctx, &y, &x));
	for (int i = 0; i < ROWS; i++)
		ck_assert_msg(((const int32_t *)plumb_host(&y))[i] == rows[i].want, "%s: %d, must be %d",
			rows[i].name, ((const int32_t *)plumb_host(&y))[i], rows[i].want);
	plumb_tensor_free(&x);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

START_TEST(test_nothing_to_win)
{
	struct plumb_context *ctx = special_open(_i);
	struct plumb_tensor x, y;
	OK(plumb_tensor_new(ctx, &x, PLUMB_F32, 2, DIMS(2, D)));
	OK(plumb_tensor_new(ctx, &y, PLUMB_I32, 1, DIMS(2)));
	for (int i = 0; i < 2 * D; i++)
		((float *)plumb_host(&x))[i] = i < D || i % 2 ? NAN : -INFINITY; /* second row: -inf at odd places */
	OK(plumb_argmax(ctx, &y, &x));
	ck_assert_int_eq(((const int32_t *)plumb_host(&y))[0], 0);
	ck_assert_int_eq(((const int32_t *)plumb_host(&y))[1], D % 2);
	plumb_tensor_free(&x);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

TCase *special_argmax(void)
{
	TCase *c = tcase_create("argmax");
	tcase_add_loop_test(c, test_rows, 0, special_runs());
	tcase_add_loop_test(c, test_nothing_to_win, 0, special_runs());
	return c;
}
