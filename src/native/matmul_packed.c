/* SPDX-License-Identifier: Apache-2.0 */
/* y = x w^T + b with packed weights and x in 16-bit integers: x to integers, then the products, in
 * matmul_small_batch.c or matmul_large_batch.c, whose results matmul_finish.c completes; the bits are the
 * same both ways. A row that 16 bits hold badly, and every row for a weight marked exact, gets a second row
 * of integers, 31 bits together; the results are added. The fast mode rounds the rows of x to bytes where
 * they are many. */
#include <math.h>
#include "native/matmul_packed.h"

/* Row i of x, normed if so wanted: then it is in the thread's scratch. */
static const float *matmul_packed_row_of(const struct plumb_product *p, int64_t i, int thread)
{
	const float *x = p->x + i * p->k;
	if (!p->norm)
		return x;
	float *normed = plumb_native_scratch(p->driver, thread);
	plumb_native_norm(plumb_native_simd(p->driver), normed, x, p->norm, p->eps, p->k);
	return normed;
}

static void matmul_packed_quantise(void *arg, int64_t first, int64_t end, int thread)
{
	const struct plumb_product *p = arg;
	for (int64_t i = first; i < end; i++)
		if (p->bytes) {
			p->kernels->quantise8(matmul_packed_row_of(p, i, thread), &p->x16, i);
			p->second[i] = 0;
		} else
			p->second[i] = p->kernels->quantise(matmul_packed_row_of(p, i, thread), &p->x16, i, p->limit);
}

static void matmul_packed_rest(void *arg, int64_t first, int64_t end, int thread)
{
	const struct plumb_product *p = arg;
	for (int64_t i = first; i < end; i++)
		p->kernels->rest(matmul_packed_row_of(p, p->owner[i], thread), &p->x16, p->m + i);
}

static void matmul_packed_make_rows(struct plumb_product *p)
{
	plumb_native_split(p->driver, p->m, plumb_native_grain(p->k) * 2, matmul_packed_quantise, p);
	p->rows = p->m;
	for (int64_t i = 0; i < p->m; i++)
		if (p->second[i]) {
			p->owner[p->rows - p->m] = (int32_t)i;
			p->second[i] = (int32_t)p->rows++;
		}
	if (p->rows > p->m)
		plumb_native_split(p->driver, p->rows - p->m, plumb_native_grain(p->k) * 2, matmul_packed_rest, p);
}

/* Memory for up to two rows of integers per row of x, and for a thread's normed row or panel and results. */
static enum plumb_status matmul_packed_reserve(struct plumb_product *p)
{
	const int64_t k = p->k;
	size_t floats, most = 2 * (size_t)p->m, each = plumb_native_matmul_scratch(p);
	/* of a row: k / 2 for q, k / 32 each for scale and total, k / 16 for sums, 1 for second and owner; of
	 * few, k / 2 for bytes */
	size_t bytes = p->m < PLUMB_LARGE_BATCH ? most * (size_t)k : 0;
	if (__builtin_mul_overflow((size_t)(k / 2 + k / 8 + 1), most, &floats) || floats > SIZE_MAX / 8)
		return plumb_fail(
			PLUMB_E_MEMORY, "%lld rows of %lld overflow the address space", (long long)p->m, (long long)k);
	PLUMB_TRY(plumb_native_reserve(p->driver, each > (size_t)k ? each : (size_t)k, floats + bytes / 2));
	float *to = plumb_native_shared(p->driver);
	p->x16.k = k;
	p->x16.q = (int16_t *)(void *)to;
	p->x16.scale = to + most * (size_t)(k / 2);
	p->x16.total = p->x16.scale + most * (size_t)(k / PLUMB_BLOCK);
	p->x16.sum = (int32_t *)(void *)(p->x16.total + most * (size_t)(k / PLUMB_BLOCK));
	p->second = p->x16.sum + most * (size_t)(k / 16);
	p->owner = p->second + p->m;
	p->x16.high = bytes ? (int8_t *)(p->second + most) : NULL;
	p->x16.low = bytes ? p->x16.high + bytes : NULL;
	return PLUMB_OK;
}

enum plumb_status plumb_native_product(struct plumb_product *p)
{
	const bool exact = p->of[0].weight->buffer->exact, fast = p->driver->ctx->mode == PLUMB_MODE_FAST;
	for (int f = 0; f < p->count; f++) {
		const struct plumb_tensor *weight = p->of[f].weight;
		if (!(p->of[f].w = plumb_native_packed(p->driver, weight)))
			return plumb_fail(PLUMB_E_UNSUPPORTED, "native: a weight of type %s has no packed form here",
				plumb_type_name(weight->type));
		if (weight->buffer->exact != exact) /* the rows of integers would differ */
			return plumb_fail(PLUMB_E_UNSUPPORTED, "native: some weights are marked exact and some are not");
	}
	p->kernels = plumb_native_simd(p->driver)->packed;
	p->x = plumb_host(p->tensor);
	p->m = p->tensor->dim[0];
	p->k = p->tensor->dim[1];
	if (p->m > INT32_MAX / 2)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "native: %lld rows in one matmul", (long long)p->m);
	/* Where default takes two rows, fast takes one; where default takes one, bytes, unless reading the
	 * weights is all that counts. */
	p->limit = !exact ? PLUMB_MODE_LOSS : fast ? INFINITY : 0;
	p->bytes = fast && !exact && p->m >= PLUMB_LARGE_BATCH && p->kernels->multiply8;
	PLUMB_TRY(matmul_packed_reserve(p));
	matmul_packed_make_rows(p);
	if (p->rows < PLUMB_LARGE_BATCH)
		plumb_native_matmul_small_batch(p);
	else
		plumb_native_matmul_large_batch(p);
	return PLUMB_OK;
}
