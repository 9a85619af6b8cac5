/* SPDX-License-Identifier: Apache-2.0 */
/* attention: position 0, long caches that are read in chunks, windows, and what must not be seen. */
#include <stdlib.h>
#include "op/special.h"

#define H 14
#define G 2
#define D 64

struct setup {
	struct plumb_tensor q, k, v, y;
	struct plumb_attn a;
};

/* Noise for n queries at pos, caches of `rows` rows. */
static struct setup make(struct plumb_context *ctx, enum plumb_type act, enum plumb_type cache, int64_t n,
	int64_t pos, int64_t rows, float loud)
{
	float *x = malloc(sizeof *x * (size_t)(rows * G * D + n * H * D));
	struct setup s = { .a = { pos, H, G, 0.125, 0 } };
	special_noise(x, n * H * D, loud, 1);
	s.q = special_tensor(ctx, act, 2, DIMS(n, H * D), x);
	special_noise(x, rows * G * D, 1, 2);
	s.k = special_tensor(ctx, cache, 2, DIMS(rows, G * D), x);
	special_noise(x, rows * G * D, 1, 3);
	s.v = special_tensor(ctx, cache, 2, DIMS(rows, G * D), x);
	OK(plumb_tensor_new(ctx, &s.y, act, 2, DIMS(n, H * D)));
	free(x);
	return s;
}

static void drop(struct setup *s)
{
	plumb_tensor_free(&s->q);
	plumb_tensor_free(&s->k);
	plumb_tensor_free(&s->v);
	plumb_tensor_free(&s->y);
}

/* Softmax over one key is 1: the output is the value, to the bit. */
START_TEST(test_first_position)
{
	struct plumb_context *ctx = special_open(_i);
	struct setup s = make(ctx, PLUMB_F32, PLUMB_F32, 1, 0, 5, 30);
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	for (int h = 0; h < H; h++)
		ck_assert_msg(!memcmp((float *)plumb_host(&s.y) + h * D, (float *)plumb_host(&s.v) + h / (H / G) * D,
						  D * sizeof(float)),
			"head %d", h);
	drop(&s);
	plumb_close(ctx);
}
END_TEST

static const struct {
	int64_t n, pos;
	enum plumb_type cache;
	float loud;
	int64_t window;
} longs[] = { { 1, 1022, PLUMB_F32, 2, 0 }, { 1, 1023, PLUMB_F32, 2, 0 }, { 1, 1024, PLUMB_F32, 2, 0 },
	{ 2, 1023, PLUMB_F16, 2, 0 }, { 4, 2046, PLUMB_F32, 2, 0 }, { 1, 5000, PLUMB_F32, 2, 0 },
	{ 3, 4094, PLUMB_F16, 2, 0 }, { 5, 1500, PLUMB_F32, 2, 0 },
	{ 1, 3000, PLUMB_F32, 100, 0 }, /* one key has it all */
	{ 1, 5000, PLUMB_F32, 2, 512 }, { 1, 4999, PLUMB_F16, 2, 4096 }, { 4, 3000, PLUMB_F32, 2, 1024 },
	{ 3, 2047, PLUMB_F32, 2, 2047 }, { 5, 1500, PLUMB_F16, 2, 700 }, { 70, 100, PLUMB_F32, 2, 33 },
	{ 20, 0, PLUMB_F32, 2, 20 } };

START_TEST(test_long_cache)
{
	int c = _i / special_runs();
	struct plumb_context *ctx = special_open(_i % special_runs()), *truth;
	truth = special_truth();
	int64_t rows = longs[c].pos + longs[c].n + 1, n = longs[c].n * H * D;
	struct setup s = make(ctx, PLUMB_F32, longs[c].cache, longs[c].n, longs[c].pos, rows, longs[c].loud);
	struct setup t = make(truth, PLUMB_F64, longs[c].cache, longs[c].n, longs[c].pos, rows, longs[c].loud);
	s.a.window = t.a.window = longs[c].window;
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	OK(plumb_attention(truth, &t.y, &t.q, &t.k, &t.v, &t.a));
	double tolerance = plumb_op_table[PLUMB_OP_attention]->tolerance(&(struct plumb_call){
		.op = PLUMB_OP_attention, .out = &s.y, .in = { &s.q, &s.k, &s.v }, .s = { .attn = s.a } });
	/* a score of size 100 carries an error 100 times larger into the exponent */
	tolerance *= longs[c].loud > 2 ? longs[c].loud : 1;
	double distance = special_distance(plumb_host(&s.y), plumb_host(&t.y), n);
	ck_assert_msg(distance <= tolerance, "n %d pos %d: %g > %g", (int)longs[c].n, (int)longs[c].pos, distance,
		tolerance);
	drop(&s);
	drop(&t);
	plumb_close(ctx);
	plumb_close(truth);
}
END_TEST

/* NaN in the keys and values of later positions changes no bit of an earlier query's output. */
START_TEST(test_later_is_unseen)
{
	struct plumb_context *ctx = special_open(_i);
	enum { N = 75, POS = 30, BAD = POS + 40 };
	struct setup s = make(ctx, PLUMB_F32, PLUMB_F32, N, POS, POS + N + 9, 2);
	static float clean[N * H * D];
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	memcpy(clean, plumb_host(&s.y), sizeof clean);
	for (int64_t t = BAD; t < POS + N + 9; t++)
		for (int j = 0; j < G * D; j++)
			((float *)plumb_host(&s.k))[t * G * D + j] = ((float *)plumb_host(&s.v))[t * G * D + j] = j % 2
				? NAN
				: INFINITY;
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	const float *y = plumb_host(&s.y);
	for (int64_t i = 0; i < N; i++) {
		bool same = !memcmp(y + i * H * D, clean + i * H * D, H * D * sizeof *y);
		ck_assert_msg(same == (POS + i < BAD), "query %d", (int)i);
	}
	for (int64_t i = BAD - POS; i < N; i++)
		ck_assert_msg(isnan(y[i * H * D + 1]), "NaN was lost at query %d", (int)i);
	drop(&s);
	plumb_close(ctx);
}
END_TEST

