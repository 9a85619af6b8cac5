/* SPDX-License-Identifier: Apache-2.0 */
/* What plumb info knows about a file, for people (info.c) and for programs (info_json.c). */
#ifndef PLUMB_CLI_INFO_H
#define PLUMB_CLI_INFO_H

#include "cli/cli.h"

enum { INFO_TYPES = 64 }; /* more than there are in ggml */
struct info_facts {
	const char *path;
	const struct plumb_file *file;
	struct plumb_config config;
	struct plumb_tokenizer *tok; /* NULL: none, and why not */
	char config_error[256], tok_error[256];
	bool has_config;
	int specials;
	struct info_sum {
		const char *name;
		int64_t tensors, elements;
		uint64_t bytes;
	} sum[INFO_TYPES], all;
};

static inline struct plumb_span info_text(const struct plumb_file *file, const char *key)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, key);
	return m && m->kind == PLUMB_META_STRING ? m->s : (struct plumb_span){ NULL, 0 };
}

int info_json(const struct info_facts *f); /* prints it */

#endif
