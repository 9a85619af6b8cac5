/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction sets of this build, for tests that run once in each: how many this machine has, and a skip for
 * each that it lacks. */
#ifndef PLUMB_TESTS_SIMD_SETS_H
#define PLUMB_TESTS_SIMD_SETS_H

#include <stdio.h>
#include "native/simd/simd.h"

static inline int simd_sets(void)
{
	int n = 0;
	while (plumb_simd_at(n))
		n++;
	return n;
}

static inline void simd_sets_skipped(void)
{
	for (int i = 0; plumb_simd_missing(i); i++)
		printf("SKIP: instruction set %s: this CPU lacks it\n", plumb_simd_missing(i));
	fflush(stdout); /* before libcheck forks */
}

#endif
