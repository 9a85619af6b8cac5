/* SPDX-License-Identifier: Apache-2.0 */
/* From text to ids: specials are cut out, the rest is normalised and split, and each piece is merged
 * by rank with a priority queue. The tables come from tokens.c. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"
#include "text.h"

#define MAX_TEXT ((size_t)1 << 29) /* NFC may triple it, and positions have 31 bits */

enum plumb_status plumb_ids_add(struct plumb_ids *ids, int32_t id)
{
	if (ids->n == ids->room) {
		size_t room = ids->room ? 2 * ids->room : 64;
		int32_t *p = realloc(ids->p, room * sizeof *p);
		if (!p)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu token ids", room);
		ids->p = p;
		ids->room = room;
	}
	ids->p[ids->n++] = id;
	return PLUMB_OK;
}

/* A piece is a linked list of symbols; a symbol that was merged into its left neighbour has id -1. */
struct symbol {
	int32_t id, prev, next;
};

struct encoder {
	const struct plumb_tokenizer *tok;
	struct plumb_ids *ids;
	struct symbol *symbol;
	uint64_t *heap; /* rank << 32 | position: the least is the leftmost pair of the lowest rank */
	size_t used, room;
};

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

static void bpe_heap_push(struct encoder *e, uint64_t v)
{
	size_t i = e->used++;
	for (; i && v < e->heap[(i - 1) / 2]; i = (i - 1) / 2)
		e->heap[i] = e->heap[(i - 1) / 2];
	e->heap[i] = v;
}

/* Key of the pair that begins at symbol i; false: it does not merge. */
static bool bpe_pair_key(const struct encoder *e, int32_t i, uint64_t *key)
{
	int32_t next = i < 0 ? -1 : e->symbol[i].next;
	uint32_t rank = next < 0 ? UINT32_MAX : plumb_merge_rank(e->tok, e->symbol[i].id, e->symbol[next].id);
	*key = (uint64_t)rank << 32 | (uint32_t)i;
	return rank != UINT32_MAX;
}

static enum plumb_status bpe_reserve(struct encoder *e, size_t n)
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

static void bpe_merge_all(struct encoder *e)
{
	while (e->used) {
		uint64_t key = e->heap[0];
		int32_t i = (int32_t)(uint32_t)key;
		const struct plumb_merge *m = &e->tok->merge[key >> 32];
		struct symbol *s = &e->symbol[i];
		e->heap[0] = e->heap[--e->used];
		if (e->used)
			bpe_sift_down(e->heap, e->used, 0);
		/* Entries are not taken back when their symbols change, so this one may be stale. */
		if (s->id != m->left || s->next < 0 || e->symbol[s->next].id != m->right)
			continue;
		struct symbol *gone = &e->symbol[s->next];
		s->id = m->result;
		s->next = gone->next;
		gone->id = -1;
		if (s->next >= 0)
			e->symbol[s->next].prev = i;
		if (bpe_pair_key(e, s->prev, &key))
			bpe_heap_push(e, key);
		if (bpe_pair_key(e, i, &key))
			bpe_heap_push(e, key);
	}
}

static enum plumb_status bpe_encode_piece(void *user, const char *piece, size_t n)
{
	struct encoder *e = user;
	enum plumb_status status = bpe_reserve(e, n);
	if (status)
		return status;
	for (size_t i = 0; i < n; i++) {
		int32_t id = e->tok->byte_id[(unsigned char)piece[i]];
		if (id < 0)
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"the vocabulary has no token for the byte 0x%02x, which the text holds",
				(unsigned char)piece[i]);
		e->symbol[i] = (struct symbol){ id, (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1 };
	}
	e->used = 0;
	for (size_t i = 0; i + 1 < n; i++) {
		uint64_t key;
		if (bpe_pair_key(e, (int32_t)i, &key))
			e->heap[e->used++] = key;
	}
	for (size_t i = e->used / 2; i-- > 0;)
		bpe_sift_down(e->heap, e->used, i);
	bpe_merge_all(e);
	for (int32_t i = 0; !status && i >= 0; i = e->symbol[i].next)
		status = plumb_ids_add(e->ids, e->symbol[i].id);
	return status;
}

static enum plumb_status bpe_encode_plain(struct encoder *e, const char *text, size_t n)
{
	char *nfc = NULL;
	enum plumb_status status = PLUMB_OK;
	if (!n)
		return PLUMB_OK;
	if (e->tok->nfc)
		status = plumb_nfc(text, n, &nfc, &n);
	if (!status)
		status = plumb_split_run(e->tok->split, nfc ? nfc : text, n, bpe_encode_piece, e);
	free(nfc);
	return status;
}

enum plumb_status plumb_ids_encode(struct plumb_ids *ids, const struct plumb_tokenizer *tok, const char *text,
	size_t size, enum plumb_specials specials)
{
	struct encoder e = { .tok = tok, .ids = ids };
	size_t from = 0;
	enum plumb_status status;
	if (size > MAX_TEXT)
		return plumb_fail(
			PLUMB_E_LIMIT, "a text of %zu bytes, at most %zu are encoded at once", size, MAX_TEXT);
	status = plumb_utf8_check("text", text, size);
	for (size_t i = 0; !status && i < size;) {
		int32_t id = tok->special_first[(unsigned char)text[i]]
			? plumb_special_at(tok, text + i, size - i, specials)
			: -1;
		if (id < 0) {
			i++;
			continue;
		}
		if (!(status = bpe_encode_plain(&e, text + from, i - from)))
			status = plumb_ids_add(ids, id);
		from = i += plumb_token_bytes(tok, id).n;
	}
	if (!status && from < size)
		status = bpe_encode_plain(&e, text + from, size - from);
	free(e.symbol);
	free(e.heap);
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
