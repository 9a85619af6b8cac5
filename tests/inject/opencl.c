/* SPDX-License-Identifier: Apache-2.0 */
/* A libOpenCL.so.1 that hands every call to the one that PLUMB_INJECT_REAL names, but makes the nth call of a
 * function fail, once or from then on. It also counts objects that are alive. For tests/inject_cl.c. CLBlast
 * calls it, too; and as libclblast.so.1 (a link to it) it hands products to the one that PLUMB_INJECT_CLBLAST
 * names, or makes them itself: one that fails has made half of its columns. */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include <CL/cl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "inject/opencl.h"

/* Q: asks or does, gives a status. C: creates, status behind the last argument. R: releases: done, and then
 * said to have failed. */
#define P(...) (__VA_ARGS__)
#define FUNCTIONS(Q, C, R) \
	Q(clGetPlatformIDs, P(cl_uint a, cl_platform_id *b, cl_uint *c), P(a, b, c)) \
	Q(clGetPlatformInfo, P(cl_platform_id a, cl_platform_info b, size_t c, void *d, size_t *e), \
		P(a, b, c, d, e)) \
	Q(clGetDeviceIDs, P(cl_platform_id a, cl_device_type b, cl_uint c, cl_device_id *d, cl_uint *e), \
		P(a, b, c, d, e)) \
	Q(clGetDeviceInfo, P(cl_device_id a, cl_device_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	C(cl_context, clCreateContext, \
		P(const cl_context_properties *a, cl_uint b, const cl_device_id *c, \
			void(CL_CALLBACK * d)(const char *, const void *, size_t, void *), void *e, cl_int *status), \
		P(a, b, c, d, e, status)) \
	R(clReleaseContext, P(cl_context a), P(a)) \
	C(cl_command_queue, clCreateCommandQueue, \
		P(cl_context a, cl_device_id b, cl_command_queue_properties c, cl_int *status), P(a, b, c, status)) \
	R(clReleaseCommandQueue, P(cl_command_queue a), P(a)) \
	C(cl_mem, clCreateBuffer, P(cl_context a, cl_mem_flags b, size_t c, void *d, cl_int *status), \
		P(a, b, c, d, status)) \
	R(clReleaseMemObject, P(cl_mem a), P(a)) \
	Q(clEnqueueReadBuffer, \
		P(cl_command_queue a, cl_mem b, cl_bool c, size_t d, size_t e, void *f, cl_uint g, \
			const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clEnqueueWriteBuffer, \
		P(cl_command_queue a, cl_mem b, cl_bool c, size_t d, size_t e, const void *f, cl_uint g, \
			const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clEnqueueFillBuffer, \
		P(cl_command_queue a, cl_mem b, const void *c, size_t d, size_t e, size_t f, cl_uint g, \
			const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clEnqueueCopyBuffer, \
		P(cl_command_queue a, cl_mem b, cl_mem c, size_t d, size_t e, size_t f, cl_uint g, \
			const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	C(void *, clEnqueueMapBuffer, \
		P(cl_command_queue a, cl_mem b, cl_bool c, cl_map_flags d, size_t e, size_t f, cl_uint g, \
			const cl_event *h, cl_event *i, cl_int *status), \
		P(a, b, c, d, e, f, g, h, i, status)) \
	Q(clEnqueueUnmapMemObject, \
		P(cl_command_queue a, cl_mem b, void *c, cl_uint d, const cl_event *e, cl_event *f), \
		P(a, b, c, d, e, f)) \
	C(cl_program, clCreateProgramWithSource, \
		P(cl_context a, cl_uint b, const char **c, const size_t *d, cl_int *status), P(a, b, c, d, status)) \
	C(cl_program, clCreateProgramWithBinary, \
		P(cl_context a, cl_uint b, const cl_device_id *c, const size_t *d, const unsigned char **e, \
			cl_int *f, cl_int *status), \
		P(a, b, c, d, e, f, status)) \
	Q(clBuildProgram, \
		P(cl_program a, cl_uint b, const cl_device_id *c, const char *d, \
			void(CL_CALLBACK * e)(cl_program, void *), void *f), \
		P(a, b, c, d, e, f)) \
	Q(clGetProgramBuildInfo, \
		P(cl_program a, cl_device_id b, cl_program_build_info c, size_t d, void *e, size_t *f), \
		P(a, b, c, d, e, f)) \
	Q(clGetProgramInfo, P(cl_program a, cl_program_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e)) \
	R(clReleaseProgram, P(cl_program a), P(a)) \
	C(cl_kernel, clCreateKernel, P(cl_program a, const char *b, cl_int *status), P(a, b, status)) \
	R(clReleaseKernel, P(cl_kernel a), P(a)) \
	Q(clSetKernelArg, P(cl_kernel a, cl_uint b, size_t c, const void *d), P(a, b, c, d)) \
	Q(clGetKernelWorkGroupInfo, \
		P(cl_kernel a, cl_device_id b, cl_kernel_work_group_info c, size_t d, void *e, size_t *f), \
		P(a, b, c, d, e, f)) \
	Q(clEnqueueNDRangeKernel, \
		P(cl_command_queue a, cl_kernel b, cl_uint c, const size_t *d, const size_t *e, const size_t *f, \
			cl_uint g, const cl_event *h, cl_event *i), \
		P(a, b, c, d, e, f, g, h, i)) \
	Q(clFlush, P(cl_command_queue a), P(a)) \
	Q(clFinish, P(cl_command_queue a), P(a)) \
	Q(clWaitForEvents, P(cl_uint a, const cl_event *b), P(a, b)) \
	Q(clGetEventProfilingInfo, P(cl_event a, cl_profiling_info b, size_t c, void *d, size_t *e), \
		P(a, b, c, d, e)) \
	R(clReleaseEvent, P(cl_event a), P(a)) \
	Q(clGetCommandQueueInfo, P(cl_command_queue a, cl_command_queue_info b, size_t c, void *d, size_t *e), \
		P(a, b, c, d, e)) \
	Q(clGetMemObjectInfo, P(cl_mem a, cl_mem_info b, size_t c, void *d, size_t *e), P(a, b, c, d, e))

enum {
#define Q(name, params, args) K_##name,
#define C(type, name, params, args) K_##name,
	FUNCTIONS(Q, C, Q)
#undef Q
#undef C
		OPENCL,
	K_CLBlastSgemm = OPENCL,
	KINDS
};
static const char *const names[] = {
#define Q(name, params, args) #name,
#define C(type, name, params, args) #name,
	FUNCTIONS(Q, C, Q)
#undef Q
#undef C
		"CLBlastSgemm"
};
static void *real[KINDS];
static long calls[KINDS], live, armed_n, hits;
static int armed = -1, armed_code, armed_on;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_real(void)
{
	const char *path = getenv("PLUMB_INJECT_REAL");
	void *library = dlopen(path ? path : "", RTLD_NOW | RTLD_LOCAL);
	for (int i = 0; i < OPENCL; i++)
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
	if (kind == K_clGetProgramBuildInfo && armed == K_clBuildProgram && armed_on && hits)
		return armed_code; /* nor is there a log of what failed */
	if (kind != armed || (armed_on ? n < armed_n : n != armed_n))
		return 0;
	hits++;
	return armed_code;
}

#define Q(name, params, args) \
	cl_int CL_API_CALL name params \
	{ \
		cl_int code = hit(K_##name); \
		return code ? code : ((__typeof__(name) *)real[K_##name])args; \
	}
#define C(type, name, params, args) \
	type CL_API_CALL name params \
	{ \
		cl_int code = hit(K_##name); \
		if (code) { \
			if (status) \
				*status = code; \
			return NULL; \
		} \
		type made = ((__typeof__(name) *)real[K_##name])args; \
		live += made && K_##name != K_clEnqueueMapBuffer; \
		return made; \
	}
#define R(name, params, args) \
	cl_int CL_API_CALL name params \
	{ \
		cl_int code = hit(K_##name), done = ((__typeof__(name) *)real[K_##name])args; \
		live -= !done && K_##name != K_clReleaseEvent; \
		return code ? code : done; \
	}
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
FUNCTIONS(Q, C, R)

/* --- CLBlast's two functions that plumb calls --- */

typedef int sgemm_fn(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha,
	cl_mem a, size_t a_at, size_t a_row, cl_mem b, size_t b_at, size_t b_row, float beta, cl_mem c,
	size_t c_at, size_t c_row, cl_command_queue *queue, cl_event *event);
static struct {
	sgemm_fn *sgemm;
	int (*forget)(void);
} clblast;
static pthread_once_t clblast_once = PTHREAD_ONCE_INIT;

static cl_int whole(cl_command_queue queue, cl_mem mem, size_t from, size_t count, float **at)
{
	*at = malloc(count * sizeof **at);
	return *at ? clEnqueueReadBuffer(
					 queue, mem, CL_TRUE, from * sizeof **at, count * sizeof **at, *at, 0, NULL, NULL)
			   : CL_OUT_OF_HOST_MEMORY;
}

/* C = alpha A B' + beta C by rows, as plumb asks for it. */
static int product(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha,
	cl_mem a, size_t a_at, size_t a_row, cl_mem b, size_t b_at, size_t b_row, float beta, cl_mem c,
	size_t c_at, size_t c_row, cl_command_queue *queue, cl_event *event)
{
	float *x = NULL, *w = NULL, *y = NULL;
	if (layout != 101 || a_transpose != 111 || b_transpose != 112 || event || !m || !n || !k)
		return -1024;
	cl_int code = whole(*queue, a, a_at, (m - 1) * a_row + k, &x);
	code = code ? code : whole(*queue, b, b_at, (n - 1) * b_row + k, &w);
	code = code ? code : whole(*queue, c, c_at, (m - 1) * c_row + n, &y);
	for (size_t i = 0; !code && i < m; i++)
		for (size_t j = 0; j < n; j++) {
			float sum = 0, *to = y + i * c_row + j;
			for (size_t l = 0; l < k; l++)
				sum += x[i * a_row + l] * w[j * b_row + l];
			*to = alpha * sum + (beta == 0 ? 0 : beta * *to);
		}
	code = code ? code
				: clEnqueueWriteBuffer(*queue, c, CL_TRUE, c_at * sizeof *y,
					  ((m - 1) * c_row + n) * sizeof *y, y, 0, NULL, NULL);
	free(x), free(w), free(y);
	return code;
}

/* Not before it is called: it has the name under which plumb opens this library. */
static void open_clblast(void)
{
	const char *path = getenv("PLUMB_INJECT_CLBLAST");
	void *library = path && *path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	*(void **)&clblast.sgemm = library ? dlsym(library, "CLBlastSgemm") : NULL;
	*(void **)&clblast.forget = library ? dlsym(library, "CLBlastClearCache") : NULL;
	if (path && *path && !clblast.sgemm) {
		fprintf(stderr, "inject: %s\n", dlerror());
		abort();
	}
	clblast.sgemm = clblast.sgemm ? clblast.sgemm : product;
}

int CLBlastSgemm(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha,
	cl_mem a, size_t a_at, size_t a_row, cl_mem b, size_t b_at, size_t b_row, float beta, cl_mem c,
	size_t c_at, size_t c_row, cl_command_queue *queue, cl_event *event)
{
	pthread_once(&clblast_once, open_clblast);
	cl_int code = hit(K_CLBlastSgemm);
	n = code ? n / 2 : n;
	int made = n ? clblast.sgemm(layout, a_transpose, b_transpose, m, n, k, alpha, a, a_at, a_row, b, b_at,
					   b_row, beta, c, c_at, c_row, queue, event)
				 : 0;
	return code ? code : made;
}

int CLBlastClearCache(void)
{
	pthread_once(&clblast_once, open_clblast);
	return clblast.forget ? clblast.forget() : 0;
}

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
