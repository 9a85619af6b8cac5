/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer's tables: tokens by id and by bytes, merges by pair, specials in order. Everything
 * a vocabulary can have wrong is found here, when it is built. Encoding is in bpe.c. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

#define ALPHABET 324 /* code points of GPT-2's byte alphabet are below this */

/* alphabet[c] is the byte of code point c, -1 for none: printable bytes stand for themselves,
 * the others are counted up from U+0100. */
static void alphabet_fill(int16_t *alphabet)
{
	int next = 256;

	memset(alphabet, -1, ALPHABET * sizeof(*alphabet));
	for (int b = 0; b < 256; b++) {
		bool plain = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
		alphabet[plain ? b : next++] = (int16_t)b;
	}
}

/* Translate a span of the alphabet into bytes (never longer). False: not of the alphabet. */
static bool alphabet_decode(const int16_t *alphabet, struct plumb_span s, char *out, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < s.n;) {
		const unsigned char *p = (const unsigned char *)s.p + i;
		int len = plumb_utf8_step(p, s.n - i);
		int c = len == 1 ? p[0] : len == 2 ? (p[0] & 0x1f) << 6 | (p[1] & 0x3f) : ALPHABET;
		if (c >= ALPHABET || alphabet[c] < 0)
			return false;
		out[(*n)++] = (char)alphabet[c];
		i += (size_t)len;
	}
	return *n > 0;
}

static uint64_t hash_bytes(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
	return h;
}

static size_t hash_end(uint64_t h) { return (size_t)(h ^ h >> 32); }

static size_t hash_pair(int32_t left, int32_t right)
{
	uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
	return (size_t)(h >> 29);
}

/* Slot of the token whose bytes are a followed by b, or the free slot where it belongs. */
static uint32_t *find_slot(const struct plumb_tokenizer *tok, struct plumb_span a, struct plumb_span b)
{
	uint64_t h = hash_bytes(hash_bytes(0xcbf29ce484222325u, a.p, a.n), b.p, b.n);

	for (size_t i = hash_end(h);; i++) {
		uint32_t *slot = &tok->by_bytes[i & tok->by_bytes_mask];
		if (!*slot)
			return slot;
		struct plumb_span t = plumb_token_bytes(tok, (int32_t)(*slot - 1));
		if (t.n == a.n + b.n && !memcmp(t.p, a.p, a.n) && (!b.n || !memcmp(t.p + a.n, b.p, b.n)))
			return slot;
	}
}

struct plumb_span plumb_token_bytes(const struct plumb_tokenizer *tok, int32_t id)
{
	if (id < 0 || (size_t)id >= tok->tokens)
		return (struct plumb_span){ "", 0 };
	return (struct plumb_span){ tok->bytes + tok->start[id], tok->start[id + 1] - tok->start[id] };
}

int32_t plumb_token_find(const struct plumb_tokenizer *tok, const char *bytes, size_t size)
{
	if (!size)
		return -1;
	return (int32_t)*find_slot(tok, (struct plumb_span){ bytes, size }, (struct plumb_span){ "", 0 }) - 1;
}

uint32_t plumb_merge_rank(const struct plumb_tokenizer *tok, int32_t left, int32_t right)
{
	for (size_t i = hash_pair(left, right);; i++) {
		uint32_t slot = tok->by_pair[i & tok->by_pair_mask];
		if (!slot)
			return UINT32_MAX;
		const struct plumb_merge *m = &tok->merge[slot - 1];
		if (m->left == left && m->right == right)
			return slot - 1;
	}
}

/* A table of at most half load for n entries; *mask is its size - 1. */
static uint32_t *table_new(size_t n, size_t *mask)
{
	size_t size = 16;

	while (size < 2 * n)
		size *= 2;
	*mask = size - 1;
	return calloc(size, sizeof(uint32_t));
}

