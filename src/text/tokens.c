/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer's tokens by id and by bytes. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/hash.h"
#include "core/utf8.h"
#include "text.h"

void plumb_alphabet_fill(int16_t alphabet[PLUMB_ALPHABET])
{
	int next = 256;
	memset(alphabet, -1, PLUMB_ALPHABET * sizeof *alphabet);
	for (int b = 0; b < 256; b++) {
		bool plain = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
		alphabet[plain ? b : next++] = (int16_t)b;
	}
}

bool plumb_alphabet_decode(const int16_t *alphabet, struct plumb_span s, char *out, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < s.n;) {
		const unsigned char *p = (const unsigned char *)s.p + i;
		int len = plumb_utf8_step(p, s.n - i);
		int c = len == 1 ? p[0] : len == 2 ? (p[0] & 0x1f) << 6 | (p[1] & 0x3f) : PLUMB_ALPHABET;
		if (c >= PLUMB_ALPHABET || alphabet[c] < 0)
			return false;
		out[(*n)++] = (char)alphabet[c];
		i += (size_t)len;
	}
	return *n > 0;
}

uint32_t *plumb_token_slot(const struct plumb_tokenizer *tok, struct plumb_span a, struct plumb_span b)
{
	uint64_t h = plumb_hash_bytes(plumb_hash_bytes(tok->seed, a.p, a.n), b.p, b.n);
	for (size_t i = plumb_hash_end(h);; i++) {
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
	return (int32_t)*plumb_token_slot(tok, (struct plumb_span){ bytes, size }, (struct plumb_span){ "", 0 }) -
		1;
}

bool plumb_token_plain(const struct plumb_tokenizer *tok, int32_t id)
{
	return tok->kind[id] == PLUMB_TOKEN_NORMAL || (tok->mixed && tok->kind[id] == PLUMB_TOKEN_USER);
}

uint32_t *plumb_table_new(size_t n, size_t *mask)
{
	size_t size = 16;
	while (size < 2 * n)
		size *= 2;
	*mask = size - 1;
	return calloc(size, sizeof(uint32_t));
}

/* Tokens that open and close the turns of a conversation. Marked as anything but control, whoever types one
 * would forge a turn, and the model would never see its own markers. */
static const char *const control_name[] = {
	"<|im_start|>",
	"<|im_end|>",
	"<|endoftext|>",
	"<\xef\xbd\x9c"
	"begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
	"<\xef\xbd\x9c"
	"end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
	"<\xef\xbd\x9cUser\xef\xbd\x9c>",
	"<\xef\xbd\x9c"
	"Assistant\xef\xbd\x9c>",
};

/* The name when the token is a marker of turns, whatever it is marked as; else NULL. */
static const char *tokens_control(struct plumb_span token)
{
	for (size_t i = 0; i < sizeof control_name / sizeof control_name[0]; i++)
		if (token.n == strlen(control_name[i]) && !memcmp(token.p, control_name[i], token.n))
			return control_name[i];
	return NULL;
}

/* The kind that a token is handled as, with a warning where that is not the one it is marked as. */
static int32_t tokens_kind_of(struct plumb_tokenizer *tok, const struct plumb_vocab *v, size_t i)
{
	int32_t kind = v->kind ? v->kind[i] : PLUMB_TOKEN_NORMAL;
	const char *control = kind == PLUMB_TOKEN_CONTROL ? NULL : tokens_control(v->token[i]);
	if (control) {
		plumb_warn(tok,
			"token %zu, %s, is not marked as a control token (kind %d, not 3); it is handled as one", i,
			control, (int)kind);
		return PLUMB_TOKEN_CONTROL;
	}
	if ((kind >= PLUMB_TOKEN_NORMAL && kind <= PLUMB_TOKEN_UNUSED) ||
		(kind == PLUMB_TOKEN_BYTE && tok->model != PLUMB_VOCAB_BYTES))
		return kind;
	plumb_warn(tok, "token %zu is of kind %d, expected 1 to 5; it is handled as a normal one", i, (int)kind);
	return PLUMB_TOKEN_NORMAL;
}

/* Two tokens of the same bytes. An error where text could become either; *keep: the later one takes the slot.
 */
static enum plumb_status tokens_meet_twin(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, size_t i, size_t twin, bool *keep)
{
	struct plumb_span a = v->token[i], b = v->token[twin];
	bool same = a.n == b.n && !memcmp(a.p, b.p, a.n);
	if (same && tok->kind[i] <= PLUMB_TOKEN_USER && tok->kind[twin] <= PLUMB_TOKEN_USER)
		return plumb_fail(PLUMB_E_FORMAT, "token %zu is the same as token %zu", i, twin);
	/* A normal token is found by its bytes, a special one by its text; the others are found by nothing. */
	*keep = tok->kind[i] == PLUMB_TOKEN_NORMAL ||
		(tok->kind[twin] > PLUMB_TOKEN_USER && tok->kind[i] < tok->kind[twin]);
	plumb_warn(
		tok, "token %zu has the bytes of token %zu; text becomes token %zu", i, twin, *keep ? i : twin);
	return PLUMB_OK;
}

/* The byte of "<0x0A>", or -1. */
static int tokens_byte(struct plumb_span s)
{
	int byte = 0;
	if (s.n != 6 || memcmp(s.p, "<0x", 3) || s.p[5] != '>')
		return -1;
	for (int i = 3; i < 5; i++) {
		char c = s.p[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return -1;
		byte = byte * 16 + digit;
	}
	return byte;
}

size_t plumb_token_unescape(struct plumb_span s, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; n++) {
		bool mark = s.n - i >= PLUMB_SPACE_MARK_SIZE &&
			!memcmp(s.p + i, PLUMB_SPACE_MARK, PLUMB_SPACE_MARK_SIZE);
		out[n] = mark ? ' ' : s.p[i];
		i += mark ? PLUMB_SPACE_MARK_SIZE : 1;
	}
	return n;
}

/* The bytes of a token as text has them, at most as many as it has; its kind where that is another. */
static size_t tokens_decode(struct plumb_tokenizer *tok, const int16_t *alphabet, struct plumb_span s,
	size_t i, char *out, int32_t *kind)
{
	size_t n = s.n;
	int byte;
	if (tok->fallback && *kind == PLUMB_TOKEN_NORMAL && tokens_byte(s) >= 0)
		*kind = PLUMB_TOKEN_BYTE;
	if (tok->model == PLUMB_VOCAB_BYTES && *kind == PLUMB_TOKEN_NORMAL && s.n) {
		if (plumb_alphabet_decode(alphabet, s, out, &n))
			return n;
		plumb_warn(tok, "token %zu has a character that is not of the byte alphabet; no text becomes it", i);
		*kind = PLUMB_TOKEN_LITERAL;
	} else if (*kind == PLUMB_TOKEN_BYTE) {
		if ((byte = tokens_byte(s)) >= 0) {
			out[0] = (char)byte;
			return 1;
		}
		plumb_warn(tok, "token %zu is marked as a byte and is none; no text becomes it", i);
		*kind = PLUMB_TOKEN_LITERAL;
	} else if (tok->spaces && (*kind == PLUMB_TOKEN_NORMAL || *kind == PLUMB_TOKEN_USER)) {
		/* Normalised text has no blanks of its own, so no text becomes a token that has one. */
		if (*kind == PLUMB_TOKEN_NORMAL && s.n && memchr(s.p, ' ', s.n))
			*kind = PLUMB_TOKEN_LITERAL;
		return plumb_token_unescape(s, out);
	}
	if (s.n)
		memcpy(out, s.p, s.n);
	return s.n;
}

static enum plumb_status tokens_read_token(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet, size_t i)
{
	int32_t kind = tokens_kind_of(tok, v, i);
	char *out = tok->bytes + tok->start[i];
	size_t n = tokens_decode(tok, alphabet, v->token[i], i, out, &kind);
	bool keep = true;
	enum plumb_status status = PLUMB_OK;
	tok->kind[i] = (uint8_t)kind;
	tok->start[i + 1] = tok->start[i] + (uint32_t)n;
	if (!n) {
		if (v->token[i].p) /* an id that the vocabulary passes over is not worth a word */
			plumb_warn(tok, "token %zu is empty; no text becomes it", i);
		return PLUMB_OK;
	}
	if (kind == PLUMB_TOKEN_BYTE) {
		if (tok->byte_id[(unsigned char)out[0]] < 0)
			tok->byte_id[(unsigned char)out[0]] = (int32_t)i;
		return PLUMB_OK;
	}
	uint32_t *slot = plumb_token_slot(tok, (struct plumb_span){ out, n }, (struct plumb_span){ "", 0 });
	if (*slot)
		status = tokens_meet_twin(tok, v, i, *slot - 1, &keep);
	if (status || !keep)
		return status;
	*slot = (uint32_t)i + 1;
	if (kind == PLUMB_TOKEN_NORMAL && n == 1 && tok->model == PLUMB_VOCAB_BYTES)
		tok->byte_id[(unsigned char)out[0]] = (int32_t)i;
	return PLUMB_OK;
}

/* A byte without a token matters where nothing else stands for it. */
static void tokens_check_bytes(struct plumb_tokenizer *tok)
{
	for (int b = 0; b < 256 && tok->unk < 0; b++)
		if (tok->byte_id[b] < 0 &&
			(tok->model == PLUMB_VOCAB_BYTES || plumb_token_find(tok, (char[]){ (char)b }, 1) < 0))
			plumb_warn(tok, "there is no token for the byte 0x%02x; it is left out of texts", (unsigned)b);
}

enum plumb_status plumb_tokens_read(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet)
{
	uint64_t total = 0;
	if (!v->tokens || v->tokens > INT32_MAX / 4)
		return plumb_fail(PLUMB_E_FORMAT, "%zu tokens, expected 256 to %d", v->tokens, INT32_MAX / 4);
	for (size_t i = 0; i < v->tokens; i++) {
		if (v->token[i].n > 1 << 20)
			return plumb_fail(
				PLUMB_E_FORMAT, "token %zu has %zu bytes, at most 1 MiB is taken", i, v->token[i].n);
		total += v->token[i].n;
	}
	if (total > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "the tokens have %llu bytes together, at most 2 GiB is taken",
			(unsigned long long)total);
	tok->bytes = malloc((size_t)total + 1);
	tok->start = calloc(v->tokens + 1, sizeof *tok->start);
	tok->kind = calloc(v->tokens, 1);
	tok->seed = plumb_hash_seed();
	tok->by_bytes = plumb_table_new(v->tokens, &tok->by_bytes_mask);
	if (!tok->bytes || !tok->start || !tok->kind || !tok->by_bytes)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu tokens", v->tokens);
	tok->tokens = v->tokens;
	for (size_t i = 0; i < v->tokens; i++) {
		enum plumb_status status = tokens_read_token(tok, v, alphabet, i);
		if (status)
			return status;
	}
	tokens_check_bytes(tok);
	return PLUMB_OK;
}
