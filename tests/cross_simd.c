/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the instruction sets of this build, cross-compiled and run in an emulator by
 * tools/check-neon.sh. Links only simd/, core/type.c and core/status.c. */
#include <stdio.h>
#include <stdlib.h>
#include "core/core.h"
#include "simd_compare.h"

static const struct plumb_simd *const sets[] = {
#ifdef PLUMB_HAVE_NEON
	&plumb_simd_neon,
#endif
#ifdef PLUMB_HAVE_NEONDOT
	&plumb_simd_neondot,
#endif
	&plumb_simd_c,
};

int main(void)
{
	const char *text = getenv("PLUMB_TEST_SEED");
	unsigned long long seed = text ? strtoull(text, NULL, 0) : 20250117;
	int failed = 0;
	for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
		for (int i = 0; i < simd_comparison_count; i++) {
			const char *bad = simd_comparisons[i].run(sets[s], seed);
			printf(
				"%s %s%s%s\n", sets[s]->name, simd_comparisons[i].name, bad ? ": " : " ok", bad ? bad : "");
			failed += bad != NULL;
		}
	if (failed)
		printf("%d failed (PLUMB_TEST_SEED=%llu)\n", failed, seed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
