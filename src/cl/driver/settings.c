/* SPDX-License-Identifier: Apache-2.0 */
/* The variables of the cl driver, read and checked once. Operators run long after, perhaps beside a setenv of
 * the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/driver/state.h"

static enum plumb_status settings_value(enum plumb_env_name name, int64_t *v)
{
	return plumb_env_parse(name, plumb_env(name), v);
}

static const char *settings_word(enum plumb_env_name name, int64_t index)
{
	return index < 0 ? NULL : plumb_env_word(name, index);
}

/* AR_HARDWARE_LIBS, or plumb/libs of the user's cache folder. One that does not
 * fit is refused if it is AR_HARDWARE_LIBS; else there is no cache, and libs_lost says why. */
static enum plumb_status settings_libs(struct plumb_cl_settings *set)
{
	const char *libs = plumb_env(PLUMB_ENV_LIBS), *cache = plumb_env(PLUMB_ENV_CACHE_HOME),
			   *home = plumb_env(PLUMB_ENV_HOME);
	int n = libs ? snprintf(set->libs, sizeof set->libs, "%s", libs)
		: cache  ? snprintf(set->libs, sizeof set->libs, "%s/plumb/libs", cache)
		: home   ? snprintf(set->libs, sizeof set->libs, "%s/.cache/plumb/libs", home)
				 : 0;
	if (n >= 0 && n < (int)sizeof set->libs)
		return PLUMB_OK;
	if (libs)
		return plumb_fail(PLUMB_E_ARGUMENT,
			"AR_HARDWARE_LIBS has %zu bytes, the path of a folder has %zu at most", strlen(libs),
			sizeof set->libs - 1);
	set->libs[0] = 0;
	set->libs_lost = cache ? "XDG_CACHE_HOME" : "HOME";
	return PLUMB_OK;
}

enum plumb_status plumb_cl_settings_read(struct plumb_cl_settings *set)
{
	int64_t class = -1, matmul = -1, profile = 0, canary = 1, limit = -1;
	const char *path = plumb_env(PLUMB_ENV_CL_PATH);
	*set = (struct plumb_cl_settings){ .path = NULL };
	PLUMB_TRY(settings_value(PLUMB_ENV_CL_CLASS, &class));
	PLUMB_TRY(settings_value(PLUMB_ENV_CL_MATMUL, &matmul));
	PLUMB_TRY(settings_value(PLUMB_ENV_CL_PROFILE, &profile));
	PLUMB_TRY(settings_value(PLUMB_ENV_CANARY, &canary));
	PLUMB_TRY(settings_value(PLUMB_ENV_CL_MAX_ALLOC, &limit));
	set->class = settings_word(PLUMB_ENV_CL_CLASS, class);
	set->matmul = settings_word(PLUMB_ENV_CL_MATMUL, matmul);
	set->profile = profile;
	set->canary = canary;
	set->max_alloc = limit < 0 ? UINT64_MAX : (uint64_t)limit;
	PLUMB_TRY(settings_libs(set));
	if (path && !(set->path = strdup(path)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for PLUMB_CL_PATH");
	return PLUMB_OK;
}

void plumb_cl_settings_free(struct plumb_cl_settings *set)
{
	free(set->path);
	set->path = NULL;
}
