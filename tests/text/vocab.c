/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of building a tokenizer: each way in which a vocabulary, or the metadata it comes from, can be
 * broken, and small good ones whose merges can be followed by hand. */
#include <stdlib.h>
#include <string.h>
#include <plumb/model.h>
#include <plumb/text.h>
#include "text/text.h"
#include "../gguf_builder.h"
#include "parts.h"
#include "tiny.h"

/* --- broken and odd vocabularies: each function breaks one thing --- */

static void no_tokens(struct tiny *t) { t->v.tokens = 0; }
static void byte_missing(struct tiny *t) { t->v.tokens = 255; }
static void bytes_missing(struct tiny *t) { t->v.tokens = 200; }
static void token_empty(struct tiny *t) { tiny_token(t, "", 1); }
static void special_empty(struct tiny *t) { tiny_token(t, "", 3); }
static void token_twice(struct tiny *t) { tiny_token(t, "ab", 1), tiny_token(t, "ab", 1); }
static void special_twice(struct tiny *t) { tiny_token(t, "<x>", 3), tiny_token(t, "<x>", 4); }
static void token_with_space(struct tiny *t) { tiny_token(t, "a b", 1); }
static void token_outside(struct tiny *t) { tiny_token(t, "a\xe4\xb8\x96", 1); }
static void token_just_outside(struct tiny *t) { tiny_token(t, "\xc5\x84", 1); } /* U+0144 */
static void token_soft_hyphen(struct tiny *t) { tiny_token(t, "\xc2\xad", 1); } /* byte 0xad is U+0143 */
static void token_not_utf8(struct tiny *t) { tiny_token(t, "a\xc4", 1); }
static void kind_zero(struct tiny *t) { tiny_token(t, "ab", 0); }
static void kind_large(struct tiny *t) { tiny_token(t, "ab", 7); }
static void merge_no_space(struct tiny *t) { tiny_token(t, "ab", 1), tiny_merge(t, "ab"); }
static void merge_left_empty(struct tiny *t) { tiny_token(t, "ab", 1), tiny_merge(t, " ab"); }
static void merge_right_empty(struct tiny *t) { tiny_token(t, "ab", 1), tiny_merge(t, "ab "); }
static void merge_two_spaces(struct tiny *t) { tiny_token(t, "abc", 1), tiny_merge(t, "a b c"); }
static void merge_left_unknown(struct tiny *t) { tiny_token(t, "abc", 1), tiny_merge(t, "ab c"); }
static void merge_right_unknown(struct tiny *t) { tiny_token(t, "abc", 1), tiny_merge(t, "a bc"); }
static void merge_result_unknown(struct tiny *t) { tiny_token(t, "ab", 1), tiny_merge(t, "b a"); }
static void merge_into_special(struct tiny *t)
{
	tiny_token(t, "<x>", 3), tiny_token(t, "<x", 1), tiny_merge(t, "<x >");
}
static void merge_twice(struct tiny *t)
{
	tiny_token(t, "abc", 1), tiny_token(t, "ab", 1);
	tiny_merge(t, "a b"), tiny_merge(t, "ab c"), tiny_merge(t, "a b");
}
static void twins_unused(struct tiny *t) { tiny_token(t, "<pad>", 5), tiny_token(t, "<pad>", 5); }
static void twin_unused(struct tiny *t) { tiny_token(t, "<x>", 5), tiny_token(t, "<x>", 3); }
static void twin_bytes(struct tiny *t) { tiny_token(t, " ", 4); } /* U+0120 of the alphabet is a space, too */
static void control_normal(struct tiny *t) { tiny_token(t, "<|im_start|>", 1); }
static void control_user(struct tiny *t) { tiny_token(t, "<|im_end|>", 4); }
static void control_wide(struct tiny *t) { tiny_token(t, "<\xef\xbd\x9cUser\xef\xbd\x9c>", 1); }
static void kind_negative(struct tiny *t) { tiny_token(t, "ab", -1); }
static void merges_unknown(struct tiny *t)
{
	tiny_merge(t, "q r"), tiny_merge(t, "r s"), tiny_merge(t, "s t");
}
static void bos_added_outside(struct tiny *t) { t->v.bos = 256, t->v.add_bos = true; }
static void merges_too_many(struct tiny *t) { tiny_token(t, "ab", 1), tiny_merge(t, "a b"), tiny_merge(t, "a c"); }
static void bos_outside(struct tiny *t) { t->v.bos = 256; }
static void eos_outside(struct tiny *t) { t->v.eos = 1 << 30; }
static void pad_negative(struct tiny *t) { t->v.pad = -2; }
static void bos_missing(struct tiny *t) { t->v.add_bos = true; }
static void split_unknown(struct tiny *t) { t->v.split = "llama-bpe"; }
static void split_none(struct tiny *t) { t->v.split = NULL; }

