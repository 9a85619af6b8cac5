/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of threads that share the indices of a loop. Who takes which index is left to
 * chance; so no result may depend on it. Own code rather than OpenMP: a pool per context,
 * clean under ThreadSanitizer, and no compiler runtime behind the library's back. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "core/core.h"

/* Workers look this often for new work before they sleep: operators of one token follow
 * each other within microseconds, and waking a thread costs more than that. */
#define SPINS 20000

#define HINT (256 << 10) /* bytes a waiting worker prefetches: part of an L2 cache as a rule */
#define LINES 4          /* in one turn of its wait */

#define OPEN (UINT64_C(1) << 16)
#define LOOP (UINT64_C(1) << 17)
#define JOINED(state) ((state) & (OPEN - 1))

struct plumb_pool {
	int threads;
	unsigned forks; /* plumb_forks() when it was made */
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	plumb_pool_fn fn;
	void *arg;
	int64_t n;
	_Atomic int64_t next; /* first index that nobody has taken */
	/* Loop number * LOOP, + OPEN while it is, + the workers in it. A worker joins an open loop; the caller
	 * closes it when no index is left and waits only for who joined: a sleeping worker delays nobody. */
	_Atomic uint64_t state;
	_Atomic bool stop;
	pthread_t *thread;
	_Atomic uintptr_t *hint; /* per thread */
	int started;
};

static inline void pool_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* One turn of waiting: a step of prefetching, as memory would idle otherwise. */
static void pool_wait_turn(const struct plumb_pool *p, int me, int turn)
{
	uintptr_t at = atomic_load_explicit(&p->hint[me], memory_order_relaxed);
	if (!at || turn >= HINT / LINES / 64) {
		pool_relax();
		return;
	}
	for (int i = 0; i < LINES; i++) /* of any address: this never faults */
		__builtin_prefetch((const void *)(at + 64 * (uintptr_t)(turn * LINES + i)), 0, 2);
}

static void pool_share(struct plumb_pool *p, int me)
{
	for (;;) {
		int64_t i = atomic_fetch_add(&p->next, 1);
		if (i >= p->n)
			return;
		p->fn(p->arg, i, me);
	}
}

struct start {
	struct plumb_pool *pool;
	int me;
};

/* Wait for an open loop other than `seen` and join it; false to stop. */
static bool pool_join(struct plumb_pool *p, int me, uint64_t *seen)
{
	for (int spins = 0;;) {
		uint64_t state = atomic_load(&p->state);
		if (atomic_load(&p->stop))
			return false;
		if ((state & OPEN) && state / LOOP != *seen) {
			if (atomic_compare_exchange_weak(&p->state, &state, state + 1)) {
				*seen = state / LOOP;
				return true;
			}
		} else if (++spins < SPINS)
			pool_wait_turn(p, me, spins - 1);
		else {
			pthread_mutex_lock(&p->lock);
			while (state = atomic_load(&p->state),
				(!(state & OPEN) || state / LOOP == *seen) && !atomic_load(&p->stop))
				pthread_cond_wait(&p->work, &p->lock);
			pthread_mutex_unlock(&p->lock);
			spins = 0;
		}
	}
}

static void *pool_worker(void *arg)
{
	struct start s = *(struct start *)arg;
	struct plumb_pool *p = s.pool;
	free(arg);
	for (uint64_t seen = 0; pool_join(p, s.me, &seen);) {
		pool_share(p, s.me);
		uint64_t state = atomic_fetch_sub(&p->state, 1);
		if (JOINED(state) == 1 && !(state & OPEN)) {
			pthread_mutex_lock(&p->lock);
			pthread_cond_signal(&p->done);
			pthread_mutex_unlock(&p->lock);
		}
	}
	return NULL;
}

enum plumb_status plumb_pool_new(struct plumb_pool **out, int threads)
{
	*out = NULL;
	struct plumb_pool *p = calloc(1, sizeof *p);
	if (!p || !(p->thread = calloc((size_t)threads, sizeof *p->thread)) ||
		!(p->hint = calloc((size_t)threads, sizeof *p->hint))) {
		if (p)
			free(p->thread);
		free(p);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a pool of %d threads", threads);
	}
	p->threads = threads;
	p->forks = plumb_forks();
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	/* Workers take no signals: the program's own thread is the one that waits for them. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 1; i < threads && p->started == i - 1; i++) {
		struct start *s = malloc(sizeof *s);
		if (s)
			*s = (struct start){ p, i };
		if (s && !pthread_create(&p->thread[i], NULL, pool_worker, s))
			p->started = i;
		else
			free(s);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (p->started < threads - 1) {
		int failed = p->started + 2;
		plumb_pool_free(p);
		return plumb_fail(PLUMB_E_MEMORY, "thread %d of %d could not be started", failed, threads);
	}
	*out = p;
	return PLUMB_OK;
}

bool plumb_pool_orphan(const struct plumb_pool *p) { return p->forks != plumb_forks(); }

static void pool_stop_workers(struct plumb_pool *p)
{
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->stop, true);
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (int i = 1; i <= p->started; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}

void plumb_pool_free(struct plumb_pool *p)
{
	if (!p)
		return;
	if (!plumb_pool_orphan(
			p)) /* in a child there is nobody to join, and who held the lock is not there to let it go */
		pool_stop_workers(p);
	free(p->thread);
	free(p->hint);
	free(p);
}

void plumb_pool_hint(struct plumb_pool *p, int thread, const void *next)
{
	atomic_store_explicit(&p->hint[thread], (uintptr_t)next, memory_order_relaxed);
}

int plumb_pool_threads(const struct plumb_pool *p) { return p->threads; }

void plumb_pool_run(struct plumb_pool *p, plumb_pool_fn fn, void *arg, int64_t n)
{
	if (p->threads == 1 || n <= 1 || plumb_pool_orphan(p)) {
		for (int64_t i = 0; i < n; i++)
			fn(arg, i, 0);
		return;
	}
	p->fn = fn;
	p->arg = arg;
	p->n = n;
	atomic_store(&p->next, 0);
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->state, LOOP + OPEN);
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	pool_share(p, 0);
	atomic_fetch_sub(&p->state, OPEN);
	for (int i = 0; i < SPINS && JOINED(atomic_load(&p->state)); i++)
		pool_relax();
	if (JOINED(atomic_load(&p->state))) {
		pthread_mutex_lock(&p->lock);
		while (JOINED(atomic_load(&p->state)))
			pthread_cond_wait(&p->done, &p->lock);
		pthread_mutex_unlock(&p->lock);
	}
}
