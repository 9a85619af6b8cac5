/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: 8 bytes of header length, a JSON header, the data. The JSON itself is read by
 * jansson; its strings are copied, as they may be escaped in the file. */
#include "format/format.h"
#include "core/json.h"
#include "core/core.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HEADER 100000000 /* as in the reference implementation; bounds jansson's memory */

/* Those without a plumb type can be listed, not computed with. */
#define LACKING PLUMB_TYPE_COUNT
static const struct {
	const char *name;
	enum plumb_type type;
	int bytes;
} dtypes[] = {
	{ "F32", PLUMB_F32, 4 },
	{ "F64", PLUMB_F64, 8 },
	{ "F16", PLUMB_F16, 2 },
	{ "BF16", PLUMB_BF16, 2 },
	{ "I32", PLUMB_I32, 4 },
	{ "BOOL", LACKING, 1 },
	{ "U8", LACKING, 1 },
	{ "I8", LACKING, 1 },
	{ "F8_E4M3", LACKING, 1 },
	{ "F8_E5M2", LACKING, 1 },
	{ "F8_E8M0", LACKING, 1 },
	{ "U16", LACKING, 2 },
	{ "I16", LACKING, 2 },
	{ "U32", LACKING, 4 },
	{ "U64", LACKING, 8 },
	{ "I64", LACKING, 8 },
	{ "C64", LACKING, 8 },
};

static bool safetensors_probe(const unsigned char *bytes, size_t size) { return size > 8 && bytes[8] == '{'; }

/* Copy to the file's text, which has room: decoded strings are no longer than the header. */
static struct plumb_span safetensors_keep(char **text, const char *p, size_t n)
{
	const struct plumb_span s = { *text, n };
	memcpy(*text, p, n);
	*text += n;
	return s;
}

static enum plumb_status safetensors_read_metas(struct plumb_file *file, json_t *metadata, char **text)
{
	const char *key;
	json_t *value;
	if (!metadata)
		return plumb_file_index_metas(file);
	if (!json_is_object(metadata))
		return plumb_fail(PLUMB_E_FORMAT, "header: '__metadata__' is not an object");
	file->meta = calloc(json_object_size(metadata) + 1, sizeof *file->meta);
	if (!file->meta)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu metadata values", json_object_size(metadata));
	json_object_foreach(metadata, key, value) {
		struct plumb_meta *meta = &file->meta[file->metas++];
		meta->key = safetensors_keep(text, key, strlen(key));
		meta->kind = PLUMB_META_STRING;
		if (!json_is_string(value)) {
			char quote[PLUMB_QUOTE];
			return plumb_fail(
				PLUMB_E_FORMAT, "header: metadata '%s' is not a string", plumb_quote(meta->key, quote));
		}
		meta->s = safetensors_keep(text, json_string_value(value), json_string_length(value));
	}
	return plumb_file_index_metas(file);
}

static enum plumb_status safetensors_read_dtype(struct plumb_file_tensor *t, const json_t *dtype, int *width)
{
	char name[PLUMB_QUOTE], quote[PLUMB_QUOTE];
	const char *s = json_string_value(dtype);
	if (!s)
		return plumb_fail(
			PLUMB_E_FORMAT, "tensor '%s': 'dtype' is missing or not a string", plumb_quote(t->name, name));
	for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
		if (strcmp(s, dtypes[i].name) == 0) {
			t->type = dtypes[i].type;
			t->type_name = dtypes[i].type == LACKING ? dtypes[i].name : plumb_type_name(dtypes[i].type);
			*width = dtypes[i].bytes;
			return PLUMB_OK;
		}
	}
	return plumb_fail(PLUMB_E_UNSUPPORTED, "tensor '%s' is of type %s, which plumb does not have",
		plumb_quote(t->name, name), plumb_quote((struct plumb_span){ s, strlen(s) }, quote));
}

/* A shape of no dimensions is one element; of none at all (a zero), nothing plumb could use. */
static enum plumb_status safetensors_read_shape(struct plumb_file_tensor *t, const json_t *shape, int width)
{
	char name[PLUMB_QUOTE];
	const size_t rank = json_array_size(shape);
	if (!json_is_array(shape))
		return plumb_fail(
			PLUMB_E_FORMAT, "tensor '%s': 'shape' is missing or not an array", plumb_quote(t->name, name));
	if (rank > PLUMB_MAX_RANK)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "tensor '%s' has %zu dimensions, at most %d are supported",
			plumb_quote(t->name, name), rank, PLUMB_MAX_RANK);
	t->rank = rank == 0 ? 1 : (int)rank;
	for (size_t i = 0; i < PLUMB_MAX_RANK; i++) {
		const json_t *dim = json_array_get(shape, i);
		t->dim[i] = i < rank ? json_integer_value(dim) : 1;
		if (i < rank && !json_is_integer(dim))
			return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': dimension %zu is not an integer",
				plumb_quote(t->name, name), i);
		if (i < rank && t->dim[i] == 0)
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"tensor '%s': dimension %zu is 0, empty tensors are not supported",
				plumb_quote(t->name, name), i);
	}
	return plumb_file_tensor_blocks(t, 1, (size_t)width);
}

