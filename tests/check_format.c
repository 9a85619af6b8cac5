/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of src/format through the public header. Here main() and GGUF: good files of every kind
 * of value, and each way to be broken, with the status and the words of its error. In format/
 * the other format and what is not a file; in fuzz/walk.h what any file that opens must keep. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/expect.h"
#include "format/format.h"
#include "fuzz/walk.h"
#include "gguf_builder.h"

/* --- good GGUF --- */

static void small_file(struct gguf_builder *g, uint32_t version)
{
	g_header(g, version, 3, 3);
	g_key(g, "general.architecture", G_STRING);
	g_string(g, "qwen2");
	g_array(g, "tokens", G_STRING, 3);
	g_string(g, "a");
	g_string(g, "");
	g_string(g, "end");
	g_array(g, "types", G_I32, 2);
	g_u32(g, 7);
	g_u32(g, UINT32_MAX);
	g_tensor(g, "second", 0, 4, 2, 64); /* data in another order than the table */
	g_tensor(g, "first", 8, 32, 0, 0);
	g_tensor(g, "third", 26, 1, 0, 96);
	g_data(g, 32, 100);
}

START_TEST(good_small)
{
	struct gguf_builder g;
	struct plumb_file *file;
	void *copy;
	small_file(&g, (uint32_t)_i);
	ck_assert_int_eq(open_copy(g.bytes, g.n, &file, &copy), PLUMB_OK);
	ck_assert_str_eq(plumb_file_format(file), _i == 2 ? "GGUF v2" : "GGUF v3");
	ck_assert_uint_eq(plumb_file_size(file), g.n);
	ck_assert_int_eq(plumb_file_tensors(file), 3);
	const struct plumb_file_tensor *t = plumb_file_tensor(file, 0);
	const unsigned char *data = (unsigned char *)copy + g.n - 100;
	ck_assert(span_is(t->name, "second"));
	ck_assert_int_eq(t->type, PLUMB_F32);
	ck_assert_int_eq(t->rank, 2);
	ck_assert(t->dim[0] == 2 && t->dim[1] == 4 && t->dim[2] == 1 && t->dim[3] == 1);
	ck_assert_uint_eq(t->bytes, 32);
	ck_assert_ptr_eq(t->data, data + 64);
	t = plumb_file_find(file, "first");
	ck_assert_ptr_eq(t, plumb_file_tensor(file, 1));
	ck_assert_int_eq(t->type, PLUMB_Q8_0);
	ck_assert_uint_eq(t->bytes, 34);
	ck_assert_ptr_eq(t->data, data);
	ck_assert_ptr_eq(plumb_file_find(file, "third"), plumb_file_tensor(file, 2));
	ck_assert_ptr_null(plumb_file_find(file, "thir"));
	ck_assert_ptr_null(plumb_file_find(file, ""));
	ck_assert_ptr_null(plumb_file_tensor(file, 3));
	ck_assert_ptr_null(plumb_file_tensor(file, -1));
	ck_assert_ptr_null(plumb_file_meta_find(file, "token"));
	const struct plumb_meta *m = plumb_file_meta_find(file, "tokens");
	ck_assert(m != NULL && m->kind == PLUMB_META_ARRAY && m->of == PLUMB_META_STRING && m->n == 3);
	ck_assert(span_is(plumb_meta_string_at(m, 0), "a") && span_is(plumb_meta_string_at(m, 1), ""));
	ck_assert(span_is(plumb_meta_string_at(m, 2), "end"));
	m = plumb_file_meta_find(file, "types");
	ck_assert(m->of == PLUMB_META_INT && plumb_meta_int_at(m, 0) == 7 && plumb_meta_int_at(m, 1) == -1);
	ck_assert_double_eq(plumb_meta_float_at(m, 1), -1);
	ck_assert_uint_eq(plumb_meta_string_at(m, 0).n, 0);
	plumb_file_close(file);
	free(copy);
}
END_TEST

