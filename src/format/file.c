/* SPDX-License-Identifier: Apache-2.0 */
/* An open file, whatever its format: its names indexed, its tensors checked, what is asked of it, and its
 * end. */
#include "format/format.h"
#include "core/core.h"
#include "core/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- names --- */

static const struct plumb_span *file_name_of(const void *items, size_t stride, size_t index)
{
	return (const struct plumb_span *)(const void *)((const char *)items + index * stride);
}

/* Slot of the name, or the free slot where it would go. */
static uint32_t *file_names_slot(
	const struct plumb_names *names, const void *items, size_t stride, const char *p, size_t n)
{
	size_t i = plumb_hash_end(plumb_hash_bytes(names->seed, p, n)) & names->mask;
	for (; names->slot[i] != 0; i = (i + 1) & names->mask) {
		const struct plumb_span *other = file_name_of(items, stride, names->slot[i] - 1);
		if (other->n == n && (n == 0 || memcmp(other->p, p, n) == 0))
			break;
	}
	return &names->slot[i];
}

static enum plumb_status file_names_build(
	struct plumb_names *names, const void *items, size_t stride, int64_t n, const char *what)
{
	size_t slots = 4;
	if (n > INT32_MAX / 2)
		return plumb_fail(
			PLUMB_E_UNSUPPORTED, "%" PRId64 " %s names, at most %d are supported", n, what, INT32_MAX / 2);
	while (slots < (size_t)n * 2)
		slots *= 2;
	names->slot = calloc(slots, sizeof *names->slot);
	if (!names->slot)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for an index of %" PRId64 " %s names", n, what);
	names->mask = slots - 1;
	names->seed = plumb_hash_seed();
	for (int64_t i = 0; i < n; i++) {
		char text[PLUMB_QUOTE];
		const struct plumb_span *name = file_name_of(items, stride, (size_t)i);
		uint32_t *slot = file_names_slot(names, items, stride, name->p, name->n);
		if (*slot != 0)
			return plumb_fail(PLUMB_E_FORMAT, "%s '%s' is there twice, as number %" PRIu32 " and %" PRId64,
				what, plumb_quote(*name, text), *slot - 1, i);
		*slot = (uint32_t)i + 1;
	}
	return PLUMB_OK;
}

static int64_t file_names_find(
	const struct plumb_names *names, const void *items, size_t stride, const char *name)
{
	return !names->slot ? -1 : (int64_t)*file_names_slot(names, items, stride, name, strlen(name)) - 1;
}

enum plumb_status plumb_file_index_metas(struct plumb_file *file)
{
	return file_names_build(&file->meta_names, file->meta, sizeof *file->meta, file->metas, "metadata key");
}

enum plumb_status plumb_file_index_tensors(struct plumb_file *file)
{
	return file_names_build(&file->tensor_names, file->tensor, sizeof *file->tensor, file->tensors, "tensor");
}

/* --- tensors --- */

enum plumb_status plumb_file_tensor_blocks(struct plumb_file_tensor *t, int64_t elements, size_t bytes)
{
	char text[PLUMB_QUOTE];
	int64_t count = 1;
	for (int i = 0; i < t->rank; i++) {
		if (t->dim[i] < 1)
			return plumb_fail(PLUMB_E_FORMAT,
				"tensor '%s': dimension %d of %d is %" PRId64 ", it must be at least 1",
				plumb_quote(t->name, text), i, t->rank, t->dim[i]);
		if (__builtin_mul_overflow(count, t->dim[i], &count))
			return plumb_fail(PLUMB_E_FORMAT,
				"tensor '%s': the product of its dimensions overflows at dimension %d, "
				"%" PRId64,
				plumb_quote(t->name, text), i, t->dim[i]);
	}
	const int64_t row = t->dim[t->rank - 1];
	if (row % elements != 0)
		return plumb_fail(PLUMB_E_FORMAT,
			"tensor '%s': rows of %" PRId64 " elements are not whole blocks of %" PRId64 ", as %s needs",
			plumb_quote(t->name, text), row, elements, t->type_name);
	if (__builtin_mul_overflow((uint64_t)(count / elements), (uint64_t)bytes, &t->bytes))
		return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': the size of %" PRId64 " elements of %s overflows",
			plumb_quote(t->name, text), count, t->type_name);
	return PLUMB_OK;
}

static int file_by_address(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)(*(const struct plumb_file_tensor *const *)a)->data;
	const uintptr_t y = (uintptr_t)(*(const struct plumb_file_tensor *const *)b)->data;
	return (x > y) - (x < y);
}

enum plumb_status plumb_file_check_overlap(const struct plumb_file *file, size_t *total)
{
	const size_t n = (size_t)file->tensors;
	enum plumb_status s = PLUMB_OK;
	*total = 0;
	if (n == 0)
		return PLUMB_OK;
	const struct plumb_file_tensor **order = calloc(n, sizeof *order);
	if (!order)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to sort %zu tensors", n);
	for (size_t i = 0; i < n; i++)
		order[i] = &file->tensor[i];
	qsort(order, n, sizeof *order, file_by_address);
	for (size_t i = 0; i < n && !s; i++) {
		const unsigned char *start = order[i]->data;
		const unsigned char *end = i == 0 ? start
										  : (const unsigned char *)order[i - 1]->data + order[i - 1]->bytes;
		char a[PLUMB_QUOTE], b[PLUMB_QUOTE];
		if (end > start)
			s = plumb_fail(PLUMB_E_FORMAT,
				"tensor '%s' begins at byte %td, inside tensor '%s', which ends at byte %td",
				plumb_quote(order[i]->name, a), start - file->base, plumb_quote(order[i - 1]->name, b),
				end - file->base);
		*total += order[i]->bytes; /* apart and inside the file: no overflow */
	}
	free(order);
	return s;
}

