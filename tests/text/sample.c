/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the sampler on distributions made by hand, where one can say what must come out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/text.h>
#include "parts.h"

static const struct plumb_sampling greedy = { .size = sizeof greedy, .top_p = 1, .repeat_penalty = 1 };
static const struct plumb_sampling plain = {
	.size = sizeof plain, .temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 1
};

static struct plumb_sampler *new_sampler(struct plumb_sampling how)
{
	struct plumb_sampler *s;

	ck_good(plumb_sampler_new(&s, &how));
	return s;
}

static int32_t choose(struct plumb_sampler *s, const float *logits, int32_t n)
{
	int32_t id;

	ck_good(plumb_sample(s, logits, n, &id));
	ck_assert(id >= 0 && id < n);
	return id;
}

START_TEST(greedy_takes_lowest_of_equals)
{
	static const struct {
		float logit[5];
		int32_t id;
	} rows[] = {
		{ { 1, 3, 2, 3, 3 }, 1 },
		{ { 0, 0, 0, 0, 0 }, 0 },
		{ { -5, -4, -3, -2, -1 }, 4 },
		{ { -INFINITY, -INFINITY, -1, -INFINITY, -INFINITY }, 2 },
		{ { 1, 2, INFINITY, 3, INFINITY }, 2 },
		{ { -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY }, 0 },
		{ { -0.f, 0.f, -1, -1, -1 }, 0 },
	};
	struct plumb_sampler *s = new_sampler(greedy);

	ck_assert_int_eq(choose(s, rows[_i].logit, 5), rows[_i].id);
	plumb_sampler_free(s);
}
END_TEST

/* Computed with Python's integers and math.exp: xoshiro256** seeded by splitmix64, inverse CDF in id order.
 */
START_TEST(seeds_give_known_tokens)
{
	static const int32_t with_42[16] = { 10, 38, 67, 90, 98, 79, 68, 87, 79, 60, 68, 30, 79, 30, 68, 90 };
	static const int32_t with_7[16] = { 68, 29, 84, 98, 98, 87, 8, 13, 39, 17, 54, 73, 94, 89, 46, 57 };
	struct plumb_sampling how = plain;
	float logits[100];

	for (int i = 0; i < 100; i++)
		logits[i] = (float)((i * 37) % 101 / 10.0 - 5);
	how.seed = _i ? 7 : 42;
	how.temperature = _i ? 2.5 : 1;
	struct plumb_sampler *s = new_sampler(how);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(choose(s, logits, 100), (_i ? with_7 : with_42)[i]);
	plumb_sampler_free(s);
}
END_TEST

/* Frequencies of 40,000 draws against softmax(logit / T): chi-square with 7 degrees of freedom is above 24.3
 * once in a thousand; the seed is fixed. */
START_TEST(frequencies_are_softmax)
{
	static const float logits[8] = { 0, 1, 2, 0.5f, -1, 1.5f, -2, 1 };
	static const double temperature[] = { 0.5, 1, 3 };
	struct plumb_sampling how = plain;
	double p[8], sum = 0, chi = 0;
	int count[8] = { 0 };

	how.temperature = temperature[_i];
	how.seed = 1234 + (uint64_t)_i;
	struct plumb_sampler *s = new_sampler(how);
	for (int i = 0; i < 40000; i++)
		count[choose(s, logits, 8)]++;
	for (int i = 0; i < 8; i++)
		sum += p[i] = exp(logits[i] / how.temperature);
	for (int i = 0; i < 8; i++) {
		double expected = 40000 * p[i] / sum;
		chi += (count[i] - expected) * (count[i] - expected) / expected;
	}
	ck_assert_msg(chi < 24.3, "chi-square %g at temperature %g", chi, how.temperature);
	plumb_sampler_free(s);
}
END_TEST

/* Probabilities 0.4 0.3 0.15 0.1 0.05, at the ids 3 0 4 1 2. `mask`: the ids that may come out. */
static const struct {
	int top_k;
	double top_p, min_p;
	unsigned mask;
} filters[] = {
	{ 0, 1, 0, 0x1f },
	{ 1, 1, 0, 0x08 },
	{ 2, 1, 0, 0x09 },
	{ 3, 1, 0, 0x19 },
	{ 5, 1, 0, 0x1f },
	{ 99, 1, 0, 0x1f },
	{ 0, 0.39, 0, 0x08 },
	{ 0, 0.41, 0, 0x09 },
	{ 0, 0.69, 0, 0x09 },
	{ 0, 0.71, 0, 0x19 },
	{ 0, 0.86, 0, 0x1b },
	{ 0, 0.999, 0, 0x1f },
	{ 0, 1e-9, 0, 0x08 },
	{ 0, 1, 1, 0x08 },
	{ 0, 1, 0.74, 0x09 },
	{ 0, 1, 0.76, 0x08 },
	{ 0, 1, 0.3, 0x19 },
	{ 0, 1, 0.12, 0x1f },
	{ 0, 1, 0.13, 0x1b },
	{ 2, 0.56, 0, 0x08 }, /* 0.4 / 0.7 = 0.571: top_p sees what top_k left */
	{ 2, 0.58, 0, 0x09 },
	{ 3, 0.9, 0.5, 0x09 },
	{ 4, 0.8, 0.3, 0x19 },
};