static const struct {
	uint32_t type;
	int width;
	uint64_t bits;
	enum plumb_meta_kind kind;
	int64_t i;
	double f;
} scalars[] = {
	{ G_U8, 1, 0xff, PLUMB_META_INT, 255, 255 },
	{ G_I8, 1, 0x80, PLUMB_META_INT, -128, -128 },
	{ G_U16, 2, 0xfffe, PLUMB_META_INT, 65534, 65534 },
	{ G_I16, 2, 0xfffe, PLUMB_META_INT, -2, -2 },
	{ G_U32, 4, 0xfffffffd, PLUMB_META_INT, 4294967293, 4294967293 },
	{ G_I32, 4, 0xfffffffd, PLUMB_META_INT, -3, -3 },
	{ G_F32, 4, 0x3f000000, PLUMB_META_FLOAT, 0, 0.5 },
	{ G_F64, 8, 0xc004000000000000, PLUMB_META_FLOAT, 0, -2.5 },
	{ G_BOOL, 1, 1, PLUMB_META_BOOL, 1, 1 },
	{ G_BOOL, 1, 0, PLUMB_META_BOOL, 0, 0 },
	{ G_U64, 8, INT64_MAX, PLUMB_META_INT, INT64_MAX, 0x1p63 },
	{ G_U64, 8, UINT64_MAX - 4095, PLUMB_META_INT, INT64_MAX, 0x1.ffffffffffffep63 },
	{ G_I64, 8, 1ull << 63, PLUMB_META_INT, INT64_MIN, -0x1p63 },
};

/* Each type alone and as the second element of an array. */
START_TEST(good_scalar)
{
	struct gguf_builder g;
	struct plumb_file *file;
	void *copy;
	g_header(&g, 3, 0, 2);
	g_key(&g, "one", scalars[_i].type);
	g_uint(&g, scalars[_i].bits, scalars[_i].width);
	g_array(&g, "many", scalars[_i].type, 2);
	g_uint(&g, 1, scalars[_i].width);
	g_uint(&g, scalars[_i].bits, scalars[_i].width);
	ck_assert_int_eq(open_copy(g.bytes, g.n, &file, &copy), PLUMB_OK);
	const struct plumb_meta *one = plumb_file_meta_find(file, "one"),
							*many = plumb_file_meta_find(file, "many");
	ck_assert_int_eq(one->kind, scalars[_i].kind);
	ck_assert_int_eq(one->i, scalars[_i].i);
	ck_assert_double_eq(one->f, scalars[_i].f);
	ck_assert(many->kind == PLUMB_META_ARRAY && many->of == scalars[_i].kind && many->n == 2);
	ck_assert_int_eq(plumb_meta_int_at(many, 1), scalars[_i].i);
	ck_assert_double_eq(plumb_meta_float_at(many, 1), scalars[_i].f);
	ck_assert_int_eq(plumb_meta_int_at(many, 2), 0);
	const uint64_t u = scalars[_i].kind == PLUMB_META_FLOAT || scalars[_i].i < 0 ? 0 : scalars[_i].bits;
	ck_assert(one->u == u && plumb_meta_uint_at(many, 1) == u);
	plumb_file_close(file);
	free(copy);
}
END_TEST

static const struct {
	uint32_t ggml;
	enum plumb_type type;
	size_t bytes;
} types[] = {
	/* of 256 elements */
	{ 0, PLUMB_F32, 1024 },
	{ 1, PLUMB_F16, 512 },
	{ 2, PLUMB_Q4_0, 144 },
	{ 3, PLUMB_Q4_1, 160 },
	{ 6, PLUMB_Q5_0, 176 },
	{ 7, PLUMB_Q5_1, 192 },
	{ 8, PLUMB_Q8_0, 272 },
	{ 10, PLUMB_Q2_K, 84 },
	{ 11, PLUMB_Q3_K, 110 },
	{ 12, PLUMB_Q4_K, 144 },
	{ 13, PLUMB_Q5_K, 176 },
	{ 14, PLUMB_Q6_K, 210 },
	{ 20, PLUMB_IQ4_NL, 144 },
	{ 23, PLUMB_IQ4_XS, 136 },
	{ 26, PLUMB_I32, 1024 },
	{ 28, PLUMB_F64, 2048 },
	{ 30, PLUMB_BF16, 512 },
	{ 39, PLUMB_MXFP4, 136 },
};

START_TEST(good_type)
{
	struct gguf_builder g;
	struct plumb_file *file;
	void *copy;
	g_header(&g, 3, 1, 0);
	g_tensor(&g, "w", types[_i].ggml, 256, 0, 0);
	g_data(&g, 32, types[_i].bytes);
	ck_assert_int_eq(open_copy(g.bytes, g.n, &file, &copy), PLUMB_OK);
	ck_assert_int_eq(plumb_file_tensor(file, 0)->type, types[_i].type);
	ck_assert_uint_eq(plumb_file_tensor(file, 0)->bytes, types[_i].bytes);
	plumb_file_close(file);
	free(copy);
	expect_error(g.bytes, g.n - 1, PLUMB_E_FORMAT, "of the data");
}
END_TEST

