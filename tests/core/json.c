/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside as JSON: whatever its bytes, it comes out as a string that a reader of UTF-8 takes, with
 * all that was text in it. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/json.h"
#include "parts.h"

#define X "\xef\xbf\xbd"
static const struct {
	const char *text, *safe;
} texts[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "Größe \xf0\x9f\x98\x80", "Größe \xf0\x9f\x98\x80" },
	{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf" },
	{ "a\xff"
	  "b",
		"a" X "b" },
	{ "\x80", X },
	{ "Gr\xf6\xdf"
	  "e",
		"Gr" X X "e" }, /* Latin-1 */
	{ "cut \xf0\x9f\x98", "cut " X },
	{ "cut \xc3", "cut " X },
	{ "\xf0\x9f\x98"
	  "b",
		X "b" },
	{ "\xc3\xc3\xa4", X "ä" },
	{ "\xc0\xaf", X X },
	{ "\xe0\x80\xaf", X X X }, /* overlong */
	{ "\xed\xa0\x80", X X X },
	{ "\xf4\x90\x80\x80", X X X X },
	{ "\xf8\x88\x80\x80", X X X X }, /* a surrogate, past U+10FFFF, five bytes */
	{ "\"\\\n\x01\xff", "\"\\\n\x01" X },
};

START_TEST(any_text_is_json)
{
	const char *text = texts[_i].text, *safe = texts[_i].safe;
	size_t n = strlen(text);
	json_t *pair = json_pack("{s:o, s:s}", "name", plumb_json_text(text), "kept", "yes"), *back;
	ck_assert_ptr_nonnull(pair);
	char *written = plumb_json_write(pair, JSON_COMPACT), out[64];
	ck_assert_ptr_nonnull(written);
	json_error_t error;
	ck_good(plumb_json_read(&back, written, strlen(written), 0, &error));
	ck_assert_str_eq(json_string_value(json_object_get(back, "name")), safe);
	ck_assert_str_eq(json_string_value(json_object_get(back, "kept")), "yes");
	ck_assert_uint_eq(
		plumb_utf8_replace(text, n, out), strlen(safe)); /* at most 3 * n: the longest here is 12 bytes */
	ck_assert_mem_eq(out, safe, strlen(safe));
	ck_assert_uint_le(strlen(safe), 3 * n);
	json_decref(back);
	json_decref(pair);
	free(written);
}
END_TEST

/* A NUL is text in a file's key; a part of one is not the whole. */
START_TEST(bytes_and_nothing)
{
	json_t *bytes = plumb_json_bytes("a\0\xff"
									 "b",
			   4),
		   *none = plumb_json_bytes(NULL, 0);
	ck_assert_uint_eq(json_string_length(bytes), 6);
	ck_assert_mem_eq(json_string_value(bytes), "a\0" X "b", 6);
	ck_assert_str_eq(json_string_value(none), "");
	ck_assert_ptr_null(plumb_json_text(NULL));
	json_decref(bytes);
	json_decref(none);
}
END_TEST

/* What is broken is called broken (never "no memory"), also where what follows the fault would be a value by
 * itself. */
static const char *const broken[] = { "[\"\\-1]", "[\"\\true]", "[\"\\0", "{\"a\": \"\\null}", "[\"\\u00-1]",
	"[\"a\n1]", "[-true]", "[1e]", "[.5]", "[tru1]", "[\"\\u12]", "{\"a\\1: 1}", "[1,]", "[1 2]", "[01]",
	"[\"" };

START_TEST(broken_text_is_not_json)
{
	json_error_t error;
	json_t *back;
	ck_bad(
		plumb_json_read(&back, broken[_i], strlen(broken[_i]), 0, &error), PLUMB_E_FORMAT, "not JSON: line");
	ck_assert_ptr_null(back);
}
END_TEST

/* Of any right text no byte is missed (jansson loses some without memory, which is looked for). */
static const char *const right[] = { "{}", "[]", "[-0, 0, -0.0, -0e0]",
	"[123456789012345678, -9223372036854775808]", "[1e-400, 1.7976931348623157e308, 0.1, 1E5, 2e+3]",
	"[0.1000000000000000055511151231257827021181583404541015625]",
	"{\"a\": {\"a\": [true, false, null, \"a\"]}}", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
	"[\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\", \"\xc3\xa9\xf0\x9f\x98\x80\"]",
	" [ \"\\u007f\\u0080\\u07ff\\u0800\\uffff\" ] \n" };

START_TEST(right_text_is_json)
{
	json_error_t error;
	json_t *back;
	ck_good(plumb_json_read(&back, right[_i], strlen(right[_i]), JSON_REJECT_DUPLICATES, &error));
	json_decref(back);
	ck_good(plumb_json_read(
		&back, right[_i], strlen(right[_i]), JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error));
	json_decref(back);
}
END_TEST

TCase *core_json_case(void)
{
	TCase *tc = tcase_create("json");
	tcase_add_loop_test(tc, any_text_is_json, 0, (int)(sizeof texts / sizeof *texts));
	tcase_add_test(tc, bytes_and_nothing);
	tcase_add_loop_test(tc, right_text_is_json, 0, (int)(sizeof right / sizeof *right));
	tcase_add_loop_test(tc, broken_text_is_not_json, 0, (int)(sizeof broken / sizeof *broken));
	return tc;
}