static const struct { void (*broken)(struct tiny *t); enum plumb_status status; const char *words; } broken[] = {
	{ no_tokens, PLUMB_E_FORMAT, "0 tokens" },
	{ token_twice, PLUMB_E_FORMAT, "token 257 is the same as token 256" },
	{ special_twice, PLUMB_E_FORMAT, "token 257 is the same as token 256" },
	{ eos_outside, PLUMB_E_FORMAT, "the eos token is 1073741824" },
	{ bos_missing, PLUMB_E_FORMAT, "there is none" },
	{ bos_added_outside, PLUMB_E_FORMAT, "the bos token is 256" },
	{ split_unknown, PLUMB_E_UNSUPPORTED, "\"llama-bpe\"" },
	{ split_none, PLUMB_E_UNSUPPORTED, "(none)" },
};

START_TEST(broken_vocabulary)
{
	struct tiny t;
	struct plumb_tokenizer *tok;

	tiny_init(&t);
	ck_good(plumb_tokenizer_new(&tok, &t.v));
	ck_assert_ptr_null(plumb_tokenizer_warning(tok, 0));
	ck_assert_ptr_null(plumb_tokenizer_warning(tok, -1));
	plumb_tokenizer_free(tok);
	broken[_i].broken(&t);
	ck_bad(plumb_tokenizer_new(&tok, &t.v), broken[_i].status, broken[_i].words);
	ck_assert_ptr_null(tok);
}
END_TEST

/* What nothing needs: the one warning that says so, and text that has nothing to do with it works as before. */
static const struct { void (*odd)(struct tiny *t); const char *words; } odd[] = {
	{ token_empty, "token 256 is empty" },
	{ special_empty, "token 256 is empty" },
	{ token_with_space, "token 256 has a character that is not of the byte alphabet" },
	{ token_outside, "token 256 has a character that is not of the byte alphabet" },
	{ token_just_outside, "token 256 has a character that is not of the byte alphabet" },
	{ token_soft_hyphen, "token 256 has a character that is not of the byte alphabet" },
	{ token_not_utf8, "token 256 has a character that is not of the byte alphabet" },
	{ kind_zero, "token 256 is of kind 0" },
	{ kind_large, "token 256 is of kind 7" },
	{ kind_negative, "token 256 is of kind -1" },
	{ twins_unused, "token 257 has the bytes of token 256" },
	{ twin_unused, "token 257 has the bytes of token 256; text becomes token 257" },
	{ twin_bytes, "token 256 has the bytes of token 32; text becomes token 32" },
	{ control_normal, "token 256, <|im_start|>, is not marked as a control token (kind 1" },
	{ control_user, "token 256, <|im_end|>, is not marked as a control token (kind 4" },
	{ control_wide, "token 256, <\xef\xbd\x9cUser\xef\xbd\x9c>, is not marked" },
	{ byte_missing, "no token for the byte 0xff" },
	{ bytes_missing, "no token for the byte 0xc8; text that holds it is refused (and 55 more like it)" },
	{ merge_no_space, "merge 0 has no space" },
	{ merge_left_empty, "merge 0 has a left side that is not of" },
	{ merge_right_empty, "merge 0 has a right side that is not of" },
	{ merge_two_spaces, "merge 0 has a right side that is not of" },
	{ merge_left_unknown, "merge 0 has a left side that is not a normal token" },
	{ merge_right_unknown, "merge 0 has a right side that is not a normal token" },
	{ merge_result_unknown, "merge 0 has a result that is not a normal token" },
	{ merge_into_special, "merge 0 has a result that is not a normal token" },
	{ merge_twice, "merge 2 is the same as merge 0" },
	{ merges_too_many, "merge 1 has a result that is not a normal token" },
	{ merges_unknown, "merge 0 has a result that is not a normal token; it is left out (and 2 more like it)" },
	{ bos_outside, "the bos token is 256" },
	{ pad_negative, "the padding token is -2" },
};

