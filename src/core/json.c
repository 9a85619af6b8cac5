/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from a file: jansson reads it. When its memory runs out it calls the text broken, which is an
 * accusation of the file; so what it calls broken is looked at again, without a byte of memory, and "no
 * memory" is said where the text is right. And where the buffer of its scanner cannot grow it goes on without
 * the byte (2.14): so what it read is compared with the text, by the bytes of all strings and by all numbers.
 * And JSON to a file, with text that jansson would refuse. */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/json.h"
#include "core/utf8.h"

#define DEEPEST 2048 /* as jansson's */

struct scan {
	const char *p, *end;
	size_t bytes;     /* of all strings, keys among them, decoded */
	uint64_t numbers; /* their bits as doubles, by exclusive or */
	bool uncounted;   /* there was a number too long to be one of them */
};

static uint64_t number_bits(double x)
{
	uint64_t bits;
	x += 0; /* -0 is an integer to jansson, which has no such zero */
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static void count_number(struct scan *s, const char *from)
{
	char text[64];
	const size_t n = (size_t)(s->p - from);
	int64_t whole = 0;
	size_t i = *from == '-';
	while (i < n && n < 16 && from[i] >= '0' && from[i] <= '9')
		whole = 10 * whole + (from[i++] - '0');
	if (i == n) { /* most are; strtod takes its time */
		s->numbers ^= number_bits((double)(*from == '-' ? -whole : whole));
	} else if (n < sizeof text) {
		memcpy(text, from, n);
		text[n] = 0;
		s->numbers ^= number_bits(plumb_number(text, NULL));
	} else {
		s->uncounted = true;
	}
}

static bool white(struct scan *s)
{
	while (s->p < s->end && memchr(" \t\r\n", *s->p, 4))
		s->p++;
	return true;
}

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool word(struct scan *s, const char *w)
{
	size_t n = strlen(w);
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n))
		return false;
	s->p += n;
	return true;
}

static bool digits(struct scan *s)
{
	const char *from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool number(struct scan *s)
{
	const char *from = s->p;
	take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && !digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!digits(s))
			return false;
	}
	count_number(s, from);
	return true;
}

/* Bytes of what stands behind \u, in UTF-8; the first of a pair has those of both. */
static size_t escaped_bytes(const char *p)
{
	static const char digit[] = "0123456789abcdef";
	unsigned code = 0;
	for (int i = 0; i < 4; i++)
		code = code << 4 | (unsigned)((const char *)memchr(digit, p[i] | 0x20, 16) - digit);
	if (code >= 0xd800 && code < 0xe000)
		return code < 0xdc00 ? 4 : 0;
	return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

static bool string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	for (; s->p < s->end && *s->p != '"'; s->p++) {
		if ((unsigned char)*s->p < 0x20)
			return false;
		s->bytes++;
		if (*s->p != '\\')
			continue;
		if (++s->p == s->end || !memchr("\"\\/bfnrtu", *s->p, 9))
			return false;
		for (int i = 0; *s->p == 'u' && i < 4; i++)
			if (s->end - s->p <= i + 1 || !memchr("0123456789abcdefABCDEF", s->p[i + 1], 22))
				return false;
		if (*s->p == 'u') {
			s->bytes += escaped_bytes(s->p + 1) - 1;
			s->p += 4;
		}
	}
	return take(s, '"');
}

static bool value(struct scan *s, int depth)
{
	char open = s->p < s->end ? *s->p : 0;
	if (open == '"')
		return string(s); /* a string that is cut has moved s: what stands there is no word and no number */
	if (open != '{' && open != '[')
		return word(s, "true") || word(s, "false") || word(s, "null") || number(s);
	char shut = open == '{' ? '}' : ']';
	s->p++;
	if (depth >= DEEPEST || (white(s) && take(s, shut)))
		return depth < DEEPEST;
	do {
		if (open == '{' && !(white(s) && string(s) && white(s) && take(s, ':')))
			return false;
		if (!(white(s) && value(s, depth + 1) && white(s)))
			return false;
	} while (take(s, ','));
	return take(s, shut);
}

/* Faults that a text of right syntax can have, or that jansson is sure of. */
static bool sure(const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);
	return code == json_error_duplicate_key || code == json_error_numeric_overflow ||
		code == json_error_null_character || code == json_error_null_byte_in_key ||
		code == json_error_stack_overflow || code == json_error_invalid_utf8 ||
		strstr(error->text, "invalid Unicode");
}

/* What the scan counts, of what jansson made of the text. */
static void count_tree(const json_t *value, struct scan *got)
{
	const char *key;
	json_t *v;
	size_t i;
	if (json_is_string(value))
		got->bytes += json_string_length(value);
	if (json_is_number(value))
		got->numbers ^= number_bits(json_number_value(value));
	json_array_foreach((json_t *)(uintptr_t)value, i, v)
		count_tree(v, got);
	json_object_foreach((json_t *)(uintptr_t)value, key, v) {
		got->bytes += strlen(key);
		count_tree(v, got);
	}
}

json_t *plumb_json_bytes(const char *p, size_t n)
{
	if (!n || plumb_utf8_invalid(p, n) == n)
		return json_stringn(n ? p : "", n);
	char *safe = malloc(3 * n);
	json_t *string = safe ? json_stringn(safe, plumb_utf8_replace(p, n, safe)) : NULL;
	free(safe);
	return string;
}

json_t *plumb_json_text(const char *text) { return text ? plumb_json_bytes(text, strlen(text)) : NULL; }

char *plumb_json_write(const json_t *root, size_t flags)
{
	size_t n = root ? json_dumpb(root, NULL, 0, flags) : 0; /* 0: no memory */
	char *text = n ? malloc(n + 1) : NULL;
	if (!text)
		return NULL;
	if (json_dumpb(root, text, n, flags) != n) {
		free(text);
		return NULL;
	}
	text[n] = 0;
	return text;
}

enum plumb_status plumb_json_read(
	json_t **root, const char *text, size_t n, size_t flags, json_error_t *error)
{
	struct scan s = { .p = text, .end = text + n }, got = { .p = NULL };
	*root = json_loadb(text, n, flags, error);
	bool any = flags & JSON_DECODE_ANY,
		 right = white(&s) && s.p < s.end && (any || *s.p == '{' || *s.p == '[') && value(&s, 0) &&
		white(&s) && s.p == s.end;
	if (*root) {
		count_tree(*root, &got);
		/* Of a key that is there twice, and may be, one value is lost. */
		if (!right || !(flags & JSON_REJECT_DUPLICATES) ||
			(got.bytes == s.bytes && (s.uncounted || got.numbers == s.numbers)))
			return PLUMB_OK;
		json_decref(*root);
		*root = NULL;
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu bytes of JSON", n);
	}
	if (right && !sure(error))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu bytes of JSON", n);
	return plumb_fail(PLUMB_E_FORMAT, "not JSON: line %d: %s", error->line, error->text);
}

json_t *plumb_json_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

double plumb_json_real(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

json_t *plumb_json_format(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = plumb_vformat(NULL, 0, format, args);
	va_end(args);
	char *text = n < 0 ? NULL : malloc((size_t)n + 1);
	if (!text)
		return NULL;
	va_start(args, format);
	plumb_vformat(text, (size_t)n + 1, format, args);
	va_end(args);
	json_t *string = plumb_json_text(text);
	free(text);
	return string;
}
