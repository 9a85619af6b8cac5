/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a file, read one after the other: a cursor that cannot leave them, little-endian numbers, and
 * names for error texts. */
#include "format/format.h"
#include "core/core.h"

#include <inttypes.h>
#include <string.h>

enum plumb_status plumb_cursor_bytes(
	struct plumb_cursor *c, uint64_t n, const unsigned char **p, const char *what)
{
	if (n > plumb_cursor_left(c))
		return plumb_fail(PLUMB_E_FORMAT, "byte %zu: %s needs %" PRIu64 " bytes, the file has %zu left%s",
			c->at, what, n, plumb_cursor_left(c), plumb_lacks(n));
	*p = c->base + c->at;
	c->at += n;
	return PLUMB_OK;
}

enum plumb_status plumb_cursor_u32(struct plumb_cursor *c, uint32_t *value, const char *what)
{
	const unsigned char *p = c->base;
	enum plumb_status s = plumb_cursor_bytes(c, 4, &p, what);
	if (!s)
		*value = (uint32_t)plumb_load_uint(p, 4);
	return s;
}

enum plumb_status plumb_cursor_u64(struct plumb_cursor *c, uint64_t *value, const char *what)
{
	const unsigned char *p = c->base;
	enum plumb_status s = plumb_cursor_bytes(c, 8, &p, what);
	if (!s)
		*value = plumb_load_uint(p, 8);
	return s;
}

enum plumb_status plumb_cursor_count(struct plumb_cursor *c, uint64_t *count, size_t least, const char *what)
{
	const size_t at = c->at;
	enum plumb_status s = plumb_cursor_u64(c, count, what);
	if (!s && *count > plumb_cursor_left(c) / least)
		return plumb_fail(PLUMB_E_FORMAT,
			"byte %zu: %s is %" PRIu64 ", at least %zu bytes each, but the file has "
			"%zu left%s",
			at, what, *count, least, plumb_cursor_left(c), plumb_lacks(*count));
	return s;
}

uint64_t plumb_load_uint(const unsigned char *p, int width)
{
	uint64_t value = 0;
	for (int i = 0; i < width; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

int64_t plumb_load_int(const unsigned char *p, int width, bool is_signed)
{
	uint64_t value = plumb_load_uint(p, width);
	if (!is_signed && value > INT64_MAX)
		return INT64_MAX;
	if (is_signed && width < 8 && (value >> (8 * width - 1)) != 0)
		value |= UINT64_MAX << (8 * width);
	int64_t result;
	memcpy(&result, &value, sizeof result);
	return result;
}

double plumb_load_float(const unsigned char *p, int width)
{
	const uint64_t bits = plumb_load_uint(p, width);
	if (width == 8) {
		double d;
		memcpy(&d, &bits, sizeof d);
		return d;
	}
	const uint32_t low = (uint32_t)bits;
	float f;
	memcpy(&f, &low, sizeof f);
	return f;
}

const char *plumb_quote(struct plumb_span s, char text[PLUMB_QUOTE])
{
	const size_t most = PLUMB_QUOTE - 4, n = s.n < most ? s.n : most;
	for (size_t i = 0; i < n; i++)
		text[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?'; /* nothing that a terminal obeys */
	memcpy(text + n, s.n > n ? "..." : "", s.n > n ? 4 : 1);
	return text;
}
