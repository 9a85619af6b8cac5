/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the device copies its own memory: the limit that kernels are compared with which do little but
 * read and write. */
#include "cl/driver/state.h"

#define MOST ((uint64_t)384 << 20) /* bytes of each buffer: more than the caches of most devices */
#define PASSES 8                   /* the fastest counts: others were disturbed */

static enum plumb_status copy_timed(
	cl_command_queue queue, cl_mem from, cl_mem to, size_t bytes, double *rate)
{
	cl_event event;
	cl_ulong start = 0, end = 0;
	cl_int code = plumb_cl.clEnqueueCopyBuffer(queue, from, to, 0, 0, bytes, 0, NULL, &event);
	if (code)
		return plumb_cl_fail(code, "copying %.1f MB", (double)bytes / 1e6);
	if (!(code = plumb_cl.clWaitForEvents(1, &event)) &&
		!(code = plumb_cl.clGetEventProfilingInfo(
			  event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL)))
		code = plumb_cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
	plumb_cl.clReleaseEvent(event);
	if (code)
		return plumb_cl_fail(code, "time of a copy");
	*rate = end > start ? 2e9 * (double)bytes / (double)(end - start) : 0; /* read and written */
	return PLUMB_OK;
}

static enum plumb_status copy_measure(
	const struct plumb_cl_state *cl, cl_command_queue queue, size_t bytes, double *rate)
{
	const cl_uchar one = 1;
	double best = 0, now = 0;
	cl_mem mem[2] = { NULL };
	cl_int code = 0;
	enum plumb_status s = PLUMB_OK;
	for (int i = 0; !code && i < 2; i++)
		if ((mem[i] = plumb_cl.clCreateBuffer(
				 cl->context, CL_MEM_READ_WRITE | cl->place, bytes, NULL, &code)))
			code = plumb_cl.clEnqueueFillBuffer(
				queue, mem[i], &one, 1, 0, bytes, 0, NULL, NULL); /* else pages may not be there yet */
	if (code)
		s = plumb_cl_fail(code, "two buffers of %.1f MB to copy", (double)bytes / 1e6);
	for (int i = 0; !s && i < PASSES; i++)
		if (!(s = copy_timed(queue, mem[i % 2], mem[1 - i % 2], bytes, &now)))
			best = now > best ? now : best;
	if (!s)
		*rate = best;
	plumb_cl.clFinish(queue);
	for (int i = 0; i < 2; i++)
		if (mem[i])
			plumb_cl.clReleaseMemObject(mem[i]);
	return s;
}

enum plumb_status plumb_cl_copy_rate(struct plumb_driver *driver, double *rate)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	uint64_t bytes = cl->device.info.memory / 8;
	cl_int code;
	bytes = bytes < MOST ? bytes : MOST;
	bytes = (bytes < cl->max_alloc ? bytes : cl->max_alloc) / 4096 * 4096;
	PLUMB_TRY(plumb_cl_sync(driver)); /* what still runs would disturb it */
	cl_command_queue queue = plumb_cl.clCreateCommandQueue(
		cl->context, cl->device.id, CL_QUEUE_PROFILING_ENABLE, &code);
	if (code)
		return plumb_cl_fail(code, "a queue on %s", cl->device.info.name);
	enum plumb_status s = plumb_budget_take(driver->ctx, 2 * bytes);
	if (!s) {
		s = copy_measure(cl, queue, (size_t)bytes, rate);
		plumb_budget_give(driver->ctx, 2 * bytes);
	}
	plumb_cl.clReleaseCommandQueue(queue);
	return s;
}
