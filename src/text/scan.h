/* SPDX-License-Identifier: Apache-2.0 */
/* The two large members of a tokenizer.json, model.vocab and model.merges, read without a tree: a vocabulary
 * has a million strings. */
#ifndef PLUMB_TEXT_SCAN_H
#define PLUMB_TEXT_SCAN_H

#include <stddef.h>
#include <plumb/file.h>
#include <plumb/status.h>

/* A token and its id, or its score where the vocabulary is a list. Spans point into the document or into
 * `own`. */
struct plumb_scan_token {
	struct plumb_span text;
	int64_t id;
	double score;
};

struct plumb_scan {
	struct plumb_scan_token *token;
	size_t tokens;
	bool scored;              /* the vocabulary is a list */
	struct plumb_span *merge; /* two to each */
	size_t merges;
	char *own;  /* strings that were written with escapes */
	char *rest; /* the document with null in the place of both */
	size_t rest_n;
};

/* Read a document of valid UTF-8. PLUMB_E_FORMAT with the byte where it is none, or not of this form. On
 * failure, too, plumb_scan_free frees what there is. */
enum plumb_status plumb_scan_read(struct plumb_scan *scan, const char *text, size_t n);
void plumb_scan_free(struct plumb_scan *scan);

#endif
