/* SPDX-License-Identifier: Apache-2.0 */
/* Every operator of the cl driver against its float64 truth, on the device that PLUMB_CL_DEVICE chooses: every case of
 * its descriptor and every weight type, plus what the driver's own parts must do. Not forked: a context does not
 * survive that. Exit status 77, a skip, where no OpenCL device opens. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/cl.h"
#include "op_cases.h"

static struct plumb_context *ctx;

/* Oclgrind 21.10 knows what is initialised by a buffer's number and keeps the old size when a number comes again: a
 * larger buffer then looks uninitialised at its end. So no buffer is given back where it may be at work. */
static cl_int CL_API_CALL keep(cl_mem mem)
{
	(void)mem;
	return CL_SUCCESS;
}

static void check_problem(void *user, const struct problem *p)
{
	void *first = NULL;
	(void)user;
	check_context(ctx, p, &first);
	free(first);
	check_refuses_f64(ctx, p);
}

START_TEST(test_op)
{
	start_random((unsigned)_i);
	ck_assert_int_gt(each_problem((enum plumb_op)_i, check_problem, NULL), 0);
}
END_TEST

/* The variable must be understood or named. */
START_TEST(test_class)
{
	struct plumb_context *other;
	const char *had = getenv("PLUMB_CL_CLASS");
	char *keep = had ? strdup(had) : NULL;
	setenv("PLUMB_CL_CLASS", "toaster", 1);
	ck_assert_int_eq(plumb_open(&other, &(struct plumb_options){ .driver = "cl" }), PLUMB_E_ARGUMENT);
	ck_assert_msg(strstr(plumb_last_error(), "PLUMB_CL_CLASS=toaster"), "%s", plumb_last_error());
	if (keep)
		setenv("PLUMB_CL_CLASS", keep, 1);
	else
		unsetenv("PLUMB_CL_CLASS");
	free(keep);
}
END_TEST

int main(void)
{
	if (plumb_open(&ctx, &(struct plumb_options){ .driver = "cl", .precision = "FP32" })) {
		printf("skipped: %s\n", plumb_last_error());
		return 77;
	}
	printf("on %s\n", plumb_driver_note(ctx, 0));
	if (strstr(plumb_driver_note(ctx, 0), "Oclgrind"))
		plumb_cl.clReleaseMemObject = keep;
	Suite *suite = suite_create("cl");
	for (int op = 0; op < PLUMB_OP_COUNT; op++) { /* CK_RUN_CASE=rope runs that one alone */
		TCase *c = tcase_create(plumb_op_name(op));
		tcase_add_loop_test(c, test_op, op, op + 1);
		suite_add_tcase(suite, c);
	}
	TCase *c = tcase_create("driver");
	tcase_add_test(c, test_class);
	suite_add_tcase(suite, c);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	plumb_close(ctx);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
