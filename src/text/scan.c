/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of JSON that looks for two members and passes over the others, which jansson reads and checks
 * afterwards: a tree of a vocabulary with its merges takes jansson two seconds. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "scan.h"

#define DEEPEST 64

struct reader {
	const char *text, *p, *end;
	struct plumb_scan *scan;
	size_t own_n, token_room, merge_room;
	struct plumb_span cut[2]; /* the values of vocab and merges */
};

static enum plumb_status scan_fail(const struct reader *r, const char *expected)
{
	return plumb_fail(
		PLUMB_E_FORMAT, "tokenizer.json, byte %zu: expected %s", (size_t)(r->p - r->text), expected);
}

/* The next character that is no white space; 0 at the end. */
static char scan_next(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
	return r->p < r->end ? *r->p : 0;
}

static enum plumb_status scan_take(struct reader *r, char c, const char *expected)
{
	if (scan_next(r) != c)
		return scan_fail(r, expected);
	r->p++;
	return PLUMB_OK;
}

static int scan_hex(const char *p)
{
	int value = 0;
	for (int i = 0; i < 4; i++) {
		int c = p[i] | 32,
			digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0'
			: c >= 'a' && c <= 'f'             ? c - 'a' + 10
											   : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static size_t scan_put(char *out, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(n == 1 ? c : (0xf0u << (4 - n) & 0xff) | c);
	return n;
}

/* The character of a backslash, at r->p; it never has more bytes than its escape. */
static enum plumb_status scan_escape(struct reader *r, char *out, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = r->end - r->p > 1 && r->p[1] ? strchr(from, r->p[1]) : NULL;
	if (at) {
		out[(*n)++] = to[at - from];
		r->p += 2;
		return PLUMB_OK;
	}
	int c = r->end - r->p > 5 && r->p[1] == 'u' ? scan_hex(r->p + 2) : -1;
	if (c < 0 || (c >= 0xdc00 && c < 0xe000))
		return scan_fail(r, "an escaped character");
	r->p += 6;
	if (c >= 0xd800 && c < 0xdc00) {
		int low = r->end - r->p > 5 && r->p[0] == '\\' && r->p[1] == 'u' ? scan_hex(r->p + 2) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return scan_fail(r, "the second half of a character");
		r->p += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*n += scan_put(out + *n, (uint32_t)c);
	return PLUMB_OK;
}

/* The next string, taken as it stands where it has no escapes. */
static enum plumb_status scan_string(struct reader *r, struct plumb_span *s)
{
	enum plumb_status status = scan_take(r, '"', "a string");
	if (status)
		return status;
	const char *start = r->p;
	while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (unsigned char)*r->p >= ' ')
		r->p++;
	*s = (struct plumb_span){ start, (size_t)(r->p - start) };
	if (r->p < r->end && *r->p == '"') {
		r->p++;
		return PLUMB_OK;
	}
	if (!r->scan->own && !(r->scan->own = malloc((size_t)(r->end - r->text) + 1)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the strings of a tokenizer.json");
	char *out = r->scan->own + r->own_n;
	size_t n = s->n;
	memcpy(out, start, n);
	while (r->p < r->end && *r->p != '"') {
		if ((unsigned char)*r->p < ' ')
			return scan_fail(r, "a character of a string");
		if (*r->p != '\\')
			out[n++] = *r->p++;
		else if ((status = scan_escape(r, out, &n)))
			return status;
	}
	*s = (struct plumb_span){ out, n };
	r->own_n += n;
	return scan_take(r, '"', "the end of a string");
}

/* Pass over a value; what it is made of is left to jansson. */
static enum plumb_status scan_skip(struct reader *r)
{
	int depth = 0;
	do {
		char c = scan_next(r);
		if (!c)
			return scan_fail(r, "a value");
		if (c == '"') {
			for (r->p++; r->p < r->end && *r->p != '"'; r->p++)
				r->p += *r->p == '\\' && r->p + 1 < r->end;
			if (r->p == r->end)
				return scan_fail(r, "the end of a string");
			r->p++;
		} else if (strchr("{[", c)) {
			if (++depth > DEEPEST)
				return scan_fail(r, "a value that is not so deep");
			r->p++;
		} else if (strchr("}]", c)) {
			if (--depth < 0)
				return scan_fail(r, "a value");
			r->p++;
		} else if (depth && strchr(",:", c))
			r->p++;
		else {
			const char *start = r->p;
			while (r->p < r->end && !strchr(" \t\r\n,:]}[{\"", *r->p))
				r->p++;
			if (r->p == start)
				return scan_fail(r, "a value");
		}
	} while (depth);
	return PLUMB_OK;
}

/* Room for one more of n elements. */
static enum plumb_status scan_grow(void **p, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return PLUMB_OK;
	size_t more = *room ? 2 * *room : 1024;
	void *bigger = realloc(*p, more * size);
	if (!bigger)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu entries of a tokenizer.json", more);
	*p = bigger;
	*room = more;
	return PLUMB_OK;
}

static enum plumb_status scan_number(struct reader *r, double *value)
{
	char copy[64], *end;
	size_t n = 0;
	scan_next(r);
	while (r->p < r->end && n < sizeof copy - 1 && *r->p && strchr("+-.0123456789eE", *r->p))
		copy[n++] = *r->p++;
	copy[n] = 0;
	*value = plumb_number(copy, &end);
	return n && !*end ? PLUMB_OK : scan_fail(r, "a number");
}

/* A comma and more, or the end. */
static enum plumb_status scan_more(struct reader *r, char end, bool *more)
{
	char c = scan_next(r);
	if (c != ',' && c != end)
		return scan_fail(r, end == ']' ? "a comma or ]" : "a comma or }");
	r->p++;
	*more = c == ',';
	return PLUMB_OK;
}

static enum plumb_status scan_token(struct reader *r, bool scored)
{
	struct plumb_scan *s = r->scan;
	struct plumb_scan_token t = { { NULL, 0 }, -1, 0 };
	double value = 0;
	enum plumb_status status = scan_grow((void **)&s->token, s->tokens, &r->token_room, sizeof t);
	if (status || (scored && (status = scan_take(r, '[', "a token with its score"))) ||
		(status = scan_string(r, &t.text)) ||
		(status = scan_take(r, scored ? ',' : ':', scored ? "a comma" : "a colon")) ||
		(status = scan_number(r, &value)) || (scored && (status = scan_take(r, ']', "]"))))
		return status;
	if (scored)
		t.score = value;
	else if (value < 0 || value > INT32_MAX || value != (double)(int64_t)value)
		return scan_fail(r, "a token's id");
	t.id = scored ? (int64_t)s->tokens : (int64_t)value;
	s->token[s->tokens++] = t;
	return PLUMB_OK;
}

static enum plumb_status scan_vocab(struct reader *r)
{
	char open = scan_next(r);
	bool more = true;
	enum plumb_status status = PLUMB_OK;
	if (open != '{' && open != '[')
		return scan_skip(r);
	r->scan->scored = open == '[';
	r->p++;
	if (scan_next(r) == (open == '[' ? ']' : '}')) {
		r->p++;
		return PLUMB_OK;
	}
	while (!status && more)
		if (!(status = scan_token(r, open == '[')))
			status = scan_more(r, open == '[' ? ']' : '}', &more);
	return status;
}

/* "left right", or ["left", "right"]. */
static enum plumb_status scan_merge(struct reader *r)
{
	struct plumb_scan *s = r->scan;
	struct plumb_span pair[2];
	enum plumb_status status = scan_grow(
		(void **)&s->merge, 2 * s->merges + 1, &r->merge_room, sizeof *s->merge);
	if (status)
		return status;
	if (scan_next(r) == '[') {
		r->p++;
		if ((status = scan_string(r, &pair[0])) || (status = scan_take(r, ',', "a comma")) ||
			(status = scan_string(r, &pair[1])) || (status = scan_take(r, ']', "]")))
			return status;
	} else {
		if ((status = scan_string(r, &pair[0])))
			return status;
		const char *blank = pair[0].n ? memchr(pair[0].p, ' ', pair[0].n) : NULL;
		if (!blank)
			return scan_fail(r, "a merge of two tokens with a blank between them before this");
		pair[1] = (struct plumb_span){ blank + 1, pair[0].n - (size_t)(blank + 1 - pair[0].p) };
		pair[0].n = (size_t)(blank - pair[0].p);
	}
	memcpy(s->merge + 2 * s->merges++, pair, sizeof pair);
	return PLUMB_OK;
}

static enum plumb_status scan_merges(struct reader *r)
{
	bool more = true;
	enum plumb_status status = PLUMB_OK;
	if (scan_next(r) != '[')
		return scan_skip(r);
	r->p++;
	if (scan_next(r) == ']') {
		r->p++;
		return PLUMB_OK;
	}
	while (!status && more)
		if (!(status = scan_merge(r)))
			status = scan_more(r, ']', &more);
	return status;
}

/* The members of an object: of the document (depth 0) or of its model. */
static enum plumb_status scan_members(struct reader *r, int depth)
{
	static const char *const wanted[] = { "vocab", "merges" };
	bool more = true;
	enum plumb_status status = scan_take(r, '{', "an object");
	if (status)
		return status;
	if (scan_next(r) == '}') {
		r->p++;
		return PLUMB_OK;
	}
	while (!status && more) {
		struct plumb_span key;
		int which = -1;
		if ((status = scan_string(r, &key)) || (status = scan_take(r, ':', "a colon")))
			return status;
		scan_next(r);
		for (int i = 0; depth && i < 2; i++)
			if (key.n == strlen(wanted[i]) && !memcmp(key.p, wanted[i], key.n))
				which = i;
		const char *start = r->p;
		if (which >= 0 && r->cut[which].p)
			return scan_fail(r, "a member that is there once");
		if (!depth && key.n == 5 && !memcmp(key.p, "model", 5) && scan_next(r) == '{')
			status = scan_members(r, 1);
		else
			status = which < 0 ? scan_skip(r) : which ? scan_merges(r) : scan_vocab(r);
		if (which >= 0)
			r->cut[which] = (struct plumb_span){ start, (size_t)(r->p - start) };
		if (!status)
			status = scan_more(r, '}', &more);
	}
	return status;
}

/* The document without the two values. */
static enum plumb_status scan_rest(struct reader *r)
{
	struct plumb_scan *s = r->scan;
	bool swapped = r->cut[0].p && r->cut[1].p && r->cut[1].p < r->cut[0].p;
	const char *from = r->text;
	char *out = s->rest = malloc((size_t)(r->end - r->text) + 16);
	if (!out)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a tokenizer.json");
	for (int i = 0; i < 2; i++) {
		struct plumb_span cut = r->cut[swapped ? 1 - i : i];
		if (!cut.p)
			continue;
		memcpy(out, from, (size_t)(cut.p - from));
		out += cut.p - from;
		memcpy(out, "null", 4);
		out += 4;
		from = cut.p + cut.n;
	}
	memcpy(out, from, (size_t)(r->end - from));
	s->rest_n = (size_t)(out + (r->end - from) - s->rest);
	return PLUMB_OK;
}

enum plumb_status plumb_scan_read(struct plumb_scan *scan, const char *text, size_t n)
{
	struct reader r = { .text = text, .p = text, .end = text + n, .scan = scan };
	enum plumb_status status = scan_members(&r, 0);
	if (!status && scan_next(&r))
		status = scan_fail(&r, "the end");
	if (!status && r.p < r.end)
		status = scan_fail(&r, "the end");
	return status ? status : scan_rest(&r);
}

void plumb_scan_free(struct plumb_scan *scan)
{
	free(scan->token);
	free(scan->merge);
	free(scan->own);
	free(scan->rest);
}
