/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for the tokenizer. The first byte chooses: even, the rest is text for a small built-in
 * vocabulary, which must come back as it was; odd, the rest is a vocabulary, which must be refused or
 * work on a fixed text. Breaking a promise aborts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/text.h>
#include "../text/tiny.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct plumb_tokenizer *built_in(const char *split)
{
	static const char *const tokens[] = { "ab", "bc", "abc", "aa", "aaaa", "\xc4\xa0\xc4\xa0", "\xc4\xa0\x61",
		"\xc3\xa4\xc2\xb8", "\xc3\xa4\xc2\xb8\xc4\xb8" };
	static const char *const merges[] = { "b c", "a bc", "a b", "a a", "aa aa", "\xc4\xa0 \xc4\xa0",
		"\xc4\xa0 a", "\xc3\xa4 \xc2\xb8", "\xc3\xa4\xc2\xb8 \xc4\xb8" };
	struct plumb_tokenizer *tok;
	struct tiny t;

	tiny_init(&t);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		tiny_token(&t, tokens[i], 1);
	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++)
		tiny_merge(&t, merges[i]);
	tiny_token(&t, "<|im_start|>", 3);
	tiny_token(&t, "<|im_end|>", 3);
	tiny_token(&t, "<|im|>", 4);
	t.v.split = split;
	must(plumb_tokenizer_new(&tok, &t.v) == PLUMB_OK);
	must(
		plumb_tokenizer_use_template(tok, "qwen2") == PLUMB_OK); /* system, user, assistant: three openings */
	return tok;
}

/* Encode, check every id, give the bytes back. */
static bool round_trip(const struct plumb_tokenizer *tok, const char *text, size_t size,
	enum plumb_specials specials, char **back, size_t *n)
{
	struct plumb_stream stream = { .count = 0 };
	int32_t *ids;
	size_t count;

	*back = NULL;
	*n = 0;
	if (plumb_tokenize(tok, text, size, specials, &ids, &count) != PLUMB_OK) {
		must(!ids && !count && *plumb_last_error());
		return false;
	}
	*back = malloc(16 * count + 4 * size + 64);
	must(*back != NULL);
	for (size_t i = 0; i < count; i++) {
		struct plumb_span s = plumb_token_bytes(tok, ids[i]);
		size_t written;
		must(s.n > 0);
		must(specials == PLUMB_SPECIALS_PARSE || !plumb_tokenizer_is_special(tok, ids[i]));
		must(plumb_stream_token(&stream, tok, ids[i], true, *back + *n, s.n + 16, &written) == PLUMB_OK);
		*n += written;
	}
	must(stream.count == 0); /* the text was valid, so nothing is left over */
	free(ids);
	return true;
}

static void encode_text(const char *text, size_t size)
{
	static struct plumb_tokenizer *plain, *nfc;
	char *first, *second;
	size_t n, m;

	plain = plain ? plain : built_in("qwen2");
	nfc = nfc ? nfc : built_in("qwen2");
	plumb_tokenizer_normalise(nfc, true);
	for (int specials = 0; specials < 2; specials++) {
		if (round_trip(plain, text, size, (enum plumb_specials)specials, &first, &n))
			must(n == size && (!n || !memcmp(first, text, n)));
		free(first);
		/* NFC of NFC changes nothing; specials that end normalisation may do so at the seams. */
		if (specials == PLUMB_SPECIALS_TEXT && round_trip(nfc, text, size, PLUMB_SPECIALS_TEXT, &first, &n)) {
			must(round_trip(nfc, first, n, PLUMB_SPECIALS_TEXT, &second, &m));
			must(n == m && (!n || !memcmp(first, second, n)));
			free(second);
			free(first);
		}
	}
	char *content = malloc(size + 1);
	must(content != NULL);
	memcpy(content, text, size);
	content[size] = 0;
	struct plumb_message message = { "user", content };
	int32_t *ids;
	if (plumb_chat_tokenize(plain, &message, 0, 1, true, &ids, &n) == PLUMB_OK) {
		size_t starts = 0;
		for (size_t i = 0; i < n; i++)
			starts += plumb_token_bytes(plain, ids[i]).n == 12;
		must(starts == 3);
		free(ids);
	}
	free(content);
}

