/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF, versions 2 and 3, little-endian: header, metadata, tensor table. Nothing here trusts a
 * number of the file before it was compared with the bytes that are left. */
#include "format/format.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ALIGNMENT 32

/* Type numbers of ggml.h. Those without a plumb type can be listed, not computed with: elements and bytes of
 * their blocks (ggml-common.h) say where they end. 0: the layout is not known (withdrawn from ggml, or too
 * new). */
#define LACKING PLUMB_TYPE_COUNT
static const struct {
	uint32_t ggml;
	enum plumb_type type;
	const char *name;
	int elements, bytes;
} tensor_types[] = {
	{ 0, PLUMB_F32, "F32", 1, 4 },
	{ 1, PLUMB_F16, "F16", 1, 2 },
	{ 2, PLUMB_Q4_0, "Q4_0", 32, 18 },
	{ 3, PLUMB_Q4_1, "Q4_1", 32, 20 },
	{ 6, PLUMB_Q5_0, "Q5_0", 32, 22 },
	{ 7, PLUMB_Q5_1, "Q5_1", 32, 24 },
	{ 8, PLUMB_Q8_0, "Q8_0", 32, 34 },
	{ 10, PLUMB_Q2_K, "Q2_K", 256, 84 },
	{ 11, PLUMB_Q3_K, "Q3_K", 256, 110 },
	{ 12, PLUMB_Q4_K, "Q4_K", 256, 144 },
	{ 13, PLUMB_Q5_K, "Q5_K", 256, 176 },
	{ 14, PLUMB_Q6_K, "Q6_K", 256, 210 },
	{ 20, PLUMB_IQ4_NL, "IQ4_NL", 32, 18 },
	{ 23, PLUMB_IQ4_XS, "IQ4_XS", 256, 136 },
	{ 26, PLUMB_I32, "I32", 1, 4 },
	{ 28, PLUMB_F64, "F64", 1, 8 },
	{ 30, PLUMB_BF16, "BF16", 1, 2 },
	{ 39, PLUMB_MXFP4, "MXFP4", 32, 17 },
	{ 9, LACKING, "Q8_1", 32, 36 },
	{ 15, LACKING, "Q8_K", 256, 292 },
	{ 16, LACKING, "IQ2_XXS", 256, 66 },
	{ 17, LACKING, "IQ2_XS", 256, 74 },
	{ 18, LACKING, "IQ3_XXS", 256, 98 },
	{ 19, LACKING, "IQ1_S", 256, 50 },
	{ 21, LACKING, "IQ3_S", 256, 110 },
	{ 22, LACKING, "IQ2_S", 256, 82 },
	{ 24, LACKING, "I8", 1, 1 },
	{ 25, LACKING, "I16", 1, 2 },
	{ 27, LACKING, "I64", 1, 8 },
	{ 29, LACKING, "IQ1_M", 256, 56 },
	{ 34, LACKING, "TQ1_0", 256, 54 },
	{ 35, LACKING, "TQ2_0", 256, 66 },
	{ 40, LACKING, "NVFP4", 64, 36 },
	{ 41, LACKING, "Q1_0", 128, 18 },
	{ 4, LACKING, "Q4_2", 0, 0 },
	{ 5, LACKING, "Q4_3", 0, 0 },
	{ 31, LACKING, "Q4_0_4_4", 0, 0 },
	{ 32, LACKING, "Q4_0_4_8", 0, 0 },
	{ 33, LACKING, "Q4_0_8_8", 0, 0 },
	{ 36, LACKING, "IQ4_NL_4_4", 0, 0 },
	{ 37, LACKING, "IQ4_NL_4_8", 0, 0 },
	{ 38, LACKING, "IQ4_NL_8_8", 0, 0 },
};

/* Types of metadata values, by their number in the file; width 0: not a scalar. */
enum { VALUE_STRING = 8, VALUE_ARRAY = 9, VALUE_TYPES = 13 };
static const struct {
	enum plumb_meta_kind kind;
	int width;
	bool is_signed;
} value_types[VALUE_TYPES] = {
	{ PLUMB_META_INT, 1, false },
	{ PLUMB_META_INT, 1, true },
	{ PLUMB_META_INT, 2, false },
	{ PLUMB_META_INT, 2, true },
	{ PLUMB_META_INT, 4, false },
	{ PLUMB_META_INT, 4, true },
	{ PLUMB_META_FLOAT, 4, true },
	{ PLUMB_META_BOOL, 1, false },
	{ PLUMB_META_STRING, 0, false },
	{ PLUMB_META_ARRAY, 0, false },
	{ PLUMB_META_INT, 8, false },
	{ PLUMB_META_INT, 8, true },
	{ PLUMB_META_FLOAT, 8, true },
};

