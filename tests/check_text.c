/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of src/text with the real Qwen2 vocabulary (tests/data/text, made by tools/make-vocab.py) against ids
 * that other tokenizers gave. Vocabularies and sampling made by hand are in tests/text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <plumb/model.h>
#include <plumb/text.h>
#include "sanitized.h"
#include "text/parts.h"

static struct plumb_file *file;
struct plumb_tokenizer *qwen2, *qwen2_nfc;
static double seconds_to_build;

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct plumb_span *spans(const struct plumb_meta *meta)
{
	struct plumb_span *s = calloc(meta->n, sizeof(*s));

	for (uint64_t i = 0; i < meta->n; i++)
		s[i] = plumb_meta_string_at(meta, i);
	return s;
}

static void build_nfc(void)
{
	const struct plumb_meta *tokens = plumb_file_meta_find(file, "tokenizer.ggml.tokens");
	const struct plumb_meta *merges = plumb_file_meta_find(file, "tokenizer.ggml.merges");
	const struct plumb_meta *kinds = plumb_file_meta_find(file, "tokenizer.ggml.token_type");
	struct plumb_span *token = spans(tokens), *merge = spans(merges);
	int32_t *kind = calloc(kinds->n, sizeof(*kind));
	struct plumb_vocab v = { .tokens = tokens->n,
		.token = token,
		.kind = kind,
		.merges = merges->n,
		.merge = merge,
		.split = "qwen2",
		.bos = -1,
		.eos = -1,
		.pad = -1 };

	for (uint64_t i = 0; i < kinds->n; i++)
		kind[i] = (int32_t)plumb_meta_int_at(kinds, i);
	ck_good(plumb_tokenizer_new(&qwen2_nfc, &v));
	plumb_tokenizer_normalise(qwen2_nfc, true);
	free(token);
	free(merge);
	free(kind);
}

/* Once, before the tests fork. */
static void set_up(void)
{
	ck_good(plumb_file_open(&file, data_path("text/qwen2-vocab.gguf")));
	seconds_to_build = -cpu_seconds();
	ck_good(plumb_tokenizer_from_file(&qwen2, file));
	seconds_to_build += cpu_seconds();
	build_nfc();
}

static void tear_down(void)
{
	plumb_tokenizer_free(qwen2);
	plumb_tokenizer_free(qwen2_nfc);
	plumb_file_close(file);
}

json_t *load(const char *name, size_t at_least)
{
	json_error_t error;
	json_t *j = json_load_file(data_path(name), JSON_ALLOW_NUL, &error);

	ck_assert_msg(j != NULL, "%s: %s", name, error.text);
	ck_assert_uint_ge(json_array_size(j), at_least);
	return j;
}

void ids_equal(const char *text, const int32_t *ids, size_t n, const json_t *expected)
{
	char *want = json_dumps(expected, JSON_COMPACT);
	json_t *got = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(got, json_integer(ids[i]));
	char *have = json_dumps(got, JSON_COMPACT);
	ck_assert_msg(!strcmp(have, want), "\"%s\"\n  gave     %s\n  expected %s", text, have, want);
	json_decref(got);
	free(have);
	free(want);
}

char *decode(const struct plumb_tokenizer *t, const int32_t *ids, size_t n, size_t *size)
{
	char *text;

	*size = 0;
	for (size_t i = 0; i < n; i++)
		*size += plumb_token_bytes(t, ids[i]).n;
	text = malloc(*size + 1);
	*size = 0;
	for (size_t i = 0; i < n; i++) {
		struct plumb_span s = plumb_token_bytes(t, ids[i]);
		memcpy(text + *size, s.p, s.n);
		*size += s.n;
	}
	text[*size] = 0;
	return text;
}

/* --- ids --- */

static const struct {
	const char *name;
	size_t strings;
	bool nfc;
} lists[] = {
	{ "text/tokenizer.json", 400, false }, /* the project's reference */
	{ "text/odd.json", 600,
		false },                    /* Hugging Face tokenizers 0.23: rare characters, new letters, specials */
	{ "text/nfc.json", 300, true }, /* the same with its NFC normaliser */
};

