/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of safetensors through the public header: a good file, and each way to be broken.
 * main() is in check_format.c. */
#include "expect.h"
#include "../fuzz/walk.h"

#define MOST 4096

/* Header length, header padded to 8 as writers do, data 1, 2, 3 ...; bytes in all. */
static size_t put(unsigned char out[MOST], const char *header, size_t data)
{
	const size_t n = (strlen(header) + 7) / 8 * 8;
	ck_assert_uint_le(8 + n + data, MOST);
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char)((uint64_t)n >> (8 * i));
	memset(out + 8, ' ', n);
	memcpy(out + 8, header, strlen(header));
	for (size_t i = 0; i < data; i++)
		out[8 + n + i] = (unsigned char)(i + 1);
	return 8 + n + data;
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\",\"ids\":\"[9707]\"},"
						   "\"half\":{\"dtype\":\"F16\",\"shape\":[1,1,2,1],\"data_offsets\":[28,32]},"
						   "\"b\\u00e9\\\"\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[32,36]},"
						   "\"wide\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},"
						   "\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]},"
						   "\"scalar\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[24,28]}}";

START_TEST(good_file)
{
	static const struct {
		const char *name;
		enum plumb_type type;
		int rank;
		int64_t dim[4];
		size_t at, bytes;
	} want[] = {
		{ "wide", PLUMB_F64, 1, { 1, 1, 1, 1 }, 0, 8 },
		{ "w", PLUMB_F32, 2, { 2, 2, 1, 1 }, 8, 16 },
		{ "scalar", PLUMB_I32, 1, { 1, 1, 1, 1 }, 24, 4 },
		{ "half", PLUMB_F16, 4, { 1, 1, 2, 1 }, 28, 4 },
		{ "b\303\251\"", PLUMB_BF16, 1, { 2, 1, 1, 1 }, 32, 4 },
	};
	unsigned char bytes[MOST];
	struct plumb_file *file;
	void *copy;
	const size_t n = put(bytes, good, 36);
	ck_assert_msg(open_copy(bytes, n, &file, &copy) == PLUMB_OK, "%s", plumb_last_error());
	ck_assert_str_eq(plumb_file_format(file), "safetensors");
	ck_assert_int_eq(plumb_file_tensors(file), 5);
	for (int i = 0; i < 5; i++) { /* in the order of the data */
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		ck_assert_ptr_eq(plumb_file_find(file, want[i].name), t);
		ck_assert(span_is(t->name, want[i].name));
		ck_assert_int_eq(t->type, want[i].type);
		ck_assert_int_eq(t->rank, want[i].rank);
		ck_assert_mem_eq(t->dim, want[i].dim, sizeof t->dim);
		ck_assert_ptr_eq(t->data, (char *)copy + n - 36 + want[i].at);
		ck_assert_uint_eq(t->bytes, want[i].bytes);
	}
	ck_assert_int_eq(plumb_file_metas(file), 2);
	ck_assert_int_eq(plumb_file_meta_find(file, "ids")->kind, PLUMB_META_STRING);
	ck_assert(span_is(plumb_file_meta_find(file, "ids")->s, "[9707]"));
	ck_assert_ptr_null(plumb_file_find(file, "__metadata__"));
	plumb_file_close(file);
	free(copy);
}
END_TEST

/* Types that plumb does not compute with, listed with their sizes. */
static const struct {
	const char *header, *name;
	size_t bytes;
} lacking[] = {
	{ "{\"w\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]}}", "BOOL", 3 },
	{ "{\"w\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", "U8", 3 },
	{ "{\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]}}", "F8_E4M3", 3 },
	{ "{\"w\":{\"dtype\":\"I16\",\"shape\":[3],\"data_offsets\":[0,6]}}", "I16", 6 },
	{ "{\"w\":{\"dtype\":\"U32\",\"shape\":[3],\"data_offsets\":[0,12]}}", "U32", 12 },
	{ "{\"w\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]}}", "I64", 24 },
};

START_TEST(types_that_are_listed)
{
	unsigned char bytes[MOST];
	struct plumb_file *file;
	void *copy;
	const size_t n = put(bytes, lacking[_i].header, lacking[_i].bytes);
	ck_assert_msg(open_copy(bytes, n, &file, &copy) == PLUMB_OK, "%s", plumb_last_error());
	const struct plumb_file_tensor *t = plumb_file_tensor(file, 0);
	ck_assert_str_eq(t->type_name, lacking[_i].name);
	ck_assert_int_eq(t->type, PLUMB_TYPE_COUNT);
	ck_assert_uint_eq(t->bytes, lacking[_i].bytes);
	plumb_file_close(file);
	free(copy);
}
END_TEST

START_TEST(every_truncation)
{
	unsigned char bytes[MOST];
	const size_t n = put(bytes, good, 36);
	for (size_t i = 0; i < n; i++)
		expect_error(bytes, i, PLUMB_E_FORMAT, "");
}
END_TEST

START_TEST(every_bit_flip)
{
	unsigned char bytes[MOST], *copy;
	const size_t n = put(bytes, good, 36);
	copy = malloc(n);
	ck_assert_ptr_nonnull(copy);
	for (size_t bit = 0; bit < n * 8; bit++) {
		memcpy(copy, bytes, n);
		copy[bit / 8] ^= (unsigned char)(1u << (bit % 8));
		walk(copy, n);
	}
	free(copy);
}
END_TEST

#define ENTRY(dtype, shape, offsets) \
	"{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"w\":" ENTRY(dtype, shape, offsets) "}"
#define TWO(a, b) "{\"v\":" ENTRY("F32", "[2]", a) ",\"w\":" ENTRY("F32", "[2]", b) "}"