START_TEST(good_many_names)
{
	struct gguf_builder g;
	struct plumb_file *file;
	char key[8];
	void *copy;
	g_header(&g, 3, 0, 256);
	for (int i = 0; i < 256; i++) {
		snprintf(key, sizeof key, "k%d", i);
		g_key(&g, key, G_U8);
		g_uint(&g, (uint64_t)i, 1);
	}
	ck_assert_int_eq(open_copy(g.bytes, g.n, &file, &copy), PLUMB_OK);
	for (int i = 0; i < 256; i++) {
		snprintf(key, sizeof key, "k%d", i);
		ck_assert_ptr_eq(plumb_file_meta_find(file, key), plumb_file_meta(file, i));
		ck_assert_int_eq(plumb_file_meta(file, i)->i, i);
	}
	ck_assert_ptr_null(plumb_file_meta_find(file, "k256"));
	plumb_file_close(file);
	free(copy);
}
END_TEST

/* The same names lie otherwise each time they are indexed, so that no file can be made to let them all meet
 * in one slot. */
START_TEST(names_are_scattered_anew)
{
	struct gguf_builder g;
	struct plumb_file *file[2];
	void *copy[2];
	small_file(&g, 3);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(open_copy(g.bytes, g.n, &file[i], &copy[i]), PLUMB_OK);
	ck_assert(file[0]->meta_names.seed != file[1]->meta_names.seed &&
		file[0]->tensor_names.seed != file[1]->tensor_names.seed);
	ck_assert(file[0]->meta_names.seed != file[0]->tensor_names.seed);
	for (int i = 0; i < 2; i++) {
		plumb_file_close(file[i]);
		free(copy[i]);
	}
}
END_TEST

/* --- broken GGUF --- */

START_TEST(every_truncation)
{
	struct gguf_builder g;
	small_file(&g, 3);
	for (size_t n = 0; n < g.n; n++)
		expect_error(g.bytes, n, PLUMB_E_FORMAT, "");
}
END_TEST

START_TEST(every_bit_flip)
{
	struct gguf_builder g;
	unsigned char *copy;
	small_file(&g, 3);
	copy = malloc(g.n);
	ck_assert_ptr_nonnull(copy);
	for (size_t bit = 0; bit < g.n * 8; bit++) {
		memcpy(copy, g.bytes, g.n);
		copy[bit / 8] ^= (unsigned char)(1u << (bit % 8));
		walk(copy, g.n);
	}
	free(copy);
}
END_TEST

/* Header of one metadata value, whose type and bytes follow. */
static void one_meta(struct gguf_builder *g, uint32_t type, uint64_t bits, int width)
{
	g_header(g, 3, 0, 1);
	g_key(g, "key", type);
	g_uint(g, bits, width);
}

START_TEST(bad_header)
{
	struct gguf_builder g;
	expect_error("", 0, PLUMB_E_FORMAT, "0 bytes");
	expect_error("GGU", 3, PLUMB_E_FORMAT, "3 bytes that begin with 'GGU'");
	expect_error("PK\003\004 torch", 10, PLUMB_E_FORMAT, "begin with 'PK?? torch'");
	g_header(&g, 1, 0, 0);
	expect_error(g.bytes, g.n, PLUMB_E_UNSUPPORTED, "version is 1, expected 2 or 3");
	g_header(&g, 4, 0, 0);
	expect_error(g.bytes, g.n, PLUMB_E_UNSUPPORTED, "version is 4, expected 2 or 3");
	g_header(&g, 0, 0, 0);
	expect_error(g.bytes, g.n, PLUMB_E_UNSUPPORTED, "version is 0");
	g_header(&g, 0x03000000, 0, 0);
	expect_error(g.bytes, g.n, PLUMB_E_UNSUPPORTED, "big-endian");
	g_header(&g, 3, 1ull << 60, 0);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "the file is damaged");
	g_header(&g, 3, 0, UINT64_MAX);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "byte 16: number of metadata values is 18446744073709551615");
}
END_TEST