static enum plumb_status read_token(struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet,
	size_t i)
{
	struct plumb_span s = v->token[i];
	int32_t kind = v->kind ? v->kind[i] : PLUMB_TOKEN_NORMAL;
	char *out = tok->bytes + tok->start[i];
	size_t n = s.n;

	if (kind < PLUMB_TOKEN_NORMAL || kind > PLUMB_TOKEN_UNUSED)
		return plumb_fail(PLUMB_E_FORMAT, "token %zu is of kind %d, expected 1 to 5", i, (int)kind);
	if (!s.n)
		return plumb_fail(PLUMB_E_FORMAT, "token %zu is empty", i);
	if (kind != PLUMB_TOKEN_NORMAL)
		memcpy(out, s.p, s.n);
	else if (!alphabet_decode(alphabet, s, out, &n))
		return plumb_fail(PLUMB_E_FORMAT, "token %zu has a character that is not of the byte alphabet", i);
	tok->kind[i] = (uint8_t)kind;
	tok->start[i + 1] = tok->start[i] + (uint32_t)n;

	uint32_t *slot = find_slot(tok, (struct plumb_span){ out, n }, (struct plumb_span){ "", 0 });
	if (*slot)
		return plumb_fail(PLUMB_E_FORMAT, "token %zu is the same as token %u", i, (unsigned)*slot - 1);
	*slot = (uint32_t)i + 1;
	if (kind == PLUMB_TOKEN_NORMAL && n == 1)
		tok->byte_id[(unsigned char)out[0]] = (int32_t)i;
	return PLUMB_OK;
}

static enum plumb_status read_tokens(struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet)
{
	uint64_t total = 0;

	if (!v->tokens || v->tokens > INT32_MAX / 4)
		return plumb_fail(PLUMB_E_FORMAT, "%zu tokens, expected 256 to %d", v->tokens, INT32_MAX / 4);
	for (size_t i = 0; i < v->tokens; i++) {
		if (v->token[i].n > 1 << 20)
			return plumb_fail(PLUMB_E_FORMAT, "token %zu has %zu bytes, at most 1 MiB is taken", i, v->token[i].n);
		total += v->token[i].n;
	}
	if (total > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "the tokens have %llu bytes together, at most 2 GiB is taken",
			(unsigned long long)total);
	tok->bytes = malloc((size_t)total + 1);
	tok->start = calloc(v->tokens + 1, sizeof(*tok->start));
	tok->kind = calloc(v->tokens, 1);
	tok->by_bytes = table_new(v->tokens, &tok->by_bytes_mask);
	if (!tok->bytes || !tok->start || !tok->kind || !tok->by_bytes)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu tokens", v->tokens);
	tok->tokens = v->tokens;
	for (size_t i = 0; i < v->tokens; i++) {
		enum plumb_status st = read_token(tok, v, alphabet, i);
		if (st)
			return st;
	}
	for (int b = 0; b < 256; b++)
		if (tok->byte_id[b] < 0)
			return plumb_fail(PLUMB_E_FORMAT, "no token for the byte 0x%02x; byte-level BPE needs all 256", b);
	return PLUMB_OK;
}

/* Id of a *normal* token; specials must not come out of merges, or text could forge them. */
static int32_t find_normal(const struct plumb_tokenizer *tok, struct plumb_span a, struct plumb_span b)
{
	int32_t id = (int32_t)*find_slot(tok, a, b) - 1;

	return id >= 0 && tok->kind[id] == PLUMB_TOKEN_NORMAL ? id : -1;
}

