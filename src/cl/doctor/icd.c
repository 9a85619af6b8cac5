/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers that are registered for OpenCL loaders: where, by which .icd files, and whether the libraries
 * these name load and answer. The rules are those of ocl-icd's libOpenCL(7). */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl_icd.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cl/doctor/doctor.h"
#include "core/core.h"

#define DEFAULT_FOLDER "/etc/OpenCL/vendors"
#define INSTALL \
	"install a driver: on Debian pocl-opencl-icd (CPU), intel-opencl-icd, mesa-opencl-icd or nvidia-opencl-icd; ROCm brings AMD's"

/* --- a library, in a child --- */

/* Why a library that loads may find nothing to drive. */
static const char *icd_hint(const char *library)
{
	return strstr(library, "igdrcl")
		? "needs an Intel GPU that shows as /dev/dri/renderD*; harmless elsewhere"
		: strstr(library, "nvidia") ? "needs an NVIDIA GPU and its kernel module: see what nvidia-smi says"
		: strstr(library, "amdocl") ? "needs an AMD GPU, /dev/kfd and /dev/dri/renderD*"
									: "its device is not here; harmless if that is meant";
}

/* Platforms of the library itself, by the entry that loaders use. */
static void icd_ask(struct plumb_doctor *d, void *library, const char *name)
{
	void *(*extension)(const char *);
	cl_int (*platform_ids)(cl_uint, cl_platform_id *, cl_uint *) = NULL;
	cl_platform_id ids[16];
	cl_uint n = 0;
	*(void **)&extension = dlsym(library, "clGetExtensionFunctionAddress");
	if (extension)
		*(void **)&platform_ids = extension("clIcdGetPlatformIDsKHR");
	if (!platform_ids)
		*(void **)&platform_ids = dlsym(library, "clIcdGetPlatformIDsKHR");
	if (!platform_ids) {
		PLUMB_SAY_PROBLEM(d, PLUMB_BROKEN_ICD, "icd", "name the OpenCL driver's library instead",
			"%s is a library but no OpenCL driver (no clIcdGetPlatformIDsKHR)", name);
		return;
	}
	if (platform_ids(16, ids, &n) || !n) {
		PLUMB_SAY_WARNING(d, "icd", icd_hint(name), "%s loads but offers no platform", name);
		return;
	}
	for (cl_uint i = 0; i < n && i < 16; i++) {
		/* Every OpenCL object of a driver begins with its dispatch table. */
		const struct _cl_icd_dispatch *table = *(const struct _cl_icd_dispatch *const *)ids[i];
		char text[128] = "";
		if (table && table->clGetPlatformInfo &&
			!table->clGetPlatformInfo(ids[i], CL_PLATFORM_NAME, sizeof text, text, NULL))
			plumb_doctor_note(d, "offers", text);
		PLUMB_SAY_OK(d, "icd", "%s loads and offers platform \"%s\"", name, text);
	}
}

struct icd_entry {
	const char *library, *from;
}; /* from: the .icd file or the variable that names it */

static void icd_load_failed(struct plumb_doctor *d, const struct icd_entry *e, const char *why)
{
	char advice[512];
	if (strchr(e->library, '/') && *e->library != '/')
		snprintf(advice, sizeof advice,
			"%s names it by a relative path, which depends on the current folder: write the absolute path",
			e->from);
	else if (!access(e->library, R_OK))
		snprintf(advice, sizeof advice,
			"the library is there, something it needs is not: see `ldd %s | grep 'not found'`, install that",
			e->library);
	else if (*e->library == '/' && errno == EACCES)
		snprintf(advice, sizeof advice,
			"the library is there but may not be read: sudo chmod a+rx %s, and the folders above it",
			e->library);
	else
		snprintf(
			advice, sizeof advice, "install the package that brings %s, or remove %s", e->library, e->from);
	PLUMB_SAY_PROBLEM(
		d, PLUMB_BROKEN_ICD, "icd", advice, "%s (named by %s) does not load: %s", e->library, e->from, why);
}

static void icd_try(struct plumb_doctor *d, const void *arg)
{
	const struct icd_entry *e = arg;
	struct link_map *map = NULL;
	void *library = dlopen(e->library, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		icd_load_failed(d, e, dlerror());
		return;
	}
	plumb_doctor_note(d, "loads", e->library);
	bool found = !dlinfo(library, RTLD_DI_LINKMAP, &map) && map && *map->l_name;
	if (strchr(e->library, '/') && *e->library != '/')
		PLUMB_SAY_WARNING(d, "icd", "write the absolute path",
			"%s names %s by a relative path: it loads from this folder only", e->from, e->library);
	icd_ask(d, library, found ? map->l_name : e->library);
}

static void icd_check_library(struct plumb_doctor *d, const char *library, const char *from)
{
	struct icd_entry e = { library, from };
	char how[128], advice[256];
	plumb_doctor_note(d, "named", library);
	if (plumb_doctor_child(d, icd_try, &e, 30, how))
		return;
	snprintf(advice, sizeof advice,
		"every OpenCL program meets this: reinstall or update the driver, or remove %s", from);
	PLUMB_SAY_PROBLEM(d, PLUMB_BROKEN_ICD, "icd", advice, "%s (named by %s) %s", library, from, how);
}

/* --- .icd files --- */

static void icd_bad_file(struct plumb_doctor *d, const char *path, const char *advice, const char *why)
{
	PLUMB_SAY_PROBLEM(d, PLUMB_BROKEN_ICD, "icd", advice, "%s: %s", path, why);
}

