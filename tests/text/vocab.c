/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of building a tokenizer: each way in which a vocabulary can be broken or odd. */
#include <stdlib.h>
#include <string.h>
#include <plumb/text.h>
#include "text/text.h"
#include "parts.h"
#include "tiny.h"

/* Each function breaks one thing. */
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
static void token_soft_hyphen(struct tiny *t) { tiny_token(t, "\xc2\xad", 1); }  /* byte 0xad is U+0143 */
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
static void merges_too_many(struct tiny *t)
{
	tiny_token(t, "ab", 1), tiny_merge(t, "a b"), tiny_merge(t, "a c");
}
static void bos_outside(struct tiny *t) { t->v.bos = 256; }
static void eos_outside(struct tiny *t) { t->v.eos = 1 << 30; }
static void pad_negative(struct tiny *t) { t->v.pad = -2; }
static void bos_missing(struct tiny *t) { t->v.add_bos = true; }
static void split_unknown(struct tiny *t) { t->v.split = "llama-bpf"; }
static void split_none(struct tiny *t) { t->v.split = NULL; }

static const struct {
	void (*broken)(struct tiny *t);
	enum plumb_status status;
	const char *words;
} broken[] = {
	{ no_tokens, PLUMB_E_FORMAT, "0 tokens" },
	{ token_twice, PLUMB_E_FORMAT, "token 257 is the same as token 256" },
	{ special_twice, PLUMB_E_FORMAT, "token 257 is the same as token 256" },
	{ eos_outside, PLUMB_E_FORMAT, "the eos token is 1073741824" },
	{ bos_missing, PLUMB_E_FORMAT, "there is none" },
	{ bos_added_outside, PLUMB_E_FORMAT, "the bos token is 256" },
	{ split_unknown, PLUMB_E_UNSUPPORTED, "\"llama-bpf\"" },
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

/* What nothing needs: the one warning that says so, and text that has nothing to do with it works as before.
 */
static const struct {
	void (*odd)(struct tiny *t);
	const char *words;
} odd[] = {
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
	{ bytes_missing, "no token for the byte 0xc8; it is left out of texts (and 55 more like it)" },
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
	{ merges_unknown,
		"merge 0 has a result that is not a normal token; it is left out (and 2 more like it)" },
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
	ck_assert_msg(
		strstr(plumb_tokenizer_warning(tok, 0), odd[_i].words), "\"%s\"", plumb_tokenizer_warning(tok, 0));
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
	"<\xef\xbd\x9c"
	"begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
	"<\xef\xbd\x9c"
	"end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
	"<\xef\xbd\x9cUser\xef\xbd\x9c>",
	"<\xef\xbd\x9c"
	"Assistant\xef\xbd\x9c>" };

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
	ck_good(plumb_tokenize(tok, "a\xc8\x80", 3, PLUMB_SPECIALS_TEXT, &ids, &n));
	ck_assert(n == 2 && ids[0] == 'a' && ids[1] == 0x80);
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

static const char *const split_name[] = { "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez",
	"stablelm2", "hunyuan", "solar-open", "qwen35", "llama-bpe", "llama3", "lfm2", "dbrx", "smollm", "refact",
	"gpt-2", "olmo", "granite-docling", "tekken", "gpt-4o", "llama4", "seed-coder", "default" };

START_TEST(split_names)
{
	struct tiny t;
	struct plumb_tokenizer *tok;

	tiny_init(&t);
	t.v.split = split_name[_i];
	ck_good(plumb_tokenizer_new(&tok, &t.v));
	ck_assert_ptr_null(plumb_tokenizer_warning(tok, 0));
	plumb_tokenizer_free(tok);
}
END_TEST

/* A piece that is a token becomes it where the pattern's models have it so, merge or none. */
START_TEST(split_whole)
{
	struct tiny t;
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	tiny_init(&t);
	tiny_token(&t, "abc", 1);
	t.v.split = _i ? "llama-bpe" : "dbrx";
	ck_good(plumb_tokenizer_new(&tok, &t.v));
	ck_good(plumb_tokenize(tok, "abc", 3, PLUMB_SPECIALS_TEXT, &ids, &n));
	ck_assert_uint_eq(n, _i ? 1 : 3);
	ck_assert(
		plumb_vocab_adds_bos("llama-bpe") && !plumb_vocab_adds_bos("dbrx") && !plumb_vocab_adds_bos("x"));
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

static enum plumb_status join(void *user, const char *piece, size_t n)
{
	char *out = user;
	snprintf(out + strlen(out), 128 - strlen(out), "%.*s|", (int)n, piece);
	return PLUMB_OK;
}

/* By the patterns of pattern.c; what merges make of the pieces hides some of it. */
static const struct {
	const char *name, *text, *pieces;
} pieces[] = {
	{ "qwen2", "abc123 d'S  e\r\n\n !!\nf", "abc|1|2|3| d|'S| | e|\r\n\n| !!\n|f|" },
	{ "qwen2", "x  \n  y ", "x|  \n| | y| |" },
	{ "qwen2", "a\xf0\x91\xbc\x82\xf0\xae\xaf\xb0 b",
		"a\xf0\x91\xbc\x82\xf0\xae\xaf\xb0| b|" }, /* letters of Unicode 15 and 15.1 */
	{ "qwen2", "\xf0\x91\xbd\x90\xf0\x91\xbd\x91",
		"\xf0\x91\xbd\x90|\xf0\x91\xbd\x91|" }, /* and its digits */
	{ "qwen35", "e\xcc\x81\xcc\x81x", "e\xcc\x81\xcc\x81x|" },
	{ "qwen2", "e\xcc\x81\xcc\x81x", "e|\xcc\x81\xcc\x81|x|" },
	{ "llama-bpe", "a1234 'LL!", "a|123|4| '|LL|!|" },
	{ "smollm", "a1234 'll 'LL \xc2\xb2 x", "a|1|2|3|4| '|ll| '|LL| |\xc2\xb2| x|" },
	{ "gpt-2", "a 1234's  b\n", "a| 1234|'s| | b|\n|" },
	{ "tekken", "aHTTPServer12 'll", "a|HTTPServer|1|2| '|ll|" },
	{ "gpt-4o", "HTTPServer1234 I'll/\n", "HTTPServer|123|4| I'll|/\n|" },
	{ "default", "a+b 12345", "a|+|b| |123|45|" },
};

START_TEST(split_pieces)
{
	struct plumb_split *split;
	char out[128] = "";
	const struct plumb_pattern_set *set = plumb_pattern_named(pieces[_i].name);
	ck_good(plumb_split_new(&split));
	for (int i = 0; set->text[i]; i++)
		ck_good(plumb_split_add_pattern(split, set->text[i]));
	ck_good(plumb_split_run(split, pieces[_i].text, strlen(pieces[_i].text), true, join, out));
	ck_assert_str_eq(out, pieces[_i].pieces);
	plumb_split_free(split);
}
END_TEST

TCase *text_vocab_case(void)
{
	TCase *c = tcase_create("vocabulary");

	text_add_loop(c, broken_vocabulary, COUNT(broken));
	text_add_loop(c, odd_vocabulary, COUNT(odd));
	tcase_add_test(c, byte_without_token);
	text_add_loop(c, markers_are_control, COUNT(markers));
	text_add_loop(c, split_names, COUNT(split_name));
	text_add_loop(c, split_whole, 2);
	text_add_loop(c, split_pieces, COUNT(pieces));
	return c;
}
