/* SPDX-License-Identifier: Apache-2.0 */
/* rope: the far end of the context, element by element; position 0 changes nothing. */
#include "op/special.h"

#define HD 64

START_TEST(test_far)
{
	struct plumb_context *ctx = special_open(_i);
	float x[2 * HD];
	struct plumb_rope r = { .head_dim = HD, .rotated = HD, .base = 1e6, .factor = 1, .scale = 1 };
	special_noise(x, 2 * HD, 1, 7);
	struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(1, 2 * HD), x), y;
	OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(1, 2 * HD)));
	for (int pairs = 0; pairs < 2; pairs++) {
		r.pos = 32767;
		r.pairs = pairs ? PLUMB_ROPE_INTERLEAVED : PLUMB_ROPE_HALF;
		OK(plumb_rope(ctx, &y, &tx, NULL, &r));
		for (int h = 0; h < 2; h++)
			for (int j = 0; j < HD / 2; j++) {
				int a = h * HD + (pairs ? 2 * j : j), b = a + (pairs ? 1 : HD / 2);
				double angle = 32767 * pow(1e6, -2.0 * j / HD), c = cos(angle), s = sin(angle),
					   want = x[a] * c - x[b] * s;
				/* float32 angles would be off by 32767 * 2^-24 = 2e-3 */
				ck_assert_msg(fabs(((float *)plumb_host(&y))[a] - want) <= 2e-7, "pair %d: %g, must be %g", j,
					(double)((float *)plumb_host(&y))[a], want);
				want = x[b] * c + x[a] * s;
				ck_assert_msg(fabs(((float *)plumb_host(&y))[b] - want) <= 2e-7, "pair %d: %g, must be %g", j,
					(double)((float *)plumb_host(&y))[b], want);
			}
	}
	r.pos = 0;
	OK(plumb_rope(ctx, &y, &tx, NULL, &r));
	ck_assert(!memcmp(plumb_host(&y), x, sizeof x));
	plumb_tensor_free(&tx);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

TCase *special_rope(void)
{
	TCase *c = tcase_create("rope");
	tcase_add_loop_test(c, test_far, 0, special_runs());
	return c;
}
