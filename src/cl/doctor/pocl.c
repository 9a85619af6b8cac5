/* SPDX-License-Identifier: Apache-2.0 */
/* PoCL keeps what it compiles in a folder and, where that cannot be written, offers no device and says
 * nothing. Found for `plumb doctor`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/core.h"
#include "cl/doctor/doctor.h"

/* The folder as PoCL chooses it (pocl_cache.c), and the variable that says so. */
static const char *pocl_folder(char *path, size_t size)
{
	const char *own = plumb_env(PLUMB_ENV_POCL_CACHE), *cache = plumb_env(PLUMB_ENV_CACHE_HOME),
			   *home = plumb_env(PLUMB_ENV_HOME);
	if (own)
		snprintf(path, size, "%s", own);
	else if (cache)
		snprintf(path, size, "%s/pocl/kcache", cache);
	else if (home)
		snprintf(path, size, "%s/.cache/pocl/kcache", home);
	else
		snprintf(path, size, "/tmp/pocl/kcache");
	return own ? "POCL_CACHE_DIR" : cache ? "XDG_CACHE_HOME" : home ? "HOME" : "no variable";
}

/* Can a folder be made in it, or in the first folder above it that is there? errno says why not. */
static bool pocl_can_write(const char *path)
{
	char try[4096 + 16];
	struct stat st;
	size_t n = strlen(path);
	if (n > 4096)
		return errno = ENAMETOOLONG, false;
	memcpy(try, path, n + 1);
	while (stat(try, &st) && errno == ENOENT && strrchr(try, '/') > try)
		*strrchr(try, '/') = 0;
	strcat(try, "/plumb-XXXXXX");
	if (!mkdtemp(try))
		return false;
	rmdir(try);
	return true;
}

bool plumb_doctor_pocl_stopped(struct plumb_doctor *d)
{
	char path[4097], advice[256];
	const char *name, *from;
	bool here = false;
	for (int i = 0; (name = plumb_doctor_fact(d, "loads", i)); i++)
		here = here || strstr(name, "pocl");
	from = pocl_folder(path, sizeof path);
	if (!here || pocl_can_write(path))
		return false;
	const int why = errno;
	snprintf(advice, sizeof advice,
		"set POCL_CACHE_DIR to a folder that can be written, such as /tmp/pocl-%ld", (long)getuid());
	PLUMB_SAY_WARNING(d, "pocl", advice,
		"PoCL cannot write its cache %s (from %s): %s; it then offers no device", path, from, strerror(why));
	return true;
}
