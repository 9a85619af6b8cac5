/* SPDX-License-Identifier: Apache-2.0 */
/* Measures, against values worked out by hand. */
#include "diag/reference.h"

static void check_near(double have, double want, const char *what)
{
	ck_assert_msg(fabs(have - want) <= 1e-12 * fabs(want), "%s is %.17g, expected %.17g", what, have, want);
}

START_TEST(measures_by_hand)
{
	const float a[] = { 1, 2, 3.5f, -4 }, b[] = { 1, 2.5f, 3, -4 };
	struct plumb_measure m;
	ck_good(plumb_measure(&m, a, b, 4, PLUMB_BF16));
	ck_assert(m.count == 4 && m.worst == 1);
	check_near(m.max_abs, 0.5, "max");
	check_near(m.mean_abs, 0.25, "mean");
	check_near(m.nmse, 0.5 / (1 + 6.25 + 9 + 16), "nmse");
	check_near(m.rel, sqrt(m.nmse), "rel");
	check_near(m.cosine, (1 + 5 + 10.5 + 16) / sqrt(1 + 4 + 12.25 + 16) / sqrt(32.25), "cosine");
	check_near(m.max_ulp, 32, "ulp"); /* bf16 has steps of 2^-6 between 2 and 4 */
	ck_good(plumb_measure(&m, a, b, 4, PLUMB_F16));
	check_near(m.mean_ulp, 128, "ulp"); /* fp16 of 2^-9 */
	ck_bad(plumb_measure(&m, a, b, 4, PLUMB_Q8_0), PLUMB_E_TYPE, "q8_0");
	ck_good(plumb_measure(&m, a, a, 4, PLUMB_F32));
	ck_assert(m.rel == 0 && m.max_abs == 0 && m.max_ulp == 0 && fabs(m.cosine - 1) < 1e-15);
}
END_TEST

START_TEST(measures_what_is_not_finite)
{
	const float a[] = { -INFINITY, 1, NAN, 2 }, b[] = { -INFINITY, 1, NAN, 3 };
	float c[] = { -INFINITY, 1, NAN, NAN };
	struct plumb_measure m;
	ck_good(plumb_measure(&m, a, b, 4, PLUMB_F32));
	ck_assert(m.max_abs == 1 && m.worst == 3 && isfinite(m.rel));
	ck_good(plumb_measure(&m, c, b, 4, PLUMB_F32));
	ck_assert(isinf(m.max_abs) && isinf(m.rel) && m.worst == 3);
	json_t *j = plumb_measure_json(&m);
	ck_assert(
		json_is_null(json_object_get(j, "rel")) && json_integer_value(json_object_get(j, "count")) == 4);
	json_decref(j);
}
END_TEST

START_TEST(measures_logits)
{
	float a[320], b[320];
	struct plumb_logits_measure m;
	for (int i = 0; i < 320; i++)
		a[i] = b[i] = -1e4f;
	b[7] = logf(3);
	b[9] = 0; /* 3/4 and 1/4 */
	a[9] = b[7] + 2;
	a[7] = 2; /* exchanged; what is added to all does not count */
	ck_good(plumb_measure_logits(&m, a, b, 320, 1));
	ck_assert_msg(fabs(m.kl - 0.5 * log(3)) < 1e-7, "%g", m.kl);
	ck_assert(m.top_ours == 9 && m.top_reference == 7 && m.agree == 0);
	ck_good(plumb_measure_logits(&m, a, b, 320, 2));
	ck_assert(m.agree == 1 && fabs(m.margin_reference - log(3)) < 1e-6);
	for (int i = 0; i < 10; i++) { /* best ten of one: 0..9, of the other 5..14 */
		a[i] = b[i + 5] = (float)(10 - i);
		a[i + 10] = b[i < 5 ? i : i + 10] = -50;
	}
	ck_good(plumb_measure_logits(&m, a, b, 320, 10));
	ck_assert_msg(m.agree == 0.5, "%g", m.agree);
	a[3] = NAN;
	ck_good(plumb_measure_logits(&m, a, b, 320, 10));
	ck_assert(isinf(m.kl) && isinf(m.max_abs));
	ck_bad(plumb_measure_logits(&m, a, b, 320, 0), PLUMB_E_ARGUMENT, "best");
}
END_TEST

TCase *measure_tests(void)
{
	TCase *tc = tcase_create("measure");
	tcase_add_test(tc, measures_by_hand);
	tcase_add_test(tc, measures_what_is_not_finite);
	tcase_add_test(tc, measures_logits);
	return tc;
}