static bool gguf_probe(const unsigned char *bytes, size_t size)
{
	return size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

static enum plumb_status gguf_read_string(struct plumb_cursor *c, struct plumb_span *span, const char *what)
{
	const unsigned char *p;
	uint64_t n;
	enum plumb_status s = plumb_cursor_u64(c, &n, what);
	if (!s)
		s = plumb_cursor_bytes(c, n, &p, what);
	if (!s)
		*span = (struct plumb_span){ (const char *)p, n };
	return s;
}

/* A bool is the one scalar that has the width but not every pattern. */
static enum plumb_status gguf_check_bool(const struct plumb_cursor *c, const unsigned char *p)
{
	return *p <= 1 ? PLUMB_OK
				   : plumb_fail(PLUMB_E_FORMAT, "byte %td: bool is %d, expected 0 or 1", p - c->base, *p);
}

static enum plumb_status gguf_read_type(struct plumb_cursor *c, uint32_t *type, const char *what)
{
	const size_t at = c->at;
	enum plumb_status s = plumb_cursor_u32(c, type, what);
	if (!s && *type >= VALUE_TYPES)
		return plumb_fail(PLUMB_E_FORMAT, "byte %zu: %s is %" PRIu32 ", expected 0 to %d", at, what, *type,
			VALUE_TYPES - 1);
	return s;
}

static enum plumb_status gguf_read_array(struct plumb_cursor *c, struct plumb_meta *meta)
{
	const size_t at = c->at;
	uint32_t type;
	enum plumb_status s = gguf_read_type(c, &type, "array element type");
	if (s)
		return s;
	if (type == VALUE_ARRAY)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "byte %zu: an array of arrays, which is not supported", at);
	const int width = value_types[type].width;
	meta->of = value_types[type].kind;
	s = plumb_cursor_count(c, &meta->n, width > 0 ? (size_t)width : 8, "number of array elements");
	if (s)
		return s;
	const uint64_t strings = type == VALUE_STRING ? meta->n : 0;
	struct plumb_meta_array *array;
	size_t bytes;
	if (__builtin_mul_overflow(strings, sizeof array->string[0], &bytes) ||
		__builtin_add_overflow(bytes, sizeof *array, &bytes) || !(array = malloc(bytes)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for an array of %" PRIu64 " elements", meta->n);
	meta->array = array;
	array->p = c->base + c->at;
	array->width = width;
	array->is_signed = value_types[type].is_signed;
	for (uint64_t i = 0; i < strings; i++) {
		s = gguf_read_string(c, &array->string[i], "string of an array");
		if (s)
			return s;
	}
	if (type != VALUE_STRING)
		c->at += meta->n * (size_t)width; /* fits: plumb_cursor_count */
	if (meta->of == PLUMB_META_BOOL)
		for (uint64_t i = 0; i < meta->n && !s; i++)
			s = gguf_check_bool(c, array->p + i);
	return s;
}

static enum plumb_status gguf_read_value(struct plumb_cursor *c, struct plumb_meta *meta)
{
	const unsigned char *p;
	uint32_t type;
	enum plumb_status s = gguf_read_type(c, &type, "value type");
	if (s)
		return s;
	meta->kind = value_types[type].kind;
	if (type == VALUE_STRING)
		return gguf_read_string(c, &meta->s, "string");
	if (type == VALUE_ARRAY)
		return gguf_read_array(c, meta);
	const int width = value_types[type].width;
	s = plumb_cursor_bytes(c, (uint64_t)width, &p, "value");
	if (!s && meta->kind == PLUMB_META_BOOL)
		s = gguf_check_bool(c, p);
	if (s)
		return s;
	if (meta->kind == PLUMB_META_FLOAT) {
		meta->f = plumb_load_float(p, width);
	} else {
		meta->i = plumb_load_int(p, width, value_types[type].is_signed);
		meta->u = meta->i < 0 ? 0 : plumb_load_uint(p, width);
		meta->f = meta->i < 0 ? (double)meta->i : (double)meta->u;
	}
	return PLUMB_OK;
}

static enum plumb_status gguf_read_metas(struct plumb_file *file, struct plumb_cursor *c, uint64_t n)
{
	file->meta = calloc(n > 0 ? n : 1, sizeof *file->meta);
	if (!file->meta)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRIu64 " metadata values", n);
	for (uint64_t i = 0; i < n; i++) {
		struct plumb_meta *meta = &file->meta[file->metas++];
		char text[PLUMB_QUOTE];
		enum plumb_status s = gguf_read_string(c, &meta->key, "metadata key");
		if (s)
			return plumb_fail_in(s, "metadata value %" PRIu64 " of %" PRIu64, i, n);
		s = gguf_read_value(c, meta);
		if (s)
			return plumb_fail_in(s, "metadata '%s'", plumb_quote(meta->key, text));
	}
	return plumb_file_index_metas(file);
}

static enum plumb_status gguf_alignment_of(const struct plumb_file *file, uint64_t *alignment)
{
	const struct plumb_meta *meta = plumb_file_meta_find(file, "general.alignment");
	*alignment = DEFAULT_ALIGNMENT;
	if (!meta)
		return PLUMB_OK;
	if (meta->kind != PLUMB_META_INT)
		return plumb_fail(PLUMB_E_FORMAT, "metadata 'general.alignment' is not an integer");
	if (meta->i < 8 || (meta->i & (meta->i - 1)) != 0)
		return plumb_fail(PLUMB_E_FORMAT,
			"metadata 'general.alignment' is %" PRId64 ", expected a power of two, at "
			"least 8",
			meta->i);
	*alignment = (uint64_t)meta->i;
	return PLUMB_OK;
}

/* Type, name of the type, and size of a tensor whose shape is set. */
static enum plumb_status gguf_set_type(struct plumb_file_tensor *t, uint32_t ggml, size_t at)
{
	char text[PLUMB_QUOTE];
	for (size_t i = 0; i < sizeof tensor_types / sizeof tensor_types[0]; i++) {
		if (tensor_types[i].ggml != ggml)
			continue;
		t->type = tensor_types[i].type;
		t->type_name = t->type == LACKING ? tensor_types[i].name : plumb_type_name(t->type);
		if (tensor_types[i].elements > 0)
			return plumb_file_tensor_blocks(t, tensor_types[i].elements, (size_t)tensor_types[i].bytes);
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"byte %zu: tensor '%s' is of type %s (%" PRIu32 "), whose layout plumb does not "
			"know",
			at, plumb_quote(t->name, text), tensor_types[i].name, ggml);
	}
	return plumb_fail(PLUMB_E_UNSUPPORTED,
		"byte %zu: tensor '%s' is of type number %" PRIu32 ", which plumb does not "
		"know",
		at, plumb_quote(t->name, text), ggml);
}

