/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers on the device, by AR_HARDWARE_MEMORY_LOCATION: device memory, host memory that the
 * device can reach (pinned), or the host's own bytes (delegate). */
#include "cl/driver/state.h"

enum plumb_status plumb_cl_alloc(struct plumb_driver *driver, struct plumb_buffer *buffer, void **handle)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	cl_int code;
	size_t bytes = buffer->bytes;
	if (bytes > cl->max_alloc)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"a tensor of %.1f MB is over the device's limit of %.1f MB for one buffer", (double)bytes / 1e6,
			(double)cl->max_alloc / 1e6);
	void *host = NULL;
	/* Not bytes that the caller lends: writing them, be it with what they hold, would fault in a mapped file.
	 */
	if (cl->delegate && !buffer->borrowed) {
		PLUMB_TRY(plumb_buffer_host(buffer));
		host = buffer->host;
	}
	cl_mem mem = plumb_cl.clCreateBuffer(
		cl->context, CL_MEM_READ_WRITE | (host ? CL_MEM_USE_HOST_PTR : cl->place), bytes, host, &code);
	if (code)
		return plumb_cl_fail(code, "a buffer of %.1f MB on %s", (double)bytes / 1e6, cl->device.info.name);
	*handle = mem;
	return PLUMB_OK;
}

void plumb_cl_free(struct plumb_driver *driver, void *handle)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	/* The buffer lives on until the kernels that use it have ended, the host's bytes behind it do not. */
	if (cl->delegate)
		plumb_cl.clFinish(cl->queue);
	plumb_cl.clReleaseMemObject(handle);
}

enum plumb_status plumb_cl_upload(struct plumb_driver *driver, void *handle, const void *src, size_t bytes)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	const cl_uchar zero = 0;
	/* Blocking: src may change as soon as we return. Without src the content is zero bytes. */
	cl_int code = src
		? plumb_cl.clEnqueueWriteBuffer(cl->queue, handle, CL_TRUE, 0, bytes, src, 0, NULL, NULL)
		: plumb_cl.clEnqueueFillBuffer(cl->queue, handle, &zero, 1, 0, bytes, 0, NULL, NULL);
	return code ? plumb_cl_fail(code, "writing %.1f MB to %s", (double)bytes / 1e6, cl->device.info.name)
				: PLUMB_OK;
}

enum plumb_status plumb_cl_download(
	struct plumb_driver *driver, void *dst, void *handle, size_t offset, size_t bytes)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	cl_int code = plumb_cl.clEnqueueReadBuffer(cl->queue, handle, CL_TRUE, offset, bytes, dst, 0, NULL, NULL);
	return code ? plumb_cl_fail(code, "reading %.1f MB from %s", (double)bytes / 1e6, cl->device.info.name)
				: PLUMB_OK;
}

enum plumb_status plumb_cl_sync(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	cl_int code = plumb_cl.clFinish(cl->queue);
	return code ? plumb_cl_fail(code, "waiting for %s", cl->device.info.name) : PLUMB_OK;
}

enum plumb_status plumb_cl_scratch(struct plumb_driver *driver, int index, size_t bytes, cl_mem *mem)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	cl_int code;
	if (cl->scratch_bytes[index] < bytes) {
		if (cl->scratch[index])
			plumb_cl.clReleaseMemObject(
				cl->scratch[index]); /* lives on until the kernels that use it have ended */
		cl->scratch_bytes[index] = 0;
		cl->scratch[index] = plumb_cl.clCreateBuffer(cl->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
		if (code) {
			cl->scratch[index] = NULL;
			return plumb_cl_fail(
				code, "a buffer of %.1f MB on %s", (double)bytes / 1e6, cl->device.info.name);
		}
		cl->scratch_bytes[index] = bytes;
	}
	*mem = cl->scratch[index];
	return PLUMB_OK;
}
