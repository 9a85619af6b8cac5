/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of a tokenizer.json: of each family one that tools/make-tokenizers.py has trained, against what
 * Hugging Face's tokenizers made of odd strings, and each thing that is refused. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <plumb/model.h>
#include <plumb/text.h>
#include "../sanitized.h"
#include "parts.h"

static char *json_file(const char *name, size_t *size)
{
	char path[128];

	snprintf(path, sizeof(path), "text/tokenizers/%s", name);
	FILE *f = fopen(data_path(path), "rb");
	ck_assert_msg(f != NULL, "%s", path);
	char *text = malloc(1 << 20);
	*size = fread(text, 1, (1 << 20) - 1, f);
	text[*size] = 0;
	fclose(f);
	return text;
}

static uint32_t json_hash(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return (uint32_t)(h >> 32 ^ h);
}

static struct plumb_tokenizer *json_tokenizer(const char *family)
{
	static const struct plumb_vocab more = { .bos = -1, .eos = -1, .pad = -1 };
	struct plumb_tokenizer *tok;
	char name[64];
	size_t n;

	snprintf(name, sizeof(name), "%s.json", family);
	char *text = json_file(name, &n);
	ck_good(plumb_tokenizer_from_json(&tok, text, n, &more));
	free(text);
	return tok;
}

static const char *const families[] = { "qwen2", "qwen35", "llama3", "olmo2", "smollm2", "gpt2", "phi4-mini",
	"tekken", "gemma", "llama2", "mistral", "always", "unigram" };

/* The hashes of one string's ids and of the text that they are, without bos, which is in front. */
static void json_encode(
	const struct plumb_tokenizer *tok, const json_t *text, enum plumb_specials specials, uint32_t hash[2])
{
	struct plumb_stream stream = { .count = 0 };
	size_t n, used = 0, written, size = json_string_length(text);
	char *back = malloc(64 * size + 1024);
	int32_t *ids;

	ck_good(plumb_tokenize(tok, json_string_value(text), size, specials, &ids, &n));
	ck_assert(n && ids[0] == plumb_tokenizer_bos(tok));
	for (size_t i = 1; i < n; i++) {
		ck_good(
			plumb_stream_token(&stream, tok, ids[i], true, back + used, 64 * size + 1000 - used, &written));
		used += written;
	}
	used += plumb_stream_end(&stream, back + used, 16);
	hash[0] = json_hash(ids, n * sizeof(*ids));
	hash[1] = json_hash(back, used);
	free(back);
	free(ids);
}

void text_odd_strings(struct plumb_tokenizer *tok, const char *name)
{
	json_t *strings = load("text/tokenizers/odd.json", 2000), *text;
	char file[64], *at;
	size_t n, i;

	snprintf(file, sizeof(file), "%s.ids", name);
	char *rows = json_file(file, &n);
	at = rows;
	json_array_foreach(strings, i, text) {
		for (int s = 0; s < 2; s++) {
			uint32_t hash[2];
			json_encode(tok, text, (enum plumb_specials)s, hash);
			for (int k = 0; k < 2; k++)
				ck_assert_msg(hash[k] == strtoul(at, &at, 16), "%s, string %zu, %s, %s: \"%s\"", name, i,
					s ? "as text" : "parsed", k ? "decoded" : "ids", json_string_value(text));
		}
	}
	ck_assert_int_eq(*at, '\n');
	free(rows);
	json_decref(strings);
}

START_TEST(json_families)
{
	struct plumb_tokenizer *tok = json_tokenizer(families[_i]);

	ck_assert_ptr_null(plumb_tokenizer_warning(tok, 0));
	text_odd_strings(tok, families[_i]);
	plumb_tokenizer_free(tok);
}
END_TEST

