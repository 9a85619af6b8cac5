/* SPDX-License-Identifier: Apache-2.0 */
/* The table of formats, the open file and what the readers share: cursor, names, look-up.
 * What the bytes of one format mean is in gguf.c and safetensors.c. */
#include "format/format.h"
#include "core/core.h"
#include "core/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct plumb_format *const formats[] = {&plumb_format_gguf, &plumb_format_safetensors};

/* --- cursor and scalars --- */

enum plumb_status plumb_cursor_bytes(struct plumb_cursor *c, uint64_t n, const unsigned char **p, const char *what)
{
	if (n > plumb_cursor_left(c))
		return plumb_fail(PLUMB_E_FORMAT, "byte %zu: %s needs %" PRIu64 " bytes, the file has %zu left%s",
			c->at, what, n, plumb_cursor_left(c), plumb_lacks(n));
	*p = c->base + c->at;
	c->at += n;
	return PLUMB_OK;
}

enum plumb_status plumb_cursor_u32(struct plumb_cursor *c, uint32_t *value, const char *what)
{
	const unsigned char *p = c->base;
	enum plumb_status status = plumb_cursor_bytes(c, 4, &p, what);
	if (status == PLUMB_OK)
		*value = (uint32_t)plumb_load_uint(p, 4);
	return status;
}

enum plumb_status plumb_cursor_u64(struct plumb_cursor *c, uint64_t *value, const char *what)
{
	const unsigned char *p = c->base;
	enum plumb_status status = plumb_cursor_bytes(c, 8, &p, what);
	if (status == PLUMB_OK)
		*value = plumb_load_uint(p, 8);
	return status;
}

enum plumb_status plumb_cursor_count(struct plumb_cursor *c, uint64_t *count, size_t least, const char *what)
{
	const size_t at = c->at;
	const enum plumb_status status = plumb_cursor_u64(c, count, what);
	if (status == PLUMB_OK && *count > plumb_cursor_left(c) / least)
		return plumb_fail(PLUMB_E_FORMAT, "byte %zu: %s is %" PRIu64 ", at least %zu bytes each, but the file has "
			"%zu left%s", at, what, *count, least, plumb_cursor_left(c), plumb_lacks(*count));
	return status;
}

uint64_t plumb_load_uint(const unsigned char *p, int width)
{
	uint64_t value = 0;
	for (int i = 0; i < width; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

int64_t plumb_load_int(const unsigned char *p, int width, bool is_signed)
{
	uint64_t value = plumb_load_uint(p, width);
	if (!is_signed && value > INT64_MAX)
		return INT64_MAX;
	if (is_signed && width < 8 && (value >> (8 * width - 1)) != 0)
		value |= UINT64_MAX << (8 * width);
	int64_t result;
	memcpy(&result, &value, sizeof result);
	return result;
}

double plumb_load_float(const unsigned char *p, int width)
{
	const uint64_t bits = plumb_load_uint(p, width);
	if (width == 8) {
		double d;
		memcpy(&d, &bits, sizeof d);
		return d;
	}
	const uint32_t low = (uint32_t)bits;
	float f;
	memcpy(&f, &low, sizeof f);
	return f;
}

const char *plumb_quote(struct plumb_span s, char text[PLUMB_QUOTE])
{
	const size_t most = PLUMB_QUOTE - 4, n = s.n < most ? s.n : most;
	for (size_t i = 0; i < n; i++)
		text[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?'; /* nothing that a terminal obeys */
	memcpy(text + n, s.n > n ? "..." : "", s.n > n ? 4 : 1);
	return text;
}

/* --- names --- */

static const struct plumb_span *name_of(const void *items, size_t stride, size_t index)
{
	return (const struct plumb_span *)(const void *)((const char *)items + index * stride);
}

/* Slot of the name, or the free slot where it would go. */
static uint32_t *names_slot(const struct plumb_names *names, const void *items, size_t stride, const char *p, size_t n)
{
	size_t i = plumb_hash_end(plumb_hash_bytes(names->seed, p, n)) & names->mask;
	for (; names->slot[i] != 0; i = (i + 1) & names->mask) {
		const struct plumb_span *other = name_of(items, stride, names->slot[i] - 1);
		if (other->n == n && (n == 0 || memcmp(other->p, p, n) == 0))
			break;
	}
	return &names->slot[i];
}

static enum plumb_status names_build(struct plumb_names *names, const void *items, size_t stride, int64_t n,
	const char *what)
{
	size_t slots = 4;
	if (n > INT32_MAX / 2)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%" PRId64 " %s names, at most %d are supported", n, what, INT32_MAX / 2);
	while (slots < (size_t)n * 2)
		slots *= 2;
	names->slot = calloc(slots, sizeof *names->slot);
	if (names->slot == NULL)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for an index of %" PRId64 " %s names", n, what);
	names->mask = slots - 1;
	names->seed = plumb_hash_seed();
	for (int64_t i = 0; i < n; i++) {
		char text[PLUMB_QUOTE];
		const struct plumb_span *name = name_of(items, stride, (size_t)i);
		uint32_t *slot = names_slot(names, items, stride, name->p, name->n);
		if (*slot != 0)
			return plumb_fail(PLUMB_E_FORMAT, "%s '%s' is there twice, as number %" PRIu32 " and %" PRId64, what,
				plumb_quote(*name, text), *slot - 1, i);
		*slot = (uint32_t)i + 1;
	}
	return PLUMB_OK;
}

static int64_t names_find(const struct plumb_names *names, const void *items, size_t stride, const char *name)
{
	return names->slot == NULL ? -1 : (int64_t)*names_slot(names, items, stride, name, strlen(name)) - 1;
}

enum plumb_status plumb_file_index_metas(struct plumb_file *file)
{
	return names_build(&file->meta_names, file->meta, sizeof *file->meta, file->metas, "metadata key");
}

enum plumb_status plumb_file_index_tensors(struct plumb_file *file)
{
	return names_build(&file->tensor_names, file->tensor, sizeof *file->tensor, file->tensors, "tensor");
}

/* --- tensors --- */

enum plumb_status plumb_file_tensor_blocks(struct plumb_file_tensor *t, int64_t elements, size_t bytes)
{
	char text[PLUMB_QUOTE];
	int64_t count = 1;
	for (int i = 0; i < t->rank; i++) {
		if (t->dim[i] < 1)
			return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': dimension %d of %d is %" PRId64 ", it must be at least 1",
				plumb_quote(t->name, text), i, t->rank, t->dim[i]);
		if (__builtin_mul_overflow(count, t->dim[i], &count))
			return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': the product of its dimensions overflows at dimension %d, "
				"%" PRId64, plumb_quote(t->name, text), i, t->dim[i]);
	}
	const int64_t row = t->dim[t->rank - 1];
	if (row % elements != 0)
		return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': rows of %" PRId64 " elements are not whole blocks of %" PRId64
			", as %s needs", plumb_quote(t->name, text), row, elements, t->type_name);
	if (__builtin_mul_overflow((uint64_t)(count / elements), (uint64_t)bytes, &t->bytes))
		return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': the size of %" PRId64 " elements of %s overflows",
			plumb_quote(t->name, text), count, t->type_name);
	return PLUMB_OK;
}

