/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL devices of this machine, for listing and choosing. The functions need no open context. */
#ifndef PLUMB_DEVICE_H
#define PLUMB_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plumb_device {
	int index; /* the number by which PLUMB_CL_DEVICE names it */
	char platform[96], name[96], vendor[64];
	char version[64];      /* of OpenCL, such as "OpenCL 3.0 PoCL ..." */
	char c_version[32];    /* of its language, such as "OpenCL C 1.2 PoCL" */
	char driver[64];       /* the version of the driver, in its vendor's form */
	char type[16];         /* "gpu", "cpu", "accelerator", "custom" */
	bool unified;          /* it shares memory with the host */
	bool available;        /* the device and its compiler can be used */
	uint64_t memory;       /* bytes of global memory */
	uint64_t max_alloc;    /* bytes of the largest buffer */
	uint64_t local_memory; /* bytes that a work-group may have */
	uint32_t units;        /* compute units, at least 1 */
	uint32_t max_group;    /* work-items of the largest work-group */
	uint32_t mhz;          /* the highest clock frequency; 0: not known */
	uint32_t floats; /* elements of a native float vector; 1: the compiler makes vectors of work-items; 0: not
						known */
	bool fp16, fp64, subgroups, dot; /* optional capabilities; of these, plumb uses sub-groups */
};

/* All devices of all platforms. *devices is malloc'ed and the caller's to free; *count may be 0.
 * PLUMB_E_DRIVER: there is no OpenCL loader. PLUMB_E_UNSUPPORTED: this build has no OpenCL driver. */
PLUMB_API enum plumb_status plumb_devices(struct plumb_device **devices, int *count);

/* The index, among those of plumb_devices, of the device that the cl driver would take under the present
 * environment. PLUMB_E_DRIVER: it would take none; plumb_last_error says why. */
PLUMB_API enum plumb_status plumb_device_choice(int *index);

#ifdef __cplusplus
}
#endif
#endif
