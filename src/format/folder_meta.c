/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata of a model folder, made one by one: the same structures that a GGUF file's have. */
#include "format/folder.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A new value whose key is set; NULL: something failed. */
static struct plumb_meta *folder_meta_new(struct plumb_folder *f, const char *key, enum plumb_meta_kind kind)
{
	if (f->status)
		return NULL;
	if (f->metas == f->room) {
		const int64_t room = f->room > 0 ? 2 * f->room : 64;
		struct plumb_meta *more = realloc(f->meta, (size_t)room * sizeof *more);
		if (!more) {
			f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRId64 " metadata values", room);
			return NULL;
		}
		f->meta = more;
		f->room = room;
	}
	const size_t prefix = key[0] == '.' ? strlen(f->architecture) : 0, n = strlen(key);
	char *name = plumb_file_keep(f->file, NULL, prefix + n);
	if (!name) {
		f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for the metadata key %.64s", key);
		return NULL;
	}
	memcpy(name, f->architecture, prefix);
	memcpy(name + prefix, key, n);
	struct plumb_meta *m = &f->meta[f->metas++];
	*m = (struct plumb_meta){ .key = { name, prefix + n }, .kind = kind };
	return m;
}

void plumb_folder_add_flag(struct plumb_folder *f, const char *key, bool value)
{
	struct plumb_meta *m = folder_meta_new(f, key, PLUMB_META_BOOL);
	if (m) {
		m->i = value;
		m->u = value;
		m->f = value;
	}
}

void plumb_folder_add_whole(struct plumb_folder *f, const char *key, int64_t value)
{
	struct plumb_meta *m = folder_meta_new(f, key, PLUMB_META_INT);
	if (m) {
		m->i = value;
		m->u = value < 0 ? 0 : (uint64_t)value;
		m->f = (double)value;
	}
}

void plumb_folder_add_number(struct plumb_folder *f, const char *key, double value)
{
	struct plumb_meta *m = folder_meta_new(f, key, PLUMB_META_FLOAT);
	if (m)
		m->f = value;
}

void plumb_folder_add_text(struct plumb_folder *f, const char *key, const char *text)
{
	const size_t n = strlen(text);
	const char *copy = f->status ? NULL : plumb_file_keep(f->file, text, n);
	if (copy)
		plumb_folder_add_span(f, key, (struct plumb_span){ copy, n });
	else if (!f->status)
		f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for the text of %.64s", key);
}

void plumb_folder_add_span(struct plumb_folder *f, const char *key, struct plumb_span span)
{
	struct plumb_meta *m = folder_meta_new(f, key, PLUMB_META_STRING);
	if (m)
		m->s = span;
}

/* The elements lie behind the array's own structure, in the one allocation that the file frees. */
static void folder_meta_array(
	struct plumb_folder *f, const char *key, enum plumb_meta_kind of, const void *value, int width, int64_t n)
{
	struct plumb_meta *m = folder_meta_new(f, key, PLUMB_META_ARRAY);
	const size_t bytes = (size_t)n * (size_t)width;
	struct plumb_meta_array *array = m ? malloc(sizeof *array + bytes) : NULL;
	if (m && !array)
		f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRId64 " elements of %.64s", n, key);
	if (!array)
		return;
	unsigned char *p = (unsigned char *)(array + 1);
	if (bytes > 0)
		memcpy(p, value, bytes);
	*array = (struct plumb_meta_array){ .p = p, .width = width, .is_signed = width > 1 };
	m->of = of;
	m->n = (uint64_t)n;
	m->array = array;
}

void plumb_folder_add_flags(struct plumb_folder *f, const char *key, const unsigned char *value, int64_t n)
{
	folder_meta_array(f, key, PLUMB_META_BOOL, value, 1, n);
}

void plumb_folder_add_wholes(struct plumb_folder *f, const char *key, const int64_t *value, int64_t n)
{
	folder_meta_array(f, key, PLUMB_META_INT, value, sizeof *value, n);
}

void plumb_folder_add_numbers(struct plumb_folder *f, const char *key, const double *value, int64_t n)
{
	folder_meta_array(f, key, PLUMB_META_FLOAT, value, sizeof *value, n);
}

static void folder_meta_structure(struct plumb_folder *f, const char *key, const json_t *value)
{
	char *text = plumb_json_write(value, JSON_COMPACT);
	if (text)
		plumb_folder_add_text(f, key, text);
	else if (!f->status)
		f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for the text of %.64s", key);
	free(text);
}

void plumb_folder_add_unknown(
	struct plumb_folder *f, const char *prefix, const char *key, const json_t *value)
{
	char *full = plumb_file_keep(f->file, NULL, strlen(prefix) + 1 + strlen(key));
	if (!full) {
		f->status = f->status ? f->status : plumb_fail(PLUMB_E_MEMORY, "no memory for the key %.64s", key);
		return;
	}
	plumb_format(full, strlen(prefix) + strlen(key) + 2, "%s.%s", prefix, key);
	switch (json_typeof(value)) {
	case JSON_TRUE:
	case JSON_FALSE: plumb_folder_add_flag(f, full, json_is_true(value)); break;
	case JSON_INTEGER: plumb_folder_add_whole(f, full, json_integer_value(value)); break;
	case JSON_REAL: plumb_folder_add_number(f, full, json_real_value(value)); break;
	case JSON_STRING: plumb_folder_add_text(f, full, json_string_value(value)); break;
	case JSON_OBJECT:
	case JSON_ARRAY: folder_meta_structure(f, full, value); break;
	case JSON_NULL: break;
	}
}
