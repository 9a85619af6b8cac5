/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's unigram model: of all ways to cut a piece into tokens the one whose scores have the highest
 * sum, found from left to right (Viterbi). A character that is no token costs more than any token. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/hash.h"
#include "core/utf8.h"
#include "text.h"

#define UNKNOWN_COSTS 10 /* below the lowest score, as in SentencePiece */

/* The best way to an end: its sum, where its last token begins (UINT32_MAX: no way yet), and which that is
 * (-1: unknown text). */
struct end {
	double sum;
	uint32_t start, next;
	int32_t id;
};

struct plumb_unigram {
	const struct plumb_tokenizer *tok;
	struct plumb_ids *ids;
	struct end *end;
	size_t room;
};

enum plumb_status plumb_unigram_new(
	struct plumb_unigram **unigram, const struct plumb_tokenizer *tok, struct plumb_ids *ids)
{
	*unigram = calloc(1, sizeof **unigram);
	if (!*unigram)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to encode a text");
	(*unigram)->tok = tok;
	(*unigram)->ids = ids;
	return PLUMB_OK;
}

void plumb_unigram_free(struct plumb_unigram *unigram)
{
	if (!unigram)
		return;
	free(unigram->end);
	free(unigram);
}

/* The token that the first n bytes are, whose hash is h; -1: none. */
static int32_t unigram_find(const struct plumb_tokenizer *tok, uint64_t h, const char *p, size_t n)
{
	for (size_t i = plumb_hash_end(h);; i++) {
		int32_t id = (int32_t)tok->by_bytes[i & tok->by_bytes_mask] - 1;
		if (id < 0)
			return -1;
		struct plumb_span s = plumb_token_bytes(tok, id);
		if (s.n == n && !memcmp(s.p, p, n))
			return plumb_token_plain(tok, id) ? id : -1;
	}
}

static void unigram_reach(struct end *end, double sum, size_t start, int32_t id)
{
	if (end->start == UINT32_MAX || sum > end->sum)
		*end = (struct end){ sum, (uint32_t)start, 0, id };
}

/* All tokens that begin at `start`, and the character there as unknown text unless it is one. */
static void unigram_extend(struct plumb_unigram *u, const char *piece, size_t n, size_t start, size_t first)
{
	const struct plumb_tokenizer *tok = u->tok;
	uint64_t h = tok->seed;
	bool single = false;
	double sum = u->end[start].sum;
	for (size_t size = 1; size <= tok->longest && start + size <= n; size++) {
		int32_t id;
		h = plumb_hash_bytes(h, piece + start + size - 1, 1);
		if (start + size < n && ((unsigned char)piece[start + size] & 0xc0) == 0x80)
			continue;
		if ((id = unigram_find(tok, h, piece + start, size)) < 0)
			continue;
		single |= size == first;
		unigram_reach(&u->end[start + size], sum + tok->score[id], start, id);
	}
	if (!single)
		unigram_reach(&u->end[start + first], sum + tok->lowest - UNKNOWN_COSTS, start, -1);
}

/* Write the tokens from the beginning: `next` of an end, once it is known, takes the place of its sum. */
static enum plumb_status unigram_put(struct plumb_unigram *u, const char *piece, size_t n)
{
	enum plumb_status status = PLUMB_OK;
	bool unknown = false;
	for (size_t at = n, start; at; at = start) {
		start = u->end[at].start;
		u->end[start].next = (uint32_t)at;
	}
	for (size_t at = 0, next; !status && at < n; at = next) {
		next = u->end[at].next;
		if (u->end[next].id < 0)
			status = plumb_unknown_put(u->ids, u->tok, piece + at, next - at, &unknown);
		else {
			status = plumb_ids_add(u->ids, u->end[next].id);
			unknown = false;
		}
	}
	return status;
}

enum plumb_status plumb_unigram_piece(void *unigram, const char *piece, size_t n)
{
	struct plumb_unigram *u = unigram;
	if (n + 1 > u->room) {
		size_t room = n + n / 2 + 256;
		struct end *end = realloc(u->end, room * sizeof *end);
		if (!end)
			return plumb_fail(PLUMB_E_MEMORY, "no memory to encode a piece of %zu bytes", n);
		u->end = end;
		u->room = room;
	}
	for (size_t i = 0; i <= n; i++)
		u->end[i] = (struct end){ 0, UINT32_MAX, 0, -1 };
	u->end[0].start = 0;
	for (size_t start = 0, first; start < n; start += first) {
		int step = plumb_utf8_step((const unsigned char *)piece + start, n - start);
		first = step > 0 ? (size_t)step : 1; /* the text is valid */
		unigram_extend(u, piece, n, start, first);
	}
	return unigram_put(u, piece, n);
}
