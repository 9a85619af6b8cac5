/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of src/format share: bytes opened from a copy that ends where they end, and
 * an error expected by its status and words. */
#ifndef FORMAT_EXPECT_H
#define FORMAT_EXPECT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/file.h>

TCase *files_tests(void);       /* files.c */
TCase *pages_tests(void);       /* pages.c */
TCase *safetensors_tests(void); /* safetensors.c */
TCase *shard_tests(void);       /* shards.c */

/* In memory of exactly n bytes, so that a sanitizer sees a read past them. */
static inline enum plumb_status open_copy(const void *bytes, size_t n, struct plumb_file **file, void **copy)
{
	*copy = malloc(n > 0 ? n : 1);
	ck_assert_ptr_nonnull(*copy);
	memcpy(*copy, bytes, n);
	return plumb_file_from_memory(file, *copy, n);
}

static inline void expect_error(const void *bytes, size_t n, enum plumb_status status, const char *words)
{
	struct plumb_file *file;
	void *copy;
	const enum plumb_status got = open_copy(bytes, n, &file, &copy);
	ck_assert_msg(got == status, "status %d, expected %d (%s): %s", got, status, words, plumb_last_error());
	ck_assert_ptr_null(file);
	ck_assert_msg(strstr(plumb_last_error(), words) != NULL, "'%s' lacks '%s'", plumb_last_error(), words);
	free(copy);
}

static inline int span_is(struct plumb_span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

#endif