START_TEST(bad_meta)
{
	struct gguf_builder g;
	one_meta(&g, 13, 0, 8);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "byte 35: value type is 13, expected 0 to 12");
	one_meta(&g, G_BOOL, 2, 1);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "byte 39: bool is 2");
	one_meta(&g, G_STRING, 1ull << 62, 8);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "string needs 4611686018427387904 bytes, the file has 0 left");
	one_meta(&g, G_ARRAY, G_ARRAY, 4);
	g_u64(&g, 0);
	expect_error(g.bytes, g.n, PLUMB_E_UNSUPPORTED, "array of arrays");
	for (uint32_t of = 0; of <= 12; of++) {
		if (of == G_ARRAY)
			continue;
		one_meta(&g, G_ARRAY, of, 4);
		g_u64(&g, UINT64_MAX / 2);
		expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "number of array elements is 9223372036854775807");
	}
	one_meta(&g, G_ARRAY, G_BOOL, 4);
	g_u64(&g, 2);
	g_uint(&g, 0x0301, 2);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "byte 52: bool is 3");
	g_header(&g, 3, 0, 2);
	for (int i = 0; i < 2; i++) {
		g_key(&g, "key\033", G_U8);
		g_uint(&g, 1, 1);
	}
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "metadata key 'key?' is there twice, as number 0 and 1");
	g_header(&g, 3, 0, 1);
	g_key(&g, "a-key-of-more-than-68-characters-is-cut-off-there-and-not-printed-----|here", 99);
	g_u64(&g, 0);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "and-not-printed---...': byte 107: value type is 99");
}
END_TEST

/* Files of one or two tensors of rank 2 or 1 (rows 0) that are wrong. */
static const struct {
	struct {
		uint32_t type;
		uint64_t columns, rows, offset;
	} a, b; /* columns 0: none */
	size_t data;
	enum plumb_status status;
	const char *words;
} bad_tensors[] = {
	{ { 0, 8, 0, 0 }, { 0 }, 31, PLUMB_E_FORMAT, "'a' has 32 bytes at offset 0" },
	{ { 0, 8, 0, 32 }, { 0 }, 32, PLUMB_E_FORMAT, "'a' has 32 bytes at offset 32" },
	{ { 0, 8, 0, UINT64_MAX - 31 }, { 0 }, 32, PLUMB_E_FORMAT, "at offset 18446744073709551584" },
	{ { 0, 4, 0, 16 }, { 0 }, 32, PLUMB_E_FORMAT,
		"'a' has offset 16, expected a multiple of the alignment, 32" },
	{ { 0, 9, 0, 0 }, { 0, 8, 0, 32 }, 64, PLUMB_E_FORMAT,
		"'b' begins at byte 128, inside tensor 'a', which ends at byte 132" },
	{ { 0, 8, 0, 32 }, { 0, 16, 0, 0 }, 64, PLUMB_E_FORMAT, "'a' begins at byte 128, inside tensor 'b'" },
	{ { 0, 8, 0, 0 }, { 0, 8, 0, 0 }, 64, PLUMB_E_FORMAT, "inside tensor" },
	{ { 0, 1ull << 32, 1ull << 32, 0 }, { 0 }, 32, PLUMB_E_FORMAT, "product of its dimensions overflows" },
	{ { 28, 1ull << 60, 2, 0 }, { 0 }, 32, PLUMB_E_FORMAT,
		"size of 2305843009213693952 elements of f64 overflows" },
	{ { 0, UINT64_MAX, 0, 0 }, { 0 }, 32, PLUMB_E_FORMAT, "dimension of 18446744073709551615" },
	{ { 8, 33, 0, 0 }, { 0 }, 64, PLUMB_E_FORMAT, "rows of 33 elements are not whole blocks of 32" },
	{ { 12, 128, 2, 0 }, { 0 }, 144, PLUMB_E_FORMAT, "rows of 128 elements are not whole blocks of 256" },
	{ { 31, 256, 0, 0 }, { 0 }, 144, PLUMB_E_UNSUPPORTED, "'a' is of type Q4_0_4_4 (31)" },
	{ { 42, 64, 0, 0 }, { 0 }, 36, PLUMB_E_UNSUPPORTED, "'a' is of type number 42" },
	{ { 1000, 4, 0, 0 }, { 0 }, 32, PLUMB_E_UNSUPPORTED, "'a' is of type number 1000" },
};

