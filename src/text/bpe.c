/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair encoding of a piece with a priority queue. Byte-level vocabularies begin with bytes and go by the
 * rank of a pair; those of SentencePiece begin with characters and go by the score of the token that two
 * neighbours make together. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"
#include "text.h"

/* A piece is a linked list of symbols; a symbol that was merged into its left neighbour has n == 0. */
struct symbol {
	int32_t id; /* -1: no token (yet) */
	int32_t prev, next;
	uint32_t start, n; /* its bytes of the piece */
};

struct plumb_bpe {
	const struct plumb_tokenizer *tok;
	struct plumb_ids *ids;
	const char *piece;
	struct symbol *symbol;
	uint64_t *heap; /* rank << 32 | position: the least is the leftmost pair of the lowest rank */
	size_t used, room;
};

enum plumb_status plumb_bpe_new(
	struct plumb_bpe **bpe, const struct plumb_tokenizer *tok, struct plumb_ids *ids)
{
	*bpe = calloc(1, sizeof **bpe);
	if (!*bpe)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to encode a text");
	(*bpe)->tok = tok;
	(*bpe)->ids = ids;
	return PLUMB_OK;
}

void plumb_bpe_free(struct plumb_bpe *bpe)
{
	if (!bpe)
		return;
	free(bpe->symbol);
	free(bpe->heap);
	free(bpe);
}

static void bpe_sift_down(uint64_t *heap, size_t n, size_t i)
{
	uint64_t v = heap[i];
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		child += child + 1 < n && heap[child + 1] < heap[child];
		if (v <= heap[child])
			break;
		heap[i] = heap[child];
	}
	heap[i] = v;
}

static void bpe_heap_push(struct plumb_bpe *e, uint64_t v)
{
	size_t i = e->used++;
	for (; i && v < e->heap[(i - 1) / 2]; i = (i - 1) / 2)
		e->heap[i] = e->heap[(i - 1) / 2];
	e->heap[i] = v;
}

static int32_t bpe_find_text(const struct plumb_bpe *e, uint32_t start, size_t n)
{
	int32_t id = plumb_token_find(e->tok, e->piece + start, n);
	return id >= 0 && plumb_token_plain(e->tok, id) ? id : -1;
}

/* Key of the pair that begins at symbol i, and the token that it makes; false: it does not merge. */
static bool bpe_pair_key(const struct plumb_bpe *e, int32_t i, uint64_t *key, int32_t *made)
{
	int32_t next = i < 0 ? -1 : e->symbol[i].next;
	const struct symbol *a, *b;
	uint32_t rank;
	if (next < 0)
		return false;
	a = &e->symbol[i];
	b = &e->symbol[next];
	if (e->tok->order) {
		if ((size_t)a->n + b->n > e->tok->longest || (*made = bpe_find_text(e, a->start, a->n + b->n)) < 0)
			return false;
		rank = e->tok->order[*made];
	} else {
		if (a->id < 0 || b->id < 0 || (rank = plumb_merge_rank(e->tok, a->id, b->id)) == UINT32_MAX)
			return false;
		*made = e->tok->merge[rank].result;
	}
	*key = (uint64_t)rank << 32 | (uint32_t)i;
	return true;
}

static enum plumb_status bpe_reserve(struct plumb_bpe *e, size_t n)
{
	if (n <= e->room)
		return PLUMB_OK;
	size_t room = n < 256 ? 256 : n + n / 2;
	/* A merge takes one entry from the heap and adds at most two, so 2n entries are enough. */
	struct symbol *symbol = realloc(e->symbol, room * sizeof *symbol);
	if (symbol)
		e->symbol = symbol;
	uint64_t *heap = realloc(e->heap, 2 * room * sizeof *heap);
	if (heap)
		e->heap = heap;
	if (!symbol || !heap)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to encode a piece of %zu bytes", n);
	e->room = room;
	return PLUMB_OK;
}

