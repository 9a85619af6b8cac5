/* SPDX-License-Identifier: Apache-2.0 */
/* From text to ids: specials are cut out, the rest is normalised and split, and each piece is encoded. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"
#include "text.h"

#define MAX_TEXT ((size_t)1 << 29) /* a normaliser may triple it, and positions have 31 bits */

struct encoder {
	const struct plumb_tokenizer *tok;
	struct plumb_ids *ids;
	plumb_piece_fn piece;
	void *model; /* its room */
	enum plumb_specials specials;
	bool first; /* nothing was before */
};

typedef enum plumb_status (*between_fn)(struct encoder *e, const char *text, size_t n);

/* Text between tokens that were cut out of it once it was normalised. */
static enum plumb_status encode_split(struct encoder *e, const char *text, size_t n)
{
	enum plumb_status status = PLUMB_OK;
	if (n > INT32_MAX)
		return plumb_fail(PLUMB_E_LIMIT, "a text of %zu bytes, at most %d are encoded at once", n, INT32_MAX);
	if (n)
		status = plumb_split_run(e->tok->split, text, n, e->first, e->piece, e->model);
	e->first = false;
	return status;
}

/* May this special stand here? It takes white space at its sides where it asks for that. */
static bool encode_take(
	const struct plumb_special *s, const char *text, size_t n, size_t from, size_t *start, size_t *end)
{
	if ((s->flags & PLUMB_SPECIAL_WORD) &&
		(plumb_word_before(text, *start) || plumb_word_at(text + *end, n - *end)))
		return false;
	for (size_t size; (s->flags & PLUMB_SPECIAL_LEFT) && *start > from &&
		 (size = plumb_space_before(text + from, *start - from));)
		*start -= size;
	for (size_t size; (s->flags & PLUMB_SPECIAL_RIGHT) && (size = plumb_space_at(text + *end, n - *end));)
		*end += size;
	return true;
}

/* Cut the specials of a list out of text; what is between goes to fn. */
static enum plumb_status encode_around(
	struct encoder *e, const struct plumb_specials_list *list, const char *text, size_t n, between_fn fn)
{
	size_t from = 0;
	enum plumb_status status = PLUMB_OK;
	for (size_t i = 0; !status && i < n;) {
		const struct plumb_special *s = list->first[(unsigned char)text[i]]
			? plumb_special_at(e->tok, list, text + i, n - i, e->specials)
			: NULL;
		size_t start = i, end = i + (s ? s->n : 1);
		if (!s || !encode_take(s, text, n, from, &start, &end)) {
			i = end;
			continue;
		}
		if (!(status = fn(e, text + from, start - from)))
			status = plumb_ids_add(e->ids, s->id);
		e->first = false;
		from = i = end;
	}
	return status || from == n ? status : fn(e, text + from, n - from);
}

/* Text between tokens that were cut out of it as it was given. */
static enum plumb_status encode_normalise(struct encoder *e, const char *text, size_t n)
{
	static const struct plumb_normal nfc = { .kind = PLUMB_NORMAL_FORM, .form = PLUMB_NFC };
	char *own = NULL;
	enum plumb_status status = PLUMB_OK;
	if (!n)
		return PLUMB_OK;
	if (e->tok->nfc)
		status = plumb_normal_run(&nfc, 1, &text, &n, &own);
	if (!status)
		status = plumb_normal_run(e->tok->normal, e->tok->normals, &text, &n, &own);
	if (!status)
		status = encode_around(e, &e->tok->normalised, text, n, encode_split);
	free(own);
	return status;
}

enum plumb_status plumb_ids_encode(struct plumb_ids *ids, const struct plumb_tokenizer *tok, const char *text,
	size_t size, enum plumb_specials specials)
{
	bool unigram = tok->model == PLUMB_VOCAB_UNIGRAM;
	struct encoder e = { tok, ids, unigram ? plumb_unigram_piece : plumb_bpe_piece, NULL, specials, true };
	struct plumb_unigram *u = NULL;
	struct plumb_bpe *bpe = NULL;
	enum plumb_status status;
	if (size > MAX_TEXT)
		return plumb_fail(
			PLUMB_E_LIMIT, "a text of %zu bytes, at most %zu are encoded at once", size, MAX_TEXT);
	if ((status = plumb_utf8_check("text", text, size)) ||
		(status = unigram ? plumb_unigram_new(&u, tok, ids) : plumb_bpe_new(&bpe, tok, ids)))
		return status;
	e.model = unigram ? (void *)u : bpe;
	status = encode_around(&e, &tok->raw, text, size, encode_normalise);
	plumb_unigram_free(u);
	plumb_bpe_free(bpe);
	return status;
}

enum plumb_status plumb_tokenize(const struct plumb_tokenizer *tok, const char *text, size_t size,
	enum plumb_specials specials, int32_t **ids, size_t *count)
{
	struct plumb_ids out = { NULL, 0, 0 };
	enum plumb_status status = PLUMB_OK;
	*ids = NULL;
	*count = 0;
	if (tok->add_bos)
		status = plumb_ids_add(&out, tok->bos);
	if (!status)
		status = plumb_ids_encode(&out, tok, text, size, specials);
	if (!status && tok->add_eos)
		status = plumb_ids_add(&out, tok->eos);
	if (!status && !out.p && !(out.p = malloc(sizeof *out.p))) /* never NULL on success */
		status = plumb_fail(PLUMB_E_MEMORY, "no memory for token ids");
	if (status) {
		free(out.p);
		return status;
	}
	*ids = out.p;
	*count = out.n;
	return PLUMB_OK;
}
