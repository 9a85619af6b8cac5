/* SPDX-License-Identifier: Apache-2.0 */
/* The walk from the loader to a kernel's numbers. Everything that calls OpenCL happens in children. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <link.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cl/device/device.h"
#include "cl/doctor/doctor.h"
#include "drivers/drivers.h"
#include "core/utf8.h"

/* --- saying --- */

/* Which of two problems is the one to name: the later in this list. */
static int gravity(enum plumb_verdict v)
{
	static const enum plumb_verdict order[] = { PLUMB_HEALTHY, PLUMB_NO_DEVICE, PLUMB_BROKEN_ICD, PLUMB_NO_ICD, PLUMB_WRONG_RESULTS, PLUMB_NO_LOADER,
		PLUMB_NOT_BUILT };
	for (int i = 0; i < (int)(sizeof order / sizeof *order); i++)
		if (order[i] == v)
			return i;
	return 0;
}

void plumb_doctor_say(struct plumb_doctor *d, enum plumb_mark mark, enum plumb_verdict verdict, const char *step, const char *advice,
	const char *format, ...)
{
	char what[1024], what_to_do[1280];
	va_list args;
	va_start(args, format);
	plumb_vformat(what, sizeof what, format, args);
	va_end(args);
	snprintf(what_to_do, sizeof what_to_do, "%s", advice ? advice : "");
	plumb_utf8_plain(what, "");
	plumb_utf8_plain(what_to_do, "");
	if (d->in_child) {
		fprintf(d->pipe, "finding\t%d\t%d\t%s\t%s\t%s\n", (int)mark, (int)verdict, step, what, what_to_do);
		fflush(d->pipe);
		return;
	}
	if (gravity(verdict) > gravity(d->verdict))
		d->verdict = verdict;
	d->report(d->user, &(struct plumb_finding){ mark, verdict, step, what, advice ? what_to_do : NULL });
}

void plumb_doctor_note(struct plumb_doctor *d, const char *key, const char *text)
{
	char line[128];
	snprintf(line, sizeof line, "%s", text);
	plumb_utf8_plain(line, "");
	if (d->in_child) {
		fprintf(d->pipe, "fact\t%s\t%s\n", key, line);
		fflush(d->pipe);
	} else if (d->facts < PLUMB_DOCTOR_FACTS) {
		struct plumb_fact *f = &d->fact[d->facts++];
		snprintf(f->key, sizeof f->key, "%s", key);
		memcpy(f->text, line, sizeof line);
	}
}

const char *plumb_doctor_fact(const struct plumb_doctor *d, const char *key, int index)
{
	for (int i = 0; i < d->facts; i++)
		if (!strcmp(d->fact[i].key, key) && !index--)
			return d->fact[i].text;
	return NULL;
}

static bool known(const struct plumb_doctor *d, const char *key, const char *text)
{
	const char *f;
	for (int i = 0; (f = plumb_doctor_fact(d, key, i)); i++)
		if (!strcmp(f, text))
			return true;
	return false;
}

/* --- loader --- */

static void *open_loader(void)
{
	void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	return library ? library : dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
}

static void loader(struct plumb_doctor *d, const void *arg)
{
	struct link_map *map = NULL;
	(void)arg;
	if (plumb_cl_load()) {
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_NO_LOADER, "loader", "install an OpenCL loader: on Debian and Ubuntu `sudo apt install ocl-icd-libopencl1`, "
			"on Fedora `sudo dnf install ocl-icd`, on Arch `sudo pacman -S ocl-icd`", "%s", plumb_last_error());
		return;
	}
	void *library = open_loader();
	bool found = library && !dlinfo(library, RTLD_DI_LINKMAP, &map) && map;
	PLUMB_SAY_OK(d, "loader", "%s", found ? map->l_name : "libOpenCL.so.1");
	plumb_doctor_note(d, "loader", "loads");
}