static const struct {
	const char *header;
	size_t data;
	enum plumb_status status;
	const char *words;
} bad[] = {
	{ "{\"w\": ", 8, PLUMB_E_FORMAT, "header is not JSON" },
	{ "{\"\377\": 1}", 0, PLUMB_E_FORMAT, "header is not JSON: unable to decode byte 0xff" },
	{ "{\"w\": {}, \"w\": {}}", 0, PLUMB_E_FORMAT, "duplicate object key" },
	{ "{} x", 0, PLUMB_E_FORMAT, "header is not JSON" },
	{ "{\"w\": 3}", 0, PLUMB_E_FORMAT, "'w': 'dtype' is missing" },
	{ "{\"w\": {\"dtype\":\"F32\"}}", 0, PLUMB_E_FORMAT, "'w': 'shape' is missing" },
	{ "{\"w\": {\"dtype\":\"F32\",\"shape\":[1]}}", 0, PLUMB_E_FORMAT, "'w': 'data_offsets' is missing" },
	{ "{\"__metadata__\": 1}", 0, PLUMB_E_FORMAT, "'__metadata__' is not an object" },
	{ "{\"__metadata__\": {\"a\": 1}}", 0, PLUMB_E_FORMAT, "metadata 'a' is not a string" },
	{ ONE("I64", "[2]", "[0,8]"), 8, PLUMB_E_FORMAT, "are 8 bytes, its shape and type need 16" },
	{ ONE("I64", "[1]", "[4,12]"), 12, PLUMB_E_UNSUPPORTED, "expected a multiple of 8" },
	{ ONE("F4", "[2]", "[0,1]"), 1, PLUMB_E_UNSUPPORTED, "'w' is of type F4, which plumb does not have" },
	{ ONE("F9\\u001b", "[1]", "[0,8]"), 8, PLUMB_E_UNSUPPORTED, "'w' is of type F9?" },
	{ ONE("F32", "[1,1,1,1,1]", "[0,4]"), 4, PLUMB_E_UNSUPPORTED, "'w' has 5 dimensions" },
	{ ONE("F32", "[2,0]", "[0,0]"), 0, PLUMB_E_UNSUPPORTED, "dimension 1 is 0" },
	{ ONE("F32", "[-2]", "[0,8]"), 8, PLUMB_E_FORMAT, "is -2, it must be at least 1" },
	{ ONE("F32", "[2.0]", "[0,8]"), 8, PLUMB_E_FORMAT, "dimension 0 is not an integer" },
	{ ONE("F32", "[4294967296,4294967296]", "[0,8]"), 8, PLUMB_E_FORMAT,
		"product of its dimensions overflows" },
	{ ONE("F32", "[4611686018427387904]", "[0,8]"), 8, PLUMB_E_FORMAT,
		"size of 4611686018427387904 elements" },
	{ ONE("F32", "[2]", "[0,12]"), 8, PLUMB_E_FORMAT, "offsets [0, 12], expected a range within [0, 8]" },
	{ ONE("F32", "[2]", "[8,0]"), 8, PLUMB_E_FORMAT, "offsets [8, 0], expected a range within" },
	{ ONE("F32", "[2]", "[-8,0]"), 8, PLUMB_E_FORMAT, "offsets [-8, 0], expected a range within" },
	{ ONE("F32", "[2]", "[0,8,8]"), 8, PLUMB_E_FORMAT, "not two integers" },
	{ ONE("F32", "[2]", "[0,\\\"8\\\"]"), 8, PLUMB_E_FORMAT, "header is not JSON" },
	{ ONE("F32", "[3]", "[0,8]"), 8, PLUMB_E_FORMAT, "are 8 bytes, its shape and type need 12" },
	{ ONE("F32", "[2]", "[0,8]"), 9, PLUMB_E_FORMAT,
		"the tensors hold 8 bytes, the data from byte 64 on has 9" },
	{ ONE("F32", "[2]", "[1,9]"), 9, PLUMB_E_UNSUPPORTED, "'w' begins at byte 65, expected a multiple of 4" },
	{ TWO("[0,8]", "[4,12]"), 12, PLUMB_E_FORMAT,
		"'w' begins at byte 124, inside tensor 'v', which ends at byte 128" },
	{ TWO("[0,8]", "[0,8]"), 8, PLUMB_E_FORMAT, "inside tensor" },
	{ TWO("[0,8]", "[12,20]"), 20, PLUMB_E_FORMAT, "must have no holes" },
};

START_TEST(bad_file)
{
	unsigned char bytes[MOST];
	expect_error(bytes, put(bytes, bad[_i].header, bad[_i].data), bad[_i].status, bad[_i].words);
}
END_TEST

START_TEST(bad_length)
{
	unsigned char bytes[MOST];
	const size_t n = put(bytes, good, 36);
	bytes[1] += 1;
	expect_error(bytes, n, PLUMB_E_FORMAT, "byte 8: JSON header needs");
	bytes[7] = 0x80;
	expect_error(bytes, n, PLUMB_E_FORMAT, "expected at most 100000000");
	memset(bytes, 0, 8);
	expect_error(bytes, n, PLUMB_E_FORMAT, "header is not JSON");
}
END_TEST

TCase *safetensors_tests(void)
{
	TCase *tests = tcase_create("safetensors");
	tcase_add_test(tests, good_file);
	tcase_add_loop_test(tests, types_that_are_listed, 0, (int)(sizeof lacking / sizeof *lacking));
	tcase_add_test(tests, every_truncation);
	tcase_add_test(tests, every_bit_flip);
	tcase_add_loop_test(tests, bad_file, 0, (int)(sizeof bad / sizeof bad[0]));
	tcase_add_test(tests, bad_length);
	tcase_set_timeout(tests, 60);
	return tests;
}
