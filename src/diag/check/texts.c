/* SPDX-License-Identifier: Apache-2.0 */
/* A list of sentences. */
#include <stdarg.h>
#include <stdlib.h>
#include "core/json.h"
#include "core/core.h"
#include "diag/check/texts.h"

void plumb_texts_add(struct plumb_texts *t, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int n = plumb_vformat(NULL, 0, format, list);
	va_end(list);
	char **more = realloc(t->text, sizeof *more * ((size_t)t->n + 1)), *text = malloc((size_t)n + 1);
	t->text = more ? more : t->text;
	if (!more || !text) {
		free(text);
		t->failed = true;
		return;
	}
	va_start(list, format);
	plumb_vformat(text, (size_t)n + 1, format, list);
	va_end(list);
	t->text[t->n++] = text;
}

json_t *plumb_texts_json(const struct plumb_texts *t)
{
	json_t *list = json_array();
	for (int i = 0; i < t->n; i++)
		if (json_array_append_new(list, plumb_json_text(t->text[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

void plumb_texts_free(struct plumb_texts *t)
{
	for (int i = 0; i < t->n; i++)
		free(t->text[i]);
	free(t->text);
	*t = (struct plumb_texts){ NULL, 0, false };
}
