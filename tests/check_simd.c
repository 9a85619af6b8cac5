/* SPDX-License-Identifier: Apache-2.0 */
/* The micro-kernels of every instruction set of this machine against the definition, and the
 * choice among the sets. The comparisons themselves are in simd_compare.c. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "simd_compare.h"
#include "simd_sets.h"

static uint64_t test_seed(void)
{
	const char *text = getenv("PLUMB_TEST_SEED");
	return text ? strtoull(text, NULL, 0) : 20250117;
}

START_TEST(test_kernels)
{
	const char *name = plumb_simd_at(_i / simd_comparison_count);
	const struct simd_comparison *c = &simd_comparisons[_i % simd_comparison_count];
	struct plumb_simd simd;
	ck_assert_int_eq(plumb_simd_choose(&simd, name), PLUMB_OK);
	const char *bad = c->run(&simd, test_seed());
	ck_assert_msg(!bad, "%s on %s (seed %llu): %s", c->name, name, (unsigned long long)test_seed(), bad);
}
END_TEST

START_TEST(test_choice)
{
	struct plumb_simd simd;
	const char *best = NULL;
	ck_assert_str_eq(plumb_simd_at(0), "c");
	ck_assert_ptr_null(plumb_simd_at(simd_sets()));
	ck_assert_ptr_null(plumb_simd_at(-1));
	for (int i = 0; plumb_simd_at(i); i++) {
		best = plumb_simd_at(i);
		ck_assert_int_eq(plumb_simd_choose(&simd, best), PLUMB_OK);
		ck_assert_str_eq(simd.name, best);
		for (int t = 0; t < PLUMB_TYPE_COUNT; t++) {
			ck_assert(!simd.dot[t] == !plumb_type_is_weight((enum plumb_type)t));
			ck_assert(!simd.to_f32[t] == !plumb_type_is_weight((enum plumb_type)t));
		}
		ck_assert(simd.to_f16 && simd.pack && simd.gemm && simd.max && simd.exp_sum && simd.sum_sq &&
			simd.norm && simd.scale && simd.add && simd.swiglu);
		ck_assert(
			simd.mr >= 1 && simd.mr <= PLUMB_SIMD_MR_MAX && simd.nr >= 1 && simd.nr <= PLUMB_SIMD_NR_MAX);
	}
	ck_assert_int_eq(plumb_simd_choose(&simd, NULL), PLUMB_OK);
	ck_assert_str_eq(simd.name, best);
	ck_assert_int_eq(plumb_simd_choose(&simd, "C"), PLUMB_OK);
	ck_assert_str_eq(simd.name, "c");
}
END_TEST

START_TEST(test_unknown)
{
	struct plumb_context *ctx;
	struct plumb_simd simd;
	ck_assert_int_eq(plumb_simd_choose(&simd, "sse9"), PLUMB_E_ARGUMENT);
	for (int i = 0; plumb_simd_at(i); i++)
		ck_assert_msg(strstr(plumb_last_error(), plumb_simd_at(i)), "\"%s\" does not list %s",
			plumb_last_error(), plumb_simd_at(i));
	setenv("PLUMB_NATIVE_ISA", "sse9", 1);
	ck_assert_int_eq(
		plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .precision = "FP32")), PLUMB_E_ARGUMENT);
	ck_assert_ptr_null(ctx);
	ck_assert_msg(strstr(plumb_last_error(), "PLUMB_NATIVE_ISA") && strstr(plumb_last_error(), "sse9"),
		"\"%s\"", plumb_last_error());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("simd");
	TCase *c = tcase_create("kernels");
	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, test_kernels, 0, simd_comparison_count * simd_sets());
	suite_add_tcase(suite, c);
	c = tcase_create("choice");
	tcase_add_test(c, test_choice);
	tcase_add_test(c, test_unknown);
	suite_add_tcase(suite, c);
	SRunner *runner = srunner_create(suite);
	simd_sets_skipped();
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
