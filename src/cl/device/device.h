/* SPDX-License-Identifier: Apache-2.0 */
/* What is installed on this machine: the OpenCL loader and CLBlast, both opened at run time, the devices that
 * they offer, and which one a driver takes. Needs no open context. */
#ifndef PLUMB_CL_DEVICE_H
#define PLUMB_CL_DEVICE_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdbool.h>
#include <plumb/device.h>
#include "core/core.h"

/* --- loader.c --- */
/* The OpenCL functions that plumb calls. They are NULL until plumb_cl_load has returned PLUMB_OK. */
struct plumb_cl_api {
#define F(name) __typeof__(name) *name;
#include "cl/device/functions.def"
};
extern struct plumb_cl_api plumb_cl;
/* Opens libOpenCL.so.1, once per process. PLUMB_E_DRIVER: there is no loader, or it lacks a function. */
enum plumb_status plumb_cl_load(void);

/* --- error.c --- */
/* The name of an OpenCL code, such as "CL_OUT_OF_RESOURCES". Never NULL. */
const char *plumb_cl_error_name(cl_int code);
/* Keeps the text "what: CL_X (-5)" and returns PLUMB_E_MEMORY for the codes that mean a lack of memory, else
 * PLUMB_E_DEVICE. */
enum plumb_status plumb_cl_fail(cl_int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- device.c --- */
struct plumb_cl_device {
	cl_platform_id platform;
	cl_device_id id;
	cl_device_type type;
	struct plumb_device info;
};
/* All devices of all platforms, in the loader's order. *devices is malloc'ed and the caller's; *count may be
 * 0. */
enum plumb_status plumb_cl_devices(struct plumb_cl_device **devices, int *count);
/* Whether the device gets the kernels for CPUs: as `class` says ("cpu" or "gpu", the value of
 * PLUMB_CL_CLASS), or, where that is NULL, when it is a CPU with vectors. A CPU whose compiler makes vectors
 * of work-items (llvmpipe) gets the kernels for GPUs: it would compile those with vectors of their own for
 * minutes each. */
bool plumb_cl_is_cpu(const struct plumb_device *device, const char *class);
/* The version of OpenCL C, 2 or 3, in which the device has sub-groups. 0: it has none, or only by an
 * extension of OpenCL 1. */
int plumb_cl_subgroups(const struct plumb_device *device);

/* --- select.c --- */
/* The device that PLUMB_CL_DEVICE names, else the first of: discrete GPU, GPU, accelerator, CPU.
 * PLUMB_E_DRIVER: there is no device of this kind. */
enum plumb_status plumb_cl_select(enum plumb_device_kind kind, struct plumb_cl_device *chosen);

/* --- clblast.c --- */
/* CLBlast's product C = alpha A B + beta C of float32 matrices, as in clblast_c.h. Returns 0 or a status of
 * CLBlast's own. */
typedef int plumb_clblast_sgemm_fn(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k,
	float alpha, cl_mem a, size_t a_at, size_t a_row, cl_mem b, size_t b_at, size_t b_row, float beta,
	cl_mem c, size_t c_at, size_t c_row, cl_command_queue *queue, cl_event *event);
/* Why CLBlast cannot be used, and which package has it. NULL: it can. Opens it once per process. */
const char *plumb_clblast_missing(void);
/* A text that changes when the library does; "" when it is missing. */
const char *plumb_clblast_version(void);
plumb_clblast_sgemm_fn *plumb_clblast_sgemm(void); /* NULL when it is missing */
/* Drops what CLBlast keeps of all contexts of this process: it knows a context by an address that a later one
 * may get. */
void plumb_clblast_forget(void);

#endif
