/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: made and freed, shapes, views and copying in and out. Where the bytes live is memory.c's business.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"

enum plumb_status plumb_shape_check(
	enum plumb_type type, int rank, const int64_t *dim, int64_t *count, size_t *bytes)
{
	if ((int)type < 0 || type >= PLUMB_TYPE_COUNT)
		return plumb_fail(PLUMB_E_TYPE, "tensor type %d is not known", (int)type);
	if (rank < 1 || rank > PLUMB_MAX_RANK)
		return plumb_fail(PLUMB_E_SHAPE, "rank %d is not between 1 and %d", rank, PLUMB_MAX_RANK);
	int64_t n = 1;
	for (int i = 0; i < rank; i++) {
		if (dim[i] < 1)
			return plumb_fail(
				PLUMB_E_SHAPE, "dimension %d is %lld, must be at least 1", i, (long long)dim[i]);
		if (__builtin_mul_overflow(n, dim[i], &n))
			return plumb_fail(PLUMB_E_SHAPE, "the number of elements overflows 64 bits");
	}
	if (dim[rank - 1] % plumb_type_block(type))
		return plumb_fail(PLUMB_E_SHAPE, "a row of %lld elements is not whole blocks of %lld (%s)",
			(long long)dim[rank - 1], (long long)plumb_type_block(type), plumb_type_name(type));
	if (!plumb_type_size(type, n, bytes))
		return plumb_fail(PLUMB_E_SHAPE, "%lld elements of %s overflow the address space", (long long)n,
			plumb_type_name(type));
	*count = n;
	return PLUMB_OK;
}

static enum plumb_status tensor_make(struct plumb_context *ctx, struct plumb_tensor *t, enum plumb_type type,
	int rank, const int64_t *dim, const void *data, size_t *bytes)
{
	struct plumb_tensor made = { .type = type, .rank = rank, .dim = { 1, 1, 1, 1 } };
	int64_t count;
	size_t need;
	memset(t, 0, sizeof *t);
	enum plumb_status s = plumb_shape_check(type, rank, dim, &count, &need);
	if (s)
		return s;
	if (bytes && *bytes < need)
		return plumb_fail(PLUMB_E_SHAPE, "%zu bytes given, the tensor needs %zu", *bytes, need);
	memcpy(made.dim, dim, sizeof *dim * (size_t)rank);
	if ((s = plumb_buffer_new(ctx, &made.buffer, need, data)))
		return s;
	*t = made;
	return PLUMB_OK;
}

enum plumb_status plumb_tensor_new(
	struct plumb_context *ctx, struct plumb_tensor *t, enum plumb_type type, int rank, const int64_t *dim)
{
	return tensor_make(ctx, t, type, rank, dim, NULL, NULL);
}

enum plumb_status plumb_tensor_wrap(struct plumb_context *ctx, struct plumb_tensor *t, enum plumb_type type,
	int rank, const int64_t *dim, const void *data, size_t bytes)
{
	if (!data) {
		memset(t, 0, sizeof *t);
		return plumb_fail(PLUMB_E_ARGUMENT, "no data to wrap");
	}
	return tensor_make(ctx, t, type, rank, dim, data, &bytes);
}

void plumb_tensor_free(struct plumb_tensor *t)
{
	if (t->buffer)
		plumb_buffer_free(t->buffer);
	memset(t, 0, sizeof *t);
}

