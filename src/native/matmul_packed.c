/* SPDX-License-Identifier: Apache-2.0 */
/* y = x w^T + b with a packed weight and x in 16-bit integers. A few rows of x: the weight is read once and unpacked in
 * registers for every four. More: panels of 32 rows unpacked once for all rows of x. The bits are the same both ways. A row that 16 bits
 * hold badly, and every row for a weight marked exact, gets a second row of integers, 31 bits together; the results are added.
 * The fast mode rounds the rows of x to bytes where they are many. */
#include <math.h>
#include <string.h>
#include "native/native.h"

#define KC 256          /* columns per panel: 16 KB that stay in the L1 cache, and the order of sums in packed.h */
#define BATCH (64 << 10) /* bytes of weights that a thread takes at a time */
#define GROUPS 8        /* groups whose results a few rows of x collect before they go to y */
#define MANY 33         /* rows of x from which on unpacking panels pays */
#define FULL 512        /* rows of x for which unpacking a panel takes less than 1 % of the time */

struct work {
	struct plumb_driver *driver;
	const struct plumb_packed_kernels *kernels;
	struct plumb_packed *w;
	const float *x, *b;
	float *y;
	int64_t m, rows, n; /* rows: m, and second rows after them */
	int64_t block;            /* rows that a panel meets before it makes room for the next */
	float limit;
	bool bytes; /* the fast mode: x and panels in bytes */
	struct plumb_x16 x16;
	int32_t *second;    /* row of x: its second row, 0: none */
	int32_t *owner;     /* second row - m: row of x */
};

static void quantise(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++)
		if (w->bytes) {
			w->kernels->quantise8(w->x + i * w->w->k, &w->x16, i);
			w->second[i] = 0;
		} else
			w->second[i] = w->kernels->quantise(w->x + i * w->w->k, &w->x16, i, w->limit);
}

static void rest(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++)
		w->kernels->rest(w->x + w->owner[i] * w->w->k, &w->x16, w->m + i);
}

/* Results {rows, ld} of columns [first, first + width) to rows [i, end) of y: first rows unless they are there, second ones, bias. */
static void finish(const struct work *w, int64_t i, int64_t end, const float *out, int64_t ld, int64_t first, int64_t width, bool there)
{
	int64_t n = w->n - first < width ? w->n - first : width;
	if (there && !w->b && w->rows == w->m)
		return;
	for (; i < end && n > 0; i++) {
		float *y = w->y + i * w->n + first;
		if (!there)
			memcpy(y, out + i * ld, sizeof *y * (size_t)n);
		if (w->second[i])
			for (int64_t j = 0; j < n; j++)
				y[j] += out[w->second[i] * ld + j];
		if (w->b)
			for (int64_t j = 0; j < n; j++)
				y[j] += w->b[first + j];
	}
}

/* The first of these groups that is in a thread's piece. */
static int64_t piece_start(const struct work *w, int64_t groups, int thread)
{
	return groups * thread / plumb_pool_threads(w->driver->ctx->pool);
}

static const uint8_t *piece(const struct work *w, const struct plumb_stretch *s, int thread)
{
	return s->bytes ? s->bytes + s->group * (size_t)piece_start(w, s->groups, thread) : NULL;
}

/* Groups [first, end) of the piece of `owner`, which reads it itself unless it has fallen behind. */
static void few_groups(const struct work *w, int64_t first, int64_t end, int owner, bool own)
{
	const struct plumb_packed *p = w->w;
	float out[(MANY - 1) * GROUPS * PLUMB_GROUP];
	const uint8_t *next = own ? piece(w, &p->next, owner) : NULL;
	struct plumb_few few = { .w = p->bytes + p->group * (size_t)first, .stride = p->group, .groups = end - first,
		.end = p->bytes + p->group * (size_t)piece_start(w, p->groups, owner + 1), .next = next,
		.next_bytes = next ? (size_t)(piece(w, &p->next, owner + 1) - next) : 0, .x = w->x16, .ldy = GROUPS * PLUMB_GROUP };
	for (; few.row < w->rows; few.row += few.rows) {
		few.rows = w->rows - few.row < PLUMB_FEW ? (int)(w->rows - few.row) : PLUMB_FEW;
		few.y = out + few.row * few.ldy;
		w->kernels->few[p->type](&few);
		few.end = few.w; /* what comes next is prefetched once */
		few.next = NULL;
	}
	finish(w, 0, w->m, out, GROUPS * PLUMB_GROUP, first * PLUMB_GROUP, (end - first) * PLUMB_GROUP, false);
}

/* Up to four rows of x are as fast as memory, and more meet the weights again in the L2 cache. So a thread reads its piece of the
 * weight from front to back; prefetching runs on into its piece of the weight that came next the last time, and goes on while it
 * waits. Who is done takes from the others' pieces. */
