/* SPDX-License-Identifier: Apache-2.0 */
/* How fast this machine's memory can be read: the limit that bench compares decoding with.
 * Threads sum a buffer that is larger than any cache; nothing of plumb's own kernels is used. */
#include "cli/cli.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define BYTES ((size_t)384 << 20)
#define PASSES 4

struct share {
	const uint64_t *p;
	size_t n;
	uint64_t sum;
};

/* Eight sums at once, so that additions do not wait for each other. */
static void *bandwidth_add_up(void *arg)
{
	struct share *share = arg;
	uint64_t sum[8] = { 0 };
	for (size_t i = 0; i + 8 <= share->n; i += 8)
		for (size_t k = 0; k < 8; k++)
			sum[k] += share->p[i + k];
	for (size_t k = 0; k < 8; k++)
		share->sum += sum[k];
	return NULL;
}

/* One pass over the buffer; false when threads cannot be had. */
static bool bandwidth_read_once(struct share *shares, pthread_t *threads, int n)
{
	int started = 0;
	while (started < n - 1 && !pthread_create(&threads[started], NULL, bandwidth_add_up, &shares[started]))
		started++;
	if (started == n - 1)
		bandwidth_add_up(&shares[n - 1]);
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return started == n - 1;
}

double cli_bandwidth(int threads)
{
	struct share *shares = calloc((size_t)threads, sizeof *shares);
	pthread_t *handles = calloc((size_t)threads, sizeof *handles);
	uint64_t *buffer = aligned_alloc((size_t)2 << 20, BYTES), sum = 0;
	double best = 0;
	if (shares && handles && buffer) {
		size_t words = BYTES / sizeof *buffer, share = words / (size_t)threads / 8 * 8;
#ifdef MADV_HUGEPAGE
		madvise(buffer, BYTES, MADV_HUGEPAGE); /* a help, not a need */
#endif
		memset(buffer, 1, BYTES);
		for (int i = 0; i < threads; i++)
			shares[i] = (struct share){ buffer + (size_t)i * share, share, 0 };
		for (int pass = 0; pass < PASSES; pass++) {
			double start = cli_seconds();
			if (!bandwidth_read_once(shares, handles, threads))
				break;
			double rate = (double)share * (double)threads * sizeof *buffer / (cli_seconds() - start);
			best = rate > best ? rate : best;
		}
		for (int i = 0; i < threads; i++)
			sum += shares[i].sum;
	}
	free(shares);
	free(handles);
	free(buffer);
	return sum ? best : 0; /* the sum is looked at, so that it is computed */
}
