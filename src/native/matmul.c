/* SPDX-License-Identifier: Apache-2.0 */
/* y = x w^T + b. Quantised weights in their packed form are multiplied in matmul_packed.c; here are the
 * others, and all in the exact mode. Few rows of x: dot products against weights unpacked in registers, bound
 * by memory. Many rows: blocks of weights unpacked and packed once into panels, then tiles. Both split by
 * rows of w, so a sum is always made by one thread in one order. */
#include <string.h>
#include "native/matmul_packed.h"

#define DOT_ROWS 3 /* up to so many rows of x, dot products win */
#define KC 256     /* k per panel: whole blocks of every type, and a panel that stays in the L1 cache */
#define COLUMNS 64 /* most weight rows packed by one task */

struct work {
	struct plumb_driver *driver;
	enum plumb_type type;
	const char *w;
	size_t row; /* bytes of a row of w */
	const float *x, *b;
	float *y;
	int64_t m, n, k;
};

static void matmul_add_bias(const struct work *w, int64_t first, int64_t end)
{
	if (w->b)
		for (int64_t i = 0; i < w->m; i++)
			for (int64_t j = first; j < end; j++)
				w->y[i * w->n + j] += w->b[j];
}

static void matmul_run_dot(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = 0; i < w->m; i++)
		plumb_native_simd(w->driver)->dot[w->type](&(struct plumb_dot){ .type = w->type,
			.w = w->w + w->row * (size_t)first,
			.stride = w->row,
			.rows = end - first,
			.k = w->k,
			.x = w->x + i * w->k,
			.y = w->y + i * w->n + first });
	matmul_add_bias(w, first, end);
}

/* Rows [first, first + rows) of w, columns [k, k + kc), to panels. */
static void matmul_pack_rows(
	const struct work *w, int64_t first, int64_t rows, int64_t k, int64_t kc, float *unpacked, float *panels)
{
	const struct plumb_simd *simd = plumb_native_simd(w->driver);
	size_t skip = (size_t)(k / plumb_type_block(w->type)) * plumb_type_bytes(w->type);
	size_t bytes = (size_t)(kc / plumb_type_block(w->type)) * plumb_type_bytes(w->type);
	for (int64_t j = 0; j < rows; j += simd->nr) {
		int n = rows - j < simd->nr ? (int)(rows - j) : simd->nr;
		for (int r = 0; r < n; r++) {
			const char *src = w->w + w->row * (size_t)(first + j + r) + skip;
			for (size_t next = bytes; next < 2 * bytes;
				 next += 64) /* rows lie apart: the hardware sees no stream */
				__builtin_prefetch((const void *)((uintptr_t)src + next));
			simd->to_f32[w->type](w->type, src, unpacked + r * KC, kc);
		}
		simd->pack(unpacked, KC, n, kc, panels + j * KC);
	}
}

/* One panel against all rows of x. */
static void matmul_run_panel(
	const struct work *w, int64_t column, int64_t k, int64_t kc, const float *panel, float *edge)
{
	const struct plumb_simd *simd = plumb_native_simd(w->driver);
	int64_t nr = simd->nr, width = w->n - column < nr ? w->n - column : nr;
	for (int64_t i = 0; i < w->m; i += simd->mr) {
		float *y = w->y + i * w->n + column;
		struct plumb_tile t = { .m = w->m - i < simd->mr ? (int)(w->m - i) : simd->mr,
			.k = kc,
			.ldx = w->k,
			.ldp = nr,
			.ldc = w->n,
			.x = w->x + i * w->k + k,
			.panel = panel,
			.c = y,
			.add = k > 0 };
		if (width == nr) {
			simd->gemm(&t);
			continue;
		}
		t.c = edge; /* the tile reaches past the last column of y */
		t.ldc = nr;
		for (int r = 0; r < t.m && t.add; r++)
			memcpy(edge + r * nr, y + r * w->n, sizeof *y * (size_t)width);
		simd->gemm(&t);
		for (int r = 0; r < t.m; r++)
			memcpy(y + r * w->n, edge + r * nr, sizeof *y * (size_t)width);
	}
}

static void matmul_run_tiles(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	int64_t nr = plumb_native_simd(w->driver)->nr;
	float *unpacked = plumb_native_scratch(w->driver, thread), *panels = unpacked + PLUMB_SIMD_NR_MAX * KC;
	float edge[PLUMB_SIMD_MR_MAX * PLUMB_SIMD_NR_MAX] = { 0 };
	for (int64_t k = 0; k < w->k; k += KC) {
		int64_t kc = w->k - k < KC ? w->k - k : KC;
		matmul_pack_rows(w, first, end - first, k, kc, unpacked, panels);
		for (int64_t j = first; j < end; j += nr)
			matmul_run_panel(w, j, k, kc, panels + (j - first) * KC, edge);
	}
	matmul_add_bias(w, first, end);
}

enum plumb_status plumb_native_matmul(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *x = call->in[0], *weight = call->in[1];
	const struct plumb_simd *simd = plumb_native_simd(driver);
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	if (plumb_native_packed(driver, weight))
		return plumb_native_product(&(struct plumb_product){ .driver = driver,
			.count = 1,
			.tensor = x,
			.of = { { .weight = weight,
				.b = call->in[2] ? plumb_host(call->in[2]) : NULL,
				.y = plumb_host(call->out) } } });
	PLUMB_TRY(plumb_buffer_resident(weight->buffer, driver, true));
	struct work w = { driver, weight->type, plumb_host(weight),
		plumb_tensor_bytes(weight) / (size_t)weight->dim[0], plumb_host(x),
		call->in[2] ? plumb_host(call->in[2]) : NULL, plumb_host(call->out), x->dim[0], weight->dim[0],
		weight->dim[1] };
	if (!simd->dot[w.type])
		return plumb_fail(
			PLUMB_E_UNSUPPORTED, "native: no matmul with weights of type %s", plumb_type_name(w.type));
	if (w.m <= DOT_ROWS) {
		if (simd->order && !plumb_type_is_float(w.type)) {
			if ((s = plumb_native_reserve(driver, 0, (size_t)(w.m * w.k))))
				return s;
			simd->order(w.x, plumb_native_shared(driver), w.m * w.k); /* rows are whole blocks */
			w.x = plumb_native_shared(driver);
		}
		plumb_native_split(driver, w.n, (plumb_native_grain(w.k) + 1) * 4, matmul_run_dot, &w);
		return PLUMB_OK;
	}
	if ((s = plumb_native_reserve(driver, KC * (PLUMB_SIMD_NR_MAX + COLUMNS), 0)))
		return s;
	/* Narrow matrices in narrower tasks, so that all threads have some. */
	int64_t columns = COLUMNS;
	while (columns > simd->nr && w.n / columns < 2 * plumb_pool_threads(driver->ctx->pool))
		columns /= 2;
	plumb_native_split(driver, w.n, columns, matmul_run_tiles, &w);
	return PLUMB_OK;
}
