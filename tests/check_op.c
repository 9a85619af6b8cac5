/* SPDX-License-Identifier: Apache-2.0 */
/* Every operator of the native driver against its float64 truth: every case of its descriptor, every weight
 * type, every instruction set of this machine, both modes, 1 to 3 threads, whose number changes no bit. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "op_cases.h"
#include "simd_sets.h"

#define THREADS 3

static const char *const modes[] = { "default", "exact" };
#define MODES 2

struct contexts {
	struct plumb_context *(*ctx)[THREADS]; /* by instruction set and mode */
	int sets;
	struct plumb_context *half;
};

static void check_problem(void *user, const struct problem *p)
{
	const struct contexts *c = user;
	for (int s = 0; s < c->sets; s++) {
		void *first = NULL;
		for (int i = 0; i < THREADS; i++)
			check_context(c->ctx[s][i], p, &first);
		free(first);
		check_refuses_f64(c->ctx[s][0], p);
	}
	check_half(c->half, p);
}

START_TEST(test_op)
{
	struct contexts c = { .ctx = calloc((size_t)simd_sets() * MODES, sizeof *c.ctx) };
	const char *name;
	start_random((unsigned)_i);
	for (; (name = plumb_simd_at(c.sets / MODES)); c.sets++) {
		setenv("PLUMB_NATIVE_ISA", name, 1);
		for (int i = 0; i < THREADS; i++) {
			struct plumb_context **ctx = &c.ctx[c.sets][i];
			need(plumb_open(ctx,
					 PLUMB_OPTIONS(.driver = "native", .precision = "FP32", .threads = 1 + i,
						 .mode = modes[c.sets % MODES])),
				name);
			ck_assert_ptr_nonnull(strstr(plumb_driver_note(*ctx, 0), name));
		}
	}
	need(plumb_open(&c.half, PLUMB_OPTIONS(.driver = "native", .precision = "FP16")), "FP16");
	ck_assert_int_gt(each_problem((enum plumb_op)_i, check_problem, &c), 0);
	plumb_close(c.half);
	for (int s = 0; s < c.sets;
		 s += MODES) /* default: a fused one may be composed for some weights, not for all */
		ck_assert_uint_gt(plumb_placement(c.ctx[s][0], _i, 0), 0);
	for (int s = 0; s < c.sets; s++)
		for (int i = 0; i < THREADS; i++)
			plumb_close(c.ctx[s][i]);
	free(c.ctx);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("operators");
	TCase *c = tcase_create("against the truth");
	tcase_set_timeout(c, 600);
	tcase_add_loop_test(c, test_op, 0, PLUMB_OP_COUNT);
	suite_add_tcase(suite, c);
	SRunner *runner = srunner_create(suite);
	simd_sets_skipped();
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
