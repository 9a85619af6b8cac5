/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the OpenCL loader at run time. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include "cl/device/device.h"

struct plumb_cl_api plumb_cl;
static pthread_once_t loader_once = PTHREAD_ONCE_INIT;
static char loader_why[256] = "";

static void loader_open(void)
{
	void *lib = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		lib = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(loader_why, sizeof loader_why, "no OpenCL loader: %s; on Debian install ocl-icd-libopencl1",
			dlerror());
		return;
	}
	/* A function pointer out of a void pointer: POSIX's way of writing it. */
#define F(name) \
	*(void **)&plumb_cl.name = dlsym(lib, #name); \
	if (!plumb_cl.name) { \
		snprintf(loader_why, sizeof loader_why, "the OpenCL loader lacks " #name); \
		return; \
	}
#include "cl/device/functions.def"
}

enum plumb_status plumb_cl_load(void)
{
	pthread_once(&loader_once, loader_open);
	return *loader_why ? plumb_fail(PLUMB_E_DRIVER, "%s", loader_why) : PLUMB_OK;
}
