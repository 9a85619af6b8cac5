/* SPDX-License-Identifier: Apache-2.0 */
/* The scores of a SentencePiece vocabulary: of two merges the one whose result scores higher comes first;
 * unigram adds them up. */
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

/* Bytes of the longest token that text becomes. */
static size_t scores_longest(const struct plumb_tokenizer *tok)
{
	size_t longest = 0;
	for (size_t i = 0; i < tok->tokens; i++) {
		size_t size = plumb_token_bytes(tok, (int32_t)i).n;
		if (plumb_token_plain(tok, (int32_t)i) && size > longest)
			longest = size;
	}
	return longest;
}

enum plumb_status plumb_scores_take(struct plumb_tokenizer *tok, const double *score)
{
	tok->score = malloc(tok->tokens * sizeof *tok->score);
	if (!tok->score)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu scores", tok->tokens);
	memcpy(tok->score, score, tok->tokens * sizeof *tok->score);
	tok->lowest = score[0];
	for (size_t i = 0; i < tok->tokens; i++) {
		if (!isfinite(score[i]))
			return plumb_fail(PLUMB_E_FORMAT, "the score of token %zu is not a finite number", i);
		tok->lowest = score[i] < tok->lowest ? score[i] : tok->lowest;
	}
	tok->longest = scores_longest(tok);
	return PLUMB_OK;
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
	for (size_t i = 0; i < n; i++)
		tok->order[i] = scores_order(sorted, kept, v->score[i]);
	tok->longest = scores_longest(tok);
	free(sorted);
	return PLUMB_OK;
}
