/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in one pass over keys and values (online softmax: Milakov and Gimelshein 2018; Dao
 * et al. 2022). A task is one KV head and a block of queries, whose heads share each tile of
 * keys and values; scores exist for one tile only. Long caches with few queries are cut into
 * chunks of keys, merged in order of position. A window lets tiles begin where its first query sees a key. */
#include <math.h>
#include <string.h>
#include "native/native.h"
#include "op/op.h"

#define KEYS 64      /* keys in a tile */
#define ROWS 48      /* about so many (query, head) rows share a tile */
#define CHUNK 1024   /* keys per task when the queries are few; whole tiles */
#define SPLIT_ROWS 4 /* up to so many query rows, the keys are cut */

struct work {
	struct plumb_driver *driver;
	const struct plumb_simd *simd;
	float *y, *partial; /* partial: per task, when there are chunks */
	const float *q;
	const char *k, *v;
	enum plumb_type ktype, vtype;
	size_t khead, vhead; /* bytes of a head in a row of the caches */
	int64_t n, d, wide, group,
		block; /* queries, head size and that in whole tiles, heads per KV head, queries per task */
	int64_t blocks, chunks, chunk; /* tasks: kv_heads * blocks * chunks */
	int64_t from;                  /* where the first chunk begins */
	size_t partial_size;
	struct plumb_attn a;
};

/* What one task holds, in its thread's scratch. Row r is query r / group, head r % group. */
struct tile {
	float *q, *s, *panel, *v, *rows; /* queries, scores, packed keys, values, keys before packing */
	float *out, *max, *sum;          /* rows x wide, rows, rows: may be in `partial` */
	int64_t first, count;            /* queries */
	int64_t last;                    /* end of the keys */
};

static size_t attention_result_floats(int64_t rows, int64_t wide) { return (size_t)(rows * (wide + 2)); }

static size_t attention_scratch_floats(int64_t rows, int64_t d, int64_t wide)
{
	return (size_t)(rows * (d + KEYS) + d * KEYS + KEYS * wide + PLUMB_SIMD_NR_MAX * d) +
		attention_result_floats(rows, wide);
}

static void attention_tile_start(
	const struct work *w, struct tile *t, int64_t kv_head, float *scratch, float *result)
{
	int64_t rows = w->block * w->group;
	t->q = scratch;
	t->s = t->q + rows * w->d;
	t->panel = t->s + rows * KEYS;
	t->v = t->panel + w->d * KEYS;
	t->rows = t->v + KEYS * w->wide;
	t->out = result ? result : t->rows + PLUMB_SIMD_NR_MAX * w->d;
	t->max = t->out + rows * w->wide;
	t->sum = t->max + rows;
	for (int64_t i = 0; i < t->count; i++) /* the heads of a group lie side by side */
		memcpy(t->q + i * w->group * w->d, w->q + ((t->first + i) * w->a.heads + kv_head * w->group) * w->d,
			sizeof *t->q * (size_t)(w->group * w->d));
	memset(t->out, 0, sizeof *t->out * (size_t)(rows * w->wide));
	memset(t->v, 0, sizeof *t->v * (size_t)(KEYS * w->wide));
	for (int64_t r = 0; r < rows; r++) {
		t->max[r] = -INFINITY;
		t->sum[r] = 0;
	}
}

/* The head's part of cache row `at`. */
static const char *attention_cache_row(
	const struct work *w, const char *cache, size_t head, int64_t kv_head, int64_t at)
{
	return cache + head * (size_t)(at * w->a.kv_heads + kv_head);
}

/* Rows [at, end) of a cache that are still to come. With few queries memory is the limit, heads lie apart,
 * and hardware that follows streams sees none; with many, keys are used so often that they are in a cache. */