/* --- memory of the file's --- */

struct plumb_kept {
	struct plumb_kept *next;
	char bytes[];
};

char *plumb_file_keep(struct plumb_file *file, const char *p, size_t n)
{
	struct plumb_kept *k = n < SIZE_MAX / 2 ? malloc(sizeof *k + n + 1) : NULL;
	if (!k)
		return NULL;
	if (p && n > 0)
		memcpy(k->bytes, p, n);
	k->bytes[n] = 0;
	k->next = file->kept;
	file->kept = k;
	return k->bytes;
}

/* --- closing --- */

void plumb_file_close(struct plumb_file *file)
{
	if (!file)
		return;
	for (int64_t i = 0; i < file->metas; i++)
		free((void *)(uintptr_t)file->meta[i].array);
	free(file->meta);
	free(file->tensor);
	free(file->meta_names.slot);
	free(file->tensor_names.slot);
	free(file->text);
	for (struct plumb_kept *k = file->kept, *next; k; k = next) {
		next = k->next;
		free(k);
	}
	if (file->tokenizer.base)
		munmap(file->tokenizer.base, file->tokenizer.size);
	for (int64_t i = 0; i < file->shards; i++)
		plumb_file_close(file->shard[i]);
	free(file->shard);
	if (file->mapped)
		munmap((void *)(uintptr_t)file->base, file->size);
	free(file);
}

/* Whole pages inside; never of memory that is not the file's mapping, where this would lose the content. */
static void file_release(const struct plumb_file *file, size_t at, size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t first = (at + page - 1) / page * page, end = (at + bytes) / page * page;
	if (first < end)
		madvise((void *)(uintptr_t)(file->base + first), end - first, MADV_DONTNEED);
}

void plumb_file_release(const struct plumb_file *file, const void *data, size_t bytes)
{
	const uintptr_t p = (uintptr_t)data;
	for (int64_t i = -1; i < file->shards; i++) {
		const struct plumb_file *f = i < 0 ? file : file->shard[i];
		const uintptr_t base = (uintptr_t)f->base;
		if (p >= base && p - base < f->size && f->mapped && !f->anonymous)
			file_release(f, p - base, bytes);
	}
}

/* --- looking --- */

const char *plumb_file_format(const struct plumb_file *file) { return file->format_name; }
uint64_t plumb_file_size(const struct plumb_file *file)
{
	uint64_t size = file->size;
	for (int64_t i = 0; i < file->shards; i++)
		size += file->shard[i]->size;
	return size;
}

int64_t plumb_file_shards(const struct plumb_file *file) { return file->shards + 1; }
int64_t plumb_file_tensors(const struct plumb_file *file) { return file->tensors; }
int64_t plumb_file_metas(const struct plumb_file *file) { return file->metas; }

const struct plumb_file_tensor *plumb_file_tensor(const struct plumb_file *file, int64_t index)
{
	return index >= 0 && index < file->tensors ? &file->tensor[index] : NULL;
}

const struct plumb_meta *plumb_file_meta(const struct plumb_file *file, int64_t index)
{
	return index >= 0 && index < file->metas ? &file->meta[index] : NULL;
}

const struct plumb_file_tensor *plumb_file_find(const struct plumb_file *file, const char *name)
{
	return plumb_file_tensor(
		file, file_names_find(&file->tensor_names, file->tensor, sizeof *file->tensor, name));
}

const struct plumb_meta *plumb_file_meta_find(const struct plumb_file *file, const char *key)
{
	return plumb_file_meta(file, file_names_find(&file->meta_names, file->meta, sizeof *file->meta, key));
}

/* Asked wrongly (another kind, past the end) these answer with nothing instead of reading astray. */
struct plumb_span plumb_meta_string_at(const struct plumb_meta *meta, uint64_t index)
{
	if (!meta->array || meta->of != PLUMB_META_STRING || index >= meta->n)
		return (struct plumb_span){ "", 0 };
	return meta->array->string[index];
}

int64_t plumb_meta_int_at(const struct plumb_meta *meta, uint64_t index)
{
	const struct plumb_meta_array *a = meta->array;
	if (!a || index >= meta->n || (meta->of != PLUMB_META_INT && meta->of != PLUMB_META_BOOL))
		return 0;
	return plumb_load_int(a->p + index * (size_t)a->width, a->width, a->is_signed);
}

uint64_t plumb_meta_uint_at(const struct plumb_meta *meta, uint64_t index)
{
	const struct plumb_meta_array *a = meta->array;
	return plumb_meta_int_at(meta, index) > 0 ? plumb_load_uint(a->p + index * (size_t)a->width, a->width)
											  : 0;
}

double plumb_meta_float_at(const struct plumb_meta *meta, uint64_t index)
{
	const struct plumb_meta_array *a = meta->array;
	if (!a || index >= meta->n || meta->of != PLUMB_META_FLOAT)
		return plumb_meta_int_at(meta, index) < 0 ? (double)plumb_meta_int_at(meta, index)
												  : (double)plumb_meta_uint_at(meta, index);
	return plumb_load_float(a->p + index * (size_t)a->width, a->width);
}