/* Separate, since asking makes some loaders load every driver: if that fails, the drivers' own checks will say so. */
static void loader_version(struct plumb_doctor *d, const void *arg)
{
	/* 2 is the version, 3 the name, 4 the vendor; ocl-icd and Khronos' loader have it. */
	cl_int (*info)(cl_uint, size_t, void *, size_t *) = NULL;
	void *(*extension)(const char *);
	char version[64] = "", name[64] = "", vendor[64] = "";
	void *library = open_loader();
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

/* --- device nodes --- */

static bool node(struct plumb_doctor *d, const char *path)
{
	struct stat st;
	char advice[256];
	if (stat(path, &st))
		return false;
	if (!access(path, R_OK | W_OK)) {
		PLUMB_SAY_OK(d, "node", "%s may be used", path);
		return true;
	}
	struct group *g = getgrgid(st.st_gid);
	snprintf(advice, sizeof advice, "join the node's group and log in again: sudo usermod -aG %s $USER", g ? g->gr_name : "render");
	PLUMB_SAY_WARNING(d, "node", advice, "%s may not be opened: %s", path, strerror(errno));
	return true;
}

static void nodes(struct plumb_doctor *d)
{
	char path[300];
	int found = 0;
	struct dirent *e;
	DIR *dri = opendir("/dev/dri");
	while (dri && (e = readdir(dri)))
		if (!strncmp(e->d_name, "renderD", 7)) {
			snprintf(path, sizeof path, "/dev/dri/%s", e->d_name);
			found += node(d, path);
		}
	if (dri)
		closedir(dri);
	found += node(d, "/dev/kfd");
	found += node(d, "/dev/nvidiactl");
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof path, "/dev/nvidia%d", i);
		found += node(d, path);
	}
	if (!found)
		PLUMB_SAY_OK(d, "node", "no GPU shows (no /dev/dri/renderD*, /dev/kfd, /dev/nvidia*): only CPU devices can work");
}

/* --- platforms and devices, in a child --- */

static const char *no_device_hint(const char *platform)
{
	return strstr(platform, "rusticl") ? "rusticl takes only what it is told to: set RUSTICL_ENABLE, e.g. to llvmpipe (CPU), radeonsi, iris or nouveau" :
		strstr(platform, "Clover") ? "Mesa's Clover has no driver for what is here; harmless" :
		strstr(platform, "Intel") ? "it needs an Intel GPU and access to /dev/dri/renderD* (group render)" :
		strstr(platform, "AMD") ? "it needs access to /dev/kfd and /dev/dri/renderD* (groups render and video)" :
		strstr(platform, "NVIDIA") ? "see what nvidia-smi says about the kernel module" : "see the driver's own documentation";
}

static void platforms(struct plumb_doctor *d)
{
	cl_platform_id ids[64];
	cl_uint n = 0;
	cl_int code = plumb_cl.clGetPlatformIDs(64, ids, &n);
	if (code || !n) {
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_NO_DEVICE, "platform", "see the drivers above", "the loader offers no platform: %s (%d)",
			plumb_cl_error_name(code), (int)code);
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
			PLUMB_SAY_WARNING(d, "platform", no_device_hint(name), "\"%s\" (%s) has no device", name, version);
		else
			PLUMB_SAY_OK(d, "platform", "\"%s\" (%s): %u device%s", name, version, devices, devices == 1 ? "" : "s");
	}
}

/* Does the list ask native before cl on a CPU? */
static bool listed_after_native(void)
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
static void capabilities(struct plumb_doctor *d, const struct plumb_device *i)
{
	const char *class = plumb_env(PLUMB_ENV_CL_CLASS), *has[] = { "no", "yes" };
	bool cpu = plumb_cl_is_cpu(i, class);
	PLUMB_SAY_OK(d, "capability", "kernels for a %s%s", cpu ? "CPU: one work-item per block of rows, wide vectors" :
		"GPU: work-groups that read side by side and share local memory", class ? " (PLUMB_CL_CLASS)" : "");
	PLUMB_SAY_OK(d, "capability", "fp16: %s, fp64: %s, integer dot product: %s; change no kernel: halves become float32 as they are loaded, the angles of RoPE "
		"come from the host, and products of 8 bits would be too coarse", has[i->fp16], has[i->fp64], has[i->dot]);
	PLUMB_SAY_OK(d, "capability", "sub-groups: %s; %s", has[i->subgroups], cpu ? "change no kernel for a CPU, where a work-item is alone" :
		plumb_cl_subgroups(i) ? "attention, rmsnorm and softmax add up with them" : i->subgroups ? "not used before OpenCL 2.0" :
		"attention, rmsnorm and softmax add up through local memory");
	PLUMB_SAY_OK(d, "capability", "largest buffer %.0f MB of %.0f MB: larger weights are split", (double)i->max_alloc / 1e6, (double)i->memory / 1e6);
	PLUMB_SAY_OK(d, "capability", "memory %s", i->unified ? "shared with the host: AR_HARDWARE_MEMORY_LOCATION=delegate or host may save copies" :
		"of its own: AR_HARDWARE_MEMORY_LOCATION=device is the fast place");
	if (i->local_memory < 16384 && !cpu)
		PLUMB_SAY_WARNING(d, "capability", NULL, "local memory of %.0f kB is little: reductions want 16 kB", (double)i->local_memory / 1e3);
}

