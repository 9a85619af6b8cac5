/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that are the same in every run: each test program sets `rng` and draws. */
#ifndef PLUMB_TESTS_RANDOM_H
#define PLUMB_TESTS_RANDOM_H

#include <stdint.h>

static uint64_t rng;

static inline uint32_t random_bits(void) /* PCG: O'Neill 2014 */
{
	uint64_t old = rng;
	rng = old * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	uint32_t x = (uint32_t)((old >> 18 ^ old) >> 27), r = (uint32_t)(old >> 59);
	return x >> r | x << (-r & 31);
}

/* In [-most, most). */
static inline float uniform(float most) { return ((float)(random_bits() >> 8) * 0x1p-23f - 1) * most; }

#endif