static enum plumb_status safetensors_read_place(const struct plumb_file *file, struct plumb_file_tensor *t,
	const json_t *offsets, size_t start, int width)
{
	char name[PLUMB_QUOTE];
	const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
	if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
		return plumb_fail(PLUMB_E_FORMAT, "tensor '%s': 'data_offsets' is missing or not two integers",
			plumb_quote(t->name, name));
	const json_int_t begin = json_integer_value(first), end = json_integer_value(last);
	const size_t room = file->size - start;
	if (begin < 0 || end < begin || (uint64_t)end > room)
		return plumb_fail(PLUMB_E_FORMAT,
			"tensor '%s': data offsets [%lld, %lld], expected a range within [0, %zu]%s",
			plumb_quote(t->name, name), (long long)begin, (long long)end, room,
			begin >= 0 && end >= begin ? PLUMB_TRUNCATED : "");
	if ((uint64_t)(end - begin) != t->bytes)
		return plumb_fail(PLUMB_E_FORMAT,
			"tensor '%s': data offsets [%lld, %lld] are %lld bytes, its shape and type "
			"need %zu",
			plumb_quote(t->name, name), (long long)begin, (long long)end, (long long)(end - begin), t->bytes);
	const size_t at = start + (size_t)begin;
	if (at % (size_t)width != 0)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"tensor '%s' begins at byte %zu, expected a multiple of %d, its element's size",
			plumb_quote(t->name, name), at, width);
	t->data = file->base + at;
	return PLUMB_OK;
}

static int safetensors_by_address(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)((const struct plumb_file_tensor *)a)->data;
	const uintptr_t y = (uintptr_t)((const struct plumb_file_tensor *)b)->data;
	return (x > y) - (x < y);
}

static enum plumb_status safetensors_read_tensors(
	struct plumb_file *file, json_t *header, char **text, size_t start)
{
	const char *key;
	json_t *value;
	size_t total;
	file->tensor = calloc(json_object_size(header) + 1, sizeof *file->tensor);
	if (!file->tensor)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu tensors", json_object_size(header));
	json_object_foreach(header, key, value) {
		struct plumb_file_tensor *t = &file->tensor[file->tensors];
		if (strcmp(key, "__metadata__") == 0)
			continue;
		t->name = safetensors_keep(text, key, strlen(key));
		int width = 1;
		enum plumb_status s = safetensors_read_dtype(t, json_object_get(value, "dtype"), &width);
		if (!s)
			s = safetensors_read_shape(t, json_object_get(value, "shape"), width);
		if (!s)
			s = safetensors_read_place(file, t, json_object_get(value, "data_offsets"), start, width);
		if (s)
			return s;
		file->tensors++;
	}
	/* File order is that of the data; the header may have any. */
	qsort(file->tensor, (size_t)file->tensors, sizeof *file->tensor, safetensors_by_address);
	enum plumb_status s = plumb_file_index_tensors(file);
	if (!s)
		s = plumb_file_check_overlap(file, &total);
	/* Apart and inside: they cover the data exactly when the sizes add up, as the format wants. */
	if (!s && total != file->size - start)
		s = plumb_fail(PLUMB_E_FORMAT,
			"the tensors hold %zu bytes, the data from byte %zu on has %zu: it must have "
			"no holes",
			total, start, file->size - start);
	return s;
}

static enum plumb_status safetensors_open(struct plumb_file *file)
{
	struct plumb_cursor c = { file->base, file->size, 0 };
	const unsigned char *p;
	json_error_t error;
	uint64_t n;
	enum plumb_status s = plumb_cursor_u64(&c, &n, "header length");
	if (!s && n > MOST_HEADER)
		s = plumb_fail(
			PLUMB_E_FORMAT, "byte 0: header length is %" PRIu64 ", expected at most %d", n, MOST_HEADER);
	if (!s)
		s = plumb_cursor_bytes(&c, n, &p, "JSON header");
	if (s)
		return s;
	json_t *header;
	if ((s = plumb_json_read(&header, (const char *)p, n, JSON_REJECT_DUPLICATES, &error)) ==
		PLUMB_E_FORMAT) {
		char quote[PLUMB_QUOTE];
		return plumb_fail(PLUMB_E_FORMAT, "byte %zu: header is not JSON: %s", 8 + (size_t)error.position,
			plumb_quote((struct plumb_span){ error.text, strlen(error.text) }, quote));
	}
	if (s)
		return s;
	char *text = file->text = malloc(n + 1);
	if (!text)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRIu64 " bytes of names", n);
	if (!s)
		s = safetensors_read_metas(file, json_object_get(header, "__metadata__"), &text);
	if (!s)
		s = safetensors_read_tensors(file, header, &text, c.at);
	json_decref(header);
	return s;
}

const struct plumb_format plumb_format_safetensors = { "safetensors", safetensors_probe, safetensors_open };
