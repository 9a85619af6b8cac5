/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of one instruction set, cross-compiled and run in an emulator by
 * tools/check-neon.sh. Links only simd/, core/type.c and core/status.c. */
#include <stdio.h>
#include <stdlib.h>
#include "core/core.h"
#include "simd_compare.h"

#ifdef PLUMB_HAVE_NEON
#define SET plumb_simd_neon
#else
#define SET plumb_simd_c
#endif

int main(void)
{
	const char *text = getenv("PLUMB_TEST_SEED");
	unsigned long long seed = text ? strtoull(text, NULL, 0) : 20250117;
	int failed = 0;
	for (int i = 0; i < simd_comparison_count; i++) {
		const char *bad = simd_comparisons[i].run(&SET, seed);
		printf("%s %s%s%s\n", SET.name, simd_comparisons[i].name, bad ? ": " : " ok", bad ? bad : "");
		failed += bad != NULL;
	}
	if (failed)
		printf("%d failed (PLUMB_TEST_SEED=%llu)\n", failed, seed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
