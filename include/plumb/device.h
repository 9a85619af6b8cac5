/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL devices of this machine, for listing and choosing. Needs no open context. */
#ifndef PLUMB_DEVICE_H
#define PLUMB_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plumb_device {
	int index;             /* what PLUMB_CL_DEVICE takes */
	char platform[96], name[96], vendor[64];
	char version[64];      /* "OpenCL 3.0 PoCL ..." */
	char c_version[32];    /* "OpenCL C 1.2 PoCL" */
	char driver[64];
	char type[16];         /* "gpu", "cpu", "accelerator", "custom" */
	bool unified;          /* shares memory with the host */
	bool available;        /* device and compiler */
	uint64_t memory;       /* bytes of global memory */
	uint64_t max_alloc;    /* bytes of the largest buffer */
	uint64_t local_memory; /* bytes per work-group */
	uint32_t units, max_group, mhz;
	uint32_t floats;     /* of a native vector; 1: it makes vectors of work-items; 0: not known */
	bool fp16, fp64, subgroups, dot; /* capabilities that change kernels; all optional */
};

/* All devices of all platforms; *devices is malloc'ed (free it), *count may be 0. PLUMB_E_DRIVER: there is no OpenCL
 * loader; PLUMB_E_UNSUPPORTED: this build has no OpenCL driver. */
PLUMB_API enum plumb_status plumb_devices(struct plumb_device **devices, int *count);

/* Index, among plumb_devices(), of the device that the cl driver would take under the present environment.
 * PLUMB_E_DRIVER: none, with the reason. */
PLUMB_API enum plumb_status plumb_device_choice(int *index);

#ifdef __cplusplus
}
#endif
#endif