/* One row of the tensor table; *offset is relative to the data, whose start is not known yet. */
static enum plumb_status gguf_read_tensor(
	struct plumb_cursor *c, struct plumb_file_tensor *t, uint64_t *offset)
{
	char text[PLUMB_QUOTE];
	uint32_t rank, ggml;
	enum plumb_status s = gguf_read_string(c, &t->name, "tensor name");
	if (!s)
		s = plumb_cursor_u32(c, &rank, "number of dimensions");
	if (s)
		return s;
	if (rank < 1 || rank > PLUMB_MAX_RANK)
		return plumb_fail(PLUMB_E_FORMAT,
			"byte %zu: tensor '%s' has %" PRIu32 " dimensions, expected 1 to %d", c->at - 4,
			plumb_quote(t->name, text), rank, PLUMB_MAX_RANK);
	t->rank = (int)rank;
	for (int i = 0; i < PLUMB_MAX_RANK; i++)
		t->dim[i] = 1;
	for (int i = t->rank - 1; i >= 0; i--) { /* the file has the innermost first */
		uint64_t dim;
		s = plumb_cursor_u64(c, &dim, "dimension");
		if (s)
			return s;
		if (dim < 1 || dim > INT64_MAX)
			return plumb_fail(PLUMB_E_FORMAT,
				"byte %zu: tensor '%s' has a dimension of %" PRIu64 ", expected 1 to %" PRId64, c->at - 8,
				plumb_quote(t->name, text), dim, INT64_MAX);
		t->dim[i] = (int64_t)dim;
	}
	s = plumb_cursor_u32(c, &ggml, "tensor type");
	if (!s)
		s = gguf_set_type(t, ggml, c->at - 4);
	if (!s)
		s = plumb_cursor_u64(c, offset, "tensor offset");
	return s;
}