static void attention_prefetch_rows(
	const struct work *w, const char *cache, size_t head, int64_t kv_head, int64_t at, int64_t end)
{
	for (int64_t j = at; j < end && w->n <= SPLIT_ROWS; j++)
		for (size_t i = 0; i < head; i += 64)
			__builtin_prefetch(attention_cache_row(w, cache, head, kv_head, j) + i, 0, 2);
}

/* Rows in tiles of at most `most`, evenly: 7 as 4 and 3, since a tile of 1 takes as long as one of 4. */
static int64_t attention_even(int64_t rows, int64_t most)
{
	int64_t tiles = (rows + most - 1) / most;
	return (rows + tiles - 1) / tiles;
}

/* s = q k^T for all rows and `keys` keys from `at` on. */
static void attention_tile_scores(
	const struct work *w, const struct tile *t, int64_t kv_head, int64_t at, int64_t keys)
{
	const struct plumb_simd *simd = w->simd;
	const int64_t rows = t->count * w->group, step = attention_even(rows, simd->mr);
	for (int64_t j = 0; j < keys; j += simd->nr) {
		int n = keys - j < simd->nr ? (int)(keys - j) : simd->nr;
		const char *from = attention_cache_row(w, w->k, w->khead, kv_head, at + j);
		attention_prefetch_rows(w, w->k, w->khead, kv_head, at + j + KEYS,
			at + j + n + KEYS < t->last ? at + j + n + KEYS : t->last);
		for (int r = 0; r < n && w->ktype != PLUMB_F32; r++)
			simd->to_f32[w->ktype](
				w->ktype, from + w->khead * (size_t)(r * w->a.kv_heads), t->rows + r * w->d, w->d);
		if (w->ktype == PLUMB_F32)
			simd->pack((const float *)(const void *)from, w->a.kv_heads * w->d, n, w->d, t->panel);
		else
			simd->pack(t->rows, w->d, n, w->d, t->panel);
		for (int64_t r = 0; r < rows; r += step)
			simd->gemm(&(struct plumb_tile){ .m = (int)(rows - r < step ? rows - r : step),
				.k = w->d,
				.ldx = w->d,
				.ldp = simd->nr,
				.ldc = KEYS,
				.x = t->q + r * w->d,
				.panel = t->panel,
				.c = t->s + r * KEYS + j });
	}
}

/* Which of `keys` keys from `at` on query i of a task sees: [first, end), none when that is empty. */
struct seen {
	int64_t first, end;
};

static struct seen attention_query_sees(
	const struct work *w, const struct tile *t, int64_t i, int64_t at, int64_t keys)
{
	int64_t position = w->a.pos + t->first + i, first = plumb_attn_first(&w->a, position) - at,
			end = position + 1 - at;
	return (struct seen){ first > 0 ? first : 0, end < keys ? end : keys };
}

/* Scores of row r to weights; what was summed so far is scaled to the new maximum. */
static void attention_row_softmax(const struct work *w, const struct tile *t, int64_t r, struct seen sees)
{
	float *s = t->s + r * KEYS + sees.first;
	int64_t seen = sees.end - sees.first;
	w->simd->scale(s, (float)w->a.scale, seen);
	float max = w->simd->max(s, seen), keep;
	if (!(max > t->max[r]))
		max = t->max[r];
	float shift = max == -INFINITY ? 0
								   : max; /* only -inf so far: weights 0, not NaN, as a later key may count */
	if (t->max[r] != max && t->sum[r] != 0) {
		w->simd->exp_sum(&keep, &t->max[r], shift, 1);
		w->simd->scale(t->out + r * w->wide, keep, w->d);
		t->sum[r] *= keep;
	}
	t->max[r] = max;
	t->sum[r] += w->simd->exp_sum(s, s, shift, seen);
}

