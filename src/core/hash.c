/* SPDX-License-Identifier: Apache-2.0 */
/* The number that hashes of names begin with. */
#include <sys/random.h>
#include <time.h>
#include "core/hash.h"

uint64_t plumb_hash_seed(void)
{
	uint64_t seed = 0;
	struct timespec t = { 0 };
	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
		return seed;
	/* No system call of that name, or too early: time and where things lie are still not in any file. */
	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uint64_t)(uintptr_t)&t) * 0x9e3779b97f4a7c15u;
}
