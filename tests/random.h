/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that are the same in every run: each test program sets `rng` and draws. */
#ifndef PLUMB_TESTS_RANDOM_H
#define PLUMB_TESTS_RANDOM_H

#include "core/random.h"

static uint64_t rng;

static inline uint32_t random_bits(void) { return (uint32_t)(plumb_random(&rng) >> 32); }

/* In [-most, most). */
static inline float uniform(float most) { return ((float)(random_bits() >> 8) * 0x1p-23f - 1) * most; }

#endif