static void icd_check_file(struct plumb_doctor *d, const char *path)
{
	char text[2048], advice[1200];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	int error = f ? ferror(f) ? EIO : 0 : errno;
	if (f)
		fclose(f);
	if (error) {
		snprintf(advice, sizeof advice,
			error == EACCES ? "let everyone read it: sudo chmod a+r %s"
							: "reinstall its package, or remove %s",
			path);
		icd_bad_file(d, path, advice, strerror(error));
		return;
	}
	text[n] = 0;
	size_t line = strcspn(text, "\n");
	bool binary = strlen(text) != n;
	for (size_t i = 0; i < line && !binary; i++)
		binary = (unsigned char)text[i] < ' ' && text[i] != '\t' && text[i] != '\r';
	text[line] = 0;
	if (binary || line == sizeof text - 1)
		icd_bad_file(d, path, "it must hold one line, the name of the driver's library",
			"its content is not the name of a library");
	else if (!text[strspn(text, " \t\r")])
		icd_bad_file(d, path, "write the name of the driver's library into it, or remove it", "is empty");
	else if (strchr(" \t\r", text[0]) || strchr(" \t\r", text[line - 1]))
		icd_bad_file(d, path, "remove the blanks (or the carriage return) around the library's name",
			"blanks around the library's name are taken as part of it");
	else
		icd_check_library(d, text, path);
}

static int icd_is(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	return n > 4 && !strcmp(entry->d_name + n - 4, ".icd");
}

static void icd_check_folder(struct plumb_doctor *d, const char *folder, const char *from)
{
	struct dirent **list;
	int n = scandir(folder, &list, icd_is, alphasort);
	if (n < 0) {
		bool missing = errno == ENOENT || errno == ENOTDIR;
		PLUMB_SAY_PROBLEM(d, missing ? PLUMB_NO_ICD : PLUMB_BROKEN_ICD, "icd",
			missing ? INSTALL : "let everyone read it: sudo chmod a+rx on it and the folders above",
			"folder %s (%s): %s", folder, from, strerror(errno));
		return;
	}
	if (!n)
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_ICD, "icd", INSTALL,
			"folder %s (%s) holds no .icd file: no OpenCL driver is registered", folder, from);
	else
		PLUMB_SAY_OK(d, "icd", "folder %s (%s) holds %d .icd file%s", folder, from, n, n == 1 ? "" : "s");
	for (int i = 0; i < n; i++) {
		char path[1024];
		if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name) < sizeof path)
			icd_check_file(d, path);
		free(list[i]);
	}
	free(list);
}

/* --- the variables --- */

/* OCL_ICD_FILENAMES: .icd files or libraries with colons between. */
static void icd_check_names(struct plumb_doctor *d, const char *names)
{
	char one[1024];
	for (const char *p = names; *p; p += *p == ':') {
		size_t n = strcspn(p, ":");
		snprintf(one, sizeof one, "%.*s", (int)(n < sizeof one ? n : sizeof one - 1), p);
		if (n >= sizeof one)
			PLUMB_SAY_PROBLEM(d, PLUMB_BROKEN_ICD, "icd", "set it to shorter paths, with colons between",
				"OCL_ICD_FILENAMES has a name of %zu characters: %.40s...", n, one);
		else if (n > 4 && !strcmp(one + n - 4, ".icd"))
			icd_check_file(d, one);
		else if (n)
			icd_check_library(d, one, "OCL_ICD_FILENAMES");
		p += n;
	}
}

/* OCL_ICD_VENDORS: a folder, one .icd file (looked for in the usual folder first), or a library. */
static void icd_check_vendors(struct plumb_doctor *d, const char *vendors, const char *base)
{
	struct stat st;
	char path[1024];
	size_t n = strlen(vendors);
	bool folder = !stat(vendors, &st) && S_ISDIR(st.st_mode);
	if (*vendors != '/' && (folder || strchr(vendors, '/')))
		PLUMB_SAY_WARNING(d, "icd", "set it to an absolute path",
			"OCL_ICD_VENDORS=%s is a relative path: it works from this folder only", vendors);
	if (folder) {
		icd_check_folder(d, vendors, "OCL_ICD_VENDORS");
	} else if (n > 4 && !strcmp(vendors + n - 4, ".icd")) {
		bool usual = !strchr(vendors, '/') &&
			(size_t)snprintf(path, sizeof path, "%s/%s", base, vendors) < sizeof path && !access(path, F_OK);
		icd_check_file(d, usual ? path : vendors);
	} else if (strstr(vendors, ".so")) {
		icd_check_library(d, vendors, "OCL_ICD_VENDORS");
	} else {
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_ICD, "icd", "unset it, or set it to a folder of .icd files",
			"OCL_ICD_VENDORS=%s is neither a folder, an .icd file nor a library", vendors);
	}
}

void plumb_doctor_icds(struct plumb_doctor *d)
{
	const char *vendors = plumb_env(PLUMB_ENV_ICD_VENDORS), *base = plumb_env(PLUMB_ENV_VENDOR_PATH),
			   *names = plumb_env(PLUMB_ENV_ICD_FILENAMES);
	bool khronos = plumb_doctor_fact(d, "khronos", 0) != NULL;
	if (base && khronos) {
		PLUMB_SAY_WARNING(d, "icd", "use OCL_ICD_VENDORS",
			"OPENCL_VENDOR_PATH is set, but Khronos' loader does not read it");
		base = NULL;
	}
	if (names && khronos)
		icd_check_names(d, names);
	else if (names)
		PLUMB_SAY_WARNING(d, "icd", "use OCL_ICD_VENDORS",
			"OCL_ICD_FILENAMES is set, but only Khronos' loader reads it, and this is another");
	if (vendors)
		icd_check_vendors(d, vendors, base ? base : DEFAULT_FOLDER);
	else
		icd_check_folder(d, base ? base : DEFAULT_FOLDER, base ? "OPENCL_VENDOR_PATH" : "the default");
}
