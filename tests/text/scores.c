/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of BPE by scores, as SentencePiece does it, with a vocabulary made by hand. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/text.h>
#include "parts.h"

#define SPACE "\xe2\x96\x81"
#define BYTES 3    /* id of <0x00> */
#define OTHERS 259 /* id of the first below */

static const struct {
	const char *text;
	float score;
	int32_t kind;
} others[] = {
	{ SPACE, -20, 1 },
	{ "a", -21, 1 },
	{ "b", -22, 1 },
	{ "c", -23, 1 },
	{ "ab", -2, 1 },
	{ "bc", -1, 1 },
	{ SPACE "a", -3, 1 },
	{ "aa", -4, 1 },
	{ "\xc3\xa9\xc3\xa9", -5, 1 },
	{ "  ", -1000, 4 },
	{ "cc", -6, 4 },
	{ "<turn>", 0, 3 },
	{ " b", 0, 1 },
};
enum {
	S_SPACE = OTHERS,
	S_A,
	S_B,
	S_C,
	S_AB,
	S_BC,
	S_SPACE_A,
	S_AA,
	S_EE,
	S_TWO,
	S_CC,
	S_TURN,
	S_COUNT = S_TURN + 2
};

struct scored {
	struct plumb_vocab v;
	struct plumb_span token[S_COUNT];
	float score[S_COUNT];
	int32_t kind[S_COUNT];
	char byte[256][8];
};

static void scored_init(struct scored *s)
{
	static const char *const first[] = { "<unk>", "<s>", "</s>" };

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < S_COUNT; i++) {
		int b = i - BYTES;
		if (b >= 0 && b < 256)
			snprintf(s->byte[b], sizeof(s->byte[b]), "<0x%02X>", (unsigned)b);
		const char *text = i < BYTES ? first[i] : b < 256 ? s->byte[b] : others[i - OTHERS].text;
		s->token[i] = (struct plumb_span){ text, strlen(text) };
		s->score[i] = i < OTHERS ? 0 : others[i - OTHERS].score;
		s->kind[i] = !i ? 2 : i < BYTES ? 3 : i < OTHERS ? 6 : others[i - OTHERS].kind;
	}
	s->v = (struct plumb_vocab){ .tokens = S_COUNT,
		.token = s->token,
		.kind = s->kind,
		.score = s->score,
		.model = PLUMB_VOCAB_SCORES,
		.bos = 1,
		.eos = 2,
		.pad = -1 };
}

static const struct {
	const char *text;
	bool prefix, squeeze;
	int32_t ids[12]; /* -1 ends them */
	const char *back;
} texts[] = {
	{ "abc", false, false, { S_A, S_BC, -1 }, "abc" }, /* bc scores higher than ab */
	{ "aaa", false, false, { S_AA, S_A, -1 }, "aaa" }, /* the leftmost of equals */
	{ "a ab", false, false, { S_A, S_SPACE, S_AB, -1 }, "a ab" },
	{ "a" SPACE "ac", false, false, { S_A, S_SPACE_A, S_C, -1 }, "a ac" },
	{ "abc", true, false, { S_SPACE_A, S_BC, -1 }, "abc" },
	{ "", true, false, { -1 }, "" },
	{ " b", true, false, { S_TWO, S_B, -1 },
		" b" }, /* user-defined, behind the normaliser; " b" is no token's */
	{ "a<turn>a", true, false, { S_SPACE_A, S_TURN, S_SPACE_A, -1 }, "a<turn> a" },
	{ "  a   ab ", true, true, { S_SPACE_A, S_SPACE, S_AB, -1 }, "a ab" },
	{ SPACE SPACE "a" SPACE SPACE "ab" SPACE, true, true, { S_SPACE_A, S_SPACE, S_AB, -1 }, "a ab" },
	{ "acca", false, false, { S_A, S_CC, S_A, -1 }, "acca" },
	{ "\xc3\xa9", false, false, { BYTES + 0xc3, BYTES + 0xa9, -1 }, "\xc3\xa9" },
	/* The characters are no tokens, but together they are one. */
	{ "\xc3\xa9\xc3\xa9", false, false, { S_EE, -1 }, "\xc3\xa9\xc3\xa9" },
	{ "<0x41>", false, false,
		{ BYTES + '<', BYTES + '0', BYTES + 'x', BYTES + '4', BYTES + '1', BYTES + '>', -1 }, "<0x41>" },
	{ "<s>a", false, false, { 1, S_A, -1 }, "<s>a" },
};

START_TEST(scored_texts)
{
	struct scored s;
	struct plumb_tokenizer *tok;
	struct plumb_stream stream = { .count = 0 };
	int32_t *ids;
	size_t n, m = 0, used = 0, written;
	char back[256] = "";

	scored_init(&s);
	s.v.space_prefix = texts[_i].prefix;
	s.v.squeeze_spaces = texts[_i].squeeze;
	ck_good(plumb_tokenizer_new(&tok, &s.v));
	ck_assert_ptr_null(plumb_tokenizer_warning(tok, 0));
	ck_good(plumb_tokenize(tok, texts[_i].text, strlen(texts[_i].text), PLUMB_SPECIALS_PARSE, &ids, &n));
	while (texts[_i].ids[m] >= 0)
		m++;
	ck_assert_uint_eq(n, m);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(ids[i], texts[_i].ids[i]);
		ck_good(plumb_stream_token(&stream, tok, ids[i], true, back + used, 64, &written));
		used += written;
	}
	used += plumb_stream_end(&stream, back + used, 16);
	back[used] = 0;
	ck_assert_str_eq(back, texts[_i].back);
	ck_assert(!plumb_tokenizer_is_special(tok, BYTES) && plumb_tokenizer_is_special(tok, S_TURN));
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

