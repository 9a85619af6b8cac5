/* SPDX-License-Identifier: Apache-2.0 */
/* Every variable says what its values are, and what is none is refused by name; the CPUs of a mask that is
 * larger than libc's. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <errno.h>
#include <plumb/device.h>
#include <plumb/doctor.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/core.h"
#include "parts.h"

#ifdef PLUMB_HAVE_OPENCL
static const bool has_cl = true;
#else
static const bool has_cl = false;
#endif

static bool of_cl(int row) { return row >= PLUMB_ENV_CL_DEVICE && row <= PLUMB_ENV_CANARY; }

/* Opening with the variable at this value. The list has cl in it, for which there is no device here. */
static enum plumb_status open_with(const char *name, const char *value)
{
	struct plumb_context *ctx;
	setenv(name, value, 1);
	enum plumb_status s = plumb_open(&ctx, NULL);
	plumb_close(ctx);
	return s;
}

START_TEST(garbage_is_refused_by_name)
{
	static const char *const garbage[] = { "maybe", "12x", "-1", "1 0", "nö" };
	struct plumb_env row;
	ck_assert(plumb_env_row(_i, &row));
	enum plumb_env_kind kind = plumb_env_kind((enum plumb_env_name)_i);
	ck_assert_msg(kind != 0, "%s does not say what its values are", row.name);
	for (size_t g = 0; g < sizeof garbage / sizeof *garbage; g++) {
		enum plumb_status s = open_with(row.name, garbage[g]);
		if (kind == PLUMB_ENV_TEXT ||
			(of_cl(_i) && !has_cl)) { /* any text is good; a driver that is not there reads nothing */
			ck_assert_msg(!s, "%s=%s: %s", row.name, garbage[g], plumb_last_error());
			continue;
		}
		ck_assert_int_eq(s, _i == PLUMB_ENV_DRIVER ? PLUMB_E_DRIVER : PLUMB_E_ARGUMENT);
		ck_assert_msg(strstr(plumb_last_error(), row.name) != NULL, "%s=%s: %s", row.name, garbage[g],
			plumb_last_error());
		ck_assert_msg(strstr(plumb_last_error(), garbage[g]) != NULL, "%s=%s: %s", row.name, garbage[g],
			plumb_last_error());
	}
}
END_TEST

/* Those that open nothing refuse a number, a flag or a word, too. */
START_TEST(doctor_and_devices_refuse)
{
	enum plumb_env_kind kind = plumb_env_kind((enum plumb_env_name)_i);
	struct plumb_env row;
	struct plumb_device *list;
	enum plumb_verdict verdict;
	int count;
	if (!has_cl || kind == PLUMB_ENV_TEXT || kind == PLUMB_ENV_OWN)
		return;
	ck_assert(plumb_env_row(_i, &row));
	setenv(row.name, "12x", 1);
	ck_bad(plumb_devices(&list, &count), PLUMB_E_ARGUMENT, row.name);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(count, 0);
	ck_bad(plumb_doctor(false, NULL, NULL, &verdict), PLUMB_E_ARGUMENT, row.name);
}
END_TEST

static const struct {
	const char *text;
	int value;
} flags[] = {
	{ "0", 0 },
	{ "no", 0 },
	{ "OFF", 0 },
	{ "False", 0 },
	{ "1", 1 },
	{ "Yes", 1 },
	{ "on", 1 },
	{ "TRUE", 1 },
	{ NULL, 7 },
	{ "2", -1 },
	{ "00", -1 },
	{ "y", -1 },
	{ "yes ", -1 },
	{ "maybe", -1 },
};

START_TEST(flags_have_one_parser)
{
	for (int i = 0; i < PLUMB_ENV_COUNT; i++) {
		int64_t value = 7;
		if (plumb_env_kind((enum plumb_env_name)i) != PLUMB_ENV_FLAG)
			continue;
		enum plumb_status s = plumb_env_parse((enum plumb_env_name)i, flags[_i].text, &value);
		ck_assert_int_eq(s, flags[_i].value < 0 ? PLUMB_E_ARGUMENT : PLUMB_OK);
		ck_assert_int_eq(value, flags[_i].value < 0 ? 7 : flags[_i].value);
	}
}
END_TEST

START_TEST(strict_means_what_it_says)
{
	static const struct {
		const char *text;
		bool strict;
	} is[] = { { "no", false }, { "0", false }, { "Off", false }, { "", false }, { "yes", true },
		{ "1", true } };
	for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
		struct plumb_context *ctx;
		setenv("PLUMB_STRICT", is[i].text, 1);
		ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
		ck_assert_msg(ctx->strict == is[i].strict, "PLUMB_STRICT=%s", is[i].text);
		setenv("PLUMB_STRICT", "1", 1); /* it was read once */
		ck_assert_int_eq(ctx->strict, is[i].strict);
		plumb_close(ctx);
	}
}
END_TEST

/* --- masks --- */

static size_t need; /* bytes below which a system of many CPUs answers EINVAL */
static int cpus, asked, answer;

static int many(size_t bytes, void *mask)
{
	asked++;
	if (answer || bytes < need)
		return answer ? answer : EINVAL;
	CPU_ZERO_S(bytes, (cpu_set_t *)mask);
	for (int i = 0; i < cpus; i++)
		CPU_SET_S((size_t)(8 * need) - 1 - (size_t)i, bytes, (cpu_set_t *)mask); /* the last ones */
	return 0;
}

static const struct {
	int system, allowed;
} masks[] = { { 64, 3 }, { 1024, 1024 }, { 1088, 1088 }, { 2048, 5 }, { 8192, 6000 }, { 1 << 20, 70000 } };

START_TEST(masks_of_many_cpus)
{
	need = (size_t)masks[_i].system / 8;
	cpus = masks[_i].allowed;
	ck_assert_int_eq(plumb_cpus_of_mask(many), cpus);
}
END_TEST

/* No mask of any size, or none at all: the system's number, not one. It ends. */
START_TEST(no_mask)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	need = SIZE_MAX;
	ck_assert_int_eq(plumb_cpus_of_mask(many), online);
	ck_assert_int_lt(asked, 32);
	asked = 0;
	answer = EPERM;
	ck_assert_int_eq(plumb_cpus_of_mask(many), online);
	ck_assert_int_eq(asked, 1);
}
END_TEST

TCase *core_variables_case(void)
{
	TCase *tc = tcase_create("variables");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, garbage_is_refused_by_name, 0, PLUMB_ENV_COUNT);
	tcase_add_loop_test(tc, doctor_and_devices_refuse, 0, PLUMB_ENV_COUNT);
	tcase_add_loop_test(tc, flags_have_one_parser, 0, (int)(sizeof flags / sizeof *flags));
	tcase_add_test(tc, strict_means_what_it_says);
	tcase_add_loop_test(tc, masks_of_many_cpus, 0, (int)(sizeof masks / sizeof *masks));
	tcase_add_test(tc, no_mask);
	return tc;
}
