/* SPDX-License-Identifier: Apache-2.0 */
/* Merges and special tokens that can be followed by hand. */
#include <stdlib.h>
#include <string.h>
#include <plumb/text.h>
#include "text/text.h"
#include "parts.h"
#include "tiny.h"

struct plumb_tokenizer *text_small(struct tiny *t)
{
	struct plumb_tokenizer *tok;

	tiny_init(t);
	tiny_token(t, "ab", 1), tiny_token(t, "bc", 1), tiny_token(t, "abc", 1), tiny_token(t, "aa", 1);
	tiny_token(t, "aaa", 1), tiny_token(t, "<x>", 3), tiny_token(t, "<x>y", 4), tiny_token(t, "<u>", 5);
	tiny_merge(t, "b c"), tiny_merge(t, "a b"), tiny_merge(t, "a bc"), tiny_merge(t, "a a"),
		tiny_merge(t, "aa a");
	ck_good(plumb_tokenizer_new(&tok, &t->v));
	return tok;
}

static const struct {
	const char *text;
	enum plumb_specials specials;
	size_t n;
	int32_t id[8];
} encoded[] = {
	{ "abc", 0, 1, { 258 } }, /* bc first (rank 0), then a bc; never ab */
	{ "ab", 0, 1, { 256 } },
	{ "aaaa", 0, 2, { 259, 259 } }, /* equal ranks: leftmost first, twice, before aa a */
	{ "aaaaa", 0, 2, { 259, 260 } },
	{ "aab", 0, 2, { 'a', 256 } }, /* a b has the lower rank */
	{ "b c", 0, 3, { 'b', ' ', 'c' } },
	{ "<x>", 0, 1, { 261 } },
	{ "<x>y", 0, 1, { 262 } },
	{ "<x>z", 0, 2, { 261, 'z' } },
	{ "<x><x>y<x", 0, 4, { 261, 262, '<', 'x' } },
	{ "ab<x>c", 0, 3, { 256, 261, 'c' } },
	{ "<u>", 0, 3, { '<', 'u', '>' } },                         /* unused tokens are not parsed */
	{ "<x>y", PLUMB_SPECIALS_TEXT, 1, { 262 } },                /* user-defined: a token in any text */
	{ "<x>z", PLUMB_SPECIALS_TEXT, 4, { '<', 'x', '>', 'z' } }, /* control: text */
	{ "", 0, 0, { 0 } },
};

START_TEST(merges_by_hand)
{
	struct tiny t;
	struct plumb_tokenizer *tok = text_small(&t);
	int32_t *ids;
	size_t n;

	for (int bos = 0; bos < 2; bos++) {
		ck_good(
			plumb_tokenize(tok, encoded[_i].text, strlen(encoded[_i].text), encoded[_i].specials, &ids, &n));
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
	struct plumb_tokenizer *tok = text_small(&t);

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

TCase *text_merges_case(void)
{
	TCase *c = tcase_create("merges");

	text_add_loop(c, merges_by_hand, COUNT(encoded));
	tcase_add_test(c, looking_up);
	return c;
}
