/* SPDX-License-Identifier: Apache-2.0 */
/* src/core: the driver list, opening, the environment, the text of errors; the rest is in tests/core. */
#include "core/parts.h"
#include "suite.h"
#include "drivers/drivers.h"

/* --- the driver list: every rule of doc/drivers.md --- */

#define R true
static const struct {
	const char *list;
	struct plumb_driver_item items[4]; /* name NULL: the end */
} lists[] = {
	{ NULL,
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "",
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*",
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ " , ,",
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "native", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "NATIVE", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ " Native\t", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "native,", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,native", { { "cl", PLUMB_KIND_ANY, R, 0 }, { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "native , cl", { { "native", PLUMB_KIND_ANY, R, 0 }, { "cl", PLUMB_KIND_ANY, R, 0 } } },
	{ "native,native,NATIVE", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,native,cl", { { "cl", PLUMB_KIND_ANY, R, 0 }, { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,*", { { "cl", PLUMB_KIND_ANY, R, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 } } },
	{ "native,*",
		{ { "native", PLUMB_KIND_ANY, R, 0 }, { "cl", PLUMB_KIND_GPU, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,native",
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, R, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,cl",
		{ { "cl", PLUMB_KIND_GPU, 0, 4 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 4 } } },
	{ "*,cl,cl,gpu",
		{ { "cl", PLUMB_KIND_GPU, 0, 6 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 4 } } },
	{ "cpu,gpu,cl",
		{ { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 5 },
			{ "cl", PLUMB_KIND_GPU, 0, 6 } } },
	{ "*,*",
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,gpu",
		{ { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,cpu",
		{ { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 1 },
			{ "cl", PLUMB_KIND_CPU, 0, 1 } } },
	{ "mtl", { { "mtl", PLUMB_KIND_ANY, R, 0 } } },
	{ "gpu", { { "cl", PLUMB_KIND_GPU, 0, 2 } } },
	{ "cpu", { { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 1 } } },
	{ "gpu,cpu",
		{ { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, 0, 1 },
			{ "cl", PLUMB_KIND_CPU, 0, 1 } } },
	{ "gpu,native", { { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,gpu", { { "cl", PLUMB_KIND_GPU, R, 2 } } },
	{ "gpu,*",
		{ { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, 0, 0 },
			{ "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "cpu,*",
		{ { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 1 },
			{ "cl", PLUMB_KIND_GPU, 0, 0 } } },
};

START_TEST(version)
{
	char text[64];
	snprintf(text, sizeof text, "%d.%d.%d", PLUMB_VERSION_MAJOR, PLUMB_VERSION_MINOR, PLUMB_VERSION_PATCH);
	ck_assert_str_eq(plumb_version_text(), text);
	ck_assert_int_eq(plumb_version(), PLUMB_VERSION);
	/* Numbers that programs were compiled with: a new operator comes last. */
	ck_assert(PLUMB_OP_embed == 0 && PLUMB_OP_argmax == 10 && PLUMB_OP_attention == 11 &&
		PLUMB_OP_matmul_add == 14 && PLUMB_OP_f16_round == 16);
	ck_assert(PLUMB_VERSION_NUMBER(0, 2, 0) > PLUMB_VERSION_NUMBER(0, 1, 99) &&
		PLUMB_VERSION_NUMBER(1, 0, 0) > PLUMB_VERSION_NUMBER(0, 99, 99));
}
END_TEST

START_TEST(driver_list)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	int count, want = 0;
	ck_good(plumb_driver_parse(lists[_i].list, items, &count));
	while (want < 4 && lists[_i].items[want].name)
		want++;
	ck_assert_msg(count == want, "\"%s\": %d drivers, expected %d", lists[_i].list, count, want);
	for (int i = 0; i < count; i++) {
		const struct plumb_driver_item *w = &lists[_i].items[i];
		ck_assert_str_eq(items[i].name, w->name);
		ck_assert_int_eq(items[i].kind, w->kind);
		ck_assert_int_eq(items[i].required, w->required);
		ck_assert_uint_eq(items[i].groups, w->groups);
	}
}
END_TEST

static const struct {
	const char *list, *said;
} bad_lists[] = {
	{ "cuda", "Unknown driver cuda" },
	{ "native,vulkan", " vulkan" },
	{ "nativ", " nativ" },
	{ "native;cl", " native;cl" },
	{ "**", " **" },
	{ "ref", " ref" },
	{ "native cl", " native cl" },
	{ "cuda", "native, cl, mtl, cpu, gpu, *" },
};

START_TEST(driver_list_unknown)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	int count;
	ck_bad(plumb_driver_parse(bad_lists[_i].list, items, &count), PLUMB_E_DRIVER, bad_lists[_i].said);
}
END_TEST

/* What opens: names and failures by list. */
static const struct {
	const char *driver, *precision;
	enum plumb_status status;
	const char *text;
} opens[] = {
	{ "native", NULL, PLUMB_OK, "native" },
	{ "cpu", NULL, PLUMB_OK, "native" },
	{ "native", "fp64", PLUMB_OK, "ref" },
	{ "mtl", NULL, PLUMB_E_DRIVER, "mtl: Metal is not available" },
	{ "native,mtl", NULL, PLUMB_E_DRIVER, "mtl" },
	{ "native", "FP16", PLUMB_OK, "native" },
	{ "native", "FP8", PLUMB_E_ARGUMENT, "AR_HARDWARE_PRECISION is \"FP8\"" },
	{ "cuda", NULL, PLUMB_E_DRIVER, "cuda" },
};

START_TEST(opening)
{
	struct plumb_context *ctx;
	struct plumb_options o = {
		.size = sizeof o, .driver = opens[_i].driver, .precision = opens[_i].precision
	};
	if (opens[_i].status) {
		ck_bad(plumb_open(&ctx, &o), opens[_i].status, opens[_i].text);
		ck_assert_ptr_null(ctx);
		return;
	}
	ck_good(plumb_open(&ctx, &o));
	ck_assert_str_eq(plumb_driver_name(ctx, 0), opens[_i].text);
	ck_assert_ptr_null(plumb_driver_name(ctx, plumb_driver_count(ctx)));
	plumb_close(ctx);
}
END_TEST

START_TEST(driver_from_environment)
{
	struct plumb_context *ctx;
	setenv("AR_HARDWARE_DRIVER", "cuda", 1);
	ck_bad(plumb_open(&ctx, NULL), PLUMB_E_DRIVER, "cuda");
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native"))); /* the option wins */
	plumb_close(ctx);
	setenv("AR_HARDWARE_DRIVER", "", 1); /* empty is unset */
	ck_good(plumb_open(&ctx, NULL));
	plumb_close(ctx);
}
END_TEST

static const struct {
	const char *name, *value;
	bool good;
} variables[] = {
	{ "AR_HARDWARE_MEMORY_SCALE", "0", true },
	{ "AR_HARDWARE_MEMORY_SCALE", "37", true },
	{ "AR_HARDWARE_MEMORY_SCALE", "38", false },
	{ "AR_HARDWARE_MEMORY_SCALE", "-1", false },
	{ "AR_HARDWARE_MEMORY_SCALE", "big", false },
	{ "AR_HARDWARE_MEMORY_SCALE", "4x", false },
	{ "AR_HARDWARE_MEMORY_LOCATION", "HOST", true },
	{ "AR_HARDWARE_MEMORY_LOCATION", "delegate", true },
	{ "AR_HARDWARE_MEMORY_LOCATION", "moon", false },
	{ "AR_HARDWARE_PRECISION", "fp32", true },
	{ "AR_HARDWARE_PRECISION", "32", false },
	{ "PLUMB_THREADS", "3", true },
	{ "PLUMB_THREADS", "0", false },
	{ "PLUMB_THREADS", "257", false },
	{ "PLUMB_THREADS", "two", false },
	{ "PLUMB_NATIVE_ISA", "c", true },
	{ "PLUMB_NATIVE_ISA", "sse9", false },
};

START_TEST(environment_values)
{
	struct plumb_context *ctx;
	setenv("AR_HARDWARE_DRIVER", "native", 1);
	setenv(variables[_i].name, variables[_i].value, 1);
	enum plumb_status s = plumb_open(&ctx, NULL);
	ck_assert_msg(
		!s == variables[_i].good, "%s=%s: %s", variables[_i].name, variables[_i].value, plumb_last_error());
	if (s)
		ck_assert_msg(strstr(plumb_last_error(), variables[_i].name) != NULL, "%s is not named: %s",
			variables[_i].name, plumb_last_error());
	plumb_close(ctx);
}
END_TEST

START_TEST(environment_rows)
{
	struct plumb_env row;
	int n = 0;
	setenv("PLUMB_THREADS", "7", 1);
	for (; plumb_env_row(n, &row); n++) {
		ck_assert(row.name && row.meaning && row.fallback);
		if (!strcmp(row.name, "PLUMB_THREADS"))
			ck_assert_str_eq(row.value, "7");
	}
	ck_assert_int_eq(n, PLUMB_ENV_COUNT);
	ck_assert(!plumb_env_row(-1, &row));
}
END_TEST

START_TEST(error_text)
{
	ck_assert_int_eq(plumb_fail(PLUMB_E_IO, "disk %d", 3), PLUMB_E_IO);
	ck_assert_str_eq(plumb_last_error(), "disk 3");
	ck_assert_int_eq(plumb_fail_in(PLUMB_E_IO, "file %s", "x"), PLUMB_E_IO);
	ck_assert_str_eq(plumb_last_error(), "file x: disk 3");
	char large[4000];
	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = 0;
	plumb_fail(PLUMB_E_IO, "%s", large);
	plumb_fail_in(PLUMB_E_IO, "%s", "b");
	ck_assert_int_eq(plumb_last_error()[0], 'b');
	ck_assert_uint_lt(strlen(plumb_last_error()), 1024);
	for (int s = 0; s >= PLUMB_E_NONFINITE; s--)
		ck_assert_str_ne(plumb_strerror((enum plumb_status)s), "unknown status");
	ck_assert_str_eq(plumb_strerror((enum plumb_status)1), "unknown status");
	ck_assert_str_eq(plumb_strerror((enum plumb_status) - 99), "unknown status");
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))
int main(void)
{
	/* Lists with "*" would open a vendor's driver where there is one, with its own leaks and races;
	 * tests/check_cl has those. */
	setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
	Suite *suite = suite_create("core");
	TCase *tc = tcase_create("core");
	tcase_set_timeout(tc, 120);
	LOOP(driver_list, lists);
	LOOP(driver_list_unknown, bad_lists);
	LOOP(opening, opens);
	tcase_add_test(tc, version);
	tcase_add_test(tc, driver_from_environment);
	LOOP(environment_values, variables);
	tcase_add_test(tc, environment_rows);
	tcase_add_test(tc, error_text);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, core_fork_case());
	suite_add_tcase(suite, core_json_case());
	suite_add_tcase(suite, core_options_case());
	suite_add_tcase(suite, core_tensors_case());
	suite_add_tcase(suite, core_threads_case());
	suite_add_tcase(suite, core_types_case());
	suite_add_tcase(suite, core_variables_case());
	return run_suite(suite);
}
