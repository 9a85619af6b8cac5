/* SPDX-License-Identifier: Apache-2.0 */
/* What is odd in a vocabulary and was set right or left out: one text per kind of oddity, with the index of
 * the first and how many more there are. Held in the tokenizer itself, so that a warning cannot fail. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

void plumb_warn(struct plumb_tokenizer *tok, const char *format, ...)
{
	struct plumb_warning *w = tok->warning;
	va_list args;
	for (; w < tok->warning + tok->warnings; w++)
		if (w->format && !strcmp(w->format, format)) {
			w->more++;
			/* The count is part of the text; it is written again over the old one. */
			snprintf(w->text + w->n, sizeof w->text - w->n, " (and %zu more like it)", w->more);
			return;
		}
	if (tok->warnings == PLUMB_WARNINGS)
		return;
	va_start(args, format);
	plumb_vformat(w->text, sizeof w->text - PLUMB_WARNING_MORE, format, args);
	va_end(args);
	w->n = strlen(w->text);
	w->format = format;
	tok->warnings++;
}

void plumb_tokenizer_warn(struct plumb_tokenizer *tok, const char *text)
{
	struct plumb_warning *w = tok->warning + tok->warnings;
	if (tok->warnings == PLUMB_WARNINGS)
		return;
	snprintf(w->text, sizeof w->text, "%s", text);
	tok->warnings++;
}

const char *plumb_tokenizer_warning(const struct plumb_tokenizer *tok, int i)
{
	return i < 0 || i >= tok->warnings ? NULL : tok->warning[i].text;
}
