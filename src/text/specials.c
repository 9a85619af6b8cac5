/* SPDX-License-Identifier: Apache-2.0 */
/* Control and user-defined tokens: those that are found in text before it is split. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

int32_t plumb_special_find(const struct plumb_tokenizer *tok, const char *text)
{
	int32_t id = plumb_special_at(tok, text, strlen(text), PLUMB_SPECIALS_PARSE);
	return id >= 0 && plumb_token_bytes(tok, id).n == strlen(text) ? id : -1;
}

static int specials_compare_spans(struct plumb_span a, struct plumb_span b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Merge sort by bytes: qsort has no way to hand the tokenizer to its comparison. */
static void specials_sort(const struct plumb_tokenizer *tok, int32_t *a, int32_t *spare, size_t n)
{
	size_t half = n / 2, i = 0, j = half;
	if (n < 2)
		return;
	specials_sort(tok, a, spare, half);
	specials_sort(tok, a + half, spare, n - half);
	for (size_t k = 0; k < n; k++) {
		bool left = j == n ||
			(i < half &&
				specials_compare_spans(plumb_token_bytes(tok, a[i]), plumb_token_bytes(tok, a[j])) < 0);
		spare[k] = left ? a[i++] : a[j++];
	}
	memcpy(a, spare, n * sizeof *a);
}

static bool specials_is_parsed(const struct plumb_tokenizer *tok, size_t i)
{
	return (tok->kind[i] == PLUMB_TOKEN_CONTROL || tok->kind[i] == PLUMB_TOKEN_USER) &&
		tok->start[i] < tok->start[i + 1];
}

enum plumb_status plumb_specials_read(struct plumb_tokenizer *tok)
{
	int32_t *spare;
	for (size_t i = 0; i < tok->tokens; i++)
		tok->specials += specials_is_parsed(tok, i);
	tok->special = calloc(2 * tok->specials + 1, sizeof *tok->special);
	if (!tok->special)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu special tokens", tok->specials);
	spare = tok->special + tok->specials;
	for (size_t i = 0, n = 0; i < tok->tokens; i++) {
		if (!specials_is_parsed(tok, i))
			continue;
		tok->special[n++] = (int32_t)i;
		tok->special_first[(unsigned char)tok->bytes[tok->start[i]]] = true;
	}
	specials_sort(tok, tok->special, spare, tok->specials);
	return PLUMB_OK;
}

/* The sorted list is walked like a trie: each byte narrows the range [lo, hi) by two searches. */
int32_t plumb_special_at(
	const struct plumb_tokenizer *tok, const char *p, size_t n, enum plumb_specials specials)
{
	size_t lo = 0, hi = tok->specials;
	int32_t best = -1;
	for (size_t d = 0; d < n && lo < hi; d++) {
		unsigned char c = (unsigned char)p[d];
		size_t edge[2] = { lo, lo };
		for (int e = 0; e < 2; e++) { /* first entry whose byte d is >= c, then the first > c */
			size_t a = lo, b = hi;
			while (a < b) {
				size_t mid = a + (b - a) / 2;
				struct plumb_span s = plumb_token_bytes(tok, tok->special[mid]);
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
		if (lo < hi && plumb_token_bytes(tok, tok->special[lo]).n == d + 1 &&
			(specials == PLUMB_SPECIALS_PARSE || tok->kind[tok->special[lo]] == PLUMB_TOKEN_USER))
			best = tok->special[lo];
	}
	return best;
}