static enum plumb_status read_merge(struct plumb_tokenizer *tok, struct plumb_span s, size_t i,
	const int16_t *alphabet, char *scratch)
{
	const char *space = s.n ? memchr(s.p, ' ', s.n) : NULL;
	struct plumb_merge *m = &tok->merge[i];
	struct plumb_span left = { scratch, 0 }, right;

	if (!space)
		return plumb_fail(PLUMB_E_FORMAT, "merge %zu has no space between its two tokens", i);
	size_t n = (size_t)(space - s.p);
	if (!alphabet_decode(alphabet, (struct plumb_span){ s.p, n }, scratch, &left.n))
		return plumb_fail(PLUMB_E_FORMAT, "merge %zu: its left side is not of the byte alphabet", i);
	right.p = scratch + left.n;
	if (!alphabet_decode(alphabet, (struct plumb_span){ space + 1, s.n - n - 1 }, scratch + left.n, &right.n))
		return plumb_fail(PLUMB_E_FORMAT, "merge %zu: its right side is not of the byte alphabet", i);

	m->left = find_normal(tok, left, (struct plumb_span){ "", 0 });
	m->right = find_normal(tok, right, (struct plumb_span){ "", 0 });
	m->result = find_normal(tok, left, right);
	if (m->left < 0 || m->right < 0 || m->result < 0)
		return plumb_fail(PLUMB_E_FORMAT, "merge %zu: its %s is not a normal token", i,
			m->left < 0 ? "left side" : m->right < 0 ? "right side" : "result");
	uint32_t twin = plumb_merge_rank(tok, m->left, m->right);
	if (twin != UINT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "merge %zu is the same as merge %u", i, (unsigned)twin);
	size_t slot = hash_pair(m->left, m->right);
	while (tok->by_pair[slot & tok->by_pair_mask])
		slot++;
	tok->by_pair[slot & tok->by_pair_mask] = (uint32_t)i + 1;
	return PLUMB_OK;
}

static enum plumb_status read_merges(struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet)
{
	enum plumb_status st = PLUMB_OK;
	size_t most = 0, longest = 0;

	/* A token of n bytes can be cut in two in n - 1 ways. */
	for (size_t i = 0; i < tok->tokens; i++)
		if (tok->kind[i] == PLUMB_TOKEN_NORMAL)
			most += tok->start[i + 1] - tok->start[i] - 1;
	if (v->merges > most)
		return plumb_fail(PLUMB_E_FORMAT, "%zu merges, these tokens allow %zu", v->merges, most);
	for (size_t i = 0; i < v->merges; i++)
		longest = v->merge[i].n > longest ? v->merge[i].n : longest;
	char *scratch = malloc(longest + 1);
	tok->merge = calloc(v->merges + 1, sizeof(*tok->merge));
	tok->by_pair = table_new(v->merges, &tok->by_pair_mask);
	if (!scratch || !tok->merge || !tok->by_pair)
		st = plumb_fail(PLUMB_E_MEMORY, "no memory for %zu merges", v->merges);
	tok->merges = v->merges;
	for (size_t i = 0; !st && i < v->merges; i++)
		st = read_merge(tok, v->merge[i], i, alphabet, scratch);
	free(scratch);
	return st;
}

static int compare_spans(struct plumb_span a, struct plumb_span b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Merge sort by bytes: qsort has no way to hand the tokenizer to its comparison. */
static void sort_specials(const struct plumb_tokenizer *tok, int32_t *a, int32_t *spare, size_t n)
{
	size_t half = n / 2, i = 0, j = half;

	if (n < 2)
		return;
	sort_specials(tok, a, spare, half);
	sort_specials(tok, a + half, spare, n - half);
	for (size_t k = 0; k < n; k++) {
		bool left = j == n || (i < half &&
			compare_spans(plumb_token_bytes(tok, a[i]), plumb_token_bytes(tok, a[j])) < 0);
		spare[k] = left ? a[i++] : a[j++];
	}
	memcpy(a, spare, n * sizeof(*a));
}

static enum plumb_status read_specials(struct plumb_tokenizer *tok)
{
	int32_t *spare;

	for (size_t i = 0; i < tok->tokens; i++)
		tok->specials += tok->kind[i] == PLUMB_TOKEN_CONTROL || tok->kind[i] == PLUMB_TOKEN_USER;
	tok->special = calloc(2 * tok->specials + 1, sizeof(*tok->special));
	if (!tok->special)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu special tokens", tok->specials);
	spare = tok->special + tok->specials;
	for (size_t i = 0, n = 0; i < tok->tokens; i++) {
		if (tok->kind[i] != PLUMB_TOKEN_CONTROL && tok->kind[i] != PLUMB_TOKEN_USER)
			continue;
		tok->special[n++] = (int32_t)i;
		tok->special_first[(unsigned char)tok->bytes[tok->start[i]]] = true;
	}
	sort_specials(tok, tok->special, spare, tok->specials);
	return PLUMB_OK;
}

/* The sorted list is walked like a trie: each byte narrows the range [lo, hi) by two searches. */
int32_t plumb_special_at(const struct plumb_tokenizer *tok, const char *p, size_t n)
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
		if (lo < hi && plumb_token_bytes(tok, tok->special[lo]).n == d + 1)
			best = tok->special[lo];
	}
	return best;
}

