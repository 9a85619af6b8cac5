/* SPDX-License-Identifier: Apache-2.0 */
/* Every environment variable that plumb reads, declared once. No other file calls getenv. */
#include <stdlib.h>
#include "core/core.h"

static const struct { const char *name, *meaning, *fallback; } rows[PLUMB_ENV_COUNT] = {
	[PLUMB_ENV_DRIVER] = { "AR_HARDWARE_DRIVER", "drivers to use, in order: native, cl, mtl, cpu, gpu, *", "*" },
	[PLUMB_ENV_PRECISION] = { "AR_HARDWARE_PRECISION", "FP32, FP64 (the double-precision truth) or FP16", "FP32" },
	[PLUMB_ENV_MODE] = { "PLUMB_MODE", "accuracy of products with quantised weights: exact (float32), default (activations of 16 bits), fast", "default" },
	[PLUMB_ENV_LIBS] = { "AR_HARDWARE_LIBS", "folder for generated binaries (kernel cache)", "plumb/libs under the user's cache folder" },
	[PLUMB_ENV_MEMORY_SCALE] = { "AR_HARDWARE_MEMORY_SCALE", "s: memory limit of 64 MB * 2^s", "no limit" },
	[PLUMB_ENV_MEMORY_LOCATION] = { "AR_HARDWARE_MEMORY_LOCATION", "device, host or delegate", "device" },
	[PLUMB_ENV_THREADS] = { "PLUMB_THREADS", "threads of the native driver", "the CPUs this process may use (affinity and cgroup quota)" },
	[PLUMB_ENV_NATIVE_ISA] = { "PLUMB_NATIVE_ISA", "highest instruction set of the native driver: c, avx2, avxvnni, avx512, neon, neondot", "the best this CPU has" },
	[PLUMB_ENV_CL_DEVICE] = { "PLUMB_CL_DEVICE", "OpenCL device: index in 'plumb devices', or part of its name", "discrete GPU, GPU, accelerator, CPU" },
	[PLUMB_ENV_CL_PATH] = { "PLUMB_CL_PATH", "folder of .cl files to use in place of the embedded ones", "the embedded ones" },
	[PLUMB_ENV_CL_MAX_ALLOC] = { "PLUMB_CL_MAX_ALLOC", "bytes of the largest OpenCL buffer, to try a smaller device's limit", "the device's limit" },
	[PLUMB_ENV_CL_PROFILE] = { "PLUMB_CL_PROFILE", "1: measure the time of each OpenCL kernel (slower)", "0" },
	[PLUMB_ENV_CL_CLASS] = { "PLUMB_CL_CLASS", "kernels of this device class: cpu or gpu (to try one on the other)", "the device's own" },
	[PLUMB_ENV_CL_MATMUL] = { "PLUMB_CL_MATMUL", "way of OpenCL's matmul of several rows: own (the fixed choice), clblast, mt1, mt4, mt8, block", "what 'plumb tune' found, else own" },
	[PLUMB_ENV_CANARY] = { "PLUMB_CANARY", "0: do not compare the first result of each OpenCL kernel with the truth", "1" },
	[PLUMB_ENV_STRICT] = { "PLUMB_STRICT", "1: an operator that goes past the first driver of the list is an error", "0" },
	[PLUMB_ENV_AVOID] = { "PLUMB_AVOID", "operators that a driver shall not run, as cl:rope,cl:swiglu: the next driver of the list takes them", "none" },
	[PLUMB_ENV_CACHE_HOME] = { "XDG_CACHE_HOME", "the user's cache folder", "~/.cache" },
	[PLUMB_ENV_HOME] = { "HOME", "the user's folder, where XDG_CACHE_HOME is unset", "none: no cache" },
	/* Read by the OpenCL loader, not by plumb: only 'plumb doctor' looks at them. */
	[PLUMB_ENV_ICD_VENDORS] = { "OCL_ICD_VENDORS", "read by the OpenCL loader: folder of .icd files, one .icd file, or a driver's .so", "/etc/OpenCL/vendors" },
	[PLUMB_ENV_POCL_CACHE] = { "POCL_CACHE_DIR", "read by PoCL: folder for what it compiles", "pocl/kcache under the user's cache folder" },
	[PLUMB_ENV_VENDOR_PATH] = { "OPENCL_VENDOR_PATH", "read by the OpenCL loader ocl-icd: folder of .icd files", "/etc/OpenCL/vendors" },
	[PLUMB_ENV_ICD_FILENAMES] = { "OCL_ICD_FILENAMES", "read by Khronos' OpenCL loader: further drivers, with colons between", "none" },
};

const char *plumb_env(enum plumb_env_name name)
{
	const char *value = getenv(rows[name].name);
	return value && *value ? value : NULL;
}

bool plumb_env_row(int index, struct plumb_env *row)
{
	if (index < 0 || index >= PLUMB_ENV_COUNT)
		return false;
	*row = (struct plumb_env){ rows[index].name, rows[index].meaning, rows[index].fallback, plumb_env((enum plumb_env_name)index) };
	return true;
}