static double json_seconds(const struct plumb_tokenizer *tok, const char *unit, size_t size)
{
	char *text = malloc(size);
	clock_t t0;
	int32_t *ids;
	size_t n;

	for (size_t i = 0; i < size; i++)
		text[i] = unit[i % strlen(unit)];
	t0 = clock();
	ck_good(plumb_tokenize(tok, text, size, PLUMB_SPECIALS_PARSE, &ids, &n));
	t0 = clock() - t0;
	free(ids);
	free(text);
	return (double)t0 / CLOCKS_PER_SEC;
}

/* A text is one piece where no pattern cuts it. 16 times the text: a quadratic step would take 256 times as
 * long. */
START_TEST(json_is_linear)
{
	static const char *const units[] = { "a", " ", "the quick brown fox ", "ab" };
	const size_t size = (size_t)1 << (SANITIZED ? 13 : 15);
	struct plumb_tokenizer *tok = json_tokenizer(_i % 2 ? "unigram" : "gemma");
	const char *unit = units[_i / 2];
	double small = json_seconds(tok, unit, size), large = json_seconds(tok, unit, 16 * size);

	ck_assert_msg(large < 80 * small + 0.02, "%zu bytes of \"%s\" took %.4f s, 16 times as many %.3f s", size,
		unit, small, large);
	plumb_tokenizer_free(tok);
}
END_TEST

/* Vocabularies of real models, where they are on the machine. */
static const struct {
	const char *file, *name;
} reals[] = {
	{ "SmolLM2-135M-Instruct.Q4_1.gguf", "real-smollm2" },
	{ "gemma-3-270m-q4_k_m.gguf", "real-gemma3" },
};

START_TEST(json_models)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	struct plumb_tokenizer *tok;
	struct plumb_file *file;
	char path[1024];

	snprintf(path, sizeof(path), "%s%s/plumb/models/%s",
		cache      ? cache
			: home ? home
				   : "",
		cache ? "" : "/.cache", reals[_i].file);
	if (access(path, R_OK)) {
		fprintf(stderr, "SKIP: no %s (tools/get-model)\n", path);
		return;
	}
	ck_good(plumb_file_open(&file, path));
	ck_good(plumb_tokenizer_from_file(&tok, file));
	plumb_tokenizer_add_bos(tok, true);
	text_odd_strings(tok, reals[_i].name);
	plumb_tokenizer_free(tok);
	plumb_file_close(file);
}
END_TEST

/* A small file, and what one change makes of it. */
#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<s>\":3,\"<unk>\":4}"
#define MERGES "\"merges\":[[\"a\",\"b\"]]"
#define MODEL "\"model\":{\"type\":\"BPE\"," VOCAB "," MERGES "}"
#define LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"
#define ADDED "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}]"