enum plumb_status plumb_file_tensor_size(struct plumb_file_tensor *t)
{
	t->type_name = plumb_type_name(t->type);
	return plumb_file_tensor_blocks(t, plumb_type_block(t->type), plumb_type_bytes(t->type));
}

static int by_address(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)(*(const struct plumb_file_tensor *const *)a)->data;
	const uintptr_t y = (uintptr_t)(*(const struct plumb_file_tensor *const *)b)->data;
	return (x > y) - (x < y);
}

enum plumb_status plumb_file_check_overlap(const struct plumb_file *file, size_t *total)
{
	const size_t n = (size_t)file->tensors;
	enum plumb_status status = PLUMB_OK;
	*total = 0;
	if (n == 0)
		return PLUMB_OK;
	const struct plumb_file_tensor **order = calloc(n, sizeof *order);
	if (order == NULL)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to sort %zu tensors", n);
	for (size_t i = 0; i < n; i++)
		order[i] = &file->tensor[i];
	qsort(order, n, sizeof *order, by_address);
	for (size_t i = 0; i < n && status == PLUMB_OK; i++) {
		const unsigned char *start = order[i]->data;
		const unsigned char *end = i == 0 ? start : (const unsigned char *)order[i - 1]->data + order[i - 1]->bytes;
		char a[PLUMB_QUOTE], b[PLUMB_QUOTE];
		if (end > start)
			status = plumb_fail(PLUMB_E_FORMAT, "tensor '%s' begins at byte %td, inside tensor '%s', which ends at byte %td",
				plumb_quote(order[i]->name, a), start - file->base, plumb_quote(order[i - 1]->name, b), end - file->base);
		*total += order[i]->bytes; /* apart and inside the file: no overflow */
	}
	free(order);
	return status;
}

/* --- opening --- */

/* Read `size` bytes at `base`. On failure the bytes stay the caller's. */
static enum plumb_status open_bytes(struct plumb_file **file, const unsigned char *base, size_t size)
{
	const struct plumb_format *format = NULL;
	if (size == 0)
		return plumb_fail(PLUMB_E_FORMAT, "empty: 0 bytes, expected GGUF or safetensors");
	for (size_t i = 0; i < sizeof formats / sizeof formats[0] && format == NULL; i++)
		if (formats[i]->probe(base, size))
			format = formats[i];
	if (format == NULL) {
		char text[PLUMB_QUOTE];
		const struct plumb_span start = {(const char *)base, size < 16 ? size : 16};
		return plumb_fail(PLUMB_E_FORMAT, "neither GGUF nor safetensors: %zu bytes that begin with '%s'", size,
			plumb_quote(start, text));
	}
	struct plumb_file *f = calloc(1, sizeof *f);
	if (f == NULL)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a file");
	f->format_name = format->name;
	f->base = base;
	f->size = size;
	const enum plumb_status status = format->open(f);
	if (status == PLUMB_OK)
		*file = f;
	else
		plumb_file_close(f);
	return status;
}