/* out += s v for rows [r, r + rows) and the keys that they see. */
static void attention_tile_mix(const struct work *w, const struct tile *t, int64_t r, int64_t rows,
	const float *v, int64_t ldv, struct seen sees)
{
	const struct plumb_simd *simd = w->simd;
	const int64_t step = attention_even(rows, simd->mr);
	for (int64_t c = 0; c < w->wide; c += simd->nr)
		for (int64_t i = r; i < r + rows; i += step)
			simd->gemm(&(struct plumb_tile){ .m = (int)(r + rows - i < step ? r + rows - i : step),
				.k = sees.end - sees.first,
				.ldx = KEYS,
				.ldp = ldv,
				.ldc = w->wide,
				.x = t->s + i * KEYS + sees.first,
				.panel = v + sees.first * ldv + c,
				.c = t->out + i * w->wide + c,
				.add = true });
}

static void attention_tile_keys(
	const struct work *w, const struct tile *t, int64_t kv_head, int64_t at, int64_t keys)
{
	int64_t ldv = w->a.kv_heads * w->d, ahead = at + KEYS, share = 1 + KEYS / (t->count * w->group);
	bool all = true; /* every query sees every key */
	const float *v = (const float *)(const void *)attention_cache_row(w, w->v, w->vhead, kv_head, at);
	attention_tile_scores(w, t, kv_head, at, keys);
	if (w->vtype != PLUMB_F32 || w->wide != w->d) {
		for (int64_t j = 0; j < keys; j++)
			w->simd->to_f32[w->vtype](
				w->vtype, attention_cache_row(w, w->v, w->vhead, kv_head, at + j), t->v + j * w->wide, w->d);
		v = t->v;
		ldv = w->wide;
	}
	for (int64_t i = 0; i < t->count; i++) {
		struct seen sees = attention_query_sees(w, t, i, at, keys);
		all = all && sees.first == 0 && sees.end == keys;
		for (int64_t r = i * w->group; sees.end > sees.first && r < (i + 1) * w->group; r++) {
			attention_row_softmax(w, t, r, sees);
			attention_prefetch_rows(
				w, w->v, w->vhead, kv_head, ahead, ahead + share < t->last ? ahead + share : t->last);
			ahead += share;
		}
	}
	if (all) {
		attention_tile_mix(w, t, 0, t->count * w->group, v, ldv, (struct seen){ 0, keys });
		return;
	}
	/* At the ends query by query: a value that a query must not see may be NaN, and 0 * NaN counts. */
	for (int64_t i = 0; i < t->count; i++) {
		struct seen sees = attention_query_sees(w, t, i, at, keys);
		if (sees.end > sees.first)
			attention_tile_mix(w, t, i * w->group, w->group, v, ldv, sees);
	}
}

static void attention_write_rows(const struct work *w, const struct tile *t, int64_t kv_head)
{
	for (int64_t r = 0; r < t->count * w->group; r++) {
		float *y = w->y + ((t->first + r / w->group) * w->a.heads + kv_head * w->group + r % w->group) * w->d;
		memcpy(y, t->out + r * w->wide, sizeof *y * (size_t)w->d);
		w->simd->scale(y, 1 / t->sum[r], w->d);
	}
}

/* Where the tiles of queries from `first` on begin: at whole ones, so that a query's keys fall into the same
 * tiles whatever queries are beside it. */
static int64_t attention_first_tile(const struct work *w, int64_t first)
{
	return plumb_attn_first(&w->a, w->a.pos + first) / KEYS * KEYS;
}

static void attention_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	for (int64_t task = first; task < end; task++) {
		int64_t chunk = task % w->chunks, kv_head = task / w->chunks / w->blocks;
		int64_t block = w->blocks - 1 - task / w->chunks % w->blocks; /* the longest first */
		struct tile t = { .first = block * w->block };
		t.count = w->n - t.first < w->block ? w->n - t.first : w->block;
		attention_tile_start(w, &t, kv_head, plumb_native_scratch(w->driver, thread),
			w->partial ? w->partial + w->partial_size * (size_t)task : NULL);
		int64_t at = w->chunks > 1 ? w->from + chunk * w->chunk : attention_first_tile(w, t.first);
		t.last = w->a.pos + t.first + t.count;
		if (chunk < w->chunks - 1)
			t.last = at + w->chunk;
		for (; at < t.last; at += KEYS)
			attention_tile_keys(w, &t, kv_head, at, t.last - at < KEYS ? t.last - at : KEYS);
		if (!w->partial)
			attention_write_rows(w, &t, kv_head);
	}
}