static const struct {
	const char *json;
	enum plumb_status status;
	const char *words;
} odd[] = {
	{ "{" ADDED "," LEVEL "," MODEL "}", PLUMB_OK, "" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]}}", PLUMB_OK, "" },
	{ "{" LEVEL ",\"model\":{" MERGES "," VOCAB "}}", PLUMB_OK, "" }, /* in another order, without a type */
	{ "", PLUMB_E_FORMAT, "expected an object" },
	{ "[]", PLUMB_E_FORMAT, "expected an object" },
	{ "{}", PLUMB_E_FORMAT, "has no model" },
	{ "{" LEVEL "," MODEL "} x", PLUMB_E_FORMAT, "expected the end" },
	{ "{" LEVEL "," MODEL "," MODEL "}", PLUMB_E_FORMAT, "that is there once" },
	{ "{" LEVEL "," LEVEL "," MODEL "}", PLUMB_E_FORMAT, "duplicate" },
	{ "{\xff}", PLUMB_E_FORMAT, "not UTF-8" },
	{ "{" LEVEL ",\"model\":{\"vocab\":{\"a\":0", PLUMB_E_FORMAT, "expected a comma or }" },
	{ "{" LEVEL ",\"model\":{\"vocab\":{\"a\":-1}}}", PLUMB_E_FORMAT, "expected a token's id" },
	{ "{" LEVEL ",\"model\":{\"vocab\":{\"a\":0.5}}}", PLUMB_E_FORMAT, "expected a token's id" },
	{ "{" LEVEL ",\"model\":{\"vocab\":{\"\\ud800\":1}}}", PLUMB_E_FORMAT, "second half" },
	{ "{" LEVEL ",\"model\":{\"vocab\":{\"\\q\":1}}}", PLUMB_E_FORMAT, "an escaped character" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":900000},\"merges\":[]}}", PLUMB_E_FORMAT,
		"the id 900000" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", PLUMB_E_FORMAT,
		"two tokens have the id 0" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}", PLUMB_E_FORMAT,
		"a merge of two tokens" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":[[\"a\",0]],\"merges\":[]}}", PLUMB_E_FORMAT,
		"BPE without a vocabulary" },
	{ "{" LEVEL ",\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]]}}", PLUMB_E_UNSUPPORTED,
		"Unigram beside ByteLevel" },
	{ "{" LEVEL ",\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",0]]}}", PLUMB_E_FORMAT,
		"unk_id" },
	{ "{" LEVEL ",\"model\":{\"type\":\"Unigram\"," VOCAB "}}", PLUMB_E_FORMAT, "Unigram without" },
	{ "{" LEVEL ",\"model\":{\"type\":\"WordPiece\"," VOCAB "}}", PLUMB_E_UNSUPPORTED, "\"WordPiece\"" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"dropout\":0.1," VOCAB "," MERGES "}}", PLUMB_E_UNSUPPORTED,
		"dropout" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"," VOCAB "," MERGES "}}",
		PLUMB_E_UNSUPPORTED, "end_of_word_suffix" },
	{ "{" LEVEL ",\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\"," VOCAB "," MERGES "}}", PLUMB_E_FORMAT,
		"\"?\"" },
	{ "{" MODEL "}", PLUMB_E_UNSUPPORTED, "neither ByteLevel nor marks blanks" },
	{ "{\"added_tokens\":[{\"content\":\"x\"}]," LEVEL "," MODEL "}", PLUMB_E_FORMAT,
		"added token 0 has no id" },
	{ "{\"added_tokens\":[{\"id\":3}]," LEVEL "," MODEL "}", PLUMB_E_FORMAT, "added token 0 has no text" },
	{ "{\"added_tokens\":[{\"id\":3,\"content\":\"x\"}]," LEVEL "," MODEL "}", PLUMB_E_FORMAT,
		"have the id 3" },
	{ "{\"normalizer\":{\"type\":\"Lowercase\"}," LEVEL "," MODEL "}", PLUMB_E_UNSUPPORTED, "\"Lowercase\"" },
	{ "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Precompiled\"}]}," LEVEL
	  "," MODEL "}",
		PLUMB_E_UNSUPPORTED, "\"Precompiled\"" },
	{ "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}," LEVEL
	  "," MODEL "}",
		PLUMB_E_UNSUPPORTED, "\" {2,}\"" },
	{ "{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL "}", PLUMB_E_UNSUPPORTED, "\"Whitespace\"" },
	{ "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+b\"},\"behavior\":\"Isolated\"}," MODEL
	  "}",
		PLUMB_E_UNSUPPORTED, "\"(a+)+b\"" },
	{ "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},\"behavior\":\"Odd\"}," MODEL
	  "}",
		PLUMB_E_UNSUPPORTED, "\"Odd\"" },
	{ "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Digits\"}]}," MODEL
	  "}",
		PLUMB_E_UNSUPPORTED, "behind ByteLevel" },
	{ "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"}," MODEL "}", PLUMB_E_UNSUPPORTED,
		"Metaspace" },
	{ "{\"decoder\":{\"type\":\"WordPiece\"}," LEVEL "," MODEL "}", PLUMB_E_UNSUPPORTED,
		"the decoder \"WordPiece\"" },
	{ "{\"post_processor\":{\"type\":\"BertProcessing\"}," LEVEL "," MODEL "}", PLUMB_E_UNSUPPORTED,
		"\"BertProcessing\"" },
	{ "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{}}],"
	  "\"special_tokens\":{}}," LEVEL "," MODEL "}",
		PLUMB_E_UNSUPPORTED, "more than one token" },
};

