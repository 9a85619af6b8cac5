/* SPDX-License-Identifier: Apache-2.0 */
/* What the Check programs share: asserting a status with the library's own words, paths of
 * test data, an error measure, and main(). */
#ifndef PLUMB_SUITE_H
#define PLUMB_SUITE_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/plumb.h>

#define ck_good(call) \
	do { \
		enum plumb_status ck_s = (call); \
		ck_assert_msg(ck_s == PLUMB_OK, "%s: %s (%s)", #call, plumb_strerror(ck_s), plumb_last_error()); \
	} while (0)
/* The status, and a piece of the text that a user would need. */
#define ck_bad(call, status, words) \
	do { \
		enum plumb_status ck_s = (call); \
		ck_assert_msg(ck_s == (status), "%s: %s (%s), expected %s", #call, plumb_strerror(ck_s), \
			plumb_last_error(), plumb_strerror(status)); \
		ck_assert_msg(strstr(plumb_last_error(), words) != NULL, "%s: \"%s\" does not say \"%s\"", #call, \
			plumb_last_error(), words); \
	} while (0)

/* Path of a file below tests/data; valid until the next call but three. */
static inline const char *data_path(const char *name)
{
	static char paths[4][1024];
	static int next;
	const char *top = getenv("srcdir");
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/tests/data/%s", top ? top : ".", name);
	return path;
}

/* The driver under test: PLUMB_TEST_DRIVER, else native. */
static inline const char *test_driver(void)
{
	const char *name = getenv("PLUMB_TEST_DRIVER");
	return name && *name ? name : "native";
}

/* |a - b| / |b| in the Euclidean norm; 0 when both are 0. Infinities that agree do not count. */
static inline double relative_l2(const float *a, const float *b, int64_t n)
{
	double error = 0, size = 0;
	for (int64_t i = 0; i < n; i++) {
		if (isinf(b[i]) && a[i] == b[i])
			continue;
		error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		size += (double)b[i] * b[i];
	}
	return error == 0 ? 0 : size > 0 ? sqrt(error / size) : INFINITY;
}

/* Tolerances are those of the mode "exact" unless a test opens another one. */
static inline int run_suite(Suite *suite)
{
	setenv("PLUMB_MODE", "exact", 1);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