static enum plumb_status gguf_place_tensor(const struct plumb_file *file, struct plumb_file_tensor *t,
	uint64_t offset, uint64_t alignment, size_t start)
{
	char text[PLUMB_QUOTE];
	const size_t room = file->size - start, row = (size_t)((const unsigned char *)t->name.p - file->base);
	if (offset % alignment != 0)
		return plumb_fail(PLUMB_E_FORMAT,
			"byte %zu: tensor '%s' has offset %" PRIu64 ", expected a multiple of the "
			"alignment, %" PRIu64,
			row, plumb_quote(t->name, text), offset, alignment);
	if (offset > room || t->bytes > room - offset)
		return plumb_fail(PLUMB_E_FORMAT,
			"byte %zu: tensor '%s' has %zu bytes at offset %" PRIu64 " of the data, "
			"which begins at byte %zu and has only %zu%s",
			row, plumb_quote(t->name, text), t->bytes, offset, start, room,
			plumb_lacks(offset > t->bytes ? offset : t->bytes));
	t->data = file->base + start + offset;
	return PLUMB_OK;
}

static enum plumb_status gguf_read_tensors(struct plumb_file *file, struct plumb_cursor *c, uint64_t n)
{
	uint64_t alignment = DEFAULT_ALIGNMENT, *offset = calloc(n > 0 ? n : 1, sizeof *offset);
	size_t total;
	enum plumb_status s = PLUMB_OK;
	file->tensor = calloc(n > 0 ? n : 1, sizeof *file->tensor);
	if (!offset || !file->tensor)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRIu64 " tensors", n);
	if (!s)
		s = gguf_alignment_of(file, &alignment);
	for (uint64_t i = 0; i < n && !s; i++) {
		const size_t at = c->at;
		s = gguf_read_tensor(c, &file->tensor[i], &offset[i]);
		if (s)
			s = plumb_fail_in(s, "tensor %" PRIu64 " of %" PRIu64 ", byte %zu", i, n, at);
	}
	if (s)
		goto fail;
	/* A file without tensors may end before its padding does. */
	const uint64_t pad = (alignment - c->at % alignment) % alignment;
	const size_t start = pad < plumb_cursor_left(c) ? c->at + pad : c->size;
	for (uint64_t i = 0; i < n && !s; i++)
		s = gguf_place_tensor(file, &file->tensor[i], offset[i], alignment, start);
	if (s)
		goto fail;
	file->tensors = (int64_t)n;
	s = plumb_file_index_tensors(file);
	if (!s)
		s = plumb_file_check_overlap(file, &total);
fail:
	free(offset);
	return s;
}

static enum plumb_status gguf_open(struct plumb_file *file)
{
	struct plumb_cursor c = { file->base, file->size, 4 };
	uint64_t tensors, metas;
	uint32_t version;
	enum plumb_status s = plumb_cursor_u32(&c, &version, "GGUF version");
	if (s)
		return s;
	if (version != 0 && (version & 0xffff) == 0)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"byte 4: GGUF version is 0x%08" PRIx32 ": the file is big-endian, only "
			"little-endian is supported",
			version);
	if (version != 2 && version != 3)
		return plumb_fail(
			PLUMB_E_UNSUPPORTED, "byte 4: GGUF version is %" PRIu32 ", expected 2 or 3", version);
	file->format_name = version == 2 ? "GGUF v2" : "GGUF v3";
	/* Least bytes: name length, rank, one dimension, type, offset; key length, type, a byte. */
	s = plumb_cursor_count(&c, &tensors, 8 + 4 + 8 + 4 + 8, "number of tensors");
	if (!s)
		s = plumb_cursor_count(&c, &metas, 8 + 4 + 1, "number of metadata values");
	if (!s)
		s = gguf_read_metas(file, &c, metas);
	if (!s)
		s = gguf_read_tensors(file, &c, tensors);
	return s;
}

const struct plumb_format plumb_format_gguf = { "GGUF", gguf_probe, gguf_open };