START_TEST(json_odd)
{
	static const struct plumb_vocab more = { .bos = -1, .eos = -1, .pad = -1 };
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	if (odd[_i].status) {
		ck_bad(plumb_tokenizer_from_json(&tok, odd[_i].json, strlen(odd[_i].json), &more), odd[_i].status,
			odd[_i].words);
		ck_assert_ptr_null(tok);
		return;
	}
	ck_good(plumb_tokenizer_from_json(&tok, odd[_i].json, strlen(odd[_i].json), &more));
	ck_good(plumb_tokenize(tok, "abb", 3, PLUMB_SPECIALS_PARSE, &ids, &n));
	ck_assert(n == 2 && ids[0] == 2 && ids[1] == 1);
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

/* Unknown characters: one token for each, one for a run, or the tokens of their bytes. */
START_TEST(json_unknown)
{
	static const char *const parts[] = { "\"fuse_unk\":false", "\"fuse_unk\":true",
		"\"byte_fallback\":true" };
	static const struct plumb_vocab more = { .bos = -1, .eos = -1, .pad = -1 };
	struct plumb_tokenizer *tok;
	char text[512];
	int32_t *ids;
	size_t n;

	snprintf(text, sizeof(text),
		"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"never\"},"
		"\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",%s,\"vocab\":{\"<unk>\":0,\"a\":1,\"<0x78>\":2},"
		"\"merges\":[]}}",
		parts[_i]);
	ck_good(plumb_tokenizer_from_json(&tok, text, strlen(text), &more));
	ck_good(plumb_tokenize(tok, "axya", 4, PLUMB_SPECIALS_PARSE, &ids, &n));
	ck_assert_uint_eq(n, _i == 1 ? 3 : 4);
	ck_assert_int_eq(ids[1], _i == 2 ? 2 : 0);
	ck_assert_int_eq(ids[2], _i == 1 ? 1 : 0);
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

/* What the caller says: ids, what is put around a text, what ends a turn. */
START_TEST(json_more)
{
	static const char text[] = "{" ADDED "," LEVEL "," MODEL "}";
	static const int32_t end[] = { 1 };
	const struct plumb_vocab more = { .bos = 3,
		.eos = 2,
		.pad = -1,
		.add_bos = true,
		.add_eos = true,
		.end = end,
		.ends = 1,
		.chat_template = "{{ x }}",
		.name = "small" };
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	ck_good(plumb_tokenizer_from_json(&tok, text, sizeof(text) - 1, &more));
	ck_good(plumb_tokenize(tok, "a<s>", 4, PLUMB_SPECIALS_PARSE, &ids, &n));
	ck_assert(n == 4 && ids[0] == 3 && ids[1] == 0 && ids[2] == 3 && ids[3] == 2);
	ck_assert(
		plumb_tokenizer_is_end(tok, 1) && plumb_tokenizer_is_end(tok, 2) && !plumb_tokenizer_is_end(tok, 3));
	free(ids);
	plumb_tokenizer_add_eos(tok, false);
	plumb_tokenizer_add_bos(tok, false);
	ck_good(plumb_tokenize(tok, "a", 1, PLUMB_SPECIALS_PARSE, &ids, &n));
	ck_assert_uint_eq(n, 1);
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

TCase *text_json_case(void)
{
	TCase *c = tcase_create("json");

	tcase_set_timeout(c, 60);
	text_add_loop(c, json_families, COUNT(families));
	text_add_loop(c, json_models, COUNT(reals));
	text_add_loop(c, json_is_linear, 8);
	text_add_loop(c, json_odd, COUNT(odd));
	text_add_loop(c, json_unknown, 3);
	tcase_add_test(c, json_more);
	return c;
}