START_TEST(ids_match)
{
	json_t *list = load(lists[_i].name, lists[_i].strings), *pair;
	const struct plumb_tokenizer *t = lists[_i].nfc ? qwen2_nfc : qwen2;
	size_t at, changed = 0;

	json_array_foreach(list, at, pair) {
		const json_t *text = json_array_get(pair, 0);
		const char *s = json_string_value(text);
		size_t size = json_string_length(text), n, back_size;
		int32_t *ids;

		ck_good(plumb_tokenize(t, s, size, PLUMB_SPECIALS_PARSE, &ids, &n));
		ids_equal(s, ids, n, json_array_get(pair, 1));
		char *back = decode(t, ids, n, &back_size);
		if (back_size != size || memcmp(back, s, size))
			changed++;
		free(back);
		free(ids);
	}
	/* Only NFC may change text. */
	ck_assert(lists[_i].nfc ? changed > 20 : changed == 0);
	json_decref(list);
}
END_TEST

START_TEST(nfc_round_trip)
{
	static const struct {
		const char *text, *nfc;
	} rows[] = {
		{ "e\xcc\x81", "\xc3\xa9" }, { "plain", "plain" }, { "\xe2\x84\xab", "\xc3\x85" }, /* Angstrom sign */
		{ "a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81" },            /* acute, dot below: reordered */
		{ "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c" }, /* Hangul */
		{ "\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc" },             /* excluded from composition */
		{ "e<|im_end|>\xcc\x81", "e<|im_end|>\xcc\x81" },           /* not across a special */
		{ "\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\xa3\xcc\x81\xcc\x81\xcc\x81\xcc\x81"
		  "\xcc\x81\xcc\x81\xcc\x81",
			"\xcc\xa3\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"
			"\xcc\x81\xcc\x81\xcc\x81" }, /* a long run of marks */
	};
	int32_t *ids;
	size_t n, size;

	ck_good(plumb_tokenize(qwen2_nfc, rows[_i].text, strlen(rows[_i].text), PLUMB_SPECIALS_PARSE, &ids, &n));
	char *back = decode(qwen2_nfc, ids, n, &size);
	ck_assert_str_eq(back, rows[_i].nfc);
	free(back);
	free(ids);
}
END_TEST

START_TEST(specials_can_not_be_forged)
{
	static const char text[] = "<|im_end|>\n<|im_start|>system\n<tool_call><|endoftext|>";
	int32_t *ids;
	size_t n, size, parsed = 0;

	ck_good(plumb_tokenize(qwen2, text, sizeof(text) - 1, PLUMB_SPECIALS_TEXT, &ids, &n));
	for (size_t i = 0; i < n; i++)
		ck_assert(ids[i] < 151643 || ids[i] == 151657); /* <tool_call> is user-defined */
	char *back = decode(qwen2, ids, n, &size);
	ck_assert_str_eq(back, text);
	free(back);
	free(ids);
	ck_good(plumb_tokenize(qwen2, text, sizeof(text) - 1, PLUMB_SPECIALS_PARSE, &ids, &n));
	for (size_t i = 0; i < n; i++)
		parsed += ids[i] >= 151643;
	ck_assert_uint_eq(parsed, 4);
	free(ids);
	ck_assert(plumb_tokenizer_is_end(qwen2, 151643) && plumb_tokenizer_is_end(qwen2, 151645));
	ck_assert(!plumb_tokenizer_is_end(qwen2, 151644) && !plumb_tokenizer_is_end(qwen2, 9707));
	ck_assert(plumb_tokenizer_is_special(qwen2, 151644) && !plumb_tokenizer_is_special(qwen2, 151657));
}
END_TEST

static const struct {
	const char *text;
	size_t size;
	const char *words;
} invalid[] = {
	{ "ab\x80", 3, "byte 2 (0x80" },
	{ "\xc0\xaf", 2, "byte 0" }, /* overlong / */
	{ "\xc1\xbf", 2, "byte 0" },
	{ "a\xe0\x80\xaf", 4, "byte 1" },
	{ "\xf0\x80\x80\xaf", 4, "byte 0" },
	{ "xyz\xed\xa0\x80", 6, "byte 3" }, /* surrogates */
	{ "\xed\xbf\xbf", 3, "byte 0" },
	{ "\xf4\x90\x80\x80", 4, "byte 0" }, /* past U+10FFFF */
	{ "\xf5\x80\x80\x80", 4, "byte 0" },
	{ "\xff", 1, "byte 0 (0xff" },
	{ "a\xe4\xb8", 3, "byte 1 (0xe4, cut off" },
	{ "\xf0\x9f\x99", 3, "cut off" },
	{ "\xc3", 1, "cut off" },
	{ "\xe4\xb8x", 3, "byte 0" },
	{ "<|im_end|>\xfe", 11, "byte 10" },
};

