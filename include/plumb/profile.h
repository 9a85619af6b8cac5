/* SPDX-License-Identifier: Apache-2.0 */
/* What ran where, and for how long: placement of operators on drivers, times of kernels. */
#ifndef PLUMB_PROFILE_H
#define PLUMB_PROFILE_H

#include <plumb/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Placement: how often driver `index` ran operator `op` (an enum plumb_op) since opening. */
PLUMB_API uint64_t plumb_placement(const struct plumb_context *ctx, int op, int index);
/* Why operator `op` last fell back from the first driver of the list to another one; "" when it never did.
 * With PLUMB_STRICT=1 a fallback is an error. */
PLUMB_API const char *plumb_placement_reason(const struct plumb_context *ctx, int op);

/* on: wait for each kernel and time it from now on, which is slower. off: stop that. PLUMB_CL_PROFILE=1
 * switches it on when a context is opened. PLUMB_E_UNSUPPORTED: no open driver has kernels to time. */
PLUMB_API enum plumb_status plumb_profile(struct plumb_context *ctx, bool on);
/* A kernel that a driver has launched, in no particular order. `seconds` is the sum over the calls that were
 * timed. */
struct plumb_kernel_time {
	const char *driver, *kernel; /* "cl", "matmul matmul -DBITS=8 ..."; as long as the context lives */
	uint64_t calls;
	double seconds;
	double bytes; /* read and written, by the contracts of the operators it ran for (a weight as the file
					 holds it); 0: not known */
};
/* Row `index`; false past the end. */
PLUMB_API bool plumb_kernel_row(const struct plumb_context *ctx, int index, struct plumb_kernel_time *row);
/* Bytes read and written per second when the device of this open driver copies memory, measured now, in two
 * buffers of up to 384 MB, more than the caches of most devices. PLUMB_E_UNSUPPORTED: the driver is not open,
 * or does not measure that. *rate is 0 after any error. */
PLUMB_API enum plumb_status plumb_copy_rate(struct plumb_context *ctx, const char *driver, double *rate);

#ifdef __cplusplus
}
#endif
#endif