START_TEST(bad_tensor)
{
	struct gguf_builder g;
	const int two = bad_tensors[_i].b.columns != 0;
	g_header(&g, 3, two ? 2 : 1, 0);
	g_tensor(&g, "a", bad_tensors[_i].a.type, bad_tensors[_i].a.columns, bad_tensors[_i].a.rows,
		bad_tensors[_i].a.offset);
	if (two)
		g_tensor(&g, "b", bad_tensors[_i].b.type, bad_tensors[_i].b.columns, bad_tensors[_i].b.rows,
			bad_tensors[_i].b.offset);
	g_data(&g, 32, bad_tensors[_i].data);
	expect_error(g.bytes, g.n, bad_tensors[_i].status, bad_tensors[_i].words);
}
END_TEST

START_TEST(bad_rank_and_name)
{
	struct gguf_builder g;
	for (uint32_t rank = 0; rank <= 5; rank += 5) {
		g_header(&g, 3, 1, 0);
		g_string(&g, "a");
		g_u32(&g, rank);
		for (uint32_t i = 0; i < 8; i++)
			g_u64(&g, 1);
		expect_error(g.bytes, g.n, PLUMB_E_FORMAT,
			rank == 0 ? "has 0 dimensions" : "has 5 dimensions, expected 1 to 4");
	}
	g_header(&g, 3, 1, 0);
	g_tensor(&g, "a", 0, 0, 1, 0);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "has a dimension of 0");
	g_header(&g, 3, 2, 0);
	g_tensor(&g, "a", 0, 8, 0, 0);
	g_tensor(&g, "a", 0, 8, 0, 32);
	g_data(&g, 32, 64);
	expect_error(g.bytes, g.n, PLUMB_E_FORMAT, "tensor 'a' is there twice");
}
END_TEST

/* --- alignment --- */

static const struct {
	uint64_t alignment, offset;
	const char *words;
} alignments[] = {
	{ 8, 8, NULL },
	{ 64, 64, NULL },
	{ 64, 32, "offset 32, expected a multiple of the alignment, 64" },
	{ 32, 8, "offset 8" },
	{ 0, 0, "'general.alignment' is 0" },
	{ 4, 0, "is 4, expected a power of two, at least 8" },
	{ 24, 0, "is 24" },
	{ 1u << 31, 0, "bytes at offset 0 of the data" },
};

START_TEST(alignment)
{
	struct gguf_builder g;
	struct plumb_file *file;
	void *copy;
	g_header(&g, 3, 1, 1);
	g_key(&g, "general.alignment", G_U32);
	g_u32(&g, (uint32_t)alignments[_i].alignment);
	g_tensor(&g, "a", 0, 2, 0, alignments[_i].offset);
	g_data(&g, alignments[_i].alignment == 64 ? 64 : 8, 72);
	if (alignments[_i].words != NULL) {
		expect_error(g.bytes, g.n, PLUMB_E_FORMAT, alignments[_i].words);
		return;
	}
	ck_assert_int_eq(open_copy(g.bytes, g.n, &file, &copy), PLUMB_OK);
	ck_assert_ptr_eq(plumb_file_tensor(file, 0)->data, (char *)copy + g.n - 72 + alignments[_i].offset);
	plumb_file_close(file);
	free(copy);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
	Suite *suite = suite_create("format");
	TCase *good = tcase_create("gguf"), *bad = tcase_create("broken gguf");
	tcase_add_loop_test(good, good_small, 2, 4);
	tcase_add_loop_test(good, good_scalar, 0, ROWS(scalars));
	tcase_add_loop_test(good, good_type, 0, ROWS(types));
	tcase_add_test(good, good_many_names);
	tcase_add_test(good, names_are_scattered_anew);
	tcase_add_loop_test(good, alignment, 0, ROWS(alignments));
	tcase_add_test(bad, every_truncation);
	tcase_add_test(bad, every_bit_flip);
	tcase_add_test(bad, bad_header);
	tcase_add_test(bad, bad_meta);
	tcase_add_loop_test(bad, bad_tensor, 0, ROWS(bad_tensors));
	tcase_add_test(bad, bad_rank_and_name);
	tcase_set_timeout(bad, 60); /* sanitizers on a busy machine */
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	suite_add_tcase(suite, files_tests());
	suite_add_tcase(suite, pages_tests());
	suite_add_tcase(suite, safetensors_tests());
	suite_add_tcase(suite, shard_tests());
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
