/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that knows what valid UTF-8 is. */
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"

/* Unicode 15, table 3-7: overlong forms, surrogates and what is past U+10FFFF end at their second byte. */
int plumb_utf8_step(const unsigned char *p, size_t n)
{
	unsigned char lo = 0x80, hi = 0xbf;
	int need;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	for (int k = 1; k < need; k++, lo = 0x80, hi = 0xbf) {
		if ((size_t)k == n)
			return 0;
		if (p[k] < lo || p[k] > hi)
			return -k;
	}
	return need;
}

size_t plumb_utf8_invalid(const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		int len = plumb_utf8_step((const unsigned char *)text + i, size - i);
		if (len <= 0)
			return i;
		i += (size_t)len;
	}
	return size;
}

size_t plumb_utf8_replace(const char *text, size_t size, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < size;) {
		int len = plumb_utf8_step((const unsigned char *)text + i, size - i);
		size_t bytes = len > 0 ? (size_t)len : PLUMB_UTF8_REPLACEMENT_SIZE;
		memcpy(out + n, len > 0 ? text + i : PLUMB_UTF8_REPLACEMENT, bytes);
		n += bytes;
		i += len > 0 ? bytes : len ? (size_t)-len : size - i;
	}
	return n;
}

void plumb_utf8_plain(char *text, const char *keep)
{
	unsigned char *to = (unsigned char *)text;
	for (const unsigned char *p = to; *p; p++) {
		bool wide = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		bool control = wide || *p == 0x7f || (*p < 0x20 && !strchr(keep, *p));
		*to++ = !control ? *p : *p == '\n' || *p == '\t' ? ' ' : '?';
		p += wide;
	}
	*to = 0;
}

enum plumb_status plumb_utf8_check(const char *what, const char *text, size_t size)
{
	size_t at = plumb_utf8_invalid(text, size);

	if (at == size)
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_ARGUMENT, "the %s is not valid UTF-8 at byte %zu (0x%02x%s)", what, at,
		(unsigned char)text[at],
		plumb_utf8_step((const unsigned char *)text + at, size - at) ? "" : ", cut off at the end");
}
