/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that no one sets. */
#include <time.h>
#include "core/core.h"

double plumb_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
