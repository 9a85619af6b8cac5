/* SPDX-License-Identifier: Apache-2.0 */
/* Stop texts: against a plain search of the whole text, however it is cut into pieces; and over the borders
 * of real tokens. */
#include <stdlib.h>
#include <string.h>
#include "core/random.h"
#include "parts.h"

static struct plumb_span span(const char *text) { return (struct plumb_span){ text, strlen(text) }; }

/* What must come out, by trying each end in turn: the first end of a stop text, there the longest text. */
static size_t plain(const char *text, size_t n, const struct plumb_span *stop, size_t count, int *hit)
{
	*hit = -1;
	for (size_t end = 1; end <= n; end++) {
		size_t best = 0;
		for (size_t i = 0; i < count; i++)
			if (stop[i].n <= end && stop[i].n > best &&
				!memcmp(text + end - stop[i].n, stop[i].p, stop[i].n)) {
				best = stop[i].n;
				*hit = (int)i;
			}
		if (best)
			return end - best;
	}
	return n;
}

/* Feed in pieces of the given lengths (each bit of `cuts` ends one); nothing that comes out may be taken
 * back. */
static void feed(const char *text, size_t n, unsigned cuts, const struct plumb_span *stop, size_t count)
{
	struct plumb_stop *s;
	struct plumb_span out;
	char got[64];
	size_t size = 0, from = 0;
	int hit = -1, expected;
	size_t right = plain(text, n, stop, count, &expected);
	ck_good(plumb_stop_new(&s, stop, count));
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && !(cuts >> i & 1))
			continue;
		ck_good(plumb_stop_feed(s, text + from, i + 1 - from, &out, &hit));
		memcpy(got + size, out.p, out.n);
		size += out.n;
		from = i + 1;
	}
	out = plumb_stop_end(s);
	memcpy(got + size, out.p, out.n);
	size += out.n;
	ck_assert_msg(size == right && hit == expected && !memcmp(got, text, size),
		"\"%.*s\" cut by %x: \"%.*s\" and stop %d, expected %zu bytes and %d", (int)n, text, cuts, (int)size,
		got, hit, right, expected);
	plumb_stop_free(s);
}

START_TEST(any_cut_gives_the_same)
{
	static const char *const sets[][3] = { { "ab", "ba", "aab" }, { "aaa", "aabaa", "b" },
		{ "abab", "bb", "ababb" }, { "abc", "b", "" }, { "aa", "aa", "" }, { "", "", "" } };
	struct plumb_span stop[3];
	size_t count = 0;
	uint64_t random = 12345;
	for (; count < 3 && sets[_i][count][0]; count++)
		stop[count] = span(sets[_i][count]);
	for (int round = 0; round < 3000; round++) {
		char text[16];
		size_t n = 1 + (size_t)round % 12;
		for (size_t i = 0; i < n; i++)
			text[i] = "aaabbc"[plumb_random(&random) % 6];
		feed(text, n, 0, stop, count);
		feed(text, n, ~0u, stop, count);
		feed(text, n, (unsigned)(plumb_random(&random) >> 40), stop, count);
	}
}
END_TEST

/* Only what may still become a stop text is held back. */
START_TEST(held_back_no_longer_than_needed)
{
	struct plumb_stop *s;
	struct plumb_span out;
	int hit;
	ck_good(plumb_stop_new(&s, (struct plumb_span[]){ span("\nUser:") }, 1));
	ck_good(plumb_stop_feed(s, "one\nUse", 7, &out, &hit));
	ck_assert_mem_eq(out.p, "one", out.n);
	ck_assert_uint_eq(out.n, 3);
	ck_good(plumb_stop_feed(s, "less", 4, &out, &hit));
	ck_assert_uint_eq(out.n, 8);
	ck_assert_mem_eq(out.p, "\nUseless", 8);
	ck_good(plumb_stop_feed(s, "\n", 1, &out, &hit));
	ck_assert_uint_eq(out.n, 0);
	out = plumb_stop_end(s);
	ck_assert_uint_eq(out.n, 1);
	ck_assert_int_eq(*out.p, '\n');
	ck_assert_uint_eq(plumb_stop_end(s).n, 0);
	/* What came out at the end is no beginning of what comes then. */
	ck_good(plumb_stop_feed(s, "User:", 5, &out, &hit));
	ck_assert_int_eq(hit, -1);
	ck_assert_uint_eq(out.n, 5);
	/* After a hit nothing comes out. */
	ck_good(plumb_stop_feed(s, "a\nUser:b", 8, &out, &hit));
	ck_assert_int_eq(hit, 0);
	ck_assert_uint_eq(out.n, 1);
	ck_good(plumb_stop_feed(s, "more", 4, &out, &hit));
	ck_assert_int_eq(hit, 0);
	ck_assert_uint_eq(out.n, 0);
	ck_assert_uint_eq(plumb_stop_end(s).n, 0);
	plumb_stop_free(s);
}
END_TEST

/* After a mismatch the text's own beginnings count, also those that begin within one: every word of two
 * letters, in every longer one. */