static void bpe_merge_all(struct plumb_bpe *e)
{
	while (e->used) {
		uint64_t key = e->heap[0], now;
		int32_t i = (int32_t)(uint32_t)key, made;
		struct symbol *s = &e->symbol[i];
		e->heap[0] = e->heap[--e->used];
		if (e->used)
			bpe_sift_down(e->heap, e->used, 0);
		/* Entries are not taken back when their symbols change, so this one may be stale. */
		if (!s->n || !bpe_pair_key(e, i, &now, &made) || now != key)
			continue;
		struct symbol *gone = &e->symbol[s->next];
		s->id = made;
		s->n += gone->n;
		s->next = gone->next;
		gone->n = 0;
		if (s->next >= 0)
			e->symbol[s->next].prev = i;
		if (bpe_pair_key(e, s->prev, &key, &made))
			bpe_heap_push(e, key);
		if (bpe_pair_key(e, i, &key, &made))
			bpe_heap_push(e, key);
	}
}

/* Is there anything for text that is no token? */
static bool bpe_stands(const struct plumb_tokenizer *tok, const char *p, size_t n)
{
	for (size_t i = 0; tok->unk < 0 && i < n; i++)
		if (tok->byte_id[(unsigned char)p[i]] < 0)
			return false;
	return true;
}

/* The symbols that a piece begins with; returns how many. What nothing stands for is left out: where pairs go
 * by rank, its neighbours then meet, as in the reference tokenizers. */
static size_t bpe_cut(struct plumb_bpe *e, const char *piece, size_t n)
{
	bool bytes = e->tok->model == PLUMB_VOCAB_BYTES;
	size_t count = 0;
	for (size_t i = 0, size; i < n; i += size) {
		int step = bytes ? 1 : plumb_utf8_step((const unsigned char *)piece + i, n - i);
		size = step > 0 ? (size_t)step : 1; /* the text is valid */
		int32_t id = bytes ? e->tok->byte_id[(unsigned char)piece[i]] : bpe_find_text(e, (uint32_t)i, size);
		if (!e->tok->order && id < 0 && !bpe_stands(e->tok, piece + i, size))
			continue;
		e->symbol[count] = (struct symbol){ id, (int32_t)count - 1, (int32_t)count + 1, (uint32_t)i,
			(uint32_t)size };
		count++;
	}
	if (count)
		e->symbol[count - 1].next = -1;
	return count;
}

static enum plumb_status bpe_put(struct plumb_bpe *e)
{
	enum plumb_status status = PLUMB_OK;
	bool unknown = false;
	for (int32_t i = 0; !status && i >= 0; i = e->symbol[i].next) {
		if (e->symbol[i].id < 0) {
			status = plumb_unknown_put(
				e->ids, e->tok, e->piece + e->symbol[i].start, e->symbol[i].n, &unknown);
			continue;
		}
		status = plumb_ids_add(e->ids, e->symbol[i].id);
		unknown = false;
	}
	return status;
}

enum plumb_status plumb_bpe_piece(void *bpe, const char *piece, size_t n)
{
	struct plumb_bpe *e = bpe;
	enum plumb_status status = bpe_reserve(e, n);
	uint64_t key;
	int32_t made;
	if (status)
		return status;
	e->piece = piece;
	if (e->tok->whole && (made = bpe_find_text(e, 0, n)) >= 0)
		return plumb_ids_add(e->ids, made);
	size_t count = bpe_cut(e, piece, n);
	e->used = 0;
	for (size_t i = 0; i + 1 < count; i++)
		if (bpe_pair_key(e, (int32_t)i, &key, &made))
			e->heap[e->used++] = key;
	for (size_t i = e->used / 2; i-- > 0;)
		bpe_sift_down(e->heap, e->used, i);
	bpe_merge_all(e);
	return count ? bpe_put(e) : PLUMB_OK;
}