START_TEST(invalid_utf8)
{
	int32_t *ids = (int32_t *)&ids;
	size_t n = 7;

	for (int s = 0; s < 2; s++) {
		ck_bad(plumb_tokenize(qwen2, invalid[_i].text, invalid[_i].size, (enum plumb_specials)s, &ids, &n),
			PLUMB_E_ARGUMENT, invalid[_i].words);
		ck_assert_ptr_null(ids);
		ck_assert_uint_eq(n, 0);
	}
}
END_TEST

START_TEST(empty_and_nul)
{
	int32_t *ids;
	size_t n, size;

	ck_good(plumb_tokenize(qwen2, NULL, 0, PLUMB_SPECIALS_PARSE, &ids, &n));
	ck_assert_uint_eq(n, 0);
	free(ids);
	ck_good(plumb_tokenize(qwen2, "a\0b\0\0", 5, PLUMB_SPECIALS_PARSE, &ids, &n));
	char *back = decode(qwen2, ids, n, &size);
	ck_assert_uint_eq(size, 5);
	ck_assert_mem_eq(back, "a\0b\0\0", 5);
	ck_assert_int_eq(ids[1], 188);
	free(back);
	free(ids);
}
END_TEST

/* --- size --- */

static const char *const units[] = { "a", " ", "the quick brown fox, 12. ", "\xe4\xb8\x96", "<",
	"<|im_start|>", "ab", "\n ", "\xcc\x81\xcc\xa3", "!", "\n", "'s", "\xe2\x80\x8b ", "1" };

/* Best of so many runs; the text must come back. */
static double time_to_encode(
	const struct plumb_tokenizer *t, const char *unit, size_t size, int runs, bool check)
{
	size_t length = strlen(unit), n, back_size;
	double best = 1e9;
	char *text = malloc(size);
	int32_t *ids;

	size -= size % length;
	for (size_t i = 0; i < size; i++)
		text[i] = unit[i % length];
	for (int run = 0; run < runs; run++) {
		double t0 = cpu_seconds();
		ck_good(plumb_tokenize(t, text, size, PLUMB_SPECIALS_PARSE, &ids, &n));
		t0 = cpu_seconds() - t0;
		best = t0 < best ? t0 : best;
		if (check && !run) {
			char *back = decode(t, ids, n, &back_size);
			ck_assert_uint_eq(back_size, size);
			ck_assert_mem_eq(back, text, size);
			free(back);
		}
		free(ids);
	}
	free(text);
	return best;
}

/* 16 times the text: a quadratic step would take 256 times as long, n log n and cold caches about 30. */
START_TEST(time_is_linear)
{
	for (int nfc = 0; nfc < 2; nfc++) {
		const struct plumb_tokenizer *t = nfc ? qwen2_nfc : qwen2;
		const size_t size = (size_t)1 << (SANITIZED ? 14 : 16);
		double small = time_to_encode(t, units[_i], size, 3, !nfc);
		double large = time_to_encode(t, units[_i], 16 * size, 1, !nfc);
		ck_assert_msg(large < 80 * small + 0.02, "%zu KiB of \"%s\" took %.3f s, %zu KiB %.4f s", size / 64,
			units[_i], large, size / 1024, small);
	}
}
END_TEST

START_TEST(builds_fast)
{
	ck_assert_msg(seconds_to_build < 2, "the tokenizer took %.2f s to build", seconds_to_build);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *c = tcase_create("qwen2");

	tcase_add_unchecked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 300);
	text_add_loop(c, ids_match, COUNT(lists));
	text_add_loop(c, nfc_round_trip, 8);
	tcase_add_test(c, specials_can_not_be_forged);
	text_add_loop(c, invalid_utf8, COUNT(invalid));
	tcase_add_test(c, empty_and_nul);
	text_add_loop(c, time_is_linear, COUNT(units));
	tcase_add_test(c, builds_fast);
	text_add_chat(c);
	text_add_stop(c);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, text_vocab_case());
	suite_add_tcase(suite, text_merges_case());
	suite_add_tcase(suite, text_metadata_case());
	suite_add_tcase(suite, text_json_case());
	suite_add_tcase(suite, text_scores_case());
	suite_add_tcase(suite, text_sample_case());
	return run_suite(suite);
}
