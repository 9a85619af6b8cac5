/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison of one instruction set's micro-kernels with the definition: bits where the
 * result is defined, else float64 with a bound. No test framework, so that it also runs
 * cross-compiled; check_simd.c and cross_simd.c are its two drivers. */
#ifndef PLUMB_TESTS_SIMD_COMPARE_H
#define PLUMB_TESTS_SIMD_COMPARE_H

#include <stdint.h>
#include "native/simd/simd.h"

struct simd_comparison {
	const char *name;
	/* NULL when all is well, else what differs. Kernels that the set leaves empty are passed over. */
	const char *(*run)(const struct plumb_simd *simd, uint64_t seed);
};
extern const struct simd_comparison simd_comparisons[];
extern const int simd_comparison_count;

/* simd_packed.c: rounding of activations; products with packed weights. */
const char *simd_packed_rows(const struct plumb_simd *simd, uint64_t seed);
const char *simd_packed_products(const struct plumb_simd *simd, uint64_t seed);

#endif
