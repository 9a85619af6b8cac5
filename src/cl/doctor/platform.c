/* SPDX-License-Identifier: Apache-2.0 */
/* Which platforms and devices the loader offers, which device plumb takes and what it can do: in a child.
 * Whether the loader offers what the drivers' libraries do. */
#include <stdlib.h>
#include <string.h>
#include "cl/device/device.h"
#include "cl/doctor/doctor.h"
#include "drivers/drivers.h"

static const char *platform_hint(const char *platform)
{
	return strstr(platform, "rusticl")
		? "rusticl uses only the devices that RUSTICL_ENABLE names: set it, e.g. to llvmpipe (CPU), radeonsi, iris or nouveau"
		: strstr(platform, "Clover") ? "Mesa's Clover has no driver for what is here; harmless"
		: strstr(platform, "Intel")  ? "it needs an Intel GPU and access to /dev/dri/renderD* (group render)"
		: strstr(platform, "AMD")
		? "it needs access to /dev/kfd and /dev/dri/renderD* (groups render and video)"
		: strstr(platform, "NVIDIA") ? "see what nvidia-smi says about the kernel module"
									 : "see the driver's own documentation";
}

static void platform_list(struct plumb_doctor *d)
{
	cl_platform_id ids[64];
	cl_uint n = 0;
	cl_int code = plumb_cl.clGetPlatformIDs(64, ids, &n);
	if (code || !n) {
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_DEVICE, "platform", "see the drivers above",
			"the loader offers no platform: %s (%d)", plumb_cl_error_name(code), (int)code);
		return;
	}
	for (cl_uint i = 0; i < n && i < 64; i++) {
		char name[128] = "", version[128] = "";
		cl_uint devices = 0;
		plumb_cl.clGetPlatformInfo(ids[i], CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
		plumb_cl.clGetPlatformInfo(ids[i], CL_PLATFORM_VERSION, sizeof version - 1, version, NULL);
		plumb_doctor_note(d, "platform", name);
		code = plumb_cl.clGetDeviceIDs(ids[i], CL_DEVICE_TYPE_ALL, 0, NULL, &devices);
		if (code || !devices)
			PLUMB_SAY_WARNING(d, "platform", platform_hint(name), "\"%s\" (%s) has no device", name, version);
		else
			PLUMB_SAY_OK(
				d, "platform", "\"%s\" (%s): %u device%s", name, version, devices, devices == 1 ? "" : "s");
	}
}

/* Does the list ask native before cl on a CPU? */
static bool platform_after_native(void)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	int count;
	if (!plumb_driver_parse(plumb_env(PLUMB_ENV_DRIVER), items, &count))
		for (int i = 0; i < count; i++)
			if (items[i].kind != PLUMB_KIND_GPU)
				return !strcmp(items[i].name, "native");
	return false;
}

/* What each changes in plumb's kernels, whose base is OpenCL C 1.2 without extensions (doc/kernels.md). */
static void platform_capabilities(struct plumb_doctor *d, const struct plumb_device *i)
{
	const char *class = plumb_env(PLUMB_ENV_CL_CLASS), *has[] = { "no", "yes" };
	bool cpu = plumb_cl_is_cpu(i, class);
	PLUMB_SAY_OK(d, "capability", "kernels for a %s%s",
		cpu ? "CPU: one work-item per block of rows, wide vectors"
			: "GPU: work-groups that read side by side and share local memory",
		class ? " (PLUMB_CL_CLASS)" : "");
	PLUMB_SAY_OK(d, "capability",
		"fp16: %s, fp64: %s, integer dot product: %s; change no kernel: halves become float32 as they are loaded, the angles of RoPE "
		"come from the host, and products of 8 bits would be too coarse",
		has[i->fp16], has[i->fp64], has[i->dot]);
	PLUMB_SAY_OK(d, "capability", "sub-groups: %s; %s", has[i->subgroups],
		cpu                         ? "change no kernel for a CPU, where a work-item is alone"
			: plumb_cl_subgroups(i) ? "attention, rmsnorm and softmax add up with them"
			: i->subgroups          ? "not used before OpenCL 2.0"
									: "attention, rmsnorm and softmax add up through local memory");
	PLUMB_SAY_OK(d, "capability", "largest buffer %.0f MB of %.0f MB: larger weights are split",
		(double)i->max_alloc / 1e6, (double)i->memory / 1e6);
	PLUMB_SAY_OK(d, "capability", "memory %s",
		i->unified ? "shared with the host: AR_HARDWARE_MEMORY_LOCATION=delegate or host may save copies"
				   : "of its own: AR_HARDWARE_MEMORY_LOCATION=device is the fast place");
	if (i->local_memory < 16384 && !cpu)
		PLUMB_SAY_WARNING(d, "capability", NULL, "local memory of %.0f kB is little: reductions want 16 kB",
			(double)i->local_memory / 1e3);
}

