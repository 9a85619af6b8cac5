/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz entry does with a file that opened: touch all that the public functions give, and abort where
 * they break the promises of plumb/file.h. Whoever includes it has insist(). */
#ifndef FUZZ_WALK_FILE_H
#define FUZZ_WALK_FILE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/file.h>

static inline unsigned touch(const void *p, size_t n)
{
	unsigned sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += ((const unsigned char *)p)[i];
	return sum;
}

static inline unsigned walk_meta(const struct plumb_meta *meta)
{
	unsigned sum = touch(meta->key.p, meta->key.n) + touch(meta->s.p, meta->s.n);
	for (uint64_t i = 0; i < meta->n; i++) {
		const struct plumb_span s = plumb_meta_string_at(meta, i);
		sum += touch(s.p, s.n) + (plumb_meta_int_at(meta, i) != 0) + (plumb_meta_float_at(meta, i) > 0);
	}
	return sum;
}

static inline unsigned walk_tensor(const struct plumb_file *file, const struct plumb_file_tensor *t)
{
	int64_t count = 1;
	insist(t->rank >= 1 && t->rank <= PLUMB_MAX_RANK);
	for (int i = 0; i < PLUMB_MAX_RANK; i++) {
		insist(t->dim[i] >= 1);
		count *= t->dim[i];
	}
	insist(t->type_name && t->type_name[0]);
	if (t->type != PLUMB_TYPE_COUNT)
		insist((size_t)(count / plumb_type_block(t->type)) * plumb_type_bytes(t->type) == t->bytes);
	char *name = malloc(t->name.n + 1);
	insist(name != NULL);
	memcpy(name, t->name.p, t->name.n);
	name[t->name.n] = '\0';
	if (strlen(name) == t->name.n)
		insist(plumb_file_find(file, name) == t);
	free(name);
	return touch(t->data, t->bytes);
}

/* All that the public functions give of it. */
static inline void walk_file(const struct plumb_file *file)
{
	static volatile unsigned sink; /* keeps the reads */
	unsigned sum = 0;
	for (int64_t i = 0; i < plumb_file_metas(file); i++)
		sum += walk_meta(plumb_file_meta(file, i));
	for (int64_t i = 0; i < plumb_file_tensors(file); i++)
		sum += walk_tensor(file, plumb_file_tensor(file, i));
	insist(plumb_file_meta(file, plumb_file_metas(file)) == NULL);
	insist(plumb_file_tensor(file, plumb_file_tensors(file)) == NULL);
	sink = sink + sum;
}

#endif
