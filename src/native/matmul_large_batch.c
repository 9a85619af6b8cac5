/* SPDX-License-Identifier: Apache-2.0 */
/* Many rows of x times packed weights: panels of 32 rows of a weight, unpacked once for a block of rows of x,
 * which meet them in tiles. A panel's results are completed and go to y while they are in the caches; those
 * of gate and up never go to memory whole. */
#include "native/matmul_packed.h"

#define KC 256   /* columns per panel: 16 KB that stay in the L1 cache, and the order of sums in packed.h */
#define FULL 512 /* rows of x for which unpacking a panel takes less than 1 % of the time */

/* A thread's scratch: a panel's scales, minima and numbers. */
struct panel {
	float *scale, *add;
	int16_t *q;
};

static size_t matmul_large_batch_panel_floats(void)
{
	return 2 * (KC / 16 * PLUMB_PANEL) + KC * PLUMB_PANEL / 2;
}

size_t plumb_native_matmul_scratch(const struct plumb_product *p)
{
	return matmul_large_batch_panel_floats() + (p->gated ? 2 : 1) * 2 * (size_t)p->m * PLUMB_PANEL;
}

/* As many rows of x as fill half of a second-level cache, but at least FULL, which come from the third level
 * in time when they are prefetched; more than that would come from memory for each panel. Blocks of about the
 * same size. */
static int64_t matmul_large_batch_block_rows(const struct plumb_product *p)
{
	const int64_t fit = (int64_t)(((const struct plumb_native *)p->driver->state)->cache / 2) / (2 * p->k),
				  step = p->kernels->tile;
	const int64_t blocks = p->m / (fit > FULL ? fit : FULL);
	return blocks < 2 ? p->m : ((p->m + blocks - 1) / blocks + step - 1) / step * step;
}

/* A block's rows of x: [first, end), then their second rows [second, last). */
struct rows {
	int64_t first, end, second, last;
};

static struct rows matmul_large_batch_rows_of(const struct plumb_product *p, int64_t block)
{
	struct rows r = { block * p->block, (block + 1) * p->block < p->m ? (block + 1) * p->block : p->m, 0, 0 };
	for (int64_t i = r.first; i < r.end; i++)
		if (p->second[i]) {
			r.second = r.last ? r.second : p->second[i];
			r.last = p->second[i] + 1;
		}
	return r;
}

/* Rows [i, end) of x against columns [from, from + n) of a panel, to out, or to y {m, n}. */
static void matmul_large_batch_run_tiles(const struct plumb_product *p, struct plumb_tile16 *tile, int64_t i,
	int64_t end, float *out, float *y, int64_t n)
{
	const int64_t step = p->kernels->tile;
	for (; i < end; i += tile->rows) {
		tile->row = i;
		tile->rows = (int)(end - i < step ? end - i : step);
		tile->sum = tile->from ? out + i * PLUMB_PANEL : NULL;
		tile->lds = PLUMB_PANEL;
		tile->y = y ? y + i * n : out + i * PLUMB_PANEL;
		tile->ldy = y ? n : PLUMB_PANEL;
		if (p->bytes)
			p->kernels->multiply8(tile);
		else
			p->kernels->multiply(tile);
	}
}

/* A panel of factor f against a block's rows, to out. direct: the last columns' results of first rows go to y
 * itself. */
static void matmul_large_batch_run_panel(const struct plumb_product *p, int f, int64_t panel,
	const struct rows *r, const struct panel *to, float *out, bool direct)
{
	const struct plumb_packed *w = p->of[f].w;
	const struct plumb_packed_format format = plumb_packed_formats[w->type];
	const plumb_unpack_fn unpack = p->bytes ? p->kernels->unpack8[w->type] : p->kernels->unpack[w->type];
	for (int64_t k = 0; k < w->k; k += KC) {
		const int64_t n = w->k - k < KC ? w->k - k : KC;
		unpack(&(struct plumb_unpack){ .w = w->bytes + w->group * (size_t)(2 * panel),
			.stride = w->group,
			.k = w->k,
			.from = k,
			.n = n,
			.q = to->q,
			.scale = to->scale,
			.add = to->add });
		struct plumb_tile16 tile = { .q = to->q,
			.scale = to->scale,
			.add = to->add,
			.sub = format.sub,
			.min = format.min,
			.offset = format.offset,
			.x = p->x16,
			.from = k,
			.n = n };
		matmul_large_batch_run_tiles(p, &tile, r->first, r->end, out,
			direct && k + n == w->k ? p->of[f].y + panel * PLUMB_PANEL : NULL, w->rows);
		matmul_large_batch_run_tiles(p, &tile, r->second, r->last, out, NULL, 0);
	}
}

/* Panels of a block of rows: those of all weights, or of gate, with which up's go. */
static int64_t matmul_large_batch_panels(const struct plumb_product *p)
{
	int64_t n = 0;
	for (int f = 0; f < (p->gated ? 1 : p->count); f++)
		n += p->of[f].w->groups / 2;
	return n;
}

static void matmul_large_batch_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct plumb_product *p = arg;
	float *scratch = plumb_native_scratch(p->driver, thread),
		  *out = scratch + matmul_large_batch_panel_floats(), *up = out + 2 * p->m * PLUMB_PANEL;
	const struct panel to = { scratch, scratch + KC / 16 * PLUMB_PANEL,
		(int16_t *)(void *)(scratch + 2 * (KC / 16 * PLUMB_PANEL)) };
	for (int64_t item = first; item < end; item++) {
		const struct rows r = matmul_large_batch_rows_of(p, item / matmul_large_batch_panels(p));
		int64_t panel = item % matmul_large_batch_panels(p);
		int f = 0;
		for (; panel >= p->of[f].w->groups / 2; f++)
			panel -= p->of[f].w->groups / 2;
		/* To y itself where that has room for the whole width of a tile, and is not yet needed for something
		 * else. */
		const bool direct = !p->gated && !p->r && (panel + 1) * PLUMB_PANEL <= p->of[f].w->rows;
		matmul_large_batch_run_panel(p, f, panel, &r, &to, out, direct);
		if (p->gated)
			matmul_large_batch_run_panel(p, 1, panel, &r, &to, up, false);
		plumb_native_product_finish(p, f,
			&(struct plumb_results){ .out = out,
				.up = up,
				.ld = PLUMB_PANEL,
				.i = r.first,
				.end = r.end,
				.first = panel * PLUMB_PANEL,
				.width = PLUMB_PANEL,
				.there = direct });
	}
}

void plumb_native_matmul_large_batch(struct plumb_product *p)
{
	plumb_native_forget_next(p->driver); /* what is prefetched now would push panels out of the caches */
	p->block = matmul_large_batch_block_rows(p);
	plumb_native_split(p->driver, matmul_large_batch_panels(p) * ((p->m + p->block - 1) / p->block), 1,
		matmul_large_batch_run, p);
}