static void devices(struct plumb_doctor *d, const void *arg)
{
	struct plumb_cl_device *list, chosen;
	const char *wanted = plumb_env(PLUMB_ENV_CL_DEVICE);
	int count;
	(void)arg;
	if (plumb_cl_load())
		return;
	const bool stopped = plumb_doctor_pocl_stopped(d);
	platforms(d);
	if (plumb_cl_devices(&list, &count))
		return;
	for (int i = 0; i < count; i++) {
		const struct plumb_device *v = &list[i].info;
		if (v->available)
			PLUMB_SAY_OK(d, "device", "%d: %s (%s), %s, %u units, %.1f GB, driver %s", i, v->name, v->type, v->version, v->units, (double)v->memory / 1e9,
				v->driver);
		else
			PLUMB_SAY_WARNING(d, "device", "plumb leaves it out", "%d: %s says that it or its compiler is not available", i, v->name);
	}
	if (!count) {
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_NO_DEVICE, "device", stopped ? "let PoCL write its cache: see above" :
			"do what the lines above advise, or install a CPU driver: pocl-opencl-icd", "no platform has a device");
	} else if (plumb_cl_select(plumb_doctor_wanted(), &chosen)) {
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_NO_DEVICE, "choice", wanted ? "unset PLUMB_CL_DEVICE, or set it to an index or name above" :
			"change AR_HARDWARE_DRIVER, or add a driver for the type asked for", "%s", plumb_last_error());
	} else {
		plumb_doctor_note(d, "chosen", chosen.info.name);
		PLUMB_SAY_OK(d, "choice", "plumb takes device %d, %s (%s)", chosen.info.index, chosen.info.name,
			wanted ? "by PLUMB_CL_DEVICE" : "order: discrete GPU, GPU, accelerator, CPU");
		if (!strcmp(chosen.info.type, "cpu") && listed_after_native())
			PLUMB_SAY_OK(d, "choice", "on a CPU the native driver is faster and comes first, unless AR_HARDWARE_DRIVER says cl");
		capabilities(d, &chosen.info);
	}
	free(list);
}

/* What the drivers' libraries offer should be what the loader offers: loaders differ in which variables they read. */
static void compare_platforms(struct plumb_doctor *d)
{
	const char *name;
	for (int i = 0; (name = plumb_doctor_fact(d, "platform", i)); i++)
		if (!known(d, "offers", name))
			PLUMB_SAY_WARNING(d, "loader", "take another loader (ocl-icd), or change the files it reads", "platform \"%s\" comes from no driver listed above: "
				"this loader reads other files, so it ignores %s", name, plumb_env(PLUMB_ENV_ICD_VENDORS) ? "OCL_ICD_VENDORS" : "the usual folder");
	for (int i = 0; (name = plumb_doctor_fact(d, "offers", i)); i++)
		if (!known(d, "platform", name))
			PLUMB_SAY_WARNING(d, "loader", "take another loader (ocl-icd), or set other variables", "the loader does not offer platform \"%s\", though its driver "
				"works", name);
}

/* --- kernels, one operator a child --- */

static struct plumb_driver *cl_driver(struct plumb_context *ctx)
{
	for (int i = 0; i < ctx->drivers; i++)
		if (!strcmp(ctx->driver[i].cls->name, "cl"))
			return &ctx->driver[i];
	return NULL;
}

static enum plumb_status open_cl(struct plumb_context **ctx)
{
	static const char *const lists[] = { [PLUMB_KIND_ANY] = "cl", [PLUMB_KIND_CPU] = "cpu", [PLUMB_KIND_GPU] = "gpu" };
	return plumb_open(ctx, PLUMB_OPTIONS(.driver = lists[plumb_doctor_wanted()], .precision = "FP32", .threads = 1, .memory_limit = UINT64_MAX));
}

