/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text, escapes, and values out of JSON by their path. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/json.h"
#include "report/show.h"

void plumb_show_escaped(struct plumb_string *s, const char *text)
{
	for (size_t n; *text; text += n) {
		n = strcspn(text, "<>&\"'\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f");
		plumb_string_bytes(s, text, n);
		if (!text[n])
			return;
		const char c = text[n++];
		plumb_string_put(s, c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : c == '\'' ? "&#39;" : "?");
	}
}

void plumb_show_quoted(struct plumb_string *s, const char *text)
{
	if (*text && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+=:,@%")]) {
		plumb_string_put(s, text);
		return;
	}
	plumb_string_put(s, "'");
	for (; *text; text++)
		plumb_string_bytes(s, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
	plumb_string_put(s, "'");
}

const json_t *plumb_show_at(const json_t *root, const char *path)
{
	for (;;) {
		size_t n = strcspn(path, ".");
		char key[64];
		if (n >= sizeof key)
			return NULL;
		memcpy(key, path, n);
		key[n] = 0;
		root = json_object_get(root, key);
		if (!root || !path[n])
			return root;
		path += n + 1;
	}
}

double plumb_show_number(const json_t *root, const char *path)
{
	const json_t *value = plumb_show_at(root, path);
	return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *plumb_show_string(const json_t *root, const char *path)
{
	const char *text = json_string_value(plumb_show_at(root, path));
	return text ? text : "";
}

bool plumb_show_is(const json_t *root, const char *path)
{
	return json_is_true(plumb_show_at(root, path));
}

size_t plumb_show_width(const char *text, size_t n)
{
	size_t width = 0;
	for (size_t i = 0; i < n; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

void plumb_show_command(struct plumb_string *s, const json_t *report)
{
	const json_t *tokens = plumb_show_at(report, "tokens");
	plumb_string_put(s, "plumb diag report ");
	plumb_show_quoted(s, plumb_show_string(report, "model.file"));
	plumb_string_put(s, " ");
	plumb_show_quoted(s, plumb_show_string(report, "reference.path"));
	if (*plumb_show_string(report, "driver")) {
		plumb_string_put(s, " --driver ");
		plumb_show_quoted(s, plumb_show_string(report, "driver"));
	}
	if (*plumb_show_string(report, "fault")) {
		plumb_string_put(s, " --fault ");
		plumb_show_quoted(s, plumb_show_string(report, "fault"));
	}
	for (size_t i = 0; i < json_array_size(tokens); i++)
		plumb_string_format(s, "%s%lld", i ? "," : " --tokens ", (long long)json_integer_value(json_array_get(tokens, i)));
}
