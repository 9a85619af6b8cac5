/* SPDX-License-Identifier: Apache-2.0 */
/* Opens CLBlast at run time, when it is first wanted. */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cl/device/device.h"

static struct {
	pthread_once_t once;
	plumb_clblast_sgemm_fn *sgemm;
	int (*forget)(void);
	char missing[256], version[320];
} clblast = { .once = PTHREAD_ONCE_INIT };

/* It has no function that tells its version; its file, with size and time, is another one after an upgrade.
 */
static void clblast_name_version(void *handle)
{
	struct link_map *map = NULL;
	struct stat st = { .st_size = 0 };
	char *path = !dlinfo(handle, RTLD_DI_LINKMAP, &map) && map ? realpath(map->l_name, NULL) : NULL;
	if (path && !stat(path, &st))
		snprintf(clblast.version, sizeof clblast.version, "CLBlast %.240s %lld %lld", path,
			(long long)st.st_size, (long long)st.st_mtime);
	free(path);
}

static void clblast_open(void)
{
	void *handle = dlopen("libclblast.so.1", RTLD_NOW | RTLD_LOCAL),
		 *sgemm = handle ? dlsym(handle, "CLBlastSgemm") : NULL,
		 *forget = handle ? dlsym(handle, "CLBlastClearCache") : NULL;
	if (sgemm && forget) {
		memcpy(&clblast.sgemm, &sgemm, sizeof sgemm); /* ISO C has no cast from an object to a function */
		memcpy(&clblast.forget, &forget, sizeof forget);
		clblast_name_version(handle);
	} else {
		const char *why = dlerror();
		snprintf(clblast.missing, sizeof clblast.missing,
			"CLBlast is not there (%.120s): install the package libclblast1", why ? why : "libclblast.so.1");
	}
}

const char *plumb_clblast_missing(void)
{
	pthread_once(&clblast.once, clblast_open);
	return clblast.sgemm ? NULL : clblast.missing;
}

const char *plumb_clblast_version(void) { return plumb_clblast_missing() ? "" : clblast.version; }

plumb_clblast_sgemm_fn *plumb_clblast_sgemm(void) { return plumb_clblast_missing() ? NULL : clblast.sgemm; }

void plumb_clblast_forget(void)
{
	if (!plumb_clblast_missing())
		clblast.forget();
}
