/* SPDX-License-Identifier: Apache-2.0 */
/* The normaliser: steps that change text before it is split. Each takes a text and makes another, or leaves
 * it as it is. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"
#include "text.h"

static enum plumb_status normal_room(size_t n, char **out)
{
	*out = malloc(n + 1);
	return *out ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory to normalise %zu bytes of text", n);
}

static enum plumb_status normal_prepend(
	const struct plumb_normal *step, const char *text, size_t n, char **out, size_t *out_n)
{
	enum plumb_status status = normal_room(n + step->to.n, out);
	if (status)
		return status;
	memcpy(*out, step->to.p, step->to.n);
	memcpy(*out + step->to.n, text, n);
	*out_n = n + step->to.n;
	return PLUMB_OK;
}

/* Write text with each `from` as `to`, or only count when out is NULL. */
static size_t normal_write(const struct plumb_normal *step, const char *text, size_t n, char *out)
{
	size_t used = 0;
	for (size_t i = 0; i < n;) {
		bool here = n - i >= step->from.n && !memcmp(text + i, step->from.p, step->from.n);
		struct plumb_span put = here ? step->to : (struct plumb_span){ text + i, 1 };
		if (out && put.n)
			memcpy(out + used, put.p, put.n);
		used += put.n;
		i += here ? step->from.n : 1;
	}
	return used;
}

static enum plumb_status normal_replace(
	const struct plumb_normal *step, const char *text, size_t n, char **out, size_t *out_n)
{
	size_t size = normal_write(step, text, n, NULL);
	enum plumb_status status = normal_room(size, out);
	if (!status)
		*out_n = normal_write(step, text, n, *out);
	return status;
}

/* SentencePiece's remove_extra_whitespaces: none at the ends, one between words. */
static enum plumb_status normal_squeeze(const char *text, size_t n, char **out, size_t *out_n)
{
	enum plumb_status status = normal_room(n, out);
	size_t used = 0;
	if (status)
		return status;
	for (size_t i = 0; i < n; i++)
		if (text[i] != ' ' || (used && (*out)[used - 1] != ' '))
			(*out)[used++] = text[i];
	*out_n = used - (used && (*out)[used - 1] == ' ');
	return PLUMB_OK;
}

/* White space at the ends; it becomes a shorter span of the same text. */
static void normal_strip(const struct plumb_normal *step, const char **text, size_t *n)
{
	for (size_t s; step->left && (s = plumb_space_at(*text, *n)); *n -= s)
		*text += s;
	for (size_t s; step->right && (s = plumb_space_before(*text, *n));)
		*n -= s;
}

enum plumb_status plumb_normal_run(
	const struct plumb_normal *steps, int count, const char **text, size_t *n, char **own)
{
	enum plumb_status status = PLUMB_OK;
	for (int i = 0; !status && *n && i < count; i++) {
		const struct plumb_normal *step = &steps[i];
		char *out = NULL;
		size_t out_n = 0;
		switch (step->kind) {
		case PLUMB_NORMAL_FORM: status = plumb_nfc_form(step->form, *text, *n, &out, &out_n); break;
		case PLUMB_NORMAL_PREPEND: status = normal_prepend(step, *text, *n, &out, &out_n); break;
		case PLUMB_NORMAL_REPLACE: status = normal_replace(step, *text, *n, &out, &out_n); break;
		case PLUMB_NORMAL_SQUEEZE: status = normal_squeeze(*text, *n, &out, &out_n); break;
		case PLUMB_NORMAL_STRIP: normal_strip(step, text, n); break;
		}
		if (status || !out)
			continue;
		free(*own);
		*own = out;
		*text = out;
		*n = out_n;
	}
	return status;
}

void plumb_normal_free(struct plumb_normal *steps, int count)
{
	for (int i = 0; i < count; i++) {
		free((void *)steps[i].from.p);
		free((void *)steps[i].to.p);
	}
}
