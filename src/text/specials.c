/* SPDX-License-Identifier: Apache-2.0 */
/* Control and user-defined tokens: those that are found in text before it is split, some in the text as it is
 * given, others once it is normalised. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

static struct plumb_span specials_text(const struct plumb_specials_list *list, const struct plumb_special *s)
{
	return (struct plumb_span){ list->bytes + s->start, s->n };
}

static int specials_compare_spans(struct plumb_span a, struct plumb_span b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Merge sort by bytes: qsort has no way to hand the list to its comparison. */
static void specials_sort(
	const struct plumb_specials_list *list, struct plumb_special *a, struct plumb_special *spare, size_t n)
{
	size_t half = n / 2, i = 0, j = half;
	if (n < 2)
		return;
	specials_sort(list, a, spare, half);
	specials_sort(list, a + half, spare, n - half);
	for (size_t k = 0; k < n; k++) {
		bool left = j == n ||
			(i < half && specials_compare_spans(specials_text(list, &a[i]), specials_text(list, &a[j])) <= 0);
		spare[k] = left ? a[i++] : a[j++];
	}
	memcpy(a, spare, n * sizeof *a);
}

enum plumb_status plumb_specials_add(
	struct plumb_specials_list *list, int32_t id, struct plumb_span text, unsigned flags)
{
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		struct plumb_special *p = realloc(list->p, room * sizeof *p);
		if (!p)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu special tokens", room);
		list->p = p;
		list->room = room;
	}
	if (list->used + text.n > list->bytes_room) {
		size_t room = 2 * (list->used + text.n) + 256;
		char *bytes = realloc(list->bytes, room);
		if (!bytes)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu bytes of special tokens", room);
		list->bytes = bytes;
		list->bytes_room = room;
	}
	memcpy(list->bytes + list->used, text.p, text.n);
	list->p[list->n++] = (struct plumb_special){ id, (uint32_t)list->used, (uint32_t)text.n, flags };
	list->used += text.n;
	list->first[(unsigned char)text.p[0]] = true;
	return PLUMB_OK;
}

enum plumb_status plumb_specials_end(struct plumb_specials_list *list)
{
	struct plumb_special *spare = malloc((list->n + 1) * sizeof *spare);
	size_t kept = 0;
	if (!spare)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu special tokens", list->n);
	specials_sort(list, list->p, spare, list->n);
	for (size_t i = 0; i < list->n; i++) /* of two of the same text the first counts */
		if (!kept ||
			specials_compare_spans(specials_text(list, &list->p[kept - 1]), specials_text(list, &list->p[i])))
			list->p[kept++] = list->p[i];
	list->n = kept;
	free(spare);
	return PLUMB_OK;
}

void plumb_specials_free(struct plumb_specials_list *list)
{
	free(list->p);
	free(list->bytes);
}

/* A control token is found in the text as it is given, so that no normaliser can hide or make one; so is a
 * user-defined one, but for those of SentencePiece, which looks for them behind its normaliser. */
enum plumb_status plumb_specials_read(struct plumb_tokenizer *tok)
{
	enum plumb_status status = PLUMB_OK;
	for (size_t i = 0; !status && i < tok->tokens; i++) {
		bool control = tok->kind[i] == PLUMB_TOKEN_CONTROL;
		struct plumb_span text = plumb_token_bytes(tok, (int32_t)i);
		if ((control || tok->kind[i] == PLUMB_TOKEN_USER) && text.n)
			status = plumb_specials_add(
				control || !tok->spaces ? &tok->raw : &tok->normalised, (int32_t)i, text, 0);
	}
	if (!status)
		status = plumb_specials_end(&tok->raw);
	return status ? status : plumb_specials_end(&tok->normalised);
}

/* The sorted list is walked like a trie: each byte narrows the range [lo, hi) by two searches. */
const struct plumb_special *plumb_special_at(const struct plumb_tokenizer *tok,
	const struct plumb_specials_list *list, const char *p, size_t n, enum plumb_specials specials)
{
	size_t lo = 0, hi = list->n;
	const struct plumb_special *best = NULL;
	for (size_t d = 0; d < n && lo < hi; d++) {
		unsigned char c = (unsigned char)p[d];
		size_t edge[2] = { lo, lo };
		for (int e = 0; e < 2; e++) { /* first entry whose byte d is >= c, then the first > c */
			size_t a = lo, b = hi;
			while (a < b) {
				size_t mid = a + (b - a) / 2;
				struct plumb_span s = specials_text(list, &list->p[mid]);
				int byte = s.n > d ? (unsigned char)s.p[d] : -1;
				if (byte < c + e)
					a = mid + 1;
				else
					b = mid;
			}
			edge[e] = a;
		}
		lo = edge[0];
		hi = edge[1];
		/* The shortest of the range comes first: it is a match if it ends here. */
		if (lo < hi && list->p[lo].n == d + 1 &&
			(specials == PLUMB_SPECIALS_PARSE || tok->kind[list->p[lo].id] == PLUMB_TOKEN_USER))
			best = &list->p[lo];
	}
	return best;
}

int32_t plumb_special_find(const struct plumb_tokenizer *tok, const char *text)
{
	const struct plumb_special *s = plumb_special_at(
		tok, &tok->raw, text, strlen(text), PLUMB_SPECIALS_PARSE);
	if (!s)
		s = plumb_special_at(tok, &tok->normalised, text, strlen(text), PLUMB_SPECIALS_PARSE);
	return s && s->n == strlen(text) ? s->id : -1;
}