START_TEST(filters_keep_the_right_ids)
{
	static const double p[5] = { 0.3, 0.1, 0.05, 0.4, 0.15 };
	struct plumb_sampling how = plain;
	float logits[5];
	unsigned seen = 0;

	for (int i = 0; i < 5; i++)
		logits[i] = (float)log(p[i]);
	how.top_k = filters[_i].top_k;
	how.top_p = filters[_i].top_p;
	how.min_p = filters[_i].min_p;
	struct plumb_sampler *s = new_sampler(how);
	for (int i = 0; i < 2000; i++)
		seen |= 1u << choose(s, logits, 5);
	ck_assert_msg(seen == filters[_i].mask, "ids 0x%x came out, expected 0x%x", seen, filters[_i].mask);
	plumb_sampler_free(s);
}
END_TEST

/* min_p is compared with exp(logit - best): a hair below keeps the token, a hair above drops it. */
START_TEST(exp_is_accurate)
{
	struct plumb_sampling how = plain;

	for (int i = 1; i <= 24; i++) {
		float logits[2] = { 0, -(float)i / 8 };
		for (int keep = 0; keep < 2; keep++) {
			int seen = 0;
			how.min_p = exp(logits[1]) * (keep ? 1 - 1e-14 : 1 + 1e-14);
			struct plumb_sampler *s = new_sampler(how);
			for (int k = 0; k < 400; k++)
				seen |= choose(s, logits, 2);
			ck_assert_msg(seen == keep, "exp(%g) is %s", logits[1], keep ? "too small" : "too large");
			plumb_sampler_free(s);
		}
	}
}
END_TEST

/* A flat distribution needs the longest selection, and ties go to lower ids. */
START_TEST(large_and_flat)
{
	enum { N = 20000 };
	static const struct {
		int top_k;
		double top_p;
		int32_t below;
	} rows[] = {
		{ 7, 1, 7 },
		{ 0, 0.5, N / 2 },
		{ 0, 0.99, N / 100 * 99 },
		{ 1000, 0.5, 500 },
		{ 0, 0.001, 20 },
	};
	struct plumb_sampling how = plain;
	float *logits = calloc(N, sizeof(*logits));
	int32_t most = 0;

	how.top_k = rows[_i].top_k;
	how.top_p = rows[_i].top_p;
	struct plumb_sampler *s = new_sampler(how);
	for (int i = 0; i < 200; i++) {
		int32_t id = choose(s, logits, N);
		ck_assert_int_lt(id, rows[_i].below);
		most = id > most ? id : most;
	}
	ck_assert_int_gt(most, rows[_i].below * 3 / 4);
	plumb_sampler_free(s);
	free(logits);
}
END_TEST

START_TEST(penalty)
{
	static const float logits[4] = { 4, 3, -1, -2 };
	struct plumb_sampling how = greedy;

	how.repeat_penalty = 1.5;
	how.repeat_window = 2;
	struct plumb_sampler *s = new_sampler(how);
	plumb_sampler_saw(s, 0);                   /* 4 / 1.5 < 3 */
	ck_assert_int_eq(choose(s, logits, 4), 1); /* remembers 1 */
	ck_assert_int_eq(choose(s, logits, 4), 0); /* both punished once; the window is now 1 0 */
	ck_assert_int_eq(choose(s, logits, 4), 0); /* 2.67 > 2 */
	ck_assert_int_eq(choose(s, logits, 4), 1); /* only 0 in the window: 2.67 < 3 */
	plumb_sampler_free(s);

	static const float negative[2] = { -1, -1.2f };
	s = new_sampler(how);
	plumb_sampler_saw(s, 0); /* -1 * 1.5 < -1.2 */
	ck_assert_int_eq(choose(s, negative, 2), 1);
	plumb_sampler_free(s);

	static const float close[2] = { 4, 2 };
	s = new_sampler(how);
	plumb_sampler_saw(s, 0);
	plumb_sampler_saw(s, 0);  /* twice in the window, punished once: 2.67 > 2 */
	plumb_sampler_saw(s, -7); /* ids from elsewhere do no harm */
	plumb_sampler_saw(s, INT32_MAX);
	plumb_sampler_saw(s, 0);
	plumb_sampler_saw(s, 0);
	ck_assert_int_eq(choose(s, close, 2), 0);
	plumb_sampler_free(s);
}
END_TEST