START_TEST(odd_vocabulary)
{
	struct tiny t;
	struct plumb_tokenizer *tok;
	struct plumb_stream s = { .count = 0 };
	int32_t *ids;
	size_t n, written;
	char out[64];

	tiny_init(&t);
	odd[_i].odd(&t);
	ck_good(plumb_tokenizer_new(&tok, &t.v));
	ck_assert_ptr_nonnull(plumb_tokenizer_warning(tok, 0));
	ck_assert_msg(strstr(plumb_tokenizer_warning(tok, 0), odd[_i].words), "\"%s\"", plumb_tokenizer_warning(tok, 0));
	ck_assert_ptr_null(plumb_tokenizer_warning(tok, 1));
	if (strstr(odd[_i].words, "byte alphabet")) { /* no text becomes it, but the model may say it */
		ck_assert(!plumb_tokenizer_is_special(tok, 256));
		ck_good(plumb_stream_token(&s, tok, 256, false, out, sizeof(out), &written));
		ck_assert_uint_gt(written, 0);
		plumb_stream_end(&s, out, sizeof(out));
	}
	ck_good(plumb_tokenize(tok, "h q", 3, PLUMB_SPECIALS_TEXT, &ids, &n));
	ck_assert_uint_eq(n, 3);
	ck_assert(ids[0] == 'h' && (ids[1] == ' ' || odd[_i].odd == twin_bytes) && ids[2] == 'q');
	free(ids);
	for (int32_t id = 0; id < (int32_t)t.v.tokens; id++)
		ck_good(plumb_stream_token(&s, tok, id, true, out, sizeof(out), &written));
	plumb_tokenizer_free(tok);
}
END_TEST

/* What opens and ends turns is control whatever a file says, or a user who types it forges a turn. */
static const char *const markers[] = { "<|im_start|>", "<|im_end|>", "<|endoftext|>",
	"<\xef\xbd\x9c" "begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>", "<\xef\xbd\x9c" "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
	"<\xef\xbd\x9cUser\xef\xbd\x9c>", "<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>" };

START_TEST(markers_are_control)
{
	struct tiny t;
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	for (int kind = 1; kind <= 5; kind++) {
		tiny_init(&t);
		tiny_token(&t, markers[_i], kind);
		ck_good(plumb_tokenizer_new(&tok, &t.v));
		ck_assert(plumb_tokenizer_is_special(tok, 256));
		ck_good(plumb_tokenize(tok, markers[_i], strlen(markers[_i]), PLUMB_SPECIALS_TEXT, &ids, &n));
		ck_assert_uint_eq(n, strlen(markers[_i]));
		free(ids);
		ck_good(plumb_tokenize(tok, markers[_i], strlen(markers[_i]), PLUMB_SPECIALS_PARSE, &ids, &n));
		ck_assert(n == 1 && ids[0] == 256);
		free(ids);
		plumb_tokenizer_free(tok);
	}
}
END_TEST

