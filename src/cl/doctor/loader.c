/* SPDX-License-Identifier: Apache-2.0 */
/* Is there an OpenCL loader, and which one? In children. */
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include "cl/device/device.h"
#include "cl/doctor/doctor.h"

static void *loader_open(void)
{
	void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	return library ? library : dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
}

static void loader_check(struct plumb_doctor *d, const void *arg)
{
	struct link_map *map = NULL;
	(void)arg;
	if (plumb_cl_load()) {
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_LOADER, "loader",
			"install an OpenCL loader: on Debian and Ubuntu `sudo apt install ocl-icd-libopencl1`, "
			"on Fedora `sudo dnf install ocl-icd`, on Arch `sudo pacman -S ocl-icd`",
			"%s", plumb_last_error());
		return;
	}
	void *library = loader_open();
	bool found = library && !dlinfo(library, RTLD_DI_LINKMAP, &map) && map;
	PLUMB_SAY_OK(d, "loader", "%s", found ? map->l_name : "libOpenCL.so.1");
	plumb_doctor_note(d, "loader", "loads");
}

/* Separate, since asking makes some loaders load every driver: if that fails, the drivers' own checks will
 * say so. */
static void loader_ask_version(struct plumb_doctor *d, const void *arg)
{
	/* 2 is the version, 3 the name, 4 the vendor; ocl-icd and Khronos' loader have it. */
	cl_int (*info)(cl_uint, size_t, void *, size_t *) = NULL;
	void *(*extension)(const char *);
	char version[64] = "", name[64] = "", vendor[64] = "";
	void *library = loader_open();
	(void)arg;
	*(void **)&extension = library ? dlsym(library, "clGetExtensionFunctionAddress") : NULL;
	*(void **)&info = library ? dlsym(library, "clGetICDLoaderInfoOCLICD") : NULL;
	if (!info && extension)
		*(void **)&info = extension("clGetICDLoaderInfoOCLICD");
	if (!info)
		return;
	info(2, sizeof version - 1, version, NULL);
	info(3, sizeof name - 1, name, NULL);
	info(4, sizeof vendor - 1, vendor, NULL);
	if (strstr(vendor, "Khronos") || strstr(name, "Khronos"))
		plumb_doctor_note(d, "khronos", "1");
	PLUMB_SAY_OK(d, "loader", "it calls itself %s %s, by %s", name, version, vendor);
}

void plumb_doctor_loader(struct plumb_doctor *d)
{
	char how[128];
	if (!plumb_doctor_child(d, loader_check, NULL, 30, how))
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_LOADER, "loader", "reinstall it: ocl-icd-libopencl1 on Debian",
			"the OpenCL loader %s", how);
	if (plumb_doctor_fact(d, "loader", 0))
		plumb_doctor_child(d, loader_ask_version, NULL, 30, how);
}