START_TEST(not_a_number)
{
	float logits[3] = { 1, NAN, 2 };
	struct plumb_sampler *a = new_sampler(plain), *b = new_sampler(plain);
	int32_t id;

	ck_bad(plumb_sample(a, logits, 3, &id), PLUMB_E_NONFINITE, "logit 1 of 3");
	ck_assert_int_eq(id, -1);
	ck_bad(plumb_sample(a, logits, 0, &id), PLUMB_E_ARGUMENT, "0 logits");
	logits[1] = 1.5f; /* the failures must not have moved the generator */
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(choose(a, logits, 3), choose(b, logits, 3));
	plumb_sampler_free(a);
	plumb_sampler_free(b);
}
END_TEST

START_TEST(infinite_logits)
{
	static const float one[3] = { 1, INFINITY, 2 }, none[3] = { -INFINITY, -INFINITY, -INFINITY };
	static const float few[3] = { -INFINITY, 0, -INFINITY };
	struct plumb_sampling how = plain;

	how.top_p = _i ? 0.9 : 1;
	how.min_p = _i ? 0.1 : 0;
	struct plumb_sampler *s = new_sampler(how);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(choose(s, one, 3), 1);
		ck_assert_int_eq(choose(s, few, 3), 1);
		choose(s, none, 3);
	}
	plumb_sampler_free(s);
}
END_TEST

START_TEST(bad_settings)
{
	static const struct {
		struct plumb_sampling how;
		const char *words;
	} rows[] = {
		{ { .size = sizeof(struct plumb_sampling), .temperature = -1, .top_p = 1, .repeat_penalty = 1 },
			"temperature -1" },
		{ { .size = sizeof(struct plumb_sampling), .temperature = NAN, .top_p = 1, .repeat_penalty = 1 },
			"temperature" },
		{ { .size = sizeof(struct plumb_sampling), .temperature = INFINITY, .top_p = 1, .repeat_penalty = 1 },
			"temperature" },
		{ { .size = sizeof(struct plumb_sampling), .top_k = -1, .top_p = 1, .repeat_penalty = 1 },
			"top_k -1" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 0, .repeat_penalty = 1 }, "top_p 0" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 1.5, .repeat_penalty = 1 }, "top_p 1.5" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = NAN, .repeat_penalty = 1 }, "top_p" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 1, .min_p = -0.1, .repeat_penalty = 1 },
			"min_p -0.1" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 1, .min_p = 2, .repeat_penalty = 1 }, "min_p 2" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 1, .repeat_penalty = 0 }, "repeat_penalty 0" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 1, .repeat_penalty = NAN }, "repeat_penalty" },
		{ { .size = sizeof(struct plumb_sampling), .top_p = 1, .repeat_penalty = 1, .repeat_window = -1 },
			"repeat_window -1" },
		{ { .size = sizeof(struct plumb_sampling),
			  .top_p = 1,
			  .repeat_penalty = 1,
			  .repeat_window = 1 << 21 },
			"repeat_window 2097152" },
	};
	struct plumb_sampler *s = (struct plumb_sampler *)&s;

	ck_bad(plumb_sampler_new(&s, &rows[_i].how), PLUMB_E_ARGUMENT, rows[_i].words);
	ck_assert_ptr_null(s);
}
END_TEST

TCase *text_sample_case(void)
{
	TCase *c = tcase_create("sample");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, greedy_takes_lowest_of_equals, 0, 7);
	tcase_add_loop_test(c, seeds_give_known_tokens, 0, 2);
	tcase_add_loop_test(c, frequencies_are_softmax, 0, 3);
	text_add_loop(c, filters_keep_the_right_ids, COUNT(filters));
	tcase_add_test(c, exp_is_accurate);
	tcase_add_loop_test(c, large_and_flat, 0, 5);
	tcase_add_test(c, penalty);
	tcase_add_test(c, not_a_number);
	tcase_add_loop_test(c, infinite_logits, 0, 2);
	tcase_add_loop_test(c, bad_settings, 0, 13);
	return c;
}
