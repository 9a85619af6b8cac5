/* SPDX-License-Identifier: Apache-2.0 */
/* A layer for OpenCL's loader (OPENCL_LAYERS) that calls every device a GPU, for tests of what plumb chooses;
 * or, where GPU_LAYER_NAME is set, leaves it what it is and calls it, its driver and its platform that. */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl_layer.h>
#include <stdlib.h>
#include <string.h>

static const struct _cl_icd_dispatch *target;
static struct _cl_icd_dispatch layer;

static cl_int give(const char *text, size_t size, void *value, size_t *needed)
{
	size_t n = strlen(text) + 1;
	if (value && size < n)
		return CL_INVALID_VALUE;
	if (value)
		memcpy(value, text, n);
	if (needed)
		*needed = n;
	return CL_SUCCESS;
}

static cl_int CL_API_CALL platform_info(
	cl_platform_id platform, cl_platform_info what, size_t size, void *value, size_t *needed)
{
	const char *name = getenv("GPU_LAYER_NAME");
	return name && (what == CL_PLATFORM_NAME || what == CL_PLATFORM_VENDOR)
		? give(name, size, value, needed)
		: target->clGetPlatformInfo(platform, what, size, value, needed);
}

static cl_int CL_API_CALL device_info(
	cl_device_id device, cl_device_info what, size_t size, void *value, size_t *needed)
{
	const char *name = getenv("GPU_LAYER_NAME");
	if (name && (what == CL_DEVICE_NAME || what == CL_DEVICE_VENDOR || what == CL_DRIVER_VERSION))
		return give(name, size, value, needed);
	cl_int code = target->clGetDeviceInfo(device, what, size, value, needed);
	if (!name && !code && what == CL_DEVICE_TYPE && value)
		*(cl_device_type *)value = CL_DEVICE_TYPE_GPU;
	return code;
}

CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t size, void *value, size_t *needed)
{
	if (what != CL_LAYER_API_VERSION || (value && size < sizeof(cl_layer_api_version)))
		return CL_INVALID_VALUE;
	if (value)
		*(cl_layer_api_version *)value = CL_LAYER_API_VERSION_100;
	if (needed)
		*needed = sizeof(cl_layer_api_version);
	return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clInitLayer(
	cl_uint entries, const struct _cl_icd_dispatch *below, cl_uint *ours, const struct _cl_icd_dispatch **out)
{
	(void)entries;
	target = below;
	layer.clGetPlatformInfo = platform_info;
	layer.clGetDeviceInfo = device_info;
	*ours = sizeof layer / sizeof layer.clGetDeviceInfo;
	*out = &layer;
	return CL_SUCCESS;
}
