/* SPDX-License-Identifier: Apache-2.0 */
/* White space and letters of words in UTF-8, as added tokens look at their neighbours. */
#include <utf8proc.h>
#include "core/utf8.h"
#include "text.h"

static int32_t chars_at(const char *text, size_t n, size_t *size)
{
	int32_t c = -1;
	utf8proc_ssize_t len = n
		? utf8proc_iterate((const utf8proc_uint8_t *)text, n < 4 ? (utf8proc_ssize_t)n : 4, &c)
		: -1;
	*size = len > 0 ? (size_t)len : 0;
	return len > 0 ? c : -1;
}

/* The last character of n bytes. */
static int32_t chars_before(const char *text, size_t n, size_t *size)
{
	size_t back = n ? 1 : 0;
	while (back < n && back < 4 && ((unsigned char)text[n - back] & 0xc0) == 0x80)
		back++;
	return chars_at(text + n - back, back, size);
}

static bool chars_is_space(int32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
		c == 0x3000;
}

static bool chars_is_word(int32_t c)
{
	utf8proc_category_t of = c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);
	return (of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_NO) || of == UTF8PROC_CATEGORY_PC;
}

size_t plumb_space_at(const char *text, size_t n)
{
	size_t size;
	return chars_is_space(chars_at(text, n, &size)) ? size : 0;
}

size_t plumb_space_before(const char *text, size_t n)
{
	size_t size;
	return chars_is_space(chars_before(text, n, &size)) ? size : 0;
}

bool plumb_word_at(const char *text, size_t n)
{
	size_t size;
	return chars_is_word(chars_at(text, n, &size));
}

bool plumb_word_before(const char *text, size_t n)
{
	size_t size;
	return chars_is_word(chars_before(text, n, &size));
}
