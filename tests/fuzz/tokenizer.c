/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for vocabularies of other kinds. The first byte chooses: '{', all of it is a
 * tokenizer.json; else the rest is lines of a vocabulary with scores. It must be refused or work on fixed
 * texts. Breaking a promise aborts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Encode texts; each id is a token, and none that text must not become. */
static void use(struct plumb_tokenizer *tok)
{
	static const char *const texts[] = { "", "  a ab\tabc", "<s>ab<x> abc</s>",
		"\xc3\xa9\xe2\x96\x81 \xe2\x96\x81x", "e\xcc\x81 123 isn't\r\n\r\n", "<0x41>AA" };
	plumb_tokenizer_add_bos(tok, false);
	plumb_tokenizer_add_eos(tok, false);
	for (int mode = 0; mode < 2; mode++)
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
			struct plumb_stream stream = { .count = 0 };
			int32_t *ids;
			size_t n, written;
			if (plumb_tokenize(tok, texts[i], strlen(texts[i]), (enum plumb_specials)mode, &ids, &n) !=
				PLUMB_OK) {
				must(!ids && !n && *plumb_last_error());
				continue;
			}
			for (size_t k = 0; k < n; k++) {
				size_t room = 3 * plumb_token_bytes(tok, ids[k]).n + 16;
				char *out = malloc(room);
				must(out && ids[k] >= 0 && (size_t)ids[k] < plumb_tokenizer_size(tok));
				must(plumb_stream_token(&stream, tok, ids[k], true, out, room, &written) == PLUMB_OK);
				free(out);
			}
			free(ids);
		}
	for (int i = 0; plumb_tokenizer_warning(tok, i); i++)
		must(strlen(plumb_tokenizer_warning(tok, i)) < 256);
	plumb_tokenizer_free(tok);
}

/* Lines: "KStext" a token of kind K with the score -S, 'p' a blank in front, 'q' blanks squeezed, 'u' an
 * unknown token. */
static void scored(const char *text, size_t size)
{
	struct plumb_span token[256];
	float score[256];
	int32_t kind[256];
	struct plumb_vocab v = { .token = token,
		.score = score,
		.kind = kind,
		.model = PLUMB_VOCAB_SCORES,
		.bos = -1,
		.eos = -1,
		.pad = -1,
		.unk = -1 };
	struct plumb_tokenizer *tok;

	for (const char *p = text, *end = text + size; p < end && v.tokens < 256;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop ? stop : end) - p);
		if (n > 1 && *p >= '0' && *p <= '9') {
			token[v.tokens] = (struct plumb_span){ p + 2, n - 2 };
			kind[v.tokens] = *p - '0';
			score[v.tokens++] = -(float)(unsigned char)p[1];
		} else if (n) {
			v.space_prefix |= *p == 'p';
			v.squeeze_spaces |= *p == 'q';
			v.unk = *p == 'u' ? 0 : v.unk;
		}
		p = stop ? stop + 1 : end;
	}
	if (plumb_tokenizer_new(&tok, &v) == PLUMB_OK)
		use(tok);
	else
		must(!tok && *plumb_last_error());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct plumb_vocab more = { .bos = -1, .eos = -1, .pad = -1 };
	struct plumb_tokenizer *tok;

	if (!size)
		return 0;
	char *copy = malloc(size); /* exactly the size */
	must(copy != NULL);
	memcpy(copy, data, size);
	if (*copy != '{')
		scored(copy + 1, size - 1);
	else if (plumb_tokenizer_from_json(&tok, copy, size, &more) == PLUMB_OK)
		use(tok);
	else
		must(!tok && *plumb_last_error());
	free(copy);
	return 0;
}
