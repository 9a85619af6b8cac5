/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer's merges by pair. A merge that cannot happen is left out with a warning. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

static size_t merges_hash_pair(const struct plumb_tokenizer *tok, int32_t left, int32_t right)
{
	uint64_t h = (((uint64_t)(uint32_t)left << 32 | (uint32_t)right) ^ tok->seed) * 0x9e3779b97f4a7c15u;
	return (size_t)(h >> 29);
}

uint32_t plumb_merge_rank(const struct plumb_tokenizer *tok, int32_t left, int32_t right)
{
	for (size_t i = merges_hash_pair(tok, left, right);; i++) {
		uint32_t slot = tok->by_pair[i & tok->by_pair_mask];
		if (!slot)
			return UINT32_MAX;
		const struct plumb_merge *m = &tok->merge[slot - 1];
		if (m->left == left && m->right == right)
			return slot - 1;
	}
}

/* Id of a *plain* token; specials must not come out of merges, or text could forge them. */
static int32_t merges_find_plain(const struct plumb_tokenizer *tok, struct plumb_span a, struct plumb_span b)
{
	int32_t id = (int32_t)*plumb_token_slot(tok, a, b) - 1;
	return id >= 0 && plumb_token_plain(tok, id) ? id : -1;
}

/* The bytes of a side; false: it has none. */
static bool merges_decode(const struct plumb_tokenizer *tok, const int16_t *alphabet, struct plumb_span s,
	char *out, struct plumb_span *bytes)
{
	bytes->p = out;
	if (tok->model == PLUMB_VOCAB_BYTES)
		return plumb_alphabet_decode(alphabet, s, out, &bytes->n);
	bytes->n = plumb_token_unescape(s, out);
	return bytes->n > 0;
}

/* Why a merge is left out, or NULL when it is in m. */
static const char *merges_parse_merge(const struct plumb_tokenizer *tok, const struct plumb_span side[2],
	struct plumb_merge *m, const int16_t *alphabet, char *scratch)
{
	struct plumb_span left, right, none = { "", 0 };
	if (!merges_decode(tok, alphabet, side[0], scratch, &left))
		return "has a left side that is not of the byte alphabet";
	if (!merges_decode(tok, alphabet, side[1], scratch + left.n, &right))
		return "has a right side that is not of the byte alphabet";
	m->left = merges_find_plain(tok, left, none);
	m->right = merges_find_plain(tok, right, none);
	m->result = merges_find_plain(tok, left, right);
	return m->left < 0  ? "has a left side that is not a normal token"
		: m->right < 0  ? "has a right side that is not a normal token"
		: m->result < 0 ? "has a result that is not a normal token"
						: NULL;
}

/* Of two merges of the same pair the first counts, as in llama.cpp. */
static void merges_read_merge(struct plumb_tokenizer *tok, const struct plumb_span side[2], size_t i,
	const int16_t *alphabet, char *scratch)
{
	struct plumb_merge m = { -1, -1, -1 };
	const char *why = !side[1].p ? "has no space between its two tokens"
								 : merges_parse_merge(tok, side, &m, alphabet, scratch);
	uint32_t twin = why ? UINT32_MAX : plumb_merge_rank(tok, m.left, m.right);
	if (why || twin != UINT32_MAX) {
		if (why)
			plumb_warn(tok, "merge %zu %s; it is left out", i, why);
		else
			plumb_warn(tok, "merge %zu is the same as merge %u; it is left out", i, (unsigned)twin);
		return;
	}
	size_t slot = merges_hash_pair(tok, m.left, m.right);
	while (tok->by_pair[slot & tok->by_pair_mask])
		slot++;
	tok->by_pair[slot & tok->by_pair_mask] = (uint32_t)i + 1;
	tok->merge[i] = m;
}

enum plumb_status plumb_merges_read_pairs(
	struct plumb_tokenizer *tok, const struct plumb_span *pair, size_t n, const int16_t *alphabet)
{
	size_t longest = 0;
	if (n > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "%zu merges, at most %d are taken", n, INT32_MAX);
	for (size_t i = 0; i < n; i++)
		longest = pair[2 * i].n + pair[2 * i + 1].n > longest ? pair[2 * i].n + pair[2 * i + 1].n : longest;
	char *scratch = malloc(longest + 1);
	tok->merge = calloc(n + 1, sizeof *tok->merge);
	tok->by_pair = plumb_table_new(n, &tok->by_pair_mask);
	if (!scratch || !tok->merge || !tok->by_pair) {
		free(scratch);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu merges", n);
	}
	tok->merges = n;
	for (size_t i = 0; i < n; i++)
		merges_read_merge(tok, pair + 2 * i, i, alphabet, scratch);
	free(scratch);
	return PLUMB_OK;
}

/* "left right" each. */
enum plumb_status plumb_merges_read(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet)
{
	struct plumb_span *pair = calloc(2 * v->merges + 1, sizeof *pair);
	enum plumb_status status;
	if (!pair)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu merges", v->merges);
	for (size_t i = 0; i < v->merges; i++) {
		struct plumb_span s = v->merge[i];
		const char *space = s.n ? memchr(s.p, ' ', s.n) : NULL;
		pair[2 * i] = (struct plumb_span){ s.p, space ? (size_t)(space - s.p) : s.n };
		if (space)
			pair[2 * i + 1] = (struct plumb_span){ space + 1, s.n - pair[2 * i].n - 1 };
	}
	status = plumb_merges_read_pairs(tok, pair, v->merges, alphabet);
	free(pair);
	return status;
}
