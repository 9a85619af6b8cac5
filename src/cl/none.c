/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for the OpenCL driver in a build without it: whatever is asked says so. */
#include <stddef.h>
#include <plumb/device.h>
#include <plumb/doctor.h>
#include <plumb/tune.h>
#include "core/core.h"

#define NOT_BUILT "this build has no OpenCL driver (configure --disable-opencl, or no opencl-headers)"

enum plumb_status plumb_devices(struct plumb_device **devices, int *count)
{
	*devices = NULL;
	*count = 0;
	return plumb_fail(PLUMB_E_UNSUPPORTED, NOT_BUILT);
}

enum plumb_status plumb_device_choice(int *index)
{
	*index = -1;
	return plumb_fail(PLUMB_E_UNSUPPORTED, NOT_BUILT);
}

enum plumb_status plumb_doctor(bool kernels, plumb_finding_fn report, void *user, enum plumb_verdict *verdict)
{
	(void)kernels;
	*verdict = PLUMB_NOT_BUILT;
	report(user,
		&(struct plumb_finding){ PLUMB_MARK_PROBLEM, PLUMB_NOT_BUILT, "build", NOT_BUILT,
			"install the package opencl-headers, run configure and make again; AR_HARDWARE_DRIVER=native works without" });
	return PLUMB_OK;
}

const char *plumb_tune_variant(int variant)
{
	(void)variant;
	return NULL;
}

enum plumb_status plumb_tune(struct plumb_context *ctx, const struct plumb_tune_shape *shapes, int count,
	const struct plumb_tune_options *options)
{
	(void)ctx, (void)shapes, (void)count, (void)options;
	return plumb_fail(PLUMB_E_UNSUPPORTED, NOT_BUILT);
}

enum plumb_status plumb_tune_rows(struct plumb_context *ctx, struct plumb_tune_row **rows, int *count)
{
	(void)ctx;
	*rows = NULL;
	*count = 0;
	return plumb_fail(PLUMB_E_UNSUPPORTED, NOT_BUILT);
}

enum plumb_status plumb_tune_place(
	struct plumb_context *ctx, const char **device, const char **file, const char **no_clblast)
{
	(void)ctx;
	*device = *file = *no_clblast = NULL;
	return plumb_fail(PLUMB_E_UNSUPPORTED, NOT_BUILT);
}
