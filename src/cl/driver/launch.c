/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that runs kernels: look one up, bind arguments in order, enqueue. Nothing here waits, except
 * while profiling. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/driver/kernel.h"

static struct plumb_cl_arg *launch_next_arg(struct plumb_cl_args *a, size_t size)
{
	if (a->count == (int)(sizeof a->arg / sizeof *a->arg)) {
		a->status = plumb_fail(PLUMB_E_INTERNAL, "a kernel with more than %d arguments", a->count);
		a->count--;
	}
	a->arg[a->count].size = size;
	return &a->arg[a->count++];
}

void plumb_cl_mem(struct plumb_cl_args *a, cl_mem mem) { launch_next_arg(a, sizeof mem)->value.mem = mem; }
void plumb_cl_float(struct plumb_cl_args *a, double value)
{
	launch_next_arg(a, sizeof(cl_float))->value.f = (cl_float)value;
}

void plumb_cl_int(struct plumb_cl_args *a, int64_t value)
{
	if ((value < INT32_MIN || value > INT32_MAX) && !a->status)
		a->status = plumb_fail(
			PLUMB_E_UNSUPPORTED, "%lld is beyond the 32-bit indices of kernels", (long long)value);
	launch_next_arg(a, sizeof(cl_int))->value.i = (cl_int)value;
}

enum plumb_status plumb_cl_range(const struct plumb_tensor *t)
{
	int64_t first = (int64_t)(t->offset / plumb_type_bytes(t->type)), count = plumb_tensor_count(t);
	return first <= PLUMB_CL_MOST_ELEMENTS && count <= PLUMB_CL_MOST_ELEMENTS - first
		? PLUMB_OK
		: plumb_fail(PLUMB_E_UNSUPPORTED,
			  "a tensor of %lld elements, %lld into its buffer, is beyond the 32-bit indices of kernels",
			  (long long)count, (long long)first);
}

void plumb_cl_tensor(struct plumb_cl_args *a, const struct plumb_tensor *t)
{
	if (!t) { /* absent: any buffer will do, the offset says that it is not there */
		launch_next_arg(a, sizeof(cl_mem))->value.mem = a->count > 1 ? a->arg[0].value.mem : NULL;
		plumb_cl_int(a, -1);
		return;
	}
	if (t->type == PLUMB_F64 && !a->status)
		a->status = plumb_fail(PLUMB_E_UNSUPPORTED, "kernels compute in float32, a tensor is f64");
	if (!a->status)
		a->status = plumb_cl_range(t);
	plumb_cl_mem(a, t->buffer->copy[a->driver->index].handle);
	plumb_cl_int(a, (int64_t)(t->offset / plumb_type_bytes(t->type)));
}

static unsigned launch_hash(const char *text)
{
	unsigned h = 2166136261u;
	while (*text)
		h = (h ^ (unsigned char)*text++) * 16777619u;
	return h % PLUMB_CL_BUCKETS;
}

/* The record of a kernel, perhaps a new one. */
static enum plumb_status launch_record(
	struct plumb_cl_state *cl, const char *key, struct plumb_cl_kernel **kernel)
{
	struct plumb_cl_kernel **bucket = &cl->kernels[launch_hash(key)], *k;
	for (k = *bucket; k; k = k->next)
		if (!strcmp(k->key, key)) {
			*kernel = k;
			return PLUMB_OK;
		}
	if (!(k = calloc(1, sizeof *k)) || !(k->key = strdup(key))) {
		free(k);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a kernel");
	}
	k->next = *bucket;
	*bucket = *kernel = k;
	return PLUMB_OK;
}

void plumb_cl_launch_forget(struct plumb_cl_state *cl)
{
	for (int i = 0; i < PLUMB_CL_BUCKETS; i++)
		for (struct plumb_cl_kernel *k; (k = cl->kernels[i]); free(k)) {
			cl->kernels[i] = k->next;
			free(k->key);
		}
}

