/* SPDX-License-Identifier: Apache-2.0 */
/* A few rows of x times packed weights: each weight is read once and unpacked in registers for every four rows. Up to four rows are
 * as fast as memory, and more meet the weights again in the L2 cache. So a thread reads its piece of each weight from front to back, of
 * gate and up a batch of each in turn; prefetching runs on from piece to piece and into its piece of the weight that came next the last
 * time, and goes on while it waits. Who is done takes from the others' pieces. */
#include "native/matmul_packed.h"

#define BATCH (64 << 10) /* bytes of a weight that a thread takes at a time */
#define GROUPS 8        /* groups whose results are collected before they go to y */
#define LD (GROUPS * PLUMB_GROUP)

/* The first of these groups that is in a thread's piece. */
static int64_t piece_start(const struct plumb_product *p, int64_t groups, int thread)
{
	return groups * thread / plumb_pool_threads(p->driver->ctx->pool);
}

/* A thread's piece of what follows this product. */
static struct plumb_stretch piece_after(const struct plumb_product *p, int thread)
{
	const struct plumb_stretch all = p->of[p->count - 1].w->next;
	const int64_t start = piece_start(p, all.groups, thread);
	return all.bytes ? (struct plumb_stretch){ all.bytes + all.group * (size_t)start, all.group, piece_start(p, all.groups, thread + 1) - start } : all;
}

/* Groups [first, end) of factor f to out; then `last` is where they end, or their piece goes on to, and `then` comes. */
static void few_groups(const struct plumb_product *p, int f, int64_t first, int64_t end, int64_t last, struct plumb_stretch then, float *out)
{
	const struct plumb_packed *w = p->of[f].w;
	struct plumb_few few = { .w = w->bytes + w->group * (size_t)first, .stride = w->group, .groups = end - first,
		.end = w->bytes + w->group * (size_t)last, .next = then.bytes, .next_bytes = then.group * (size_t)then.groups, .x = p->x16, .ldy = LD };
	for (; few.row < p->rows; few.row += few.rows) {
		few.rows = p->rows - few.row < PLUMB_FEW ? (int)(p->rows - few.row) : PLUMB_FEW;
		few.y = out + few.row * few.ldy;
		p->kernels->few[w->type](&few);
		few.end = few.w; /* what comes next is prefetched once */
		few.next = NULL;
	}
}

static struct plumb_stretch stretch(const struct plumb_packed *w, int64_t first, int64_t end)
{
	return (struct plumb_stretch){ w->bytes + w->group * (size_t)first, w->group, end - first };
}

static void matmul_few_finish(const struct plumb_product *p, int f, float *out, float *up, int64_t first, int64_t end)
{
	plumb_native_product_finish(p, f, &(struct plumb_results){ .out = out, .up = up, .ld = LD, .end = p->m, .first = first * PLUMB_GROUP,
		.width = (end - first) * PLUMB_GROUP });
}

/* Groups [at, end) of the owner's piece of gate, of up, and what they make. */
static void few_pair(const struct plumb_product *p, int64_t at, int64_t end, int owner, struct plumb_stretch after)
{
	float gate[(PLUMB_MANY - 1) * LD], up[(PLUMB_MANY - 1) * LD];
	const struct plumb_packed *w = p->of[0].w;
	const int64_t start = piece_start(p, w->groups, owner), stop = piece_start(p, w->groups, owner + 1), first = start + at, last = start + end;
	few_groups(p, 0, first, last, last, stretch(p->of[1].w, first, last), gate);
	few_groups(p, 1, first, last, last, last < stop ? stretch(w, last, stop) : after, up);
	matmul_few_finish(p, 0, gate, up, first, last);
}

/* Groups [at, end) of the owner's pieces of all weights, one piece after the other. */
static void few_parts(const struct plumb_product *p, int64_t at, int64_t end, int owner, struct plumb_stretch after)
{
	float out[(PLUMB_MANY - 1) * LD];
	for (int f = 0; f < p->count && at < end; f++) {
		const int64_t start = piece_start(p, p->of[f].w->groups, owner), stop = piece_start(p, p->of[f].w->groups, owner + 1);
		const int64_t first = start + at, last = start + end < stop ? start + end : stop;
		at -= stop - start;
		end -= stop - start;
		if (first >= stop)
			continue;
		at = 0;
		struct plumb_stretch then = after;
		if (f + 1 < p->count)
			then = stretch(p->of[f + 1].w, piece_start(p, p->of[f + 1].w->groups, owner), piece_start(p, p->of[f + 1].w->groups, owner + 1));
		few_groups(p, f, first, last, stop, then, out);
		matmul_few_finish(p, f, out, NULL, first, last);
	}
}

/* Groups in a thread's pieces; gate and up go together. */
static int64_t piece_groups(const struct plumb_product *p, int thread)
{
	int64_t groups = 0;
	for (int f = 0; f < (p->swiglu ? 1 : p->count); f++)
		groups += piece_start(p, p->of[f].w->groups, thread + 1) - piece_start(p, p->of[f].w->groups, thread);
	return groups;
}

static void matmul_few_run(void *arg, int64_t index, int thread)
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
		const int64_t stop = piece_groups(p, owner);
		/* Who helps out does not begin what comes next. */
		const struct plumb_stretch after = i == 0 ? piece_after(p, owner) : (struct plumb_stretch){ 0 };
		for (int64_t at; (at = atomic_fetch_add_explicit(&n->taken[owner].next, batch, memory_order_relaxed)) < stop;)
			(p->swiglu ? few_pair : few_parts)(p, at, at + batch < stop ? at + batch : stop, owner, after);
	}
}

void plumb_native_forget_next(struct plumb_driver *driver)
{
	for (int t = 0; t < plumb_pool_threads(driver->ctx->pool); t++)
		plumb_pool_hint(driver->ctx->pool, t, NULL);
}

void plumb_native_matmul_few(struct plumb_product *p)
{
	struct plumb_native *n = p->driver->state;
	const int threads = plumb_pool_threads(p->driver->ctx->pool);
	for (int t = 0; t < threads; t++) {
		atomic_store_explicit(&n->taken[t].next, 0, memory_order_relaxed);
		plumb_pool_hint(p->driver->ctx->pool, t, piece_after(p, t).bytes);
	}
	if (n->last)
		n->last->next = stretch(p->of[0].w, 0, p->of[0].w->groups);
	n->last = p->of[p->count - 1].w;
	plumb_pool_run(p->driver->ctx->pool, matmul_few_run, p, threads);
}
