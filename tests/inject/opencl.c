/* SPDX-License-Identifier: Apache-2.0 */
/* A libOpenCL.so.1 that hands every call to the one that PLUMB_INJECT_REAL names, but makes the nth call of a function fail, once or
 * from then on. It also counts objects that are alive. For tests/inject_cl.c; CLBlast calls it, too. */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include <CL/cl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "inject/opencl.h"

/* Q: asks or does, gives a status. C: creates, status behind the last argument. R: releases: done, and then said to have failed. */
#define P(...) (__VA_ARGS__)
#define FUNCTIONS(Q, C, R) \
	Q(clGetPlatformIDs, P(cl_uint a, cl_platform_id *b, cl_uint *c), P(a, b, c)) \
	Q(clGetPlatformInfo, P(cl_platform_id a, cl_platform_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	Q(clGetDeviceIDs, P(cl_platform_id a, cl_device_type b, cl_uint c, cl_device_id *d, cl_uint *e), P(a, b, c, d, e)) \
	Q(clGetDeviceInfo, P(cl_device_id a, cl_device_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	C(cl_context, clCreateContext, P(const cl_context_properties *a, cl_uint b, const cl_device_id *c, \
		void (CL_CALLBACK *d)(const char *, const void *, size_t, void *), void *e, cl_int *status), P(a, b, c, d, e, status)) \
	R(clReleaseContext, P(cl_context a), P(a)) \
	C(cl_command_queue, clCreateCommandQueue, P(cl_context a, cl_device_id b, cl_command_queue_properties c, cl_int *status), P(a, b, c, status)) \
	R(clReleaseCommandQueue, P(cl_command_queue a), P(a)) \
	C(cl_mem, clCreateBuffer, P(cl_context a, cl_mem_flags b, size_t c, void *d, cl_int *status), P(a, b, c, d, status)) \
	R(clReleaseMemObject, P(cl_mem a), P(a)) \
	Q(clEnqueueReadBuffer, P(cl_command_queue a, cl_mem b, cl_bool c, size_t d, size_t e, void *f, cl_uint g, const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clEnqueueWriteBuffer, P(cl_command_queue a, cl_mem b, cl_bool c, size_t d, size_t e, const void *f, cl_uint g, const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clEnqueueFillBuffer, P(cl_command_queue a, cl_mem b, const void *c, size_t d, size_t e, size_t f, cl_uint g, const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clEnqueueCopyBuffer, P(cl_command_queue a, cl_mem b, cl_mem c, size_t d, size_t e, size_t f, cl_uint g, const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	C(void *, clEnqueueMapBuffer, P(cl_command_queue a, cl_mem b, cl_bool c, cl_map_flags d, size_t e, size_t f, cl_uint g, const cl_event *h, \
		cl_event *i, cl_int *status), P(a, b, c, d, e, f, g, h, i, status)) \
	Q(clEnqueueUnmapMemObject, P(cl_command_queue a, cl_mem b, void *c, cl_uint d, const cl_event *e, cl_event *f), P(a, b, c, d, e, f)) \
	C(cl_program, clCreateProgramWithSource, P(cl_context a, cl_uint b, const char **c, const size_t *d, cl_int *status), P(a, b, c, d, status)) \
	C(cl_program, clCreateProgramWithBinary, P(cl_context a, cl_uint b, const cl_device_id *c, const size_t *d, const unsigned char **e, cl_int *f, \
		cl_int *status), P(a, b, c, d, e, f, status)) \
	Q(clBuildProgram, P(cl_program a, cl_uint b, const cl_device_id *c, const char *d, void (CL_CALLBACK *e)(cl_program, void *), void *f), \
		P(a, b, c, d, e, f)) \
	Q(clGetProgramBuildInfo, P(cl_program a, cl_device_id b, cl_program_build_info c, size_t d, void *e, size_t *f), P(a, b, c, d, e, f)) \
	Q(clGetProgramInfo, P(cl_program a, cl_program_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	R(clReleaseProgram, P(cl_program a), P(a)) \
	C(cl_kernel, clCreateKernel, P(cl_program a, const char *b, cl_int *status), P(a, b, status)) \
	R(clReleaseKernel, P(cl_kernel a), P(a)) \
	Q(clSetKernelArg, P(cl_kernel a, cl_uint b, size_t c, const void *d), P(a, b, c, d)) \
	Q(clGetKernelWorkGroupInfo, P(cl_kernel a, cl_device_id b, cl_kernel_work_group_info c, size_t d, void *e, size_t *f), P(a, b, c, d, e, f)) \
	Q(clEnqueueNDRangeKernel, P(cl_command_queue a, cl_kernel b, cl_uint c, const size_t *d, const size_t *e, const size_t *f, cl_uint g, \
		const cl_event *h, cl_event *i), P(a, b, c, d, e, f, g, h, i)) \
	Q(clFlush, P(cl_command_queue a), P(a)) \
	Q(clFinish, P(cl_command_queue a), P(a)) \
	Q(clWaitForEvents, P(cl_uint a, const cl_event *b), P(a, b)) \
	Q(clGetEventProfilingInfo, P(cl_event a, cl_profiling_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	R(clReleaseEvent, P(cl_event a), P(a)) \
	Q(clGetCommandQueueInfo, P(cl_command_queue a, cl_command_queue_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	Q(clGetMemObjectInfo, P(cl_mem a, cl_mem_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e))

enum {
#define Q(name, params, args) K_##name,
#define C(type, name, params, args) K_##name,
	FUNCTIONS(Q, C, Q)
#undef Q
#undef C
	KINDS
};
static const char *const names[] = {
#define Q(name, params, args) #name,
#define C(type, name, params, args) #name,
	FUNCTIONS(Q, C, Q)
#undef Q
#undef C
};
static void *real[KINDS];
static long calls[KINDS], live, armed_n, hits;
static int armed = -1, armed_code, armed_on;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_real(void)
{
	const char *path = getenv("PLUMB_INJECT_REAL");
	void *library = dlopen(path ? path : "", RTLD_NOW | RTLD_LOCAL);
	for (int i = 0; i < KINDS; i++)
		if (!library || !(real[i] = dlsym(library, names[i]))) {
			fprintf(stderr, "inject: %s\n", dlerror());
			abort();
		}
}

/* The status that this call shall have; 0: it is handed on. */
static cl_int hit(int kind)
{
	pthread_once(&once, open_real);
	long n = __atomic_add_fetch(&calls[kind], 1, __ATOMIC_RELAXED);
	if (kind != armed || (armed_on ? n < armed_n : n != armed_n))
		return 0;
	hits++;
	return armed_code;
}

#define Q(name, params, args) cl_int CL_API_CALL name params { cl_int code = hit(K_##name); \
	return code ? code : ((__typeof__(name) *)real[K_##name]) args; }
#define C(type, name, params, args) type CL_API_CALL name params { cl_int code = hit(K_##name); \
	if (code) { if (status) *status = code; return NULL; } \
	type made = ((__typeof__(name) *)real[K_##name]) args; \
	live += made && K_##name != K_clEnqueueMapBuffer; return made; }
#define R(name, params, args) cl_int CL_API_CALL name params { cl_int code = hit(K_##name), done = ((__typeof__(name) *)real[K_##name]) args; \
	live -= !done && K_##name != K_clReleaseEvent; return code ? code : done; }
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
FUNCTIONS(Q, C, R)

void inject_arm(int kind, long n, int code, int on)
{
	memset(calls, 0, sizeof calls);
	hits = 0;
	armed = kind, armed_n = n, armed_code = code, armed_on = on;
}
const char *inject_name(int kind) { return kind >= 0 && kind < KINDS ? names[kind] : NULL; }
long inject_calls(int kind) { return calls[kind]; }
long inject_hits(void) { return hits; }
long inject_live(void) { return live; }
