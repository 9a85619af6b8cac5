/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows; once memory was short nothing more is added, and `failed` tells. */
#ifndef PLUMB_CORE_STRING_H
#define PLUMB_CORE_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

struct plumb_string {
	char *text;
	size_t n, room;
	bool failed;
};
json_t *plumb_string_json(
	struct plumb_string *s); /* all of it as a string, and nothing is left in s; NULL: memory was short */
void plumb_string_bytes(struct plumb_string *s, const char *bytes, size_t n);
void plumb_string_put(struct plumb_string *s, const char *text);
void plumb_string_format(struct plumb_string *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
