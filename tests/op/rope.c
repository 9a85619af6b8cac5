/* SPDX-License-Identifier: Apache-2.0 */
/* rope: the far end of the context, element by element; position 0 changes nothing; a part of a head with
 * frequency factors and a scale; what is refused. */
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

#define WHOLE 32
#define PART 20

/* Element e of a head of x, as it must be. */
static double turned(const float *head, const float *freqs, const struct plumb_rope *r, int64_t row, int e)
{
	bool half = r->pairs == PLUMB_ROPE_HALF;
	if (e >= PART)
		return head[e];
	int j = half ? e % (PART / 2) : e / 2;
	bool second = half ? e >= PART / 2 : e % 2;
	double angle = (double)(r->pos + row) / (r->factor * freqs[j]) * pow(r->base, -2.0 * j / PART);
	double a = head[half ? j : 2 * j], b = head[half ? j + PART / 2 : 2 * j + 1];
	return r->scale * (second ? b * cos(angle) + a * sin(angle) : a * cos(angle) - b * sin(angle));
}

START_TEST(test_part)
{
	struct plumb_context *ctx = special_open(_i);
	enum { ROWS = 3, HEADS = 2, ALL = ROWS * HEADS * WHOLE };
	float x[ALL], freqs[PART / 2];
	special_noise(x, ALL, 1, 8);
	for (int j = 0; j < PART / 2; j++)
		freqs[j] = 1 + (float)(j * j) / 7;
	struct plumb_tensor tf = special_tensor(ctx, PLUMB_F32, 1, DIMS(PART / 2), freqs);
	for (int c = 0; c < 4; c++) {
		struct plumb_rope r = { 1000, WHOLE, PART, 1e4, 4, 1.19,
			c % 2 ? PLUMB_ROPE_INTERLEAVED : PLUMB_ROPE_HALF };
		struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(ROWS, HEADS * WHOLE), x), y = tx;
		if (c < 2)
			OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(ROWS, HEADS * WHOLE)));
		OK(plumb_rope(ctx, &y, &tx, &tf, &r));
		for (int i = 0; i < ALL; i++) {
			int64_t row = i / (HEADS * WHOLE);
			double want = turned(x + i / WHOLE * WHOLE, freqs, &r, row, i % WHOLE),
				   have = ((float *)plumb_host(&y))[i];
			bool same = i % WHOLE < PART ? fabs(have - want) <= 3e-7 : have == want;
			ck_assert_msg(same, "way %d, element %d: %g, must be %g", c, i, have, want);
		}
		plumb_tensor_free(&tx);
		if (c < 2)
			plumb_tensor_free(&y);
	}
	plumb_tensor_free(&tf);
	plumb_close(ctx);
}
END_TEST

static const struct {
	struct plumb_rope r;
	const char *says;
} refused[] = {
	{ { 0, 1, 2, 1e4, 1, 1, PLUMB_ROPE_HALF }, "head_dim is 1" },
	{ { 0, 24, 24, 1e4, 1, 1, PLUMB_ROPE_HALF }, "divide the width 64" },
	{ { 0, 32, 0, 1e4, 1, 1, PLUMB_ROPE_HALF }, "0 elements are rotated" },
	{ { 0, 32, 7, 1e4, 1, 1, PLUMB_ROPE_HALF }, "7 elements are rotated" },
	{ { 0, 32, 34, 1e4, 1, 1, PLUMB_ROPE_HALF }, "2 to head_dim, 32" },
	{ { -1, 32, 20, 1e4, 1, 1, PLUMB_ROPE_HALF }, "position -1" },
	{ { 0, 32, 20, 0, 1, 1, PLUMB_ROPE_HALF }, "base is 0" },
	{ { 0, 32, 20, 1e4, -2, 1, PLUMB_ROPE_HALF }, "factor is -2" },
	{ { 0, 32, 20, 1e4, 1, NAN, PLUMB_ROPE_HALF }, "scale is" },
	{ { 0, 32, 20, 1e4, 1, INFINITY, PLUMB_ROPE_HALF }, "scale is inf" },
	{ { 0, 32, 20, 1e4, 1, 1, (enum plumb_rope_pairs)2 }, "pairing 2" },
};

START_TEST(test_refused)
{
	struct plumb_context *ctx = special_open(0);
	float x[64] = { 0 };
	struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(1, 64), x), y,
						few = special_tensor(ctx, PLUMB_F32, 1, DIMS(9), x),
						narrow = special_tensor(ctx, PLUMB_F16, 1, DIMS(10), x);
	OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(1, 64)));
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		ck_assert_int_eq(plumb_rope(ctx, &y, &tx, NULL, &refused[i].r), PLUMB_E_ARGUMENT);
		ck_assert_msg(strstr(plumb_last_error(), refused[i].says) != NULL, "%s", plumb_last_error());
	}
	const struct plumb_rope r = { 0, 32, PART, 1e4, 1, 1, PLUMB_ROPE_HALF };
	ck_assert_int_eq(plumb_rope(ctx, &y, &tx, &few, &r), PLUMB_E_SHAPE);
	ck_assert_int_eq(plumb_rope(ctx, &y, &tx, &narrow, &r), PLUMB_E_TYPE);
	plumb_tensor_free(&tx);
	plumb_tensor_free(&few);
	plumb_tensor_free(&narrow);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

TCase *special_rope(void)
{
	TCase *c = tcase_create("rope");
	tcase_add_loop_test(c, test_far, 0, special_runs());
	tcase_add_loop_test(c, test_part, 0, special_runs());
	tcase_add_test(c, test_refused);
	return c;
}