static enum plumb_status launch_find(struct plumb_driver *driver, const char *file, const char *name,
	const char *options, struct plumb_cl_kernel **kernel)
{
	char key[512];
	cl_program program;
	cl_int code;
	if ((size_t)snprintf(key, sizeof key, "%s %s %s", file, name, options) >= sizeof key)
		return plumb_fail(PLUMB_E_INTERNAL, "kernel options are too long: %s", options);
	PLUMB_TRY(launch_record(plumb_cl_state(driver), key, kernel));
	if ((*kernel)->kernel)
		return PLUMB_OK;
	PLUMB_TRY(plumb_cl_program(driver, file, options, &program));
	cl_kernel made = plumb_cl.clCreateKernel(program, name, &code);
	if (code)
		return plumb_cl_fail(code, "kernel %s of %s.cl", name, file);
	(*kernel)->kernel = made;
	return PLUMB_OK;
}

static enum plumb_status launch_measure(struct plumb_cl_kernel *k, cl_event event)
{
	cl_ulong start = 0, end = 0;
	cl_int code = plumb_cl.clWaitForEvents(1, &event);
	if (!code)
		code = plumb_cl.clGetEventProfilingInfo(
			event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
	if (!code)
		code = plumb_cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
	plumb_cl.clReleaseEvent(event);
	k->nanoseconds += end - start;
	return code ? plumb_cl_fail(code, "time of kernel %s", k->key) : PLUMB_OK;
}

enum plumb_status plumb_cl_launch(struct plumb_cl_args *a, const char *file, const char *kernel,
	const char *options, int dims, const size_t *global, const size_t *local)
{
	struct plumb_cl_state *cl = plumb_cl_state(a->driver);
	struct plumb_cl_kernel *k;
	size_t rounded[3];
	cl_event event;
	if (a->status)
		return a->status;
	PLUMB_TRY(launch_find(a->driver, file, kernel, options, &k));
	for (int i = 0; i < a->count; i++) {
		cl_int code = plumb_cl.clSetKernelArg(k->kernel, (cl_uint)i, a->arg[i].size, &a->arg[i].value);
		if (code)
			return plumb_cl_fail(code, "argument %d of kernel %s", i, k->key);
	}
	for (int i = 0; i < dims; i++)
		rounded[i] = local ? (global[i] + local[i] - 1) / local[i] * local[i] : global[i];
	cl_int code = plumb_cl.clEnqueueNDRangeKernel(
		cl->queue, k->kernel, (cl_uint)dims, NULL, rounded, local, 0, NULL, cl->profile ? &event : NULL);
	if (code)
		return plumb_cl_fail(code, "kernel %s", k->key);
	a->driver->touched =
		true; /* whatever this kernel writes: an operator of several launches may fail at the next */
	k->calls++;
	k->bytes += a->bytes;
	return cl->profile ? launch_measure(k, event) : PLUMB_OK;
}

enum plumb_status plumb_cl_launch_elements(
	struct plumb_cl_args *a, const char *file, const char *kernel, const char *options, int64_t n)
{
	const int64_t block = 1024; /* a few hundred ns of work, many times what starting an item costs */
	bool cpu = plumb_cl_state(a->driver)->cpu;
	plumb_cl_int(a, n);
	plumb_cl_int(a, block);
	return plumb_cl_launch(a, file, kernel, options, 1,
		(size_t[]){ (size_t)(cpu ? (n + block - 1) / block : n) }, (size_t[]){ cpu ? 1 : PLUMB_CL_GROUP });
}

enum plumb_status plumb_cl_launch_rows(struct plumb_cl_args *a, const char *file, const char *kernel,
	const char *options, int64_t columns, int64_t rows)
{
	size_t group = plumb_cl_state(a->driver)->cpu ? 1 : PLUMB_CL_GROUP;
	return plumb_cl_launch(a, file, kernel, options, 2, (size_t[]){ (size_t)columns * group, (size_t)rows },
		(size_t[]){ group, 1 });
}

bool plumb_cl_launch_row(const struct plumb_driver *driver, int index, struct plumb_kernel_time *row)
{
	const struct plumb_cl_state *cl = driver->state;
	for (int i = 0; i < PLUMB_CL_BUCKETS; i++)
		for (const struct plumb_cl_kernel *k = cl->kernels[i]; k; k = k->next)
			if (k->calls && !index--) {
				*row = (struct plumb_kernel_time){ .kernel = k->key,
					.calls = k->calls,
					.seconds = 1e-9 * (double)k->nanoseconds,
					.bytes = k->bytes };
				return true;
			}
	return false;
}