#define REPORT_IT "take another device (PLUMB_CL_DEVICE) or AR_HARDWARE_DRIVER=native, and report it with this text"
/* Error over tolerance; below 0: not good, which has been said. */
static double check_kernel(struct plumb_doctor *d, struct plumb_driver *driver, struct plumb_context *truth, int op, enum plumb_type weight)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	char name[64];
	double error, tolerance;
	snprintf(name, sizeof name, !desc->weights ? "%s" : "%s with weights in %s", desc->name, plumb_type_name(weight));
	enum plumb_status s = plumb_op_verify(driver, truth, op, weight, &error, &tolerance);
	if (!s && error <= tolerance)
		return tolerance > 0 ? error / tolerance : 0;
	if (s == PLUMB_E_UNSUPPORTED)
		PLUMB_SAY_WARNING(d, "kernel", "a later driver of the list takes it over, as in AR_HARDWARE_DRIVER=cl,native", "%s is not supported: %s", name,
			plumb_last_error());
	else if (s)
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s fails: %s", name, plumb_last_error());
	else
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s gives wrong results: relative error %.3g, allowed %.3g", name,
			error, tolerance);
	return -1;
}

static void kernel(struct plumb_doctor *d, const void *arg)
{
	const int op = *(const int *)arg;
	const struct plumb_op_desc *desc = plumb_op_table[op];
	struct plumb_context *ctx, *truth;
	double worst = 0;
	int good = 0, bad = 0;
	struct plumb_driver *driver = open_cl(&ctx) ? NULL : cl_driver(ctx);
	if (!driver) {
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_NO_DEVICE, "kernel", "AR_HARDWARE_DRIVER=native works without", "%s: the cl driver does not open: %s",
			desc->name, plumb_last_error());
		return;
	}
	if (plumb_open(&truth, PLUMB_OPTIONS(.driver = "native", .precision = "FP64", .threads = 1, .memory_limit = UINT64_MAX,
		.memory_location = "device"))) {
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s fails: %s", desc->name, plumb_last_error());
		plumb_close(ctx);
		return;
	}
	for (int type = 0; type < PLUMB_TYPE_COUNT; type++) {
		if (!desc->weights ? type > 0 : !plumb_type_is_weight((enum plumb_type)type))
			continue;
		double share = check_kernel(d, driver, truth, op, (enum plumb_type)type);
		good += share >= 0;
		bad += share < 0;
		worst = share > worst ? share : worst;
		fputs("alive\n", d->pipe); /* compiling may take long */
		fflush(d->pipe);
	}
	if (good)
		PLUMB_SAY_OK(d, "kernel", "%s%s agrees with the float64 truth (largest error %.0f%% of what is allowed)", desc->name, bad ? " otherwise" : "", 100 * worst);
	plumb_close(truth);
	plumb_close(ctx);
}

static void kernels(struct plumb_doctor *d)
{
	char how[128];
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		if (!plumb_doctor_child(d, kernel, &op, 180, how))
			plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s %s", plumb_op_name(op), how);
}

enum plumb_status plumb_doctor(bool with_kernels, plumb_finding_fn report, void *user, enum plumb_verdict *verdict)
{
	char how[128];
	*verdict = PLUMB_HEALTHY;
	PLUMB_TRY(plumb_env_check()); /* the driver would not open, and for no reason of OpenCL's */
	struct plumb_doctor *d = calloc(1, sizeof *d);
	if (!d)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the doctor");
	d->report = report;
	d->user = user;
	PLUMB_SAY_OK(d, "build", "the OpenCL driver is built in");
	if (!plumb_doctor_child(d, loader, NULL, 30, how))
		plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_NO_LOADER, "loader", "reinstall it: ocl-icd-libopencl1 on Debian", "the OpenCL loader %s", how);
	if (plumb_doctor_fact(d, "loader", 0))
		plumb_doctor_child(d, loader_version, NULL, 30, how);
	plumb_doctor_icds(d);
	nodes(d);
	if (plumb_doctor_fact(d, "loader", 0)) {
		if (!plumb_doctor_child(d, devices, NULL, 60, how))
			plumb_doctor_say(d, PLUMB_MARK_PROBLEM, PLUMB_BROKEN_ICD, "platform", "remove the .icd files one by one to find the driver that does it",
				"asking for platforms and devices %s", how);
		compare_platforms(d);
		if (with_kernels && plumb_doctor_fact(d, "chosen", 0))
			kernels(d);
	}
	*verdict = d->verdict;
	free(d);
	return PLUMB_OK;
}