/* attention by its basic operators. */
static void by_parts(struct plumb_context *ctx, struct setup *s)
{
	struct plumb_tensor p;
	int64_t n = s->q.dim[0];
	OK(plumb_tensor_new(ctx, &p, PLUMB_F32, 3, DIMS(H, n, s->a.pos + n)));
	OK(plumb_attn_scores(ctx, &p, &s->q, &s->k, &s->a));
	OK(plumb_softmax(ctx, &p, &p));
	OK(plumb_attn_mix(ctx, &s->y, &p, &s->v, &s->a));
	plumb_tensor_free(&p);
}

/* NaN before a query's window changes no bit, fused or in parts; and a window's first key is seen. */
START_TEST(test_before_window_is_unseen)
{
	struct plumb_context *ctx = special_open(_i / 2);
	enum { N = 75, POS = 30, BAD = 40, WINDOW = 21 };
	struct setup s = make(ctx, PLUMB_F32, PLUMB_F32, N, POS, POS + N, 2);
	static float clean[N * H * D];
	s.a.window = WINDOW;
	for (int round = 0; round < 2; round++) {
		if (_i % 2)
			by_parts(ctx, &s);
		else
			OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
		if (round == 0)
			memcpy(clean, plumb_host(&s.y), sizeof clean);
		for (int64_t t = 0; t <= BAD; t++)
			for (int j = 0; j < G * D; j++)
				((float *)plumb_host(&s.k))[t * G * D + j] = ((float *)plumb_host(
					&s.v))[t * G * D + j] = j % 2 ? NAN : INFINITY;
	}
	const float *y = plumb_host(&s.y);
	for (int64_t i = 0; i < N; i++) {
		bool unseen = POS + i - WINDOW + 1 > BAD;
		ck_assert_msg(
			!memcmp(y + i * H * D, clean + i * H * D, H * D * sizeof *y) == unseen, "query %d", (int)i);
		ck_assert_msg(isnan(y[i * H * D + 1]) != unseen, "query %d", (int)i);
	}
	drop(&s);
	plumb_close(ctx);
}
END_TEST

/* A window as long as the context changes no bit, one that is a key shorter the last query's. A negative one
 * is refused. */
START_TEST(test_wide_window)
{
	struct plumb_context *ctx = special_open(_i);
	enum { N = 9, POS = 100 };
	struct setup s = make(ctx, PLUMB_F32, PLUMB_F16, N, POS, POS + N, 2);
	static float none[N * H * D];
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	memcpy(none, plumb_host(&s.y), sizeof none);
	for (int i = 0; i < 2; i++) {
		s.a.window = i ? INT64_MAX : POS + N;
		memset(plumb_host(&s.y), 0, sizeof none);
		OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
		ck_assert(!memcmp(plumb_host(&s.y), none, sizeof none));
	}
	s.a.window = POS + N - 1; /* the last query misses the first key */
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	ck_assert(!memcmp(plumb_host(&s.y), none, sizeof none / N * (N - 1)));
	ck_assert(memcmp(plumb_host(&s.y), none, sizeof none));
	s.a.window = -1;
	ck_assert_int_eq(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a), PLUMB_E_ARGUMENT);
	drop(&s);
	plumb_close(ctx);
}
END_TEST

/* -inf scores have weight 0, also when a whole tile of keys has them. */
START_TEST(test_minus_infinity)
{
	struct plumb_context *ctx = special_open(_i);
	enum { POS = 1500 };
	struct setup s = make(ctx, PLUMB_F32, PLUMB_F32, 1, POS, POS + 1, 1);
	for (int j = 0; j < H * D; j++)
		((float *)plumb_host(&s.q))[j] = 1;
	for (int64_t t = 0; t < POS; t++)
		for (int j = 0; j < G * D; j++)
			((float *)plumb_host(&s.k))[t * G * D + j] = j % D ? 1 : -INFINITY;
	OK(plumb_attention(ctx, &s.y, &s.q, &s.k, &s.v, &s.a));
	for (int h = 0; h < H; h++)
		for (int j = 0; j < D; j++)
			ck_assert(((float *)plumb_host(&s.y))[h * D + j] ==
				((float *)plumb_host(&s.v))[(POS * G + h / (H / G)) * D + j]);
	drop(&s);
	plumb_close(ctx);
}
END_TEST

TCase *special_attention(void)
{
	TCase *c = tcase_create("attention");
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, test_first_position, 0, special_runs());
	tcase_add_loop_test(c, test_long_cache, 0, special_runs() * (int)(sizeof longs / sizeof *longs));
	tcase_add_loop_test(c, test_later_is_unseen, 0, special_runs());
	tcase_add_loop_test(c, test_before_window_is_unseen, 0, 2 * special_runs());
	tcase_add_loop_test(c, test_wide_window, 0, special_runs());
	tcase_add_loop_test(c, test_minus_infinity, 0, special_runs());
	return c;
}