START_TEST(texts_that_overlap_themselves)
{
	for (size_t m = 1; m <= 7; m++)
		for (unsigned word = 0; word < 1u << m; word++)
			for (unsigned round = 0; round < 1u << 11; round += m < 6 ? 37 : 1) {
				char stop[8], text[12];
				struct plumb_stop *s;
				struct plumb_span out, one = { stop, m };
				int hit, expected;
				for (size_t i = 0; i < m; i++)
					stop[i] = "ab"[word >> i & 1];
				for (size_t i = 0; i < 11; i++)
					text[i] = "ab"[round >> i & 1];
				bool good = !plumb_stop_new(&s, &one, 1) &&
					!plumb_stop_feed(s, text, 11, &out, &hit); /* ck_assert is slow */
				size_t right = plain(text, 11, &one, 1, &expected);
				if (!good || hit != expected || (hit >= 0 && out.n != right))
					ck_abort_msg("\"%.*s\" in \"%.11s\": %d at %zu, expected %d at %zu", (int)m, stop, text,
						hit, out.n, expected, right);
				plumb_stop_free(s);
			}
}
END_TEST

/* As a program does it: ids to whole characters to the filter. A stop text of characters that several tokens
 * make. */
START_TEST(over_the_borders_of_tokens)
{
	static const struct {
		const char *text, *stop, *before;
	} rows[] = {
		{ "int main(void) { return 0; } /* end */", "} /*", "int main(void) { return 0; " },
		{ "Grüße aus 東京🙂🙃!", "🙃", "Grüße aus 東京🙂" },
		{ "Grüße aus 東京🙂🙃!", "京🙂🙃", "Grüße aus 東" },
		{ "ab\n\nUser: cd", "\nUser:", "ab\n" },
		{ "no such thing", "xyz", "no such thing" },
		{ "held: \nUse", "\nUser:", "held: \nUse" },
	};
	struct plumb_stream stream = { .count = 0 };
	struct plumb_stop *s;
	struct plumb_span out;
	char got[256], piece[512];
	size_t n, size = 0, wrote;
	int32_t *ids;
	int hit = -1;
	ck_good(plumb_stop_new(&s, (struct plumb_span[]){ span(rows[_i].stop) }, 1));
	ck_good(plumb_tokenize(qwen2, rows[_i].text, strlen(rows[_i].text), PLUMB_SPECIALS_TEXT, &ids, &n));
	for (size_t i = 0; i < n && hit < 0; i++) {
		ck_good(plumb_stream_token(&stream, qwen2, ids[i], false, piece, sizeof piece, &wrote));
		ck_good(plumb_stop_feed(s, piece, wrote, &out, &hit));
		memcpy(got + size, out.p, out.n);
		size += out.n;
	}
	out = plumb_stop_end(s);
	memcpy(got + size, out.p, out.n);
	got[size += out.n] = 0;
	ck_assert_str_eq(got, rows[_i].before);
	ck_assert_int_eq(hit, strstr(rows[_i].text, rows[_i].stop) ? 0 : -1);
	free(ids);
	plumb_stop_free(s);
}
END_TEST

START_TEST(bad_stop_texts)
{
	struct plumb_stop *s = (struct plumb_stop *)&s;
	ck_bad(plumb_stop_new(&s, (struct plumb_span[]){ span("a"), span("") }, 2), PLUMB_E_ARGUMENT,
		"stop text 1 is empty");
	ck_assert_ptr_null(s);
	const size_t most = (size_t)1 << 20;
	char *text = calloc(most, 1);
	ck_bad(plumb_stop_new(&s, (struct plumb_span[]){ { "a", most + 1 } }, 1), PLUMB_E_LIMIT, "1048577 bytes");
	ck_good(plumb_stop_new(&s, (struct plumb_span[]){ { text, most } }, 1));
	plumb_stop_free(s);
	free(text);
	plumb_stop_free(NULL);
}
END_TEST

/* The offset in an error is that of the text that the caller gave. */
START_TEST(offsets_are_those_of_the_text)
{
	const struct plumb_message talk[] = { { "system", "fine" }, { "user", "caf\xe9 noir" },
		{ "user", "cut \xe6\x9d" } };
	int32_t *ids;
	size_t n;
	ck_assert_uint_eq(plumb_utf8_invalid("abc", 3), 3);
	ck_assert_uint_eq(plumb_utf8_invalid("", 0), 0);
	ck_assert_uint_eq(plumb_utf8_invalid("\xef\xbb\xbf"
										 "a\0b\xff",
						  7),
		6);
	ck_assert_uint_eq(plumb_utf8_invalid("\xf0\x9f\x99", 3), 0);
	ck_bad(plumb_chat_tokenize(qwen2, talk, 0, 2, true, &ids, &n), PLUMB_E_ARGUMENT,
		"message 1 (user): the message is not valid UTF-8 at byte 3 (0xe9)");
	ck_bad(plumb_chat_tokenize(qwen2, talk + 2, 0, 1, true, &ids, &n), PLUMB_E_ARGUMENT,
		"at byte 4 (0xe6, cut off at the end)");
	ck_bad(plumb_tokenize(qwen2, talk[1].content, strlen(talk[1].content), PLUMB_SPECIALS_TEXT, &ids, &n),
		PLUMB_E_ARGUMENT, "at byte 3 (0xe9)");
}
END_TEST

void text_add_stop(TCase *c)
{
	tcase_add_loop_test(c, any_cut_gives_the_same, 0, 6);
	tcase_add_test(c, held_back_no_longer_than_needed);
	tcase_add_test(c, texts_that_overlap_themselves);
	tcase_add_loop_test(c, over_the_borders_of_tokens, 0, 6);
	tcase_add_test(c, bad_stop_texts);
	tcase_add_test(c, offsets_are_those_of_the_text);
}
