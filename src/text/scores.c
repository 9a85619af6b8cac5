/* SPDX-License-Identifier: Apache-2.0 */
/* The scores of a SentencePiece vocabulary: of two merges the one whose result scores higher comes first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

static int scores_higher_first(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x < y) - (x > y);
}

/* Position of a score in a list without twins, highest first. */
static uint32_t scores_order(const float *list, size_t n, float score)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (list[mid] > score)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

enum plumb_status plumb_scores_read(struct plumb_tokenizer *tok, const struct plumb_vocab *v)
{
	size_t n = tok->tokens, kept = 0;
	float *sorted = malloc(n * sizeof *sorted);
	tok->order = malloc(n * sizeof *tok->order);
	if (!sorted || !tok->order) {
		free(sorted);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu scores", n);
	}
	for (size_t i = 0; i < n; i++) {
		if (isnan(v->score[i])) {
			free(sorted);
			return plumb_fail(PLUMB_E_FORMAT, "the score of token %zu is not a number", i);
		}
		sorted[i] = v->score[i];
	}
	qsort(sorted, n, sizeof *sorted, scores_higher_first);
	for (size_t i = 0; i < n; i++)
		if (!kept || sorted[i] != sorted[kept - 1])
			sorted[kept++] = sorted[i];
	for (size_t i = 0; i < n; i++) {
		size_t size = plumb_token_bytes(tok, (int32_t)i).n;
		tok->order[i] = scores_order(sorted, kept, v->score[i]);
		if (tok->kind[i] == PLUMB_TOKEN_NORMAL && size > tok->longest)
			tok->longest = size;
	}
	free(sorted);
	return PLUMB_OK;
}