START_TEST(byte_without_token)
{
	struct tiny t;
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	tiny_init(&t);
	bytes_missing(&t);
	ck_good(plumb_tokenizer_new(&tok, &t.v));
	ck_bad(plumb_tokenize(tok, "a\xc8\x80", 3, PLUMB_SPECIALS_TEXT, &ids, &n), PLUMB_E_UNSUPPORTED, "no token for the byte 0xc8");
	ck_assert_ptr_null(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

START_TEST(split_names)
{
	static const char *const names[] = { "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open" };
	struct tiny t;
	struct plumb_tokenizer *tok;

	tiny_init(&t);
	t.v.split = names[_i];
	ck_good(plumb_tokenizer_new(&tok, &t.v));
	ck_assert_ptr_null(plumb_tokenizer_warning(tok, 0));
	plumb_tokenizer_free(tok);
}
END_TEST

static enum plumb_status join(void *user, const char *piece, size_t n)
{
	char *out = user;
	snprintf(out + strlen(out), 128 - strlen(out), "%.*s|", (int)n, piece);
	return PLUMB_OK;
}

/* By Qwen2's pattern, which is in split.c; what merges make of the pieces hides some of it. */
static const struct { const char *text, *pieces; } pieces[] = {
	{ "abc123 d'S  e\r\n\n !!\nf", "abc|1|2|3| d|'S| | e|\r\n\n| !!\n|f|" },
	{ "x  \n  y ", "x|  \n| | y| |" },
	{ "a\xf0\x91\xbc\x82\xf0\xae\xaf\xb0 b", "a\xf0\x91\xbc\x82\xf0\xae\xaf\xb0| b|" }, /* letters of Unicode 15 and 15.1 */
	{ "\xf0\x91\xbd\x90\xf0\x91\xbd\x91", "\xf0\x91\xbd\x90|\xf0\x91\xbd\x91|" },           /* and its digits */
};

START_TEST(split_pieces)
{
	struct plumb_split *split;
	char out[128] = "";
	ck_good(plumb_split_new(&split, "qwen2"));
	ck_good(plumb_split_run(split, pieces[_i].text, strlen(pieces[_i].text), join, out));
	ck_assert_str_eq(out, pieces[_i].pieces);
	plumb_split_free(split);
}
END_TEST

/* --- merges and specials that can be followed by hand --- */

/* Ids from 256: ab bc abc aa aaa <x> <x>y <u> */
static struct plumb_tokenizer *small(struct tiny *t)
{
	struct plumb_tokenizer *tok;

	tiny_init(t);
	tiny_token(t, "ab", 1), tiny_token(t, "bc", 1), tiny_token(t, "abc", 1), tiny_token(t, "aa", 1);
	tiny_token(t, "aaa", 1), tiny_token(t, "<x>", 3), tiny_token(t, "<x>y", 4), tiny_token(t, "<u>", 5);
	tiny_merge(t, "b c"), tiny_merge(t, "a b"), tiny_merge(t, "a bc"), tiny_merge(t, "a a"), tiny_merge(t, "aa a");
	ck_good(plumb_tokenizer_new(&tok, &t->v));
	return tok;
}

static const struct { const char *text; enum plumb_specials specials; size_t n; int32_t id[8]; } encoded[] = {
	{ "abc", 0, 1, { 258 } },              /* bc first (rank 0), then a bc; never ab */
	{ "ab", 0, 1, { 256 } },
	{ "aaaa", 0, 2, { 259, 259 } },        /* equal ranks: leftmost first, twice, before aa a */
	{ "aaaaa", 0, 2, { 259, 260 } },
	{ "aab", 0, 2, { 'a', 256 } },         /* a b has the lower rank */
	{ "b c", 0, 3, { 'b', ' ', 'c' } },
	{ "<x>", 0, 1, { 261 } }, { "<x>y", 0, 1, { 262 } }, { "<x>z", 0, 2, { 261, 'z' } },
	{ "<x><x>y<x", 0, 4, { 261, 262, '<', 'x' } }, { "ab<x>c", 0, 3, { 256, 261, 'c' } },
	{ "<u>", 0, 3, { '<', 'u', '>' } },    /* unused tokens are not parsed */
	{ "<x>y", PLUMB_SPECIALS_TEXT, 1, { 262 } }, /* user-defined: a token in any text */
	{ "<x>z", PLUMB_SPECIALS_TEXT, 4, { '<', 'x', '>', 'z' } }, /* control: text */
	{ "", 0, 0, { 0 } },
};

START_TEST(merges_by_hand)
{
	struct tiny t;
	struct plumb_tokenizer *tok = small(&t);
	int32_t *ids;
	size_t n;

	for (int bos = 0; bos < 2; bos++) {
		ck_good(plumb_tokenize(tok, encoded[_i].text, strlen(encoded[_i].text), encoded[_i].specials, &ids, &n));
		ck_assert_uint_eq(n, encoded[_i].n + (size_t)bos);
		if (bos)
			ck_assert_int_eq(ids[0], 261);
		for (size_t i = 0; i < encoded[_i].n; i++)
			ck_assert_int_eq(ids[i + (size_t)bos], encoded[_i].id[i]);
		free(ids);
		plumb_tokenizer_free(tok);
		t.v.add_bos = true;
		t.v.bos = 261;
		ck_good(plumb_tokenizer_new(&tok, &t.v));
	}
	plumb_tokenizer_free(tok);
}
END_TEST

START_TEST(looking_up)
{
	struct tiny t;
	struct plumb_tokenizer *tok = small(&t);

	ck_assert_uint_eq(plumb_tokenizer_size(tok), 264);
	ck_assert_int_eq(plumb_token_find(tok, "abc", 3), 258);
	ck_assert_int_eq(plumb_token_find(tok, "<u>", 3), 263);
	ck_assert_int_eq(plumb_token_find(tok, "\0", 1), 0);
	ck_assert_int_eq(plumb_token_find(tok, "abcd", 4), -1);
	ck_assert_int_eq(plumb_token_find(tok, "", 0), -1);
	for (int32_t id = 0; id < 264; id++) {
		struct plumb_span s = plumb_token_bytes(tok, id);
		ck_assert_int_eq(plumb_token_find(tok, s.p, s.n), id);
		ck_assert_int_eq(plumb_tokenizer_is_special(tok, id), id == 261 || id == 263);
	}
	ck_assert_uint_eq(plumb_token_bytes(tok, -1).n, 0);
	ck_assert_uint_eq(plumb_token_bytes(tok, 264).n, 0);
	ck_assert(!plumb_tokenizer_is_special(tok, -1) && !plumb_tokenizer_is_special(tok, 264));
	ck_assert(!plumb_tokenizer_is_end(tok, -1));
	ck_assert_int_eq(plumb_special_find(tok, "<x>"), 261);
	ck_assert_int_eq(plumb_special_find(tok, "<x>z"), -1); /* a special token is its beginning */
	ck_assert_int_eq(plumb_special_find(tok, "<x"), -1);
	plumb_tokenizer_free(tok);
	plumb_tokenizer_free(NULL);
}
END_TEST

/* --- metadata --- */

/* What to write of each key; NULL leaves the key out. */
struct keys { const char *model, *pre, *tokens, *merges; uint32_t types; int eos; const char *add_bos, *family; int64_t pad; };

static void put_key(struct gguf_builder *g, const char *key, const char *text)
{
	if (text && !strcmp(text, "number")) {
		g_key(g, key, G_U32);
		g_u32(g, 1);
	} else if (text) {
		g_key(g, key, G_STRING);
		g_string(g, text);
	}
}

static void put_array(struct gguf_builder *g, const char *key, const char *text, const struct tiny *t)
{
	if (text && !strcmp(text, "floats")) {
		g_array(g, key, G_F32, 1);
		g_u32(g, 0);
	} else if (text && !strcmp(text, "good")) {
		bool tokens = strstr(key, "tokens") != NULL;
		size_t n = tokens ? t->v.tokens : t->v.merges;
		g_array(g, key, G_STRING, n);
		for (size_t i = 0; i < n; i++) {
			struct plumb_span s = tokens ? t->token[i] : t->merge[i];
			g_u64(g, s.n);
			g_bytes(g, s.p, s.n);
		}
	} else {
		put_key(g, key, text);
	}
}

static const struct { struct keys k; enum plumb_status status; const char *words; } metas[] = {
	{ { "gpt2", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_OK, "" },
	{ { NULL, "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "tokenizer.ggml.model is missing" },
	{ { "llama", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_UNSUPPORTED, "\"llama\"" },
	{ { "number", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "model is an integer, expected a string" },
	{ { "gpt2", NULL, "good", "good", 264, 261, NULL, "qwen2", 0 }, PLUMB_OK, "tokenizer.ggml.pre is missing" },
	{ { "gpt2", "", "good", "good", 264, 261, NULL, "qwen2", 0 }, PLUMB_OK, "tokenizer.ggml.pre is missing" },
	{ { "gpt2", NULL, "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "tokenizer.ggml.pre is missing" },
	{ { "gpt2", NULL, "good", "good", 264, 261, NULL, "llama", 0 }, PLUMB_E_FORMAT, "tokenizer.ggml.pre is missing" },
	{ { "gpt2", "qwen2", "good", "good", 264, 261, NULL, NULL, 4294967295 }, PLUMB_OK, "padding_token_id is 4294967295" },
	{ { "gpt2", "qwen2", "good", "good", 264, 261, NULL, NULL, 264 }, PLUMB_OK, "the padding token is 264" },
	{ { "gpt2", "deepseek-r1-qwen", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_OK, "" },
	{ { "gpt2", "tekken", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_UNSUPPORTED, "\"tekken\"" },
	{ { "gpt2", "qwen2", NULL, "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "tokenizer.ggml.tokens is missing" },
	{ { "gpt2", "qwen2", "text", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "tokens is a string, expected an array" },
	{ { "gpt2", "qwen2", "floats", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "each is a float, expected a string" },
	{ { "gpt2", "qwen2", "good", NULL, 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "tokenizer.ggml.merges is missing" },
	{ { "gpt2", "qwen2", "good", "floats", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "each is a float, expected a string" },
	{ { "gpt2", "qwen2", "good", "good", 263, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT, "263 token types for 264 tokens" },
	{ { "gpt2", "qwen2", "good", "good", 264, 264, NULL, NULL, 0 }, PLUMB_E_FORMAT, "the eos token is 264" },
	{ { "gpt2", "qwen2", "good", "good", 264, -5, NULL, NULL, 0 }, PLUMB_E_FORMAT, "eos_token_id is -5" },
	{ { "gpt2", "qwen2", "good", "good", 264, 261, "yes", NULL, 0 }, PLUMB_E_FORMAT,
		"add_bos_token is a string, expected a boolean" },
};

START_TEST(from_metadata)
{
	static struct gguf_builder g;
	const struct keys *k = &metas[_i].k;
	struct plumb_tokenizer *tok, *ours;
	struct plumb_file *file;
	struct tiny t;

	ours = small(&t);
	g_header(&g, 3, 0, 1 + !!k->model + !!k->pre + !!k->tokens + !!k->merges + !!k->types + !!k->add_bos + !!k->family + !!k->pad);
	put_key(&g, "general.architecture", k->family);
	if (k->pad) {
		g_key(&g, "tokenizer.ggml.padding_token_id", G_U32);
		g_u32(&g, (uint32_t)k->pad);
	}
	put_key(&g, "tokenizer.ggml.model", k->model);
	put_key(&g, "tokenizer.ggml.pre", k->pre);
	put_array(&g, "tokenizer.ggml.tokens", k->tokens, &t);
	put_array(&g, "tokenizer.ggml.merges", k->merges, &t);
	g_key(&g, "tokenizer.ggml.eos_token_id", G_I32);
	g_u32(&g, (uint32_t)k->eos);
	put_key(&g, "tokenizer.ggml.add_bos_token", k->add_bos);
	if (k->types) {
		g_array(&g, "tokenizer.ggml.token_type", G_I32, k->types);
		for (uint32_t i = 0; i < k->types; i++)
			g_u32(&g, (uint32_t)t.kind[i]);
	}
	ck_good(plumb_file_from_memory(&file, g.bytes, g.n));
	if (metas[_i].status) {
		ck_bad(plumb_tokenizer_from_file(&tok, file), metas[_i].status, metas[_i].words);
		ck_assert_ptr_null(tok);
	} else {
		ck_good(plumb_tokenizer_from_file(&tok, file));
		const char *warning = plumb_tokenizer_warning(tok, 0);
		ck_assert_msg(warning ? *metas[_i].words && strstr(warning, metas[_i].words) : !*metas[_i].words, "%s", warning ? warning : "none");
		ck_assert_ptr_null(plumb_tokenizer_warning(tok, 1));
		plumb_file_close(file); /* all is copied */
		file = NULL;
		ck_assert_uint_eq(plumb_tokenizer_size(tok), 264);
		ck_assert_int_eq(plumb_tokenizer_eos(tok), 261);
		ck_assert_int_eq(plumb_tokenizer_bos(tok), -1);
		ck_assert(plumb_tokenizer_is_end(tok, 261));
		for (int32_t id = 0; id < 264; id++)
			ck_assert(plumb_token_bytes(tok, id).n == plumb_token_bytes(ours, id).n &&
				plumb_tokenizer_is_special(tok, id) == plumb_tokenizer_is_special(ours, id));
	}
	plumb_file_close(file);
	plumb_tokenizer_free(tok);
	plumb_tokenizer_free(ours);
}
END_TEST

/* Rows of the embedding beside 256 tokens: more have no text, fewer are refused. */
START_TEST(rows_and_tokens)
{
	static struct gguf_builder g;
	static const uint64_t rows[] = { 256, 257, 255 };
	struct plumb_tokenizer *tok;
	struct plumb_file *file;
	struct tiny t;

	tiny_init(&t);
	g_header(&g, 3, 1, 4);
	put_key(&g, "tokenizer.ggml.model", "gpt2");
	put_key(&g, "tokenizer.ggml.pre", "qwen2");
	put_array(&g, "tokenizer.ggml.tokens", "good", &t);
	put_array(&g, "tokenizer.ggml.merges", "good", &t);
	g_tensor(&g, "token_embd.weight", 0, 8, rows[_i], 0);
	g_data(&g, 32, (size_t)rows[_i] * 32);
	ck_good(plumb_file_from_memory(&file, g.bytes, g.n));
	if (_i == 2) {
		ck_bad(plumb_tokenizer_from_file(&tok, file), PLUMB_E_FORMAT, "has 256 tokens, token_embd.weight has rows for the first 255");
	} else {
		ck_good(plumb_tokenizer_from_file(&tok, file));
		const char *warning = plumb_tokenizer_warning(tok, 0);
		ck_assert(_i ? warning && strstr(warning, "257 rows, the tokenizer 256 tokens") : !warning);
	}
	plumb_file_close(file);
	plumb_tokenizer_free(tok);
}
END_TEST

TCase *text_vocab_case(void)
{
	TCase *c = tcase_create("vocabulary");

	text_add_loop(c, broken_vocabulary, COUNT(broken));
	text_add_loop(c, odd_vocabulary, COUNT(odd));
	tcase_add_test(c, byte_without_token);
	text_add_loop(c, markers_are_control, COUNT(markers));
	text_add_loop(c, split_names, 8);
	text_add_loop(c, split_pieces, COUNT(pieces));
	text_add_loop(c, merges_by_hand, COUNT(encoded));
	tcase_add_test(c, looking_up);
	text_add_loop(c, from_metadata, COUNT(metas));
	text_add_loop(c, rows_and_tokens, 3);
	return c;
}
