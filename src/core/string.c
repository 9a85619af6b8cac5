/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/json.h"
#include "core/string.h"

static bool string_make_room(struct plumb_string *s, size_t more)
{
	if (s->failed || more > (size_t)1 << 30 || s->n > (size_t)1 << 30)
		return s->failed = true, false;
	if (s->n + more + 1 <= s->room)
		return true;
	size_t room = s->room ? s->room : 4096;
	while (room < s->n + more + 1)
		room *= 2;
	char *text = realloc(s->text, room);
	if (!text)
		return s->failed = true, false;
	s->text = text;
	s->room = room;
	return true;
}

void plumb_string_bytes(struct plumb_string *s, const char *bytes, size_t n)
{
	if (!string_make_room(s, n))
		return;
	memcpy(s->text + s->n, bytes, n);
	s->text[s->n += n] = 0;
}

void plumb_string_put(struct plumb_string *s, const char *text) { plumb_string_bytes(s, text, strlen(text)); }

void plumb_string_format(struct plumb_string *s, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = plumb_vformat(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !string_make_room(s, (size_t)n))
		return;
	va_start(args, format);
	plumb_vformat(s->text + s->n, (size_t)n + 1, format, args);
	va_end(args);
	s->n += (size_t)n;
}

json_t *plumb_string_json(struct plumb_string *s)
{
	json_t *string = s->failed || !s->text ? NULL : plumb_json_text(s->text);
	free(s->text);
	*s = (struct plumb_string){ NULL, 0, 0, false };
	return string;
}