static enum plumb_status check_id(const struct plumb_tokenizer *tok, int32_t id, const char *what)
{
	if (id < -1 || (id >= 0 && (size_t)id >= tok->tokens))
		return plumb_fail(PLUMB_E_FORMAT, "the %s token is %d, expected an id below %zu", what, (int)id, tok->tokens);
	return PLUMB_OK;
}

static int32_t find_special(const struct plumb_tokenizer *tok, const char *text)
{
	int32_t id = plumb_token_find(tok, text, strlen(text));

	return id >= 0 && tok->kind[id] == PLUMB_TOKEN_NORMAL ? -1 : id;
}

enum plumb_status plumb_tokenizer_new(struct plumb_tokenizer **out, const struct plumb_vocab *v)
{
	struct plumb_tokenizer *tok = calloc(1, sizeof(*tok));
	int16_t alphabet[ALPHABET];
	enum plumb_status st;

	*out = NULL;
	if (!tok)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a tokenizer");
	alphabet_fill(alphabet);
	memset(tok->byte_id, -1, sizeof(tok->byte_id));
	if ((st = plumb_split_new(&tok->split, v->split)) || (st = read_tokens(tok, v, alphabet)) ||
	    (st = read_merges(tok, v, alphabet)) || (st = read_specials(tok)) || (st = check_id(tok, v->bos, "bos")) ||
	    (st = check_id(tok, v->eos, "eos")) || (st = check_id(tok, v->pad, "padding")))
		goto fail;
	if (v->add_bos && v->bos < 0) {
		st = plumb_fail(PLUMB_E_FORMAT, "a bos token is to be added, but there is none");
		goto fail;
	}
	tok->bos = v->bos;
	tok->eos = v->eos;
	tok->add_bos = v->add_bos;
	tok->im_start = find_special(tok, "<|im_start|>");
	tok->im_end = find_special(tok, "<|im_end|>");
	tok->endoftext = find_special(tok, "<|endoftext|>");
	if (v->chat_template && (st = plumb_chat_read(tok, v->chat_template)))
		goto fail;
	*out = tok;
	return PLUMB_OK;
fail:
	plumb_tokenizer_free(tok);
	return st;
}

void plumb_tokenizer_free(struct plumb_tokenizer *tok)
{
	if (!tok)
		return;
	plumb_split_free(tok->split);
	free(tok->bytes);
	free(tok->start);
	free(tok->kind);
	free(tok->by_bytes);
	free(tok->merge);
	free(tok->by_pair);
	free(tok->special);
	free(tok->system);
	free(tok);
}

void plumb_tokenizer_normalise(struct plumb_tokenizer *tok, bool nfc) { tok->nfc = nfc; }

size_t plumb_tokenizer_size(const struct plumb_tokenizer *tok) { return tok->tokens; }
int32_t plumb_tokenizer_bos(const struct plumb_tokenizer *tok) { return tok->bos; }
int32_t plumb_tokenizer_eos(const struct plumb_tokenizer *tok) { return tok->eos; }

bool plumb_tokenizer_is_end(const struct plumb_tokenizer *tok, int32_t id)
{
	return id >= 0 && (id == tok->eos || id == tok->im_end || id == tok->endoftext);
}

/* User-defined tokens such as <tool_call> are part of what a model says: they are not special. */
bool plumb_tokenizer_is_special(const struct plumb_tokenizer *tok, int32_t id)
{
	return id >= 0 && (size_t)id < tok->tokens && tok->kind[id] != PLUMB_TOKEN_NORMAL &&
		tok->kind[id] != PLUMB_TOKEN_USER;
}