enum plumb_status plumb_file_open_one(struct plumb_file **file, const char *path)
{
	struct plumb_map b = {NULL, 0, false};
	*file = NULL;
	enum plumb_status status = plumb_map_file(path, &b);
	if (status != PLUMB_OK)
		return plumb_fail_in(status, "%s", path);
	status = open_bytes(file, b.base, b.size);
	if (status != PLUMB_OK) {
		munmap(b.base, b.size);
		return plumb_fail_in(status, "%s", path);
	}
	(*file)->mapped = true;
	(*file)->anonymous = b.anonymous;
	return PLUMB_OK;
}

enum plumb_status plumb_file_open(struct plumb_file **file, const char *path)
{
	struct plumb_file *f = NULL;
	*file = NULL;
	if (path == NULL)
		return plumb_fail(PLUMB_E_ARGUMENT, "no path of a model file");
	enum plumb_status status = plumb_file_open_one(&f, path);
	if (status == PLUMB_OK && (status = plumb_shards_join(&f, path)) != PLUMB_OK) {
		plumb_fail_in(status, "%s", path);
		plumb_file_close(f);
	}
	if (status == PLUMB_OK)
		*file = f;
	return status;
}

enum plumb_status plumb_file_from_memory(struct plumb_file **file, const void *bytes, size_t size)
{
	*file = NULL;
	if (bytes == NULL && size != 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "no bytes, but a size of %zu", size);
	if ((uintptr_t)bytes % 8 != 0) /* the file's own alignment is relative to its start */
		return plumb_fail(PLUMB_E_ARGUMENT, "bytes at %p, expected an address aligned to 8", bytes);
	int64_t no, count;
	enum plumb_status status = open_bytes(file, bytes, size);
	if (status == PLUMB_OK && (status = plumb_shards_of(*file, &no, &count)) == PLUMB_OK && count > 1)
		status = plumb_fail(PLUMB_E_UNSUPPORTED, "part %" PRId64 " of %" PRId64 " of a split model: open it by its path", no + 1, count);
	if (status != PLUMB_OK) {
		plumb_file_close(*file);
		*file = NULL;
	}
	return status;
}

void plumb_file_close(struct plumb_file *file)
{
	if (file == NULL)
		return;
	for (int64_t i = 0; i < file->metas; i++)
		free((void *)(uintptr_t)file->meta[i].array);
	free(file->meta);
	free(file->tensor);
	free(file->meta_names.slot);
	free(file->tensor_names.slot);
	free(file->text);
	for (int64_t i = 0; i < file->shards; i++)
		plumb_file_close(file->shard[i]);
	free(file->shard);
	if (file->mapped)
		munmap((void *)(uintptr_t)file->base, file->size);
	free(file);
}

/* Whole pages inside; never of memory that is not the file's mapping, where this would lose the content. */
static void release(const struct plumb_file *file, size_t at, size_t bytes)
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
			release(f, p - base, bytes);
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
	return plumb_file_tensor(file, names_find(&file->tensor_names, file->tensor, sizeof *file->tensor, name));
}

const struct plumb_meta *plumb_file_meta_find(const struct plumb_file *file, const char *key)
{
	return plumb_file_meta(file, names_find(&file->meta_names, file->meta, sizeof *file->meta, key));
}

/* Asked wrongly (another kind, past the end) these answer with nothing instead of reading astray. */
struct plumb_span plumb_meta_string_at(const struct plumb_meta *meta, uint64_t index)
{
	if (meta->array == NULL || meta->of != PLUMB_META_STRING || index >= meta->n)
		return (struct plumb_span){"", 0};
	return meta->array->string[index];
}

int64_t plumb_meta_int_at(const struct plumb_meta *meta, uint64_t index)
{
	const struct plumb_meta_array *a = meta->array;
	if (a == NULL || index >= meta->n || (meta->of != PLUMB_META_INT && meta->of != PLUMB_META_BOOL))
		return 0;
	return plumb_load_int(a->p + index * (size_t)a->width, a->width, a->is_signed);
}

uint64_t plumb_meta_uint_at(const struct plumb_meta *meta, uint64_t index)
{
	const struct plumb_meta_array *a = meta->array;
	return plumb_meta_int_at(meta, index) > 0 ? plumb_load_uint(a->p + index * (size_t)a->width, a->width) : 0;
}

double plumb_meta_float_at(const struct plumb_meta *meta, uint64_t index)
{
	const struct plumb_meta_array *a = meta->array;
	if (a == NULL || index >= meta->n || meta->of != PLUMB_META_FLOAT)
		return plumb_meta_int_at(meta, index) < 0 ? (double)plumb_meta_int_at(meta, index) : (double)plumb_meta_uint_at(meta, index);
	return plumb_load_float(a->p + index * (size_t)a->width, a->width);
}