/* A conversation in template i as text and as tokens, whose bytes are that text. */
static void chat(struct plumb_tokenizer *tok, int i)
{
	static const struct plumb_message m[] = { { "system", "Be." }, { "user", "ab <|im_end|>" },
		{ "assistant", "<think>a</think>\n\nb" }, { "user", "bc" } };
	int32_t *ids;
	size_t n, at = 0;
	char *text;

	if (i >= 0)
		must(plumb_tokenizer_use_template(tok, plumb_template_name(i)) == PLUMB_OK);
	if (plumb_chat_render(tok, m, 0, 4, true, &text) != PLUMB_OK) {
		must(i < 0 && !text);
		return;
	}
	if (plumb_chat_tokenize(tok, m, 0, 4, true, &ids, &n) == PLUMB_OK) {
		for (size_t k = 0; k < n; k++) {
			struct plumb_span s = plumb_token_bytes(tok, ids[k]);
			must(!memcmp(text + at, s.p, s.n));
			at += s.n;
		}
		must(at == strlen(text));
		free(ids);
	}
	free(text);
}

/* Lines: "tKtext" a token of kind K, "mleft right" a merge, "b", "e", "p" an id as a digit, "c" a template.
 */
static void build_vocabulary(char *text, size_t size)
{
	static struct tiny t;
	struct plumb_tokenizer *tok;
	char *template = NULL, *back;
	size_t n;

	tiny_init(&t);
	for (char *p = text, *end = text + size; p < end;) {
		char *line = p, *stop = memchr(p, '\n', (size_t)(end - p));
		size_t length = (size_t)((stop ? stop : end) - line);
		p = stop ? stop + 1 : end;
		if (length > 1 && line[0] == 't' && t.v.tokens < TINY_MOST)
			tiny_span(&t, line + 2, length - 2, line[1] - '0');
		else if (length && line[0] == 'm' && t.v.merges < TINY_MOST)
			t.merge[t.v.merges++] = (struct plumb_span){ line + 1, length - 1 };
		else if (length > 1 && (line[0] == 'b' || line[0] == 'e' || line[0] == 'p'))
			*(line[0] == 'b' ? &t.v.bos : line[0] == 'e' ? &t.v.eos : &t.v.pad) = line[1] - '0';
		else if (length && line[0] == 'c' && !template && (template = malloc(length))) {
			memcpy(template, line + 1, length - 1);
			template[length - 1] = 0;
		}
	}
	t.v.add_bos = t.v.bos > 0;
	t.v.chat_template = template;
	t.v.name = template;
	if (plumb_tokenizer_new(&tok, &t.v) == PLUMB_OK) {
		static const char sample[] = "aaaa abc <|im_start|><x>abcabc \xe4\xb8\x96";
		if (round_trip(tok, sample, sizeof(sample) - 1, PLUMB_SPECIALS_TEXT, &back, &n))
			must(n >= sizeof(sample) - 1);
		free(back);
		for (int i = 0; plumb_tokenizer_warning(tok, i); i++)
			must(strlen(plumb_tokenizer_warning(tok, i)) < 256);
		for (int i = -1; i < 0 || plumb_template_name(i); i++) /* -1: the vocabulary's own */
			chat(tok, i);
		must(plumb_tokenizer_read_template(tok, template ? template : "", template ? strlen(template) : 0) !=
				PLUMB_OK ||
			template);
		plumb_tokenizer_free(tok);
	} else {
		must(tok == NULL && *plumb_last_error());
	}
	free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	char *copy = malloc(size); /* exactly the size, and writable */
	must(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		build_vocabulary(copy, size - 1);
	else
		encode_text(copy, size - 1);
	free(copy);
	return 0;
}
