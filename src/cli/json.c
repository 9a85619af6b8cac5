/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of machine-readable results, and bytes of a file or model made safe to show. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static void *json_malloc(size_t size)
{
	void *p = malloc(size);
	cli_starved |= !p;
	return p;
}

void cli_json_watch(void) { json_set_alloc_funcs(json_malloc, free); }

json_t *cli_json_ids(const int32_t *ids, int64_t n)
{
	json_t *array = json_array();
	for (int64_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer(ids[i]));
	return array;
}

json_t *cli_json_span(struct plumb_span span)
{
	if (!span.n || plumb_utf8_invalid(span.p, span.n) == span.n)
		return json_stringn(span.n ? span.p : "", span.n);
	char *safe = malloc(3 * span.n);
	cli_starved |= !safe;
	json_t *text = safe ? json_stringn(safe, plumb_utf8_replace(span.p, span.n, safe)) : NULL;
	free(safe);
	return text;
}

json_t *cli_json_text(const char *text) { return cli_json_span((struct plumb_span){ text, strlen(text) }); }

int cli_json_print(json_t *root, bool one_line)
{
	char *text = root && !cli_starved
		? json_dumps(root, (one_line ? JSON_COMPACT : JSON_INDENT(1)) | JSON_REAL_PRECISION(12))
		: NULL;
	json_decref(root);
	if (!text || cli_starved) { /* jansson goes on when a key is lost */
		free(text);
		return cli_complain(CLI_ERROR, "no memory for the result");
	}
	puts(text);
	fflush(stdout);
	free(text);
	return CLI_OK;
}

/* Length of the whole character at p, 0 where there is none. */
static size_t json_character(const char *p, size_t n)
{
	for (size_t length = 1; length <= 4 && length <= n; length++)
		if (plumb_utf8_invalid(p, length) == length)
			return length;
	return 0;
}

void cli_put_escaped(struct plumb_span span, size_t most)
{
	const unsigned char *p = (const unsigned char *)span.p;
	for (size_t i = 0, step; i < span.n; i += step) {
		if (i >= most) {
			fputs("...", stdout);
			return;
		}
		step = json_character(span.p + i, span.n - i);
		bool control = p[i] < 0x20 || p[i] == 0x7f || (step == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0);
		if (p[i] == '\n' || p[i] == '\t' || p[i] == '\r')
			fputs(p[i] == '\n' ? "\\n" : p[i] == '\t' ? "\\t" : "\\r", stdout);
		else if (p[i] == '\\' || p[i] == '"')
			printf("\\%c", p[i]);
		else if (!step || control)
			printf("\\x%02x", p[i]), step = 1;
		else
			fwrite(p + i, 1, step, stdout);
	}
}

json_t *cli_json_warnings(const struct plumb_tokenizer *tok)
{
	json_t *list = json_array();
	for (int i = 0; tok && plumb_tokenizer_warning(tok, i); i++)
		json_array_append_new(list, cli_json_text(plumb_tokenizer_warning(tok, i)));
	return list;
}
