/* SPDX-License-Identifier: Apache-2.0 */
/* A few rows of x times packed weights: each weight is read once and unpacked in registers for every four
 * rows. Up to four rows are as fast as memory, and more meet the weights again in the L2 cache. So a thread
 * reads its share of each weight from front to back, of gate and up a batch of each in turn; prefetching runs
 * on from share to share and into its share of the weight that came next the last time, and goes on while it
 * waits. A thread that finishes its share takes batches from those of others (work stealing). */
#include "native/matmul_packed.h"

#define BATCH (64 << 10) /* bytes of a weight that a thread takes at a time */
#define GROUPS 8         /* groups whose results are collected before they go to y */
#define LD (GROUPS * PLUMB_GROUP)

/* The first of these groups that is in a thread's share. */
static int64_t matmul_small_batch_share_start(const struct plumb_product *p, int64_t groups, int thread)
{
	return groups * thread / plumb_pool_threads(p->driver->ctx->pool);
}

/* A thread's share of what follows this product. */
static struct plumb_stretch matmul_small_batch_share_after(const struct plumb_product *p, int thread)
{
	const struct plumb_stretch all = p->of[p->count - 1].w->next;
	const int64_t start = matmul_small_batch_share_start(p, all.groups, thread);
	return all.bytes ? (struct plumb_stretch){ all.bytes + all.group * (size_t)start, all.group,
		matmul_small_batch_share_start(p, all.groups, thread + 1) - start }
					 : all;
}

/* Groups [first, end) of factor f to out; then `last` is where they end, or their share goes on to, and
 * `then` comes. */
static void matmul_small_batch_groups(const struct plumb_product *p, int f, int64_t first, int64_t end,
	int64_t last, struct plumb_stretch then, float *out)
{
	const struct plumb_packed *w = p->of[f].w;
	struct plumb_small_batch batch = { .w = w->bytes + w->group * (size_t)first,
		.stride = w->group,
		.groups = end - first,
		.end = w->bytes + w->group * (size_t)last,
		.next = then.bytes,
		.next_bytes = then.group * (size_t)then.groups,
		.x = p->x16,
		.ldy = LD };
	for (; batch.row < p->rows; batch.row += batch.rows) {
		batch.rows = p->rows - batch.row < PLUMB_SMALL_BATCH ? (int)(p->rows - batch.row) : PLUMB_SMALL_BATCH;
		batch.y = out + batch.row * batch.ldy;
		p->kernels->small_batch[w->type](&batch);
		batch.end = batch.w; /* what comes next is prefetched once */
		batch.next = NULL;
	}
}

static struct plumb_stretch matmul_small_batch_stretch(
	const struct plumb_packed *w, int64_t first, int64_t end)
{
	return (struct plumb_stretch){ w->bytes + w->group * (size_t)first, w->group, end - first };
}

static void matmul_small_batch_finish(
	const struct plumb_product *p, int f, float *out, float *up, int64_t first, int64_t end)
{
	plumb_native_product_finish(p, f,
		&(struct plumb_results){ .out = out,
			.up = up,
			.ld = LD,
			.end = p->m,
			.first = first * PLUMB_GROUP,
			.width = (end - first) * PLUMB_GROUP });
}

/* Groups [at, end) of the owner's share of gate, of up, and what they make. */
static void matmul_small_batch_few_pair(
	const struct plumb_product *p, int64_t at, int64_t end, int owner, struct plumb_stretch after)
{
	float gate[(PLUMB_LARGE_BATCH - 1) * LD], up[(PLUMB_LARGE_BATCH - 1) * LD];
	const struct plumb_packed *w = p->of[0].w;
	const int64_t start = matmul_small_batch_share_start(p, w->groups, owner),
				  stop = matmul_small_batch_share_start(p, w->groups, owner + 1), first = start + at,
				  last = start + end;
	matmul_small_batch_groups(
		p, 0, first, last, last, matmul_small_batch_stretch(p->of[1].w, first, last), gate);
	matmul_small_batch_groups(
		p, 1, first, last, last, last < stop ? matmul_small_batch_stretch(w, last, stop) : after, up);
	matmul_small_batch_finish(p, 0, gate, up, first, last);
}

