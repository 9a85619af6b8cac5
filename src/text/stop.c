/* SPDX-License-Identifier: Apache-2.0 */
/* Stop texts in a stream of bytes. Each text is looked for by Knuth, Morris and Pratt's automaton, whose
 * state is the length of the text's longest beginning that ends the bytes so far; so what must be held back
 * is known after each byte, and the result does not depend on how the bytes came in pieces. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

#define MOST_TEXT ((size_t)1 << 20)

struct one {
	char *text;
	size_t *back; /* back[i]: longest proper beginning of text that ends text[0, i] */
	size_t n, state;
};

struct plumb_stop {
	struct one *one;
	size_t count;
	int hit;     /* -1: none yet */
	char *bytes; /* what came out last (a gap for the next call), then what is held */
	size_t out, held, room;
};

static bool stop_add(struct one *one, struct plumb_span text)
{
	one->text = malloc(text.n);
	one->back = calloc(text.n, sizeof *one->back);
	one->n = text.n;
	if (!one->text || !one->back)
		return false;
	memcpy(one->text, text.p, text.n);
	for (size_t i = 1, k = 0; i < text.n; i++) {
		while (k && text.p[i] != text.p[k])
			k = one->back[k - 1];
		k += text.p[i] == text.p[k];
		one->back[i] = k;
	}
	return true;
}

enum plumb_status plumb_stop_new(struct plumb_stop **out, const struct plumb_span *texts, size_t count)
{
	*out = NULL;
	for (size_t i = 0; i < count; i++) {
		if (!texts[i].n)
			return plumb_fail(PLUMB_E_ARGUMENT, "stop text %zu is empty", i);
		if (texts[i].n > MOST_TEXT)
			return plumb_fail(
				PLUMB_E_LIMIT, "stop text %zu has %zu bytes, at most %zu", i, texts[i].n, MOST_TEXT);
	}
	struct plumb_stop *s = calloc(1, sizeof *s);
	bool good = s && (s->one = calloc(count + 1, sizeof *s->one));
	for (size_t i = 0; good && i < count; i++) {
		s->count++;
		good = stop_add(&s->one[i], texts[i]);
	}
	if (!good) {
		plumb_stop_free(s);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu stop texts", count);
	}
	s->hit = -1;
	*out = s;
	return PLUMB_OK;
}

void plumb_stop_free(struct plumb_stop *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		free(s->one[i].text);
		free(s->one[i].back);
	}
	free(s->one);
	free(s->bytes);
	free(s);
}

/* Take a byte; the longest text that ends with it has been met: s->hit. Returns the longest beginning of a
 * text that ends the bytes. */
static size_t stop_step(struct plumb_stop *s, char byte)
{
	size_t longest = 0, met = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct one *one = &s->one[i];
		while (one->state && one->text[one->state] != byte)
			one->state = one->back[one->state - 1];
		one->state += one->text[one->state] == byte;
		longest = one->state > longest ? one->state : longest;
		if (one->state == one->n && one->n > met) {
			met = one->n;
			s->hit = (int)i;
		}
	}
	return met ? met : longest;
}

enum plumb_status plumb_stop_feed(
	struct plumb_stop *s, const char *text, size_t n, struct plumb_span *out, int *hit)
{
	*out = (struct plumb_span){ "", 0 };
	*hit = s->hit;
	if (s->hit >= 0)
		return PLUMB_OK;
	if (n > SIZE_MAX / 2 - s->held)
		return plumb_fail(PLUMB_E_LIMIT, "%zu bytes at once", n);
	if (s->held + n > s->room) {
		char *bytes = malloc(2 * (s->held + n));
		if (!bytes)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for a text of %zu bytes", s->held + n);
		if (s->held)
			memcpy(bytes, s->bytes + s->out, s->held);
		free(s->bytes);
		s->bytes = bytes;
		s->room = 2 * (s->held + n);
	} else if (s->held)
		memmove(s->bytes, s->bytes + s->out, s->held);
	size_t size = s->held, hold = s->held;
	for (size_t i = 0; i < n && s->hit < 0; i++) {
		s->bytes[size++] = text[i];
		hold = stop_step(s, text[i]);
	}
	s->out = size - hold;
	s->held = s->hit < 0 ? hold : 0;
	if (s->out)
		*out = (struct plumb_span){ s->bytes, s->out };
	*hit = s->hit;
	return PLUMB_OK;
}

struct plumb_span plumb_stop_end(struct plumb_stop *s)
{
	struct plumb_span rest = { s->held ? s->bytes + s->out : "", s->held };
	s->held = 0;
	s->out = 0;
	for (size_t i = 0; i < s->count; i++)
		s->one[i].state = 0;
	return rest;
}