static void run_few(void *arg, int64_t index, int thread)
{
	const struct work *w = arg;
	struct plumb_native *n = w->driver->state;
	const int threads = plumb_pool_threads(w->driver->ctx->pool);
	(void)index; /* the thread counts: all take part, and in what order is all the same */
	const int64_t fit = (int64_t)(BATCH / w->w->group), batch = fit < 1 ? 1 : fit < GROUPS ? fit : GROUPS;
	for (int i = 0; i < threads; i++) {
		int owner = (thread + i) % threads;
		const int64_t stop = piece_start(w, w->w->groups, owner + 1);
		for (int64_t at; (at = atomic_fetch_add_explicit(&n->taken[owner].next, batch, memory_order_relaxed)) < stop;)
			few_groups(w, at, at + batch < stop ? at + batch : stop, owner, i == 0);
	}
}

void plumb_native_forget_next(struct plumb_driver *driver)
{
	for (int t = 0; t < plumb_pool_threads(driver->ctx->pool); t++)
		plumb_pool_hint(driver->ctx->pool, t, NULL);
}

static void start_few(struct work *w)
{
	struct plumb_native *n = w->driver->state;
	const int threads = plumb_pool_threads(w->driver->ctx->pool);
	for (int t = 0; t < threads; t++) {
		atomic_store_explicit(&n->taken[t].next, piece_start(w, w->w->groups, t), memory_order_relaxed);
		plumb_pool_hint(w->driver->ctx->pool, t, piece(w, &w->w->next, t));
	}
	if (n->last)
		n->last->next = (struct plumb_stretch){ w->w->bytes, w->w->group, w->w->groups };
	n->last = w->w;
	plumb_pool_run(w->driver->ctx->pool, run_few, w, threads);
}

static size_t panel_floats(void)
{
	return KC / 16 * PLUMB_PANEL + KC / PLUMB_BLOCK * PLUMB_PANEL + KC * PLUMB_PANEL / 2;
}

/* As many rows of x as fill half of a second-level cache, but at least FULL, which come from the third level in time when they are
 * prefetched; more than that would come from memory for each panel. Blocks of about the same size. */
static int64_t block_rows(const struct work *w)
{
	const int64_t fit = (int64_t)(((const struct plumb_native *)w->driver->state)->cache / 2) / (2 * w->w->k), step = w->kernels->tile;
	const int64_t blocks = w->m / (fit > FULL ? fit : FULL);
	return blocks < 2 ? w->m : ((w->m + blocks - 1) / blocks + step - 1) / step * step;
}

/* A block's rows of x: [first, end), then their second rows [second, last). */
struct rows { int64_t first, end, second, last; };

static struct rows rows_of(const struct work *w, int64_t block)
{
	struct rows r = { block * w->block, (block + 1) * w->block < w->m ? (block + 1) * w->block : w->m, 0, 0 };
	for (int64_t i = r.first; i < r.end; i++)
		if (w->second[i]) {
			r.second = r.last ? r.second : w->second[i];
			r.last = w->second[i] + 1;
		}
	return r;
}

/* Rows [i, end) of x against columns [from, from + n) of a panel. The last columns' results go to y itself where that has room for
 * the whole width of a tile. */
static void run_tiles(const struct work *w, struct plumb_tile16 *tile, int64_t i, int64_t end, float *out, float *y)
{
	const int64_t step = w->kernels->tile;
	for (; i < end; i += tile->rows) {
		tile->row = i;
		tile->rows = (int)(end - i < step ? end - i : step);
		tile->sum = tile->from ? out + i * PLUMB_PANEL : NULL;
		tile->lds = PLUMB_PANEL;
		tile->y = y ? y + i * w->n : out + i * PLUMB_PANEL;
		tile->ldy = y ? w->n : PLUMB_PANEL;
		if (w->bytes)
			w->kernels->multiply8(tile);
		else
			w->kernels->multiply(tile);
	}
}

