/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text, both ways, with a point whatever locale the program has set: what the library writes is
 * read by other programs, and a comma would break it. The thread's locale is changed for one call and put
 * back; no other thread sees it. */
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"

/* "C" in all categories needs no file and no memory in glibc and musl. Should it fail all the same, the
 * thread's locale stays: 0 only asks. */
static locale_t number_plain(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

int plumb_vformat(char *text, size_t size, const char *format, va_list args)
{
	locale_t c = number_plain(), before = uselocale(c);
	int n = vsnprintf(text, size, format, args);
	uselocale(before);
	if (c)
		freelocale(c);
	return n;
}

int plumb_format(char *text, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = plumb_vformat(text, size, format, args);
	va_end(args);
	return n;
}

void plumb_append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;
	va_start(args, format);
	plumb_vformat(text + used, size - used, format, args);
	va_end(args);
}

double plumb_number(const char *text, char **end)
{
	locale_t c = number_plain(), before = uselocale(c);
	double x = strtod(text, end);
	uselocale(before);
	if (c)
		freelocale(c);
	return x;
}