char *plumb_shape_text(const struct plumb_tensor *t, char *text, size_t size)
{
	size_t n = 0;
	text[0] = 0;
	for (int i = 0; i < t->rank && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%lld", i ? ", " : "{", (long long)t->dim[i]);
	if (n < size)
		snprintf(text + n, size - n, "}");
	return text;
}

bool plumb_shape_same(const struct plumb_tensor *a, const struct plumb_tensor *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank);
}

void plumb_tensor_view(
	struct plumb_tensor *view, const struct plumb_tensor *t, int64_t first, int64_t rows, int64_t columns)
{
	*view = (struct plumb_tensor){ .type = t->type,
		.rank = 2,
		.dim = { rows, columns, 1, 1 },
		.offset = t->offset + (size_t)first * plumb_type_bytes(t->type),
		.buffer = t->buffer };
}

int64_t plumb_tensor_count(const struct plumb_tensor *t)
{
	int64_t n = 1;
	for (int i = 0; i < t->rank; i++)
		n *= t->dim[i];
	return n;
}

size_t plumb_tensor_bytes(const struct plumb_tensor *t)
{
	size_t bytes = 0;
	plumb_type_size(t->type, plumb_tensor_count(t), &bytes);
	return bytes;
}

enum plumb_status plumb_tensor_rows(
	struct plumb_tensor *view, const struct plumb_tensor *t, int64_t first, int64_t count)
{
	if (first < 0 || count < 1 || count > t->dim[0] || first > t->dim[0] - count)
		return plumb_fail(PLUMB_E_SHAPE, "rows %lld + %lld are not within the %lld rows of the tensor",
			(long long)first, (long long)count, (long long)t->dim[0]);
	int64_t stride = plumb_tensor_count(t) / t->dim[0];
	size_t offset, bytes;
	if (!plumb_type_size(t->type, first * stride, &offset) ||
		!plumb_type_size(t->type, count * stride, &bytes))
		return plumb_fail(PLUMB_E_SHAPE, "a view of a %s vector must begin and end between blocks",
			plumb_type_name(t->type));
	struct plumb_tensor v = *t;
	v.dim[0] = count;
	v.offset += offset;
	*view = v;
	return PLUMB_OK;
}

static enum plumb_status tensor_copy_check(const struct plumb_tensor *t, size_t bytes)
{
	if (!t->buffer)
		return plumb_fail(PLUMB_E_ARGUMENT, "the tensor has no memory");
	if (bytes != plumb_tensor_bytes(t))
		return plumb_fail(
			PLUMB_E_SHAPE, "%zu bytes given, the tensor holds %zu", bytes, plumb_tensor_bytes(t));
	return PLUMB_OK;
}

enum plumb_status plumb_tensor_read(const struct plumb_tensor *t, void *dst, size_t bytes)
{
	enum plumb_status s = tensor_copy_check(t, bytes);
	if (s || (s = plumb_buffer_to_host(t->buffer)))
		return s;
	memcpy(dst, plumb_host(t), bytes);
	return PLUMB_OK;
}

enum plumb_status plumb_tensor_write(struct plumb_tensor *t, const void *src, size_t bytes)
{
	enum plumb_status s = tensor_copy_check(t, bytes);
	if (s)
		return s;
	if (t->buffer->borrowed)
		return plumb_fail(PLUMB_E_ARGUMENT, "the tensor wraps read-only memory");
	if ((s = plumb_buffer_to_host(t->buffer)))
		return s;
	memcpy(plumb_host(t), src, bytes);
	plumb_buffer_written(t->buffer, NULL);
	return PLUMB_OK;
}

static enum plumb_status tensor_read_check(const struct plumb_tensor *t, int64_t n)
{
	enum plumb_status s = tensor_copy_check(t, plumb_tensor_bytes(t));
	if (s)
		return s;
	if (n != plumb_tensor_count(t))
		return plumb_fail(PLUMB_E_SHAPE, "%lld elements asked, the tensor holds %lld", (long long)n,
			(long long)plumb_tensor_count(t));
	return plumb_buffer_to_host(t->buffer);
}

enum plumb_status plumb_tensor_read_f32(const struct plumb_tensor *t, float *dst, int64_t n)
{
	enum plumb_status s = tensor_read_check(t, n);
	if (s)
		return s;
	if (t->type == PLUMB_I32) {
		for (int64_t i = 0; i < n; i++)
			dst[i] = (float)((const int32_t *)plumb_host(t))[i];
		return PLUMB_OK;
	}
	return plumb_type_to_f32(t->type, plumb_host(t), dst, n);
}

enum plumb_status plumb_tensor_read_f64(const struct plumb_tensor *t, double *dst, int64_t n)
{
	enum plumb_status s = tensor_read_check(t, n);
	if (s)
		return s;
	if (t->type == PLUMB_F64) {
		memcpy(dst, plumb_host(t), sizeof *dst * (size_t)n);
		return PLUMB_OK;
	}
	/* Every other type fits float32 exactly; widen from the end, in place. */
	float *narrow = (float *)(void *)dst + n;
	if ((s = plumb_tensor_read_f32(t, narrow, n)))
		return s;
	for (int64_t i = 0; i < n; i++) {
		float f;
		memcpy(&f, (char *)(void *)narrow + sizeof f * (size_t)i, sizeof f);
		double d = f;
		memcpy((char *)(void *)dst + sizeof d * (size_t)i, &d, sizeof d);
	}
	return PLUMB_OK;
}