/* Groups [at, end) of the owner's shares of all weights, one share after the other. */
static void matmul_small_batch_few_parts(
	const struct plumb_product *p, int64_t at, int64_t end, int owner, struct plumb_stretch after)
{
	float out[(PLUMB_LARGE_BATCH - 1) * LD];
	for (int f = 0; f < p->count && at < end; f++) {
		const int64_t start = matmul_small_batch_share_start(p, p->of[f].w->groups, owner),
					  stop = matmul_small_batch_share_start(p, p->of[f].w->groups, owner + 1);
		const int64_t first = start + at, last = start + end < stop ? start + end : stop;
		at -= stop - start;
		end -= stop - start;
		if (first >= stop)
			continue;
		at = 0;
		struct plumb_stretch then = after;
		if (f + 1 < p->count)
			then = matmul_small_batch_stretch(p->of[f + 1].w,
				matmul_small_batch_share_start(p, p->of[f + 1].w->groups, owner),
				matmul_small_batch_share_start(p, p->of[f + 1].w->groups, owner + 1));
		matmul_small_batch_groups(p, f, first, last, stop, then, out);
		matmul_small_batch_finish(p, f, out, NULL, first, last);
	}
}

/* Groups in a thread's shares; gate and up go together. */
static int64_t matmul_small_batch_share_groups(const struct plumb_product *p, int thread)
{
	int64_t groups = 0;
	for (int f = 0; f < (p->gated ? 1 : p->count); f++)
		groups += matmul_small_batch_share_start(p, p->of[f].w->groups, thread + 1) -
			matmul_small_batch_share_start(p, p->of[f].w->groups, thread);
	return groups;
}

static void matmul_small_batch_run(void *arg, int64_t index, int thread)
{
	const struct plumb_product *p = arg;
	struct plumb_native *n = p->driver->state;
	const int threads = plumb_pool_threads(p->driver->ctx->pool);
	(void)index; /* the thread counts: all take part, and in what order is all the same */
	int64_t batch = GROUPS;
	for (int f = 0; f < p->count; f++)
		while (batch > 1 && (size_t)batch * p->of[f].w->group > BATCH)
			batch--;
	for (int i = 0; i < threads; i++) {
		const int owner = (thread + i) % threads;
		const int64_t stop = matmul_small_batch_share_groups(p, owner);
		/* A stealing thread does not prefetch the next weight. */
		const struct plumb_stretch after = i == 0 ? matmul_small_batch_share_after(p, owner)
												  : (struct plumb_stretch){ 0 };
		for (int64_t at;
			 (at = atomic_fetch_add_explicit(&n->taken[owner].next, batch, memory_order_relaxed)) < stop;)
			(p->gated ? matmul_small_batch_few_pair : matmul_small_batch_few_parts)(
				p, at, at + batch < stop ? at + batch : stop, owner, after);
	}
}

void plumb_native_forget_next(struct plumb_driver *driver)
{
	for (int t = 0; t < plumb_pool_threads(driver->ctx->pool); t++)
		plumb_pool_hint(driver->ctx->pool, t, NULL);
}

void plumb_native_matmul_small_batch(struct plumb_product *p)
{
	struct plumb_native *n = p->driver->state;
	const int threads = plumb_pool_threads(p->driver->ctx->pool);
	for (int t = 0; t < threads; t++) {
		atomic_store_explicit(&n->taken[t].next, 0, memory_order_relaxed);
		plumb_pool_hint(p->driver->ctx->pool, t, matmul_small_batch_share_after(p, t).bytes);
	}
	if (n->last)
		n->last->next = matmul_small_batch_stretch(p->of[0].w, 0, p->of[0].w->groups);
	n->last = p->of[p->count - 1].w;
	plumb_pool_run(p->driver->ctx->pool, matmul_small_batch_run, p, threads);
}
