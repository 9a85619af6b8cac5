/* SPDX-License-Identifier: Apache-2.0 */
/* The cl driver as the core sees it: the class with its table of operators, and opening and closing one
 * device with one context and one in-order queue. The only file that names all operators. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "cl/canary.h"
#include "cl/op/op.h"
#include "core/classes.h"

static void class_close(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = driver->state;
	if (!cl)
		return;
	if (cl->queue)
		plumb_cl.clFinish(cl->queue);
	plumb_cl_programs_forget(cl);
	plumb_cl_launch_forget(cl);
	free(cl->tuning.rows);
	free(cl->verdicts);
	if (cl->clblast)
		plumb_clblast_forget();
	plumb_cl_rope_forget(cl);
	for (int i = 0; i < PLUMB_CL_SCRATCHES; i++)
		if (cl->scratch[i])
			plumb_cl.clReleaseMemObject(cl->scratch[i]);
	if (cl->queue)
		plumb_cl.clReleaseCommandQueue(cl->queue);
	if (cl->context)
		plumb_cl.clReleaseContext(cl->context);
	plumb_cl_settings_free(&cl->set);
	free(cl);
	driver->state = NULL;
}

/* Take a queue whose kernels can be timed, or a plain one, in the place of the one there is. */
static enum plumb_status class_profile(struct plumb_driver *driver, bool on)
{
	struct plumb_cl_state *cl = driver->state;
	cl_int code;
	cl_command_queue queue = plumb_cl.clCreateCommandQueue(
		cl->context, cl->device.id, on ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
	if (code)
		return plumb_cl_fail(code, "a queue on %s", cl->device.info.name);
	if (cl->queue) {
		plumb_cl.clFinish(cl->queue);
		plumb_cl.clReleaseCommandQueue(cl->queue);
	}
	cl->queue = queue;
	cl->profile = on;
	return PLUMB_OK;
}

static enum plumb_status class_open_device(struct plumb_driver *driver, struct plumb_cl_state *cl)
{
	const char *place = driver->ctx->location;
	const cl_context_properties with[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)cl->device.platform,
		0 };
	cl_int code;
	cl->cpu = plumb_cl_is_cpu(&cl->device.info, cl->set.class);
	cl->wide = cl->device.info.floats >= 16;
	cl->max_alloc = cl->set.max_alloc < cl->device.info.max_alloc ? cl->set.max_alloc
																  : cl->device.info.max_alloc;
	cl->canary = cl->set.canary;
	cl->subgroups = cl->cpu ? 0 : plumb_cl_subgroups(&cl->device.info);
	driver->in_host_bytes = cl->delegate = !strcasecmp(place, "delegate");
	cl->place = strcasecmp(place, "host") ? 0 : CL_MEM_ALLOC_HOST_PTR;
	cl->context = plumb_cl.clCreateContext(with, 1, &cl->device.id, NULL, NULL, &code);
	if (code)
		return plumb_cl_fail(code, "a context on %s", cl->device.info.name);
	PLUMB_TRY(class_profile(driver, cl->set.profile));
	snprintf(
		driver->note, sizeof driver->note, "%.60s, %.40s", cl->device.info.name, cl->device.info.platform);
	return PLUMB_OK;
}

static enum plumb_status class_open(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = calloc(1, sizeof *cl);
	if (!cl)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a driver");
	driver->state = cl;
	cl->owner = driver->ctx;
	enum plumb_status s = plumb_cl_settings_read(
		&cl->set); /* first, so that a bad value is refused on every machine */
	if (!s && driver->ctx->precision == PLUMB_FP64)
		s = plumb_fail(PLUMB_E_DRIVER, "computes in FP32 and FP16; FP64 is native's (AR_HARDWARE_PRECISION)");
	if (!s)
		s = plumb_cl_select(driver->kind, &cl->device);
	if (!s)
		s = class_open_device(driver, cl);
	if (!s && cl->set.libs_lost)
		plumb_notice(driver->ctx,
			"cl: %s is too long for the path of a cache: kernels are compiled at each start (AR_HARDWARE_LIBS)",
			cl->set.libs_lost);
	if (s)
		class_close(driver);
	return s;
}

const struct plumb_driver_class plumb_cl_class = {
	.name = "cl",
	.open = class_open,
	.close = class_close,
	.alloc = plumb_cl_alloc,
	.free = plumb_cl_free,
	.upload = plumb_cl_upload,
	.download = plumb_cl_download,
	.sync = plumb_cl_sync,
	.prepare = plumb_cl_prepare,
	.unprepare = plumb_cl_unprepare,
	.kernel_row = plumb_cl_launch_row,
	.profile = class_profile,
	.copy_rate = plumb_cl_copy_rate,
	.trust = plumb_cl_canary,
	.op = {
#define PLUMB_FUSED(name, inputs, formula)
#define PLUMB_OP(name, inputs, formula) [PLUMB_OP_##name] = plumb_cl_##name,
#include <plumb/ops.def>
		[PLUMB_OP_attention] = plumb_cl_attention,
		[PLUMB_OP_qkv] = plumb_cl_qkv,
		[PLUMB_OP_gate_up] = plumb_cl_gate_up,
		[PLUMB_OP_matmul_add] = plumb_cl_matmul_add,
	},
};