/* The same vocabulary as a unigram model: the highest sum counts, not the highest score. */
START_TEST(scored_unigram)
{
	static const struct {
		const char *text;
		int32_t ids[8];
	} rows[] = {
		{ "abc", { S_A, S_BC, -1 } },
		{ "aab", { S_A, S_AB, -1 } },
		{ "abbc", { S_AB, S_BC, -1 } },
		{ "a ab", { S_A, S_SPACE, S_AB, -1 } },
		{ "a a", { S_A, S_SPACE_A, -1 } },
		{ "\xc3\xa9"
		  "a",
			{ BYTES + 0xc3, BYTES + 0xa9, S_A, -1 } },
		{ "\xc3\xa9\xc3\xa9", { S_EE, -1 } },
		{ "", { -1 } },
	};
	struct scored s;
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n, m;

	scored_init(&s);
	s.v.model = PLUMB_VOCAB_UNIGRAM;
	ck_good(plumb_tokenizer_new(&tok, &s.v));
	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_good(plumb_tokenize(tok, rows[i].text, strlen(rows[i].text), PLUMB_SPECIALS_PARSE, &ids, &n));
		for (m = 0; rows[i].ids[m] >= 0; m++)
			ck_assert(m < n && ids[m] == rows[i].ids[m]);
		ck_assert_uint_eq(n, m);
		free(ids);
	}
	plumb_tokenizer_free(tok);
	s.score[S_A] = INFINITY;
	ck_bad(plumb_tokenizer_new(&tok, &s.v), PLUMB_E_FORMAT, "score of token 260");
}
END_TEST

/* Without tokens of bytes, and without those and an unknown token. */
START_TEST(scored_unknown)
{
	struct scored s;
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	scored_init(&s);
	for (int i = BYTES; i < OTHERS; i++)
		s.kind[i] = 5;
	s.v.unk = _i ? -1 : 0;
	ck_good(plumb_tokenizer_new(&tok, &s.v));
	ck_good(plumb_tokenize(tok, "axyaz", 5, PLUMB_SPECIALS_PARSE, &ids, &n));
	if (_i) {
		ck_assert(n == 2 && ids[0] == S_A && ids[1] == S_A);
		ck_assert_ptr_nonnull(strstr(plumb_tokenizer_warning(tok, 0), "left out of texts"));
	} else {
		ck_assert(n == 4 && ids[0] == S_A && !ids[1] && ids[2] == S_A && !ids[3]);
		ck_assert_ptr_null(plumb_tokenizer_warning(tok, 0));
	}
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

START_TEST(scored_refused)
{
	struct scored s;
	struct plumb_tokenizer *tok;

	scored_init(&s);
	if (_i == 0)
		s.v.score = NULL;
	else if (_i == 1)
		s.score[S_A] = NAN;
	else
		s.v.eos = -1, s.v.add_eos = true;
	ck_bad(plumb_tokenizer_new(&tok, &s.v), PLUMB_E_FORMAT,
		_i == 0       ? "has none"
			: _i == 1 ? "score of token 260"
					  : "an eos token is to be added");
	ck_assert_ptr_null(tok);
}
END_TEST

/* What is put around a text, and what ends a turn. */
START_TEST(scored_ends)
{
	static const int32_t end[] = { S_TURN, 5000 };
	struct scored s;
	struct plumb_tokenizer *tok;
	int32_t *ids;
	size_t n;

	scored_init(&s);
	s.v.add_bos = s.v.add_eos = true;
	s.v.end = end;
	s.v.ends = COUNT(end);
	ck_good(plumb_tokenizer_new(&tok, &s.v));
	ck_assert_ptr_nonnull(strstr(plumb_tokenizer_warning(tok, 0), "5000 is to end a turn"));
	ck_good(plumb_tokenize(tok, "a", 1, PLUMB_SPECIALS_PARSE, &ids, &n));
	ck_assert(n == 3 && ids[0] == 1 && ids[1] == S_A && ids[2] == 2);
	ck_assert(plumb_tokenizer_is_end(tok, 2) && plumb_tokenizer_is_end(tok, S_TURN));
	ck_assert(!plumb_tokenizer_is_end(tok, 1) && !plumb_tokenizer_is_end(tok, -1));
	free(ids);
	plumb_tokenizer_free(tok);
}
END_TEST

TCase *text_scores_case(void)
{
	TCase *c = tcase_create("scores");

	text_add_loop(c, scored_texts, COUNT(texts));
	tcase_add_test(c, scored_unigram);
	text_add_loop(c, scored_unknown, 2);
	text_add_loop(c, scored_refused, 3);
	tcase_add_test(c, scored_ends);
	return c;
}