static void run_many(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	const struct plumb_packed_format f = plumb_packed_formats[w->w->type];
	const plumb_unpack_fn unpack = w->bytes ? w->kernels->unpack8[w->w->type] : w->kernels->unpack[w->w->type];
	float *scale = plumb_native_scratch(w->driver, thread), *add = scale + KC / 16 * PLUMB_PANEL, *out = scale + panel_floats();
	int16_t *q = (int16_t *)(void *)(add + KC / PLUMB_BLOCK * PLUMB_PANEL);
	for (int64_t item = first; item < end; item++) {
		const int64_t panels = w->w->groups / 2, panel = item % panels;
		const struct rows r = rows_of(w, item / panels);
		bool whole = (panel + 1) * PLUMB_PANEL <= w->n;
		for (int64_t k = 0; k < w->w->k; k += KC) {
			int64_t n = w->w->k - k < KC ? w->w->k - k : KC;
			unpack(&(struct plumb_unpack){ .w = w->w->bytes + w->w->group * (size_t)(2 * panel),
				.stride = w->w->group, .k = w->w->k, .from = k, .n = n, .q = q, .scale = scale, .add = add });
			struct plumb_tile16 tile = { .q = q, .scale = scale, .add = add, .sub = f.sub, .min = f.min, .offset = f.offset, .x = w->x16,
				.from = k, .n = n };
			run_tiles(w, &tile, r.first, r.end, out, whole && k + n == w->w->k ? w->y + panel * PLUMB_PANEL : NULL);
			run_tiles(w, &tile, r.second, r.last, out, NULL);
		}
		finish(w, r.first, r.end, out, PLUMB_PANEL, panel * PLUMB_PANEL, PLUMB_PANEL, whole);
	}
}

/* Memory for up to two rows of integers per row of x, and for a thread's panel and results. */
static enum plumb_status reserve(struct work *w)
{
	const int64_t k = w->w->k;
	size_t floats, most = 2 * (size_t)w->m;
	/* of a row: k / 2 for q, k / 32 each for scale and total, k / 16 for sums, 1 for second and owner; of few, k / 2 for bytes */
	size_t bytes = w->m < MANY ? most * (size_t)k : 0;
	if (__builtin_mul_overflow((size_t)(k / 2 + k / 8 + 1), most, &floats) || floats > SIZE_MAX / 8)
		return plumb_fail(PLUMB_E_MEMORY, "%lld rows of %lld overflow the address space", (long long)w->m, (long long)k);
	PLUMB_TRY(plumb_native_reserve(w->driver, panel_floats() + most * PLUMB_PANEL, floats + bytes / 2));
	float *p = plumb_native_shared(w->driver);
	w->x16.k = k;
	w->x16.q = (int16_t *)(void *)p;
	w->x16.scale = p + most * (size_t)(k / 2);
	w->x16.total = w->x16.scale + most * (size_t)(k / PLUMB_BLOCK);
	w->x16.sum = (int32_t *)(void *)(w->x16.total + most * (size_t)(k / PLUMB_BLOCK));
	w->second = w->x16.sum + most * (size_t)(k / 16);
	w->owner = w->second + w->m;
	w->x16.high = bytes ? (int8_t *)(w->second + most) : NULL;
	w->x16.low = bytes ? w->x16.high + bytes : NULL;
	return PLUMB_OK;
}

static void make_rows(struct work *w)
{
	plumb_native_split(w->driver, w->m, plumb_native_grain(w->w->k) * 2, quantise, w);
	w->rows = w->m;
	for (int64_t i = 0; i < w->m; i++)
		if (w->second[i]) {
			w->owner[w->rows - w->m] = (int32_t)i;
			w->second[i] = (int32_t)w->rows++;
		}
	if (w->rows > w->m)
		plumb_native_split(w->driver, w->rows - w->m, plumb_native_grain(w->w->k) * 2, rest, w);
}

enum plumb_status plumb_native_matmul_packed(struct plumb_driver *driver, const struct plumb_call *call, struct plumb_packed *weight)
{
	const struct plumb_tensor *x = call->in[0];
	struct work w = { .driver = driver, .kernels = plumb_native_simd(driver)->packed, .w = weight, .x = plumb_host(x),
		.b = call->in[2] ? plumb_host(call->in[2]) : NULL, .y = plumb_host(call->out), .m = x->dim[0], .n = weight->rows,
		.limit = PLUMB_MODE_LOSS };
	bool exact = call->in[1]->buffer->exact, fast = driver->ctx->mode == PLUMB_MODE_FAST;
	if (w.m > INT32_MAX / 2)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "native: %lld rows in one matmul", (long long)w.m);
	/* Where default takes two rows, fast takes one; where default takes one, bytes, unless reading the weights is all that counts. */
	if (exact)
		w.limit = fast ? INFINITY : 0;
	w.bytes = fast && !exact && w.m >= MANY && w.kernels->multiply8;
	PLUMB_TRY(reserve(&w));
	make_rows(&w);
	if (w.rows < MANY) {
		start_few(&w);
	} else {
		plumb_native_forget_next(driver); /* what is prefetched now would push panels out of the caches */
		w.block = block_rows(&w);
		plumb_native_split(driver, weight->groups / 2 * ((w.m + w.block - 1) / w.block), 1, run_many, &w);
	}
	return PLUMB_OK;
}