/* Chunks 1.. of one (KV head, block) into its chunk 0, in order. */
static void attention_merge(const struct work *w, int64_t kv_head)
{
	int64_t rows = w->block * w->group;
	float *into = w->partial + w->partial_size * (size_t)(kv_head * w->chunks);
	struct tile t = {
		.out = into, .max = into + rows * w->wide, .sum = into + rows * w->wide + rows, .count = w->n
	};
	for (int64_t c = 1; c < w->chunks; c++) {
		float *from = into + w->partial_size * (size_t)c, *max = from + rows * w->wide, *sum = max + rows;
		for (int64_t r = 0; r < rows; r++) {
			float top = max[r] > t.max[r] ? max[r] : t.max[r], shift = top == -INFINITY ? 0 : top;
			float scale[2], both[2] = { t.max[r], max[r] };
			w->simd->exp_sum(scale, both, shift, 2);
			w->simd->scale(t.out + r * w->wide, scale[0], w->d);
			w->simd->scale(from + r * w->wide, scale[1], w->d);
			w->simd->add(t.out + r * w->wide, t.out + r * w->wide, from + r * w->wide, w->d);
			t.sum[r] = t.sum[r] * scale[0] + sum[r] * scale[1];
			t.max[r] = top;
		}
	}
	attention_write_rows(w, &t, kv_head);
}

enum plumb_status plumb_native_attention(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *q = call->in[0], *k = call->in[1], *v = call->in[2];
	const struct plumb_simd *simd = plumb_native_simd(driver);
	struct work w = { .driver = driver,
		.simd = simd,
		.y = plumb_host(call->out),
		.q = plumb_host(q),
		.k = plumb_host(k),
		.v = plumb_host(v),
		.ktype = k->type,
		.vtype = v->type,
		.n = q->dim[0],
		.d = q->dim[1] / call->s.attn.heads,
		.chunks = 1,
		.a = call->s.attn };
	enum plumb_status s = plumb_native_f32(call);
	if (s || (s = plumb_native_cache(k)) || (s = plumb_native_cache(v)))
		return s;
	w.wide = (w.d + simd->nr - 1) / simd->nr * simd->nr;
	w.group = w.a.heads / w.a.kv_heads;
	w.block = w.group < ROWS ? ROWS / w.group : 1;
	if (w.n <= SPLIT_ROWS) {
		w.block = w.n;
		w.from = attention_first_tile(&w, 0);
		w.chunks = (w.a.pos + w.n - w.from + CHUNK - 1) / CHUNK;
	}
	w.blocks = (w.n + w.block - 1) / w.block;
	w.chunk = CHUNK;
	w.khead = plumb_type_bytes(w.ktype) * (size_t)w.d;
	w.vhead = plumb_type_bytes(w.vtype) * (size_t)w.d;
	int64_t rows = w.block * w.group;
	w.partial_size = attention_result_floats(rows, w.wide);
	size_t partials = w.chunks > 1 ? w.partial_size * (size_t)(w.a.kv_heads * w.chunks) : 0;
	if ((s = plumb_native_reserve(driver, attention_scratch_floats(rows, w.d, w.wide), partials)))
		return s;
	w.partial = partials ? plumb_native_shared(driver) : NULL;
	plumb_native_split(driver, w.a.kv_heads * w.blocks * w.chunks, 1, attention_run, &w);
	for (int64_t g = 0; w.partial && g < w.a.kv_heads; g++)
		attention_merge(&w, g);
	return PLUMB_OK;
}
