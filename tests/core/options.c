/* SPDX-License-Identifier: Apache-2.0 */
/* Structures that programs fill in: of an earlier version, of a later one, and of none. */
#include <stddef.h>
#include <stdint.h>
#include <plumb/plumb.h>
#include "core/core.h"
#include "parts.h"

struct first {
	size_t size;
	int a;
	int64_t b;
};
struct second {
	size_t size;
	int a;
	int64_t b, c;
}; /* a later version: c is new */

START_TEST(an_earlier_program)
{
	const struct first given = { sizeof given, 1, 2 };
	struct second ours;
	memset(&ours, 0xff, sizeof ours);
	ck_good(plumb_options_take("second", &ours, sizeof ours, sizeof given, &given));
	ck_assert_uint_eq(ours.size, sizeof given);
	ck_assert_int_eq(ours.a, 1);
	ck_assert_int_eq(ours.b, 2);
	ck_assert_int_eq(ours.c, 0);
	ck_good(plumb_options_take("second", &ours, sizeof ours, sizeof given, NULL));
	ck_assert_int_eq(ours.a, 0);
	ck_assert_uint_eq(ours.size, sizeof ours);
}
END_TEST

START_TEST(a_later_program)
{
	struct second given = { sizeof given, 1, 2, 0 };
	struct first ours;
	ck_good(plumb_options_take("first", &ours, sizeof ours, sizeof ours, &given));
	ck_assert_int_eq(ours.b, 2);
	given.c = 3; /* what ours does not know may be left out in silence only where it says nothing */
	ck_bad(plumb_options_take("first", &ours, sizeof ours, sizeof ours, &given), PLUMB_E_ARGUMENT,
		"a field that plumb");
}
END_TEST

/* Every public function that takes such a structure refuses one whose size was forgotten, by name. */
START_TEST(a_forgotten_size)
{
	struct plumb_context *ctx = (struct plumb_context *)&ctx;
	struct plumb_sampler *sampler = (struct plumb_sampler *)&sampler;
	ck_bad(plumb_open(&ctx, &(const struct plumb_options){ .driver = "native" }), PLUMB_E_ARGUMENT,
		"struct plumb_options: size is 0");
	ck_assert_ptr_null(ctx);
	ck_bad(plumb_open(&ctx, PLUMB_OPTIONS(.threads = 257)), PLUMB_E_ARGUMENT, "257 threads");
	ck_bad(plumb_open(&ctx, PLUMB_OPTIONS(.threads = -1)), PLUMB_E_ARGUMENT, "-1 threads");
	ck_bad(plumb_sampler_new(&sampler, &(const struct plumb_sampling){ .top_p = 1, .repeat_penalty = 1 }),
		PLUMB_E_ARGUMENT, "struct plumb_sampling: size is 0");
	ck_assert_ptr_null(sampler);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 3, .memory_limit = 12345678)));
	uint64_t now, peak, limit;
	plumb_memory(ctx, &now, &peak, &limit);
	ck_assert_uint_eq(limit, 12345678);
	ck_assert_int_eq(plumb_context_threads(ctx), 3);
	plumb_close(ctx);
}
END_TEST

/* The number of an option is taken as it is, so the variable is not even looked at; without it the variable
 * rules. */
START_TEST(options_before_variables)
{
	struct plumb_context *ctx;
	uint64_t now, peak, limit;
	setenv("PLUMB_THREADS", "many", 1);
	setenv("AR_HARDWARE_MEMORY_SCALE", "1", 1);
	ck_bad(
		plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")), PLUMB_E_ARGUMENT, "PLUMB_THREADS is \"many\"");
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 2)));
	plumb_memory(ctx, &now, &peak, &limit);
	ck_assert_uint_eq(limit, 128u << 20);
	plumb_close(ctx);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 2, .memory_limit = UINT64_MAX)));
	plumb_memory(ctx, &now, &peak, &limit);
	ck_assert_uint_eq(limit, 0);
	plumb_close(ctx);
}
END_TEST

TCase *core_options_case(void)
{
	TCase *tc = tcase_create("options");
	tcase_add_test(tc, an_earlier_program);
	tcase_add_test(tc, a_later_program);
	tcase_add_test(tc, a_forgotten_size);
	tcase_add_test(tc, options_before_variables);
	return tc;
}
