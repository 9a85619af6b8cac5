/* SPDX-License-Identifier: Apache-2.0 */
/* The devices there are and what they can do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cl/device/device.h"

#define MOST 64 /* devices; more are not listed */

/* Queries of OpenCL 3.0 and extensions, absent from 1.2 headers. */
#define DEVICE_MAX_NUM_SUB_GROUPS 0x105C

static void device_text(cl_device_id id, cl_device_info what, char *text, size_t size)
{
	size_t need = 0;
	char *all;
	text[0] = 0;
	if (plumb_cl.clGetDeviceInfo(id, what, 0, NULL, &need) || !need || !(all = malloc(need)))
		return;
	if (!plumb_cl.clGetDeviceInfo(id, what, need, all, NULL))
		snprintf(text, size, "%.*s", (int)need, all);
	free(all);
}

static uint64_t device_number(cl_device_id id, cl_device_info what, size_t width)
{
	uint64_t wide = 0;
	uint32_t narrow = 0;
	if (width == sizeof narrow)
		return plumb_cl.clGetDeviceInfo(id, what, width, &narrow, NULL) ? 0 : narrow;
	return plumb_cl.clGetDeviceInfo(id, what, width, &wide, NULL) ? 0 : wide;
}

static bool device_has(cl_device_id id, const char *name)
{
	size_t need = 0, n = strlen(name);
	char *all;
	bool found = false;
	if (plumb_cl.clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &need) || !need ||
		!(all = malloc(need + 1)))
		return false;
	all[0] = all[need] = 0;
	plumb_cl.clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, need, all, NULL);
	for (const char *p = all; !found && (p = strstr(p, name)); p += n)
		found = (p == all || p[-1] == ' ') && (!p[n] || p[n] == ' ');
	free(all);
	return found;
}

bool plumb_cl_is_cpu(const struct plumb_device *device, const char *class)
{
	return class ? !strcasecmp(class, "cpu") : !strcmp(device->type, "cpu") && device->floats != 1;
}

int plumb_cl_subgroups(const struct plumb_device *d)
{
	int version = 0;
	if (!d->subgroups || sscanf(d->version, "OpenCL %d", &version) != 1 || version < 2)
		return 0;
	return version > 2 ? 3 : 2;
}

static void device_describe(struct plumb_cl_device *d, int index)
{
	struct plumb_device *i = &d->info;
	size_t group = 0;
	cl_bool flag = CL_FALSE, compiler = CL_FALSE;
	i->index = index;
	plumb_cl.clGetPlatformInfo(d->platform, CL_PLATFORM_NAME, sizeof i->platform, i->platform, NULL);
	i->platform[sizeof i->platform - 1] = 0;
	device_text(d->id, CL_DEVICE_NAME, i->name, sizeof i->name);
	device_text(d->id, CL_DEVICE_VENDOR, i->vendor, sizeof i->vendor);
	device_text(d->id, CL_DEVICE_VERSION, i->version, sizeof i->version);
	device_text(d->id, CL_DEVICE_OPENCL_C_VERSION, i->c_version, sizeof i->c_version);
	device_text(d->id, CL_DRIVER_VERSION, i->driver, sizeof i->driver);
	plumb_cl.clGetDeviceInfo(d->id, CL_DEVICE_TYPE, sizeof d->type, &d->type, NULL);
	/* Oclgrind says it is everything at once: then it is a CPU. */
	snprintf(i->type, sizeof i->type, "%s",
		d->type & CL_DEVICE_TYPE_CPU               ? "cpu"
			: d->type & CL_DEVICE_TYPE_GPU         ? "gpu"
			: d->type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator"
												   : "custom");
	plumb_cl.clGetDeviceInfo(d->id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof flag, &flag, NULL);
	i->unified = flag;
	plumb_cl.clGetDeviceInfo(d->id, CL_DEVICE_AVAILABLE, sizeof flag, &flag, NULL);
	plumb_cl.clGetDeviceInfo(d->id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
	i->available = flag && compiler;
	i->memory = device_number(d->id, CL_DEVICE_GLOBAL_MEM_SIZE, 8);
	i->max_alloc = device_number(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
	i->local_memory = device_number(d->id, CL_DEVICE_LOCAL_MEM_SIZE, 8);
	i->units = (uint32_t)device_number(d->id, CL_DEVICE_MAX_COMPUTE_UNITS, 4);
	i->units += !i->units; /* work is divided among them */
	i->floats = (uint32_t)device_number(d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 4);
	i->mhz = (uint32_t)device_number(d->id, CL_DEVICE_MAX_CLOCK_FREQUENCY, 4);
	plumb_cl.clGetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
	i->max_group = (uint32_t)group;
	i->fp16 = device_has(d->id, "cl_khr_fp16");
	i->fp64 = device_has(d->id, "cl_khr_fp64");
	i->subgroups = device_has(d->id, "cl_khr_subgroups") ||
		device_number(d->id, DEVICE_MAX_NUM_SUB_GROUPS, 4) > 0;
	i->dot = device_has(d->id, "cl_khr_integer_dot_product");
}

enum plumb_status plumb_cl_devices(struct plumb_cl_device **devices, int *count)
{
	cl_platform_id platforms[MOST];
	cl_uint np = 0;
	*devices = NULL;
	*count = 0;
	PLUMB_TRY(plumb_cl_load());
	/* -1001 and 0 platforms are the same to a user: nothing is installed. */
	if (plumb_cl.clGetPlatformIDs(MOST, platforms, &np))
		np = 0;
	struct plumb_cl_device *list = calloc(MOST, sizeof *list);
	if (!list)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a list of devices");
	for (cl_uint p = 0; p < np && p < MOST; p++) {
		cl_device_id ids[MOST];
		cl_uint nd = 0;
		if (plumb_cl.clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST, ids, &nd))
			continue; /* a platform without devices answers -1 */
		for (cl_uint d = 0; d < nd && d < MOST && *count < MOST; d++) {
			list[*count] = (struct plumb_cl_device){ .platform = platforms[p], .id = ids[d] };
			device_describe(&list[*count], *count);
			++*count;
		}
	}
	*devices = list;
	return PLUMB_OK;
}

enum plumb_status plumb_devices(struct plumb_device **devices, int *count)
{
	struct plumb_cl_device *list;
	*devices = NULL;
	*count = 0;
	PLUMB_TRY(plumb_env_check());
	PLUMB_TRY(plumb_cl_devices(&list, count));
	*devices = calloc((size_t)*count + 1, sizeof **devices);
	for (int i = 0; *devices && i < *count; i++)
		(*devices)[i] = list[i].info;
	free(list);
	return *devices ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a list of devices");
}