static void platform_devices(struct plumb_doctor *d, const void *arg)
{
	struct plumb_cl_device *list, chosen;
	const char *wanted = plumb_env(PLUMB_ENV_CL_DEVICE);
	int count;
	(void)arg;
	if (plumb_cl_load())
		return;
	const bool stopped = plumb_doctor_pocl_stopped(d);
	platform_list(d);
	if (plumb_cl_devices(&list, &count))
		return;
	for (int i = 0; i < count; i++) {
		const struct plumb_device *v = &list[i].info;
		if (v->available)
			PLUMB_SAY_OK(d, "device", "%d: %s (%s), %s, %u units, %.1f GB, driver %s", i, v->name, v->type,
				v->version, v->units, (double)v->memory / 1e9, v->driver);
		else
			PLUMB_SAY_WARNING(d, "device", "plumb leaves it out",
				"%d: %s says that it or its compiler is not available", i, v->name);
	}
	if (!count) {
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_DEVICE, "device",
			stopped ? "let PoCL write its cache: see above"
					: "do what the lines above advise, or install a CPU driver: pocl-opencl-icd",
			"no platform has a device");
	} else if (plumb_cl_select(plumb_doctor_wanted(), &chosen)) {
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_DEVICE, "choice",
			wanted ? "unset PLUMB_CL_DEVICE, or set it to an index or name above"
				   : "change AR_HARDWARE_DRIVER, or add a driver for the type asked for",
			"%s", plumb_last_error());
	} else {
		plumb_doctor_note(d, "chosen", chosen.info.name);
		PLUMB_SAY_OK(d, "choice", "plumb takes device %d, %s (%s)", chosen.info.index, chosen.info.name,
			wanted ? "by PLUMB_CL_DEVICE" : "order: discrete GPU, GPU, accelerator, CPU");
		if (!strcmp(chosen.info.type, "cpu") && platform_after_native())
			PLUMB_SAY_OK(d, "choice",
				"on a CPU the native driver is faster and comes first, unless AR_HARDWARE_DRIVER says cl");
		platform_capabilities(d, &chosen.info);
	}
	free(list);
}

/* What the drivers' libraries offer should be what the loader offers: loaders differ in which variables they
 * read. */
static void platform_compare(struct plumb_doctor *d)
{
	const char *name;
	for (int i = 0; (name = plumb_doctor_fact(d, "platform", i)); i++)
		if (!plumb_doctor_knows(d, "offers", name))
			PLUMB_SAY_WARNING(d, "loader", "take another loader (ocl-icd), or change the files it reads",
				"platform \"%s\" comes from no driver listed above: "
				"this loader reads other files, so it ignores %s",
				name, plumb_env(PLUMB_ENV_ICD_VENDORS) ? "OCL_ICD_VENDORS" : "the usual folder");
	for (int i = 0; (name = plumb_doctor_fact(d, "offers", i)); i++)
		if (!plumb_doctor_knows(d, "platform", name))
			PLUMB_SAY_WARNING(d, "loader", "take another loader (ocl-icd), or set other variables",
				"the loader does not offer platform \"%s\", though its driver "
				"works",
				name);
}

void plumb_doctor_platforms(struct plumb_doctor *d)
{
	char how[128];
	if (!plumb_doctor_child(d, platform_devices, NULL, 60, how))
		PLUMB_SAY_PROBLEM(d, PLUMB_BROKEN_ICD, "platform",
			"remove the .icd files one by one to find the driver that does it",
			"asking for platforms and devices %s", how);
	platform_compare(d);
}
