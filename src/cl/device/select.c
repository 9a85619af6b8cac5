/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the devices to take. None is refused by name. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cl/device/device.h"

static bool select_contains(const char *text, const char *part)
{
	size_t n = strlen(part);
	for (; *text; text++)
		if (!strncasecmp(text, part, n))
			return true;
	return false;
}

/* Discrete GPU 4, GPU 3, accelerator 2, CPU 1; 0: not of the kind asked for. */
static int select_rank(const struct plumb_cl_device *d, enum plumb_device_kind kind)
{
	bool cpu = !strcmp(d->info.type, "cpu"), gpu = !strcmp(d->info.type, "gpu");
	if (!d->info.available || (kind == PLUMB_KIND_CPU && !cpu) || (kind == PLUMB_KIND_GPU && !gpu))
		return 0;
	return gpu ? 3 + !d->info.unified : cpu ? 1 : 2;
}

static enum plumb_status select_named(
	const struct plumb_cl_device *list, int count, const char *wanted, enum plumb_device_kind kind, int *at)
{
	char *end;
	long number = strtol(wanted, &end, 10);
	bool is_number = isdigit((unsigned char)*wanted) && !*end;
	for (int i = 0; i < count; i++)
		if (is_number ? number == i
					  : select_contains(list[i].info.name, wanted) ||
					select_contains(list[i].info.platform, wanted)) {
			if (!select_rank(&list[i], kind))
				return plumb_fail(PLUMB_E_DRIVER, "PLUMB_CL_DEVICE=%.64s is \"%s\", which is %s", wanted,
					list[i].info.name,
					list[i].info.available ? "not of the type that AR_HARDWARE_DRIVER asks for"
										   : "not available");
			*at = i;
			return PLUMB_OK;
		}
	return plumb_fail(PLUMB_E_DRIVER,
		"PLUMB_CL_DEVICE=%.64s matches none of the %d OpenCL devices; 'plumb devices' lists them", wanted,
		count);
}

enum plumb_status plumb_cl_select(enum plumb_device_kind kind, struct plumb_cl_device *chosen)
{
	const char *wanted = plumb_env(PLUMB_ENV_CL_DEVICE);
	struct plumb_cl_device *list;
	int count, at = -1;
	PLUMB_TRY(plumb_cl_devices(&list, &count));
	enum plumb_status s = PLUMB_OK;
	if (wanted)
		s = select_named(list, count, wanted, kind, &at);
	else
		for (int i = 0; i < count; i++)
			if (select_rank(&list[i], kind) > (at < 0 ? 0 : select_rank(&list[at], kind)))
				at = i;
	if (!s && at < 0)
		s = plumb_fail(PLUMB_E_DRIVER,
			"no OpenCL device%s among %d found; 'plumb doctor' says what is missing",
			kind == PLUMB_KIND_CPU       ? " of type cpu"
				: kind == PLUMB_KIND_GPU ? " of type gpu"
										 : "",
			count);
	if (!s)
		*chosen = list[at];
	free(list);
	return s;
}
