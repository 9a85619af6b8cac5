/* SPDX-License-Identifier: Apache-2.0 */
/* A model in several GGUF files, as llama-gguf-split makes them: PREFIX-00001-of-00003.gguf and so on. The
 * first has all metadata; each says its number (split.no, from 0) and how many there are (split.count). Any
 * of them opens the whole. */
#include "format/format.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SHARDS = 65535 }; /* the keys are 16 bits wide */
#define SUFFIX "-%05d-of-%05d.gguf"

static enum plumb_status shards_whole(
	const struct plumb_file *file, const char *key, int64_t low, int64_t high, int64_t *value)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, key);
	if (!m)
		return plumb_fail(PLUMB_E_FORMAT, "part of a split model, and the key %s is missing", key);
	if (m->kind != PLUMB_META_INT || m->i < low || m->i > high)
		return plumb_fail(PLUMB_E_FORMAT, "metadata '%s' must be a whole number from %" PRId64 " to %" PRId64,
			key, low, high);
	*value = m->i;
	return PLUMB_OK;
}

enum plumb_status plumb_shards_of(const struct plumb_file *file, int64_t *no, int64_t *count)
{
	*no = 0;
	*count = 1;
	if (!plumb_file_meta_find(file, "split.count"))
		return PLUMB_OK;
	enum plumb_status s = shards_whole(file, "split.count", 0, MOST_SHARDS, count);
	if (*count <= 1)
		*count = 1;
	else if (!s)
		s = shards_whole(file, "split.no", 0, *count - 1, no);
	return s;
}

/* Path of another part; NULL without memory, or where the name of the given one does not have the form. */
static char *shards_sibling(const char *path, int64_t no, int64_t count, int64_t other)
{
	char suffix[64];
	const size_t n = strlen(path),
				 m = (size_t)snprintf(suffix, sizeof suffix, SUFFIX, (int)no + 1, (int)count);
	if (n < m || strcmp(path + n - m, suffix) != 0)
		return NULL;
	snprintf(suffix, sizeof suffix, SUFFIX, (int)other + 1, (int)count);
	char *p = malloc(n + sizeof suffix);
	if (p) {
		memcpy(p, path, n - m);
		strcpy(p + (n - m), suffix);
	}
	return p;
}

/* Open part `other` and compare what it says of itself. */
static enum plumb_status shards_open_part(
	struct plumb_file **part, const char *path, plumb_open_fn open, int64_t no, int64_t count, int64_t other)
{
	int64_t its_no, its_count;
	char *name = shards_sibling(path, no, count, other);
	*part = NULL;
	if (!name)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the name of a part");
	enum plumb_status s = open(part, name);
	if (s) {
		s = plumb_fail_in(s, "part %" PRId64 " of %" PRId64 " of the split model", other + 1, count);
	} else if ((s = plumb_shards_of(*part, &its_no, &its_count))) {
		s = plumb_fail_in(s, "%s", name);
	} else if (its_no != other || its_count != count) {
		s = plumb_fail(PLUMB_E_FORMAT,
			"%s: says that it is part %" PRId64 " of %" PRId64 ", its name says %" PRId64 " of %" PRId64,
			name, its_no + 1, its_count, other + 1, count);
	}
	free(name);
	return s;
}

/* Each part tells how many tensors all of them hold: one of another model tells another number. */
static enum plumb_status shards_check_total(const struct plumb_file *part, int64_t number, int64_t total)
{
	int64_t said;
	if (!plumb_file_meta_find(part, "split.tensors.count"))
		return PLUMB_OK;
	enum plumb_status s = shards_whole(part, "split.tensors.count", 0, INT64_MAX, &said);
	if (!s && said != total)
		s = plumb_fail(PLUMB_E_FORMAT,
			"the parts hold %" PRId64 " tensors, split.tensors.count says %" PRId64
			": they are not of one model",
			total, said);
	return s ? plumb_fail_in(s, "part %" PRId64, number) : s;
}

static enum plumb_status shards_check_totals(const struct plumb_file *root)
{
	for (int64_t i = -1; i < root->shards; i++) {
		enum plumb_status s = shards_check_total(i < 0 ? root : root->shard[i], i + 2, root->tensors);
		if (s)
			return s;
	}
	return PLUMB_OK;
}

enum plumb_status plumb_shards_merge(struct plumb_file *root)
{
	int64_t total = root->tensors;
	for (int64_t i = 0; i < root->shards; i++)
		if (__builtin_add_overflow(total, root->shard[i]->tensors, &total))
			return plumb_fail(PLUMB_E_FORMAT, "too many tensors in the parts");
	struct plumb_file_tensor *all = calloc(total > 0 ? (size_t)total : 1, sizeof *all);
	if (!all)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRId64 " tensors", total);
	int64_t n = 0;
	for (int64_t i = -1; i < root->shards; i++) {
		const struct plumb_file *from = i < 0 ? root : root->shard[i];
		if (from->tensors > 0)
			memcpy(all + n, from->tensor, (size_t)from->tensors * sizeof *all);
		n += from->tensors;
	}
	free(root->tensor);
	root->tensor = all;
	root->tensors = total;
	free(root->tensor_names.slot);
	root->tensor_names.slot = NULL;
	return plumb_file_index_tensors(root);
}

enum plumb_status plumb_shards_join(struct plumb_file **file, const char *path, plumb_open_fn open)
{
	int64_t no, count;
	enum plumb_status s = plumb_shards_of(*file, &no, &count);
	if (s || count == 1)
		return s;
	char *name = shards_sibling(path, no, count, no);
	if (!name)
		return plumb_fail(PLUMB_E_FORMAT,
			"part %" PRId64 " of %" PRId64 " of a split model: the others are found by its name, "
			"which must end in " SUFFIX,
			no + 1, count, (int)no + 1, (int)count);
	free(name);
	struct plumb_file **part = calloc((size_t)count, sizeof *part);
	if (!part)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRId64 " parts", count);
	part[no] = *file;
	for (int64_t i = 0; i < count && !s; i++)
		if (i != no)
			s = shards_open_part(&part[i], path, open, no, count, i);
	if (s) {
		for (int64_t i = 0; i < count; i++)
			if (i != no)
				plumb_file_close(part[i]);
		free(part);
		return s;
	}
	struct plumb_file *root = part[0];
	memmove(part, part + 1, (size_t)(count - 1) * sizeof *part);
	root->shard = part;
	root->shards = count - 1;
	*file = root;
	s = plumb_shards_merge(root);
	return s ? s : shards_check_totals(root);
}
