/* SPDX-License-Identifier: Apache-2.0 */
/* A list of sentences. */
#ifndef PLUMB_DIAG_TEXTS_H
#define PLUMB_DIAG_TEXTS_H

#include <stdbool.h>
#include <jansson.h>

struct plumb_texts {
	char **text;
	int n;
	bool failed; /* one could not be kept */
};
void plumb_texts_add(struct plumb_texts *texts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
json_t *plumb_texts_json(const struct plumb_texts *texts); /* NULL: no memory */
void plumb_texts_free(struct plumb_texts *texts);

#endif
